package dir_test

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/dir"
)

func shelf(fsys vfs.FS, slots int) *dir.Shelf { return shelfOf(fsys, slots, "vtapes") }

func shelfOf(fsys vfs.FS, slots int, storage string) *dir.Shelf {
	return dir.NewShelf(fsys, dir.ShelfOptions{Root: "/srv/vtapes", Slots: slots, Storage: storage})
}

// A library that is not there, is not one, or is another storage's, is told apart, and never made by Check.
func TestShelfCheck(t *testing.T) {
	m := vfs.NewMem()
	err := shelf(m, 1).Check(ctx)
	if !errors.Is(err, vtape.ErrAbsent) || !strings.Contains(err.Error(), "/srv/vtapes") || !strings.Contains(err.Error(), "mounted") {
		t.Errorf("no root: %v", err)
	}
	must(t, vfs.MkdirAll(m, "/srv/vtapes/slot1", 0o700))
	if err := shelf(m, 1).Check(ctx); !errors.Is(err, vtape.ErrAbsent) {
		t.Errorf("no marker: %v", err)
	}
	must(t, shelf(m, 1).Create(ctx))
	must(t, shelf(m, 1).Check(ctx))
	other := shelfOf(m, 1, "cloud")
	if err := other.Check(ctx); !errors.Is(err, vtape.ErrAbsent) || !strings.Contains(err.Error(), `storage "vtapes", not of "cloud"`) {
		t.Errorf("another storage's library: %v", err)
	}
	if err := other.Create(ctx); err == nil || errors.Is(err, vtape.ErrAbsent) || !strings.Contains(err.Error(), `storage "vtapes", not of "cloud"`) {
		t.Errorf("create another storage's library: %v", err)
	}
	must(t, vfs.WriteFileDurable(m, "/srv/vtapes/.holdfast-library", []byte("garbage"), 0o600))
	for what, err := range map[string]error{"check": shelf(m, 1).Check(ctx), "create": shelf(m, 1).Create(ctx)} {
		if err == nil || errors.Is(err, vtape.ErrAbsent) || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s with a damaged marker: %v", what, err)
		}
	}
}

// Whatever operation of Create fails, a later Create finishes it; the marker comes last.
func TestCreateShelfFaultSweep(t *testing.T) {
	for n := 1; ; n++ {
		m := vfs.NewMem()
		reached := false
		err := shelf(vfs.Wrap(m, func(op vfs.Op) error {
			if op.Kind.Changes() && op.N >= n {
				reached = true
				return syscall.EIO
			}
			return nil
		}), 3).Create(ctx)
		if (err == nil) == reached {
			t.Fatalf("operation %d: %v", n, err)
		}
		crashed := m.CrashClone()
		if shelf(crashed, 3).Check(ctx) == nil {
			checkBlank(t, crashed, 3)
		}
		must(t, shelf(crashed, 3).Create(ctx))
		must(t, shelf(crashed, 3).Check(ctx))
		checkBlank(t, crashed, 3)
		if !reached {
			return
		}
	}
}

// checkBlank looks that the shelf has so many slots, all blank.
func checkBlank(t *testing.T, fsys vfs.FS, slots int) {
	t.Helper()
	s := shelf(fsys, slots)
	list, err := s.Slots(ctx)
	must(t, err)
	if len(list) != slots {
		t.Errorf("slots %v, want %d", list, slots)
	}
	for _, slot := range list {
		if _, err := s.Device(slot).ReadLabel(ctx); !errors.Is(err, vtape.ErrBlank) {
			t.Errorf("slot %s: %v", slot, err)
		}
	}
}

// The link that Amanda follows points to the slot loaded last for writing, at every moment, crashes included.
func TestCurrentLink(t *testing.T) {
	m := vfs.NewMem()
	must(t, shelf(m, 3).Create(ctx))
	current := func(fsys vfs.FS) string {
		target, err := fsys.Readlink("/srv/vtapes/data")
		if errors.Is(err, fs.ErrNotExist) {
			return "none"
		}
		must(t, err)
		return target
	}
	changes, last, now := 0, "none", "none"
	s := shelf(vfs.Wrap(m, func(op vfs.Op) error {
		changes++
		for _, world := range []vfs.FS{m, m.CrashClone()} {
			if got := current(world); got != last && got != now {
				t.Errorf("before %s %s: %s", op.Kind, op.Path, got)
			}
		}
		return nil
	}), 3)
	for _, slot := range []string{"2", "1", "1", "3"} {
		last, now = now, "slot"+slot
		must(t, s.SetCurrent(ctx, slot))
		if got := current(m); got != now {
			t.Errorf("slot %s loaded, link to %s", slot, got)
		}
		if got := current(m.CrashClone()); got != now {
			t.Errorf("slot %s loaded, after a crash link to %s", slot, got)
		}
	}
	// A draft that a crash left is no hindrance.
	must(t, m.Symlink("slot9", "/srv/vtapes/data.new"))
	last, now = now, "slot1"
	must(t, s.SetCurrent(ctx, "1"))
}
