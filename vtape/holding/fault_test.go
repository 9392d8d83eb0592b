package holding_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/catalog"
	"holdfast/internal/vfs"
	"holdfast/vtape/holding"
)

var update = flag.Bool("update", false, "write golden files anew")

var errInjected = errors.New("injected")

// night writes two dumps and releases the first: every operation that changes a holding disk. It tells which dumps were
// reported as held when it ended.
func night(h *holding.Holding) (held map[catalog.DumpID]catalog.Holding, err error) {
	held = make(map[catalog.DumpID]catalog.Holding)
	one, err := hold(h, header("web01", "disk0", 0), random(2*data+9))
	if err != nil {
		return held, err
	}
	held[one.Dump] = one
	two, err := hold(h, header("web02", "disk0", 0), random(data+9))
	if err != nil {
		return held, err
	}
	held[two.Dump] = two
	delete(held, one.Dump) // it is on a volume now, and the catalog says so
	return held, h.Release(one)
}

// The order of all operations, in full.
func TestOperationLog(t *testing.T) {
	var log strings.Builder
	h := newHolding(vfs.Wrap(newDisk(t), func(op vfs.Op) error {
		if op.Kind.Changes() {
			fmt.Fprintln(&log, strings.TrimSpace(fmt.Sprintf("%-8s %s %s", op.Kind, op.Path, op.To)))
		}
		return nil
	}))
	if _, err := night(h); err != nil {
		t.Fatal(err)
	}
	golden := "testdata/operations.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(log.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), log.String()); diff != "" {
		t.Error(diff)
	}
}

// count gives how many changing operations a night has.
func count(t *testing.T) int {
	t.Helper()
	last := 0
	h := newHolding(vfs.Wrap(newDisk(t), func(op vfs.Op) error {
		if op.Kind.Changes() {
			last = op.N
		}
		return nil
	}))
	if _, err := night(h); err != nil {
		t.Fatal(err)
	}
	return last
}

// Each operation fails once: the failure is told, what was reported as held is there, and after Reap nothing else is.
func TestFailEachOperation(t *testing.T) {
	for n := 1; n <= count(t); n++ {
		mem := newDisk(t)
		var failed vfs.Op
		h := newHolding(vfs.Wrap(mem, func(op vfs.Op) error {
			if op.Kind.Changes() && op.N == n {
				failed = op
				return errInjected
			}
			return nil
		}))
		held, err := night(h)
		name := fmt.Sprintf("%s %s (%d)", failed.Kind, failed.Path, n)
		if !errors.Is(err, errInjected) {
			t.Fatalf("%s: error %v", name, err)
		}
		if u := h.Usage()[0]; u.Room+u.Used != newHolding(newDisk(t)).Usage()[0].Room {
			t.Errorf("%s: a reservation is left", name)
		}
		checkDisk(t, name, mem, held)
	}
}

// Power is lost after each operation, and the worst happens to what was not synced.
func TestCrashAfterEachOperation(t *testing.T) {
	for n := 1; n <= count(t); n++ {
		mem := newDisk(t)
		var at vfs.Op
		h := newHolding(vfs.Wrap(mem, func(op vfs.Op) error {
			if op.Kind.Changes() && op.N > n {
				return errInjected // dead from here on
			}
			if op.Kind.Changes() {
				at = op
			}
			return nil
		}))
		held, err := night(h)
		if (err == nil) != (n == count(t)) {
			t.Fatalf("%d operations: error %v", n, err)
		}
		name := fmt.Sprintf("crash after %s %s (%d)", at.Kind, at.Path, n)
		checkDisk(t, name, mem.CrashClone(), held)
		checkDisk(t, name+", all was written", mem, held)
	}
}

// checkDisk is what the next run does: all dumps found are whole, those in the catalog are among them, and after Reap
// no other file is left.
func checkDisk(t *testing.T, name string, mem *vfs.Mem, held map[catalog.DumpID]catalog.Holding) {
	t.Helper()
	for id, want := range held {
		size := map[catalog.DumpID]int{"web01/disk0/20250102030405/0": 2*data + 9, "web02/disk0/20250102030405/0": data + 9}[id]
		checkHeld(t, mem, want, random(size))
	}
	known := func(path string) bool {
		for _, h := range held {
			for _, c := range h.Chunks {
				if c.Path == path {
					return true
				}
			}
		}
		return false
	}
	if _, err := newHolding(mem).Reap(known); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	found, err := holding.Scan(mem, disk)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	left := len(ls(t, mem))
	for _, f := range found {
		if f.Err != nil {
			t.Errorf("%s: a dump that is not whole: %v", name, f.Err)
		}
		left -= len(f.Holding.Chunks)
	}
	if len(found) > 0 {
		left-- // the directory
	}
	if left != 0 {
		t.Errorf("%s: left over: %v", name, ls(t, mem))
	}
}

// A sync that runs beside the writing and fails is not forgotten: the next chunk, or Finish, tells.
func TestSyncBesideFails(t *testing.T) {
	for _, chunks := range []int{2, 4} {
		h := holding.New(vfs.Wrap(newDisk(t), func(op vfs.Op) error {
			if op.Kind == vfs.OpSync && strings.HasSuffix(op.Path, "disk0.0.tmp") {
				return errInjected
			}
			return nil
		}), holding.Options{Dirs: []holding.Dir{{Path: disk}}, ChunkBytes: chunk})
		if _, err := hold(h, header("web01", "disk0", 0), random(chunks*data)); !errors.Is(err, errInjected) {
			t.Errorf("%d chunks: error %v", chunks, err)
		}
	}
}

// When the last step of Finish fails, and then the removal of the first chunk, the others stay with it: a dump too many
// does no harm, half a one does.
func TestAbortDoesNotHalve(t *testing.T) {
	mem := newDisk(t)
	named := false
	h := newHolding(vfs.Wrap(mem, func(op vfs.Op) error {
		named = named || op.Kind == vfs.OpRename && strings.HasSuffix(op.To, "disk0.0")
		if named && (op.Kind == vfs.OpSyncDir || op.Kind == vfs.OpRemove && strings.HasSuffix(op.Path, "disk0.0")) {
			return errInjected
		}
		return nil
	}))
	if _, err := hold(h, header("web01", "disk0", 0), random(2*data)); !errors.Is(err, errInjected) {
		t.Errorf("error %v", err)
	}
	found, err := holding.Scan(mem, disk)
	if err != nil || len(found) != 1 || found[0].Err != nil || len(found[0].Holding.Chunks) != 2 {
		t.Errorf("found %+v, error %v", found, err)
	}
}
