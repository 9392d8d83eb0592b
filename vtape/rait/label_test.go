package rait_test

import (
	"errors"
	"strings"
	"testing"

	"holdfast/catalog"
	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/dir"
	"holdfast/vtape/rait"
)

// on gives a member's device as if it stood alone.
func (x *set) on(i int) *dir.Device { return dir.New(x.fsys, member(i), dir.Options{}) }

func stamped(label catalog.Label, stamp string) vtape.Header {
	h := devicetest.Label(label)
	h.Stamp = stamp
	return h
}

// The label is the one that enough members hold; the others are named, and nobody is told that a set is blank on which
// some members hold a volume that cannot be read.
func TestReadLabel(t *testing.T) {
	const old, now = "20250101000000", "20250202000000"
	for _, tc := range []struct {
		name   string
		shape  shape
		labels []string // by member: label@stamp; "" blank, "-" absent, "!" foreign
		want   string
		err    error
		faults map[int]rait.FaultKind
	}{
		{"all", shape{3, 1}, []string{"A@" + now, "A@" + now, "A@" + now}, "A@" + now, nil, nil},
		{"one absent", shape{3, 1}, []string{"A@" + now, "-", "A@" + now}, "A@" + now, nil, map[int]rait.FaultKind{1: rait.FaultMissing}},
		{"one blank", shape{3, 1}, []string{"A@" + now, "A@" + now, ""}, "A@" + now, nil, map[int]rait.FaultKind{2: rait.FaultMissing}},
		{"one stale", shape{3, 1}, []string{"A@" + old, "A@" + now, "A@" + now}, "A@" + now, nil, map[int]rait.FaultKind{0: rait.FaultStale}},
		{"one of another volume", shape{3, 1}, []string{"A@" + now, "B@" + now, "A@" + now}, "A@" + now, nil, map[int]rait.FaultKind{1: rait.FaultForeign}},
		{"one foreign", shape{3, 1}, []string{"A@" + now, "!", "A@" + now}, "A@" + now, nil, map[int]rait.FaultKind{1: rait.FaultForeign}},
		{"stale mirror", shape{2, 1}, []string{"A@" + old, "A@" + now}, "A@" + now, nil, map[int]rait.FaultKind{0: rait.FaultStale}},
		{"never written", shape{2, 1}, []string{"A@" + now, "A@X"}, "A@" + now, nil, map[int]rait.FaultKind{1: rait.FaultStale}},
		{"mirror of two volumes", shape{2, 1}, []string{"A@" + now, "B@" + now}, "", vtape.ErrForeign, nil},
		{"mirror with one blank", shape{2, 1}, []string{"", "B@" + now}, "B@" + now, nil, map[int]rait.FaultKind{0: rait.FaultMissing}},
		{"labelled half", shape{6, 2}, []string{"A@" + now, "A@" + now, "A@" + now, "A@" + old, "A@" + old, "A@" + old}, "A@" + old, nil, nil},
		{"blank", shape{3, 1}, []string{"", "", ""}, "", vtape.ErrBlank, nil},
		{"blank, one absent", shape{3, 1}, []string{"", "-", ""}, "", vtape.ErrBlank, map[int]rait.FaultKind{1: rait.FaultMissing}},
		{"blank, one foreign", shape{3, 1}, []string{"", "!", ""}, "", vtape.ErrBlank, map[int]rait.FaultKind{1: rait.FaultForeign}},
		{"two absent", shape{3, 1}, []string{"A@" + now, "-", "-"}, "", vtape.ErrAbsent, nil},
	} {
		x := newSet(t, tc.shape)
		for i, l := range tc.labels {
			switch label, stamp, ok := strings.Cut(l, "@"); {
			case l == "-":
				must(t, x.fsys.Remove(member(i)))
			case l == "!":
				must(t, vfs.WriteSynced(x.fsys, member(i)+"/00001.x", []byte("x"), 0o600))
			case ok:
				whole := rait.MemberHeader(stamped(catalog.Label(label), stamp), tc.shape.members, tc.shape.parity, i)
				must(t, x.on(i).Format(ctx, whole))
			}
		}
		d := x.open()
		h, err := d.ReadLabel(ctx)
		if !errors.Is(err, tc.err) || err == nil && string(h.Label)+"@"+h.Stamp != tc.want {
			t.Errorf("%s: %s@%s, %v", tc.name, h.Label, h.Stamp, err)
		}
		if tc.faults == nil {
			continue
		}
		got := map[int]rait.FaultKind{}
		for _, f := range d.Faults() {
			got[f.Index] = f.Kind
		}
		for i := range tc.shape.members {
			if got[i] != tc.faults[i] {
				t.Errorf("%s: member %d: %q, want %q", tc.name, i+1, got[i], tc.faults[i])
			}
		}
	}
}

// A volume that nobody can read any more is not blank: there may be a way to it that this set does not know.
func TestUnreadableIsNotBlank(t *testing.T) {
	x := newSet(t, shape{3, 1})
	x.fill()
	for _, i := range []int{1, 2} {
		must(t, x.fsys.Rename(member(i), member(i)+".gone"))
		must(t, x.fsys.Mkdir(member(i), 0o755))
	}
	var few *rait.TooFew
	if _, err := x.open().ReadLabel(ctx); errors.Is(err, vtape.ErrBlank) || !errors.As(err, &few) || len(few.Faults) < 2 {
		t.Errorf("read label: %v", err)
	}
}

// Format leaves alone what is not of the volume that it overwrites. Who formats what is no volume has chosen to.
func TestFormatLeavesOthersAlone(t *testing.T) {
	x := newSet(t, shape{3, 1})
	x.fill()
	must(t, x.on(1).Format(ctx, devicetest.Label("PRECIOUS")))
	devicetest.Write(t, x.on(1), 1, devicetest.Header(1), []byte("precious"))
	d := x.open()
	must(t, d.Format(ctx, devicetest.Label("DEMO-002")))
	devicetest.Check(t, x.on(1), 1, devicetest.Header(1), []byte("precious"))
	if list := d.Faults(); len(list) != 1 || list[0].Index != 1 || list[0].Kind != rait.FaultForeign {
		t.Errorf("left out: %v", list)
	}
	if h, err := x.open().ReadLabel(ctx); err != nil || h.Label != "DEMO-002" {
		t.Errorf("label %q, %v", h.Label, err)
	}

	x = newSet(t, shape{2, 1})
	must(t, x.on(0).Format(ctx, devicetest.Label("A")))
	must(t, x.on(1).Format(ctx, devicetest.Label("B")))
	must(t, x.open().Format(ctx, devicetest.Label("C")))
	for i := range 2 {
		if h, err := x.on(i).ReadLabel(ctx); err != nil || h.Label != "C" {
			t.Errorf("%s: label %q, %v", member(i), h.Label, err)
		}
	}
}

// The power goes after any operation of Format: the set shows the old volume, the new one or none, and can be formatted.
func TestFormatCrashSweep(t *testing.T) {
	for _, s := range []shape{{2, 1}, {3, 1}, {6, 2}} {
		x := newSet(t, s)
		x.fill()
		mem := x.fsys.(*vfs.Mem)
		crashes := 0
		y := *x
		y.fsys = vfs.Wrap(mem, func(op vfs.Op) error {
			if !op.Kind.Changes() {
				return nil
			}
			crashes++
			z := *x
			z.fsys = mem.CrashClone()
			h, err := z.open().ReadLabel(ctx)
			if err != nil && !errors.Is(err, vtape.ErrBlank) || err == nil && h.Label != "DEMO-001" && h.Label != "NEW" {
				t.Errorf("%s: before operation %d (%s %s): label %q, %v", s, op.N, op.Kind, op.Path, h.Label, err)
			}
			if err := z.open().Format(ctx, devicetest.Label("NEW")); err != nil {
				t.Errorf("%s: before operation %d: format again: %v", s, op.N, err)
			}
			return nil
		})
		must(t, y.open().Format(ctx, devicetest.Label("NEW")))
		if crashes < 10 {
			t.Errorf("%s: only %d crashes", s, crashes)
		}
	}
}

// A member that was away for a run holds the volume as it was before; it is left out and named, and none of its old
// files is read.
func TestStaleMember(t *testing.T) {
	x := newSet(t, shape{3, 1})
	x.fill()
	d := x.open(1)
	must(t, d.Format(ctx, stamped("DEMO-001", "20250303000000")))
	data := devicetest.Data(9, 100_000)
	devicetest.Write(t, d, 1, devicetest.Header(1), data)
	d = x.open()
	got, err := readOnce(d, written{1: data}.part(1))
	if err != nil || string(got) != string(data) {
		t.Errorf("read: %v", err)
	}
	if list := d.Faults(); len(list) != 1 || list[0].Kind != rait.FaultStale || list[0].Member != "d2" {
		t.Errorf("left out: %v", list)
	}
}
