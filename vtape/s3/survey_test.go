package s3_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/catalog"
	"holdfast/internal/s3test"
	"holdfast/vtape"
	"holdfast/vtape/devicetest"
)

// bySlot asks slot by slot what a survey tells at once.
func bySlot(t *testing.T, shelf vtape.Shelf) []vtape.Surveyed {
	t.Helper()
	slots, err := shelf.Slots(ctx)
	must(t, err)
	var list []vtape.Surveyed
	for _, slot := range slots {
		dev := shelf.Device(slot)
		_, err := dev.ReadLabel(ctx)
		files, filesErr := dev.Files(ctx)
		must(t, filesErr)
		list = append(list, vtape.Surveyed{Slot: slot, Blank: errors.Is(err, vtape.ErrBlank), Files: files})
	}
	return list
}

// A survey tells what the slots tell one by one, with one request where they fit on a page: of volumes, of slots beyond those
// that are called for, of what only looks like a volume, and of names that somebody else has given.
func TestSurvey(t *testing.T) {
	server := start(t)
	proxy := s3test.NewProxy(t, server)
	o := options(proxy.URL)
	o.Prefix = "tapes/"
	store := open(t, o)
	shelf := store.Shelf("offsite", 11)
	for slot, files := range map[string]int{"1": 0, "2": 3, "10": 1, "12": 2} {
		dev := shelf.Device(slot)
		must(t, dev.Format(ctx, devicetest.Label(catalog.Label("DEMO-0"+slot))))
		for n := 1; n <= files; n++ {
			devicetest.Write(t, dev, n, devicetest.Header(n), devicetest.Data(uint64(n), 1000*n))
		}
	}
	for _, key := range []string{
		"slot3-special-tapestart", "tapes/slot014-special-tapestart", "tapes/slotted-x", "tapes/slot4-x", "tapes/slot5-f00000001-mp.data",
		"tapes/slot6-f00000001-filestart", "tapes/fx-01-special-tapestart", "tapes/fx-01-f00000001-filestart", "tapes/fx-01-f00000001-b0000000000000000.data",
		"tapes/fx-01-f00000001-b0000000000000001.data", "tapes/fx-1-special-tapestart", "tapes/fx-", "tapes/fx", "tapes/fx-02", "tapes/fx-03-special-tapestart",
	} {
		server.Put(t, bucket, key, []byte("x"))
	}
	for name, s := range map[string]interface {
		vtape.Shelf
		vtape.Surveyor
	}{"ours": shelf, "named": store.NamedShelf("theirs", []string{"fx-02-", "fx-01-", "fx-1-", "fx-03-"}), "one": store.NamedShelf("theirs", []string{"fx-01-"})} {
		proxy.Plan(nil)
		got, err := s.Survey(ctx)
		if requests := len(proxy.Requests()); err != nil || requests != 1 {
			t.Errorf("%s: %d requests, %v", name, requests, err)
		}
		want := bySlot(t, s)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -slot by slot +survey:\n%s", name, diff)
		}
		if !slices.ContainsFunc(got, func(s vtape.Surveyed) bool { return len(s.Files) > 0 }) {
			t.Errorf("%s: no files: %+v", name, got)
		}
	}
	o.Bucket = "no-such-bucket"
	if _, err := open(t, o).Shelf("offsite", 3).Survey(ctx); !errors.Is(err, vtape.ErrAbsent) {
		t.Errorf("no bucket: %v", err)
	}
}
