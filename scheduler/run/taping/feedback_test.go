package taping

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
	"holdfast/configs"
	"holdfast/vtape"
)

// frail is a volume whose device goes on though members fail, and whose storage locks what is written.
type frail struct {
	vtape.Device
	faults []vtape.MemberFault
	until  time.Time
	err    error
}

func (f frail) Degraded() []vtape.MemberFault                  { return f.faults }
func (f frail) LockedUntil(context.Context) (time.Time, error) { return f.until, f.err }
func kinds(events []catalog.EventBody, kind string) (n int)    { return len(ofKind(events, kind)) }
func ofKind(events []catalog.EventBody, kind string) (all []catalog.EventBody) {
	for _, e := range events {
		if e.Kind() == kind {
			all = append(all, e)
		}
	}
	return all
}

// What a device says of its volume gets into the catalog and the report: members that lack some of it, and until when it is
// locked. A lock that cannot be asked about leaves what was known.
func TestVolumeFacts(t *testing.T) {
	ctx := context.Background()
	store, err := sqlstore.Open(ctx, filepath.Join(t.TempDir(), "catalog.sqlite"), sqlstore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var events []catalog.EventBody
	w := New(Options{
		Storage: configs.Storage{Name: "set", RunVolumes: 1, VolumeSize: 1 << 20}, Stamp: "20250301010000", Store: store,
		Event: func(_ context.Context, bodies ...catalog.EventBody) error {
			events = append(events, bodies...)
			return nil
		},
	})
	if err := store.PutVolume(ctx, catalog.Volume{Label: "SET-1", Storage: "set", Slot: "1"}); err != nil {
		t.Fatal(err)
	}
	until := time.Date(2025, 4, 1, 0, 0, 0, 0, time.UTC)
	k := w.workers[0]
	volume := func() catalog.Volume {
		v, err := store.Volume(ctx, "SET-1")
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	finished := catalog.VolumeFinished{Storage: "set", Label: "SET-1", Bytes: 4711, Files: 3}

	k.device = frail{until: until}
	if err := k.VolumeStarted(ctx, catalog.VolumeStarted{Storage: "set", Label: "SET-1", Capacity: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	if v := volume(); !v.LockedUntil.Equal(until) {
		t.Errorf("locked until %v when it is labelled", v.LockedUntil)
	}

	broken := errors.New("no such disk")
	k.device = frail{faults: []vtape.MemberFault{{Member: "b", Err: broken}, {Member: "d", Err: broken}}, err: errors.New("no answer")}
	if err := k.VolumeFinished(ctx, finished, nil); err != nil {
		t.Fatal(err)
	}
	v := volume()
	if !slices.Equal(v.Degraded, []string{"b", "d"}) || !v.LockedUntil.Equal(until) || v.Bytes != 4711 || v.Files != 3 {
		t.Errorf("volume %+v", v)
	}
	told := ofKind(events, "volume-degraded")
	if len(told) != 1 || told[0].(catalog.VolumeDegraded).Error != "b: no such disk; d: no such disk" || kinds(events, "note") != 1 {
		t.Errorf("events %+v", events)
	}

	events = nil
	k.device = frail{until: until.AddDate(0, 1, 0)}
	if err := k.VolumeFinished(ctx, finished, nil); err != nil {
		t.Fatal(err)
	}
	if v := volume(); v.Degraded != nil || !v.LockedUntil.Equal(until.AddDate(0, 1, 0)) || kinds(events, "volume-degraded") != 0 {
		t.Errorf("volume %+v, events %+v", v, events)
	}
}
