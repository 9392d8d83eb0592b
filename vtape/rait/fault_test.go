package rait_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/rait"
)

// faulty wraps the set's tree so that the n-th change of the members given fails, alone or with all after it.
func (x *set) faulty(n int, lasting bool, members ...int) (reached func() bool) {
	count := 0
	x.fsys = vfs.Wrap(x.fsys, func(op vfs.Op) error {
		of := false
		for _, i := range members {
			of = of || strings.HasPrefix(op.Path, member(i)+"/") || op.Path == member(i)
		}
		if !of || !op.Kind.Changes() {
			return nil
		}
		if count++; count == n || lasting && count > n {
			return syscall.EIO
		}
		return nil
	})
	return func() bool { return count >= n }
}

// writeAll formats a set and writes parts; it gives those that the set called good.
func writeAll(d *rait.Device) (good written, err error) {
	if err := d.Format(ctx, devicetest.Label("DEMO-001")); err != nil {
		return nil, err
	}
	good = written{}
	for n := 1; n <= 2; n++ {
		data := devicetest.Data(uint64(n), 2*vtape.PartAlign+n*100)
		w, err := d.Create(ctx, n, devicetest.Header(1))
		if err != nil {
			return good, err
		}
		_, err = w.Write(data)
		if err == nil {
			err = w.SetHeader(devicetest.Header(n))
		}
		if err == nil {
			_, err = w.Close()
		}
		if err != nil {
			return good, errors.Join(err, w.Abort())
		}
		good[n] = data
	}
	return good, nil
}

// Whatever operation of as many members as may be lost fails, for once or for good: everything is written, the members are
// named, and all is there afterwards on the others, even after a loss of power, with all members and without those.
func TestFaultSweep(t *testing.T) {
	for _, tc := range []struct {
		shape
		members []int
	}{{shape{2, 1}, []int{0}}, {shape{2, 1}, []int{1}}, {shape{3, 1}, []int{1}}, {shape{5, 1}, []int{4}}, {shape{6, 2}, []int{2}}, {shape{6, 2}, []int{0, 5}}} {
		for _, lasting := range []bool{false, true} {
			for n := 1; ; n++ {
				x := newSet(t, tc.shape)
				mem := x.fsys.(*vfs.Mem)
				reached := x.faulty(n, lasting, tc.members...)
				at := fmt.Sprintf("%s: operation %d of members %v fails (lasting: %v)", tc.shape, n, tc.members, lasting)
				d := x.open()
				good, err := writeAll(d)
				if err != nil || len(good) != 2 {
					t.Fatalf("%s: %v", at, err)
				}
				if reached() && (len(d.Faults()) == 0 || len(x.notes) == 0) {
					t.Errorf("%s: nobody was told", at)
				}
				for _, world := range []vfs.FS{mem, mem.CrashClone()} {
					x.fsys = world
					x.check(at, good)
					if reached() {
						x.check(at+", which are left out", good, tc.members...)
					}
				}
				if t.Failed() {
					t.FailNow()
				}
				if !reached() {
					break
				}
			}
		}
	}
}

// check reads all parts.
func (x *set) check(at string, good written, without ...int) {
	x.Helper()
	d := x.open(without...)
	if label, err := d.ReadLabel(ctx); err != nil || label.Label != "DEMO-001" {
		x.Errorf("%s: label %q, %v", at, label.Label, err)
	}
	files, err := d.Files(ctx)
	if err != nil || len(files) != len(good) {
		x.Errorf("%s: files %v, %v", at, files, err)
	}
	for n, data := range good {
		if got, err := readOnce(d, good.part(n)); err != nil || string(got) != string(data) {
			x.Errorf("%s: file %d: %v", at, n, err)
		}
	}
}

// When more members fail than the set can do without, that is an error which names them, and what was called good before
// is there.
func TestTooManyFaults(t *testing.T) {
	for _, s := range []shape{{2, 1}, {3, 1}, {6, 2}} {
		var members []int
		for i := range s.parity + 1 {
			members = append(members, i)
		}
		for n := 1; ; n++ {
			x := newSet(t, s)
			mem := x.fsys.(*vfs.Mem)
			reached := x.faulty(n, true, members...)
			d := x.open()
			good, err := writeAll(d)
			if !reached() {
				must(t, err)
				break
			}
			if err == nil { // the faults began with the last operations, on few enough
				if list := d.Faults(); len(list) == 0 || len(list) > s.parity {
					t.Fatalf("%s: operation %d: no error, left out: %v", s, n, list)
				}
				continue
			}
			for _, i := range members {
				if !strings.Contains(err.Error(), "member "+member(i)[1:]) {
					t.Errorf("%s: operation %d: the error does not name %s: %v", s, n, member(i), err)
				}
			}
			if errors.Is(err, vtape.ErrEndOfMedium) || errors.Is(err, vtape.ErrBlank) {
				t.Errorf("%s: operation %d: an error to go on after: %v", s, n, err)
			}
			x.fsys = mem.CrashClone()
			d = x.open()
			for f, data := range good {
				if got, err := readOnce(d, good.part(f)); err != nil || string(got) != string(data) {
					t.Errorf("%s: operation %d: file %d: %v", s, n, f, err)
				}
			}
		}
	}
}

// A member that cannot be read in places is read in the others, and what it lacks is rebuilt.
func TestReadErrors(t *testing.T) {
	x := newSet(t, shape{5, 1})
	parts := x.fill()
	reads := 0
	x.fsys = vfs.Wrap(x.fsys, func(op vfs.Op) error {
		if op.Kind == vfs.OpRead && strings.HasPrefix(op.Path, member(1)+"/00001.") {
			if reads++; reads%2 == 0 {
				return syscall.EIO
			}
		}
		return nil
	})
	d := x.open()
	for range 3 {
		if data, err := readOnce(d, parts.part(1)); err != nil || string(data) != string(parts[1]) {
			t.Errorf("file 1: %v", err)
		}
	}
	if reads < 6 || len(x.notes) != 1 || !strings.Contains(x.notes[0], "d2") {
		t.Errorf("%d reads, noted: %q", reads, x.notes)
	}
}

// When the members share a file system that fills up, the part ends on all of them at one place, and is good.
func TestSharedFileSystemFills(t *testing.T) {
	for _, s := range []shape{{2, 1}, {3, 1}, {6, 2}} {
		x := newSet(t, s)
		x.fsys.(*vfs.Mem).SetCapacity(20 << 20)
		d := x.open()
		must(t, d.Format(ctx, devicetest.Label("DEMO-001")))
		w, err := d.Create(ctx, 1, devicetest.Header(1))
		must(t, err)
		data := devicetest.Data(1, 24<<20)
		n := 0
		for err == nil {
			var k int
			k, err = w.Write(data[n : n+vtape.PartAlign])
			n += k
		}
		if !errors.Is(err, vtape.ErrEndOfMedium) || n%vtape.PartAlign != 0 || n < 8<<20 {
			t.Fatalf("%s: %d bytes taken, %v", s, n, err)
		}
		if _, err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if list := d.Faults(); len(list) > 0 {
			t.Errorf("%s: left out: %v", s, list)
		}
		got, err := readOnce(x.open(), written{1: data[:n]}.part(1))
		if err != nil || len(got) != n {
			t.Errorf("%s: %v", s, err)
		}
	}
}
