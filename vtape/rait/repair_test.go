package rait_test

import (
	"errors"
	"fmt"
	"os"
	"path"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/rait"
)

// tree gives all files of the members.
func (x *set) tree() map[string]string {
	x.Helper()
	files := map[string]string{}
	for i := range x.members {
		names, err := x.fsys.ReadDir(member(i))
		must(x, err)
		for _, n := range names {
			data, err := vfs.ReadFile(x.fsys, path.Join(member(i), n.Name()))
			must(x, err)
			files[path.Join(member(i), n.Name())] = fmt.Sprintf("%d bytes, %s", len(data), sumOf(data))
		}
	}
	return files
}

func (x *set) copy() *set {
	y := *x
	y.fsys = x.fsys.(*vfs.Mem).CrashClone()
	y.notes = nil
	return &y
}

// Whatever has happened to a member: after a repair all members are as they were written, byte for byte.
func TestRepair(t *testing.T) {
	for _, s := range []shape{{2, 1}, {3, 1}, {5, 1}, {6, 2}} {
		x := newSet(t, s)
		parts := x.fill()
		want := x.tree()
		for _, h := range harms {
			for i := range s.members {
				y := x.copy()
				h.doTo(t, y.fsys, i)
				if h == unlabelled { // a disk that was replaced
					must(t, y.fsys.Rename(member(i), member(i)+".gone"))
				}
				if h == gone || h == unlabelled {
					must(t, y.fsys.Mkdir(member(i), 0o755))
					must(t, y.fsys.SyncDir("/"))
				}
				last := rait.Progress{}
				err := y.open().Repair(ctx, rait.Repair{
					Label: devicetest.Label("DEMO-001"), Members: []string{member(i)[1:]}, Parts: parts.parts(),
					Progress: func(p rait.Progress) { last = p },
				})
				if err != nil {
					t.Fatalf("%s: %s of %s: %v", s, h, member(i), err)
				}
				if diff := cmp.Diff(want, y.tree()); diff != "" {
					t.Errorf("%s: %s of %s: after repair (-want +got):\n%s", s, h, member(i), diff)
				}
				if last.Done != 2 || last.Files != 2 {
					t.Errorf("%s: progress %+v", s, last)
				}
				y.fsys = y.fsys.(*vfs.Mem).CrashClone()
				if diff := cmp.Diff(want, y.tree()); diff != "" {
					t.Errorf("%s: %s of %s: after repair and loss of power (-want +got):\n%s", s, h, member(i), diff)
				}
			}
		}
	}
}

// A repair is killed after any operation, and the power goes: the member is not taken for whole before it is, the set
// reads as before, and the repair goes on from there.
func TestRepairCrashSweep(t *testing.T) {
	for _, s := range []shape{{2, 1}, {3, 1}, {6, 2}} {
		x := newSet(t, s)
		parts := x.fill()
		want := x.tree()
		must(t, x.fsys.Rename(member(1), "/away"))
		must(t, x.fsys.Mkdir(member(1), 0o755))
		must(t, x.fsys.SyncDir("/"))
		order := rait.Repair{Label: devicetest.Label("DEMO-001"), Members: []string{"d2"}, Parts: parts.parts()}
		for n := 1; ; n++ {
			y := x.copy()
			mem := y.fsys.(*vfs.Mem)
			reached := y.faulty(n, true, 1)
			err := y.open().Repair(ctx, order)
			if !reached() {
				must(t, err)
				break
			}
			if err == nil {
				t.Fatalf("%s: operation %d fails: no error", s, n)
			}
			y.fsys = mem.CrashClone()
			half := y.on(1)
			files, _ := half.Files(ctx)
			h, labelErr := half.ReadLabel(ctx)
			if labelErr == nil && len(files) < 2 && rait.Whole(h) {
				t.Errorf("%s: operation %d: the label is there, but %d files", s, n, len(files))
			}
			y.check(fmt.Sprintf("%s: operation %d", s, n), parts)
			if s.members == 2 { // what is there of the half copy alone is no volume
				if label, err := y.open(0).ReadLabel(ctx); err == nil && len(files) < 2 {
					t.Errorf("%s: operation %d: the half copy is volume %s", s, n, label.Label)
				}
			}
			must(t, y.open().Repair(ctx, order))
			if diff := cmp.Diff(want, y.tree()); diff != "" {
				t.Fatalf("%s: operation %d: after the second repair (-want +got):\n%s", s, n, diff)
			}
		}
	}
}

// A repair takes nothing from a member that is wrong when it knows the checksums, and does not write what is wrong.
func TestRepairAmongWrongMembers(t *testing.T) {
	x := newSet(t, shape{6, 2})
	x.shard = 4096
	parts := x.fill()
	want := x.tree()
	lost.doTo(t, x.fsys, 0)
	flipped.doTo(t, x.fsys, 3)
	order := rait.Repair{Label: devicetest.Label("DEMO-001"), Members: []string{"d1"}, Parts: parts.parts()}
	must(t, x.open().Repair(ctx, order))
	order.Members = []string{"d4"}
	must(t, x.open().Repair(ctx, order))
	if diff := cmp.Diff(want, x.tree()); diff != "" {
		t.Errorf("after repair (-want +got):\n%s", diff)
	}

	x = newSet(t, shape{3, 1})
	parts = x.fill()
	lost.doTo(t, x.fsys, 0)
	flipped.doTo(t, x.fsys, 1)
	order = rait.Repair{Label: devicetest.Label("DEMO-001"), Members: []string{"d1"}, Parts: parts.parts()}
	if err := x.open().Repair(ctx, order); err == nil {
		t.Error("a file was rebuilt of wrong bytes")
	}
	if _, err := x.on(0).Open(ctx, 1); !errors.Is(err, vtape.ErrNoFile) {
		t.Errorf("what could not be rebuilt is there: %v", err)
	}
}

// A repair overwrites no other volume unless it is told to.
func TestRepairAsksForOtherVolumes(t *testing.T) {
	x := newSet(t, shape{3, 1})
	parts := x.fill()
	want := x.tree()
	must(t, x.on(2).Format(ctx, devicetest.Label("PRECIOUS")))
	order := rait.Repair{Label: devicetest.Label("DEMO-001"), Parts: parts.parts()}
	d := x.open()
	if err := d.Repair(ctx, order); err == nil {
		t.Error("another volume was overwritten")
	}
	if h, err := x.on(2).ReadLabel(ctx); err != nil || h.Label != "PRECIOUS" {
		t.Errorf("label %q, %v", h.Label, err)
	}
	order.Members, order.Overwrite = []string{"d3"}, true
	must(t, d.Repair(ctx, order))
	if diff := cmp.Diff(want, x.tree()); diff != "" || len(d.Faults()) > 0 {
		t.Errorf("left out: %v; after repair (-want +got):\n%s", d.Faults(), diff)
	}
}

// plain hides that a device can mend single files.
type plain struct{ vtape.Device }

// On a member where single files cannot be replaced, all are written again, but only if none is needed.
func TestRepairWithoutMender(t *testing.T) {
	x := newSet(t, shape{3, 1})
	parts := x.fill()
	want := x.tree()
	flipped.doTo(t, x.fsys, 1)
	repair := func() error {
		list := x.memberList()
		list[1].Device = plain{list[1].Device}
		d, err := rait.New(list, rait.Options{})
		must(t, err)
		return d.Repair(ctx, rait.Repair{Label: devicetest.Label("DEMO-001"), Members: []string{"d2"}, Parts: parts.parts()})
	}
	second := member(0) + "/00002.web01.sys tem_0.1"
	_, restore := x.keep(second)
	f, err := x.fsys.OpenFile(second, os.O_RDWR, 0)
	must(t, err)
	must(t, errors.Join(flip(f, vtape.HeaderBytes+5000), f.Close()))
	if err := repair(); err == nil {
		t.Error("a member was formatted that another file needs")
	}
	if files, err := x.on(1).Files(ctx); err != nil || len(files) != 2 {
		t.Errorf("files %v, %v", files, err)
	}
	restore()
	must(t, repair())
	if diff := cmp.Diff(want, x.tree()); diff != "" {
		t.Errorf("after repair (-want +got):\n%s", diff)
	}
}

// Check names the members on which a file is missing, short, has another header or is wrong.
func TestCheck(t *testing.T) {
	kinds := map[harm]rait.FaultKind{
		gone: rait.FaultMissing, lost: rait.FaultMissing, cut: rait.FaultShort, flipped: rait.FaultWrong,
		badHead: rait.FaultHeader, unlabelled: rait.FaultForeign,
	}
	for _, s := range []shape{{2, 1}, {3, 1}, {5, 1}, {6, 2}} {
		x := newSet(t, s)
		parts := x.fill()
		for n := 1; n <= 2; n++ {
			if faults, err := x.open().Examine(ctx, parts.part(n)); err != nil || len(faults) > 0 {
				t.Errorf("%s: file %d, unharmed: %v, %v", s, n, faults, err)
			}
		}
		for h, kind := range kinds {
			for i := range s.members {
				y := x.copy()
				h.doTo(t, y.fsys, i)
				faults, err := y.open().Examine(ctx, parts.part(1))
				if err != nil || len(faults) != 1 || faults[0].Index != i || faults[0].Kind != kind {
					t.Errorf("%s: %s of %s: %v, %v", s, h, member(i), faults, err)
				}
				faults, err = y.open().Check(ctx, 1)
				blind := h == flipped && s.parity == 1 // parity alone cannot tell which
				if err != nil || len(faults) != 1 || faults[0].Kind != kind || blind != (faults[0].Index < 0) {
					t.Errorf("%s: %s of %s: without a checksum: %v, %v", s, h, member(i), faults, err)
				}
			}
		}
	}
}

// With two members of parity a wrong one is found without checksums; with four, two of them, also in one stripe.
func TestCheckLocatesByParity(t *testing.T) {
	x := newSet(t, shape{14, 4})
	x.shard = 4096
	x.fill()
	flipped.doTo(t, x.fsys, 3)
	flipped.doTo(t, x.fsys, 12)
	faults, err := x.open().Check(ctx, 1)
	if err != nil || len(faults) != 2 || faults[0].Index != 3 || faults[1].Index != 12 {
		t.Errorf("%v, %v", faults, err)
	}
}
