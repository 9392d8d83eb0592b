package rait_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/dir"
	"holdfast/vtape/rait"
)

// rack is a shelf of directories for tests: ROOT/slot1, ...
type rack struct {
	fsys    vfs.FS
	root    string
	slots   []string
	current string
	err     error // of all its methods
}

func (r *rack) Check(context.Context) error {
	if _, err := r.fsys.Stat(r.root); r.err == nil && err != nil {
		return fmt.Errorf("%s: %w", r.root, vtape.ErrAbsent)
	}
	return r.err
}

func (r *rack) Create(context.Context) error {
	for _, s := range r.slots {
		if err := vfs.MkdirAll(r.fsys, r.root+"/slot"+s, 0o755); err != nil {
			return err
		}
	}
	return r.err
}

func (r *rack) Slots(context.Context) ([]string, error) { return r.slots, r.err }

func (r *rack) Device(slot string) vtape.Device {
	return dir.New(r.fsys, r.root+"/slot"+slot, dir.Options{})
}

func (r *rack) SetCurrent(_ context.Context, slot string) error {
	if r.err == nil {
		r.current = slot
	}
	return r.err
}

// Slots of the set are the slots that its members have. It is there while enough of them are, and what is away is noted.
func TestShelf(t *testing.T) {
	mem := vfs.NewMem()
	racks := make([]*rack, 3)
	members := make([]rait.ShelfMember, 3)
	for i := range racks {
		racks[i] = &rack{fsys: mem, root: fmt.Sprintf("/d%d", i+1), slots: []string{"1", "2", "10"}}
		members[i] = rait.ShelfMember{Name: fmt.Sprintf("d%d", i+1), Shelf: racks[i]}
	}
	racks[0].slots = []string{"1", "10", "11"}
	racks[2].slots = []string{"1", "2", "10", "11"}
	var notes []string
	shelf, err := rait.NewShelf(members, rait.Options{Note: func(m string, err error) { notes = append(notes, m+": "+err.Error()) }})
	must(t, err)
	if err := shelf.Check(ctx); !errors.Is(err, vtape.ErrAbsent) {
		t.Errorf("check before it was made: %v", err)
	}
	must(t, shelf.Create(ctx))
	must(t, shelf.Check(ctx))
	slots, err := shelf.Slots(ctx)
	if want := []string{"1", "2", "10", "11"}; err != nil || !slices.Equal(slots, want) {
		t.Errorf("slots %v, want %v, %v", slots, want, err)
	}
	must(t, shelf.SetCurrent(ctx, "10"))
	dev := shelf.Device("10")
	must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
	data := devicetest.Data(1, 100_000)
	devicetest.Write(t, dev, 1, devicetest.Header(1), data)

	notes = nil
	racks[1].err = vtape.ErrAbsent // but an empty directory is there
	for i, r := range racks {
		if r.current != "10" {
			t.Errorf("member %d: current slot %q", i+1, r.current)
		}
	}
	must(t, shelf.Check(ctx))
	must(t, shelf.SetCurrent(ctx, "1"))
	set := shelf.Device("1").(*rait.Device)
	must(t, set.Format(ctx, devicetest.Label("DEMO-002")))
	if list := set.Faults(); len(list) != 1 || list[0].Member != "d2" {
		t.Errorf("left out: %v", list)
	}
	if _, err := racks[1].Device("1").ReadLabel(ctx); !errors.Is(err, vtape.ErrBlank) {
		t.Errorf("a shelf that is away was written to: %v", err)
	}
	if len(notes) == 0 || !strings.Contains(notes[0], "d2") {
		t.Errorf("noted: %q", notes)
	}
	if got, err := readOnce(shelf.Device("10"), written{1: data}.part(1)); err != nil || string(got) != string(data) {
		t.Errorf("read: %v", err)
	}

	racks[2].err = errors.New("out of order")
	for what, err := range map[string]error{
		"check": shelf.Check(ctx), "create": shelf.Create(ctx), "set current": shelf.SetCurrent(ctx, "1"),
	} {
		if err == nil || !strings.Contains(err.Error(), "d2") || !strings.Contains(err.Error(), "out of order") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := shelf.Slots(ctx); err == nil {
		t.Error("slots: no error")
	}
}

// A set must be one.
func TestNewRefuses(t *testing.T) {
	named := func(names ...string) (list []rait.Member) {
		for _, n := range names {
			list = append(list, rait.Member{Name: n})
		}
		return list
	}
	var many []string
	for i := range 33 {
		many = append(many, fmt.Sprint(i))
	}
	for what, try := range map[string]struct {
		members []rait.Member
		o       rait.Options
	}{
		"one member": {named("a"), rait.Options{}}, "two of a name": {named("a", "a"), rait.Options{}},
		"no name": {named("a", ""), rait.Options{}}, "no data": {named("a", "b"), rait.Options{Parity: 2}},
		"negative parity": {named("a", "b"), rait.Options{Parity: -1}}, "33 members": {named(many...), rait.Options{Parity: 2}},
		"other shards in Amanda's form": {named("a", "b", "c"), rait.Options{ShardBytes: 4096}},
		"huge shards":                   {named("a", "b", "c"), rait.Options{Parity: 2, ShardBytes: 1 << 30}},
	} {
		if _, err := rait.New(try.members, try.o); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}
