package dir_test

import (
	"errors"
	"syscall"
	"testing"

	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/dir"
)

// scenario formats a volume and writes three parts to it, aborting one that fails and going on. It tells what the
// device called good.
func scenario(fsys vfs.FS) (formatted bool, parts map[int][]byte) {
	dev := dir.New(fsys, slot, dir.Options{})
	if err := dev.Format(ctx, devicetest.Label("NEW")); err != nil {
		return false, nil
	}
	parts = make(map[int][]byte)
	for n := 1; n <= 3; n++ {
		data := devicetest.Data(uint64(n), 2*vtape.PartAlign)
		if writePart(dev, n, data) == nil {
			parts[n] = data
		}
	}
	return true, parts
}

func writePart(dev *dir.Device, n int, data []byte) error {
	w, err := dev.Create(ctx, n, devicetest.Header(1))
	if err != nil {
		return err
	}
	for half := range 2 {
		if _, err := w.Write(data[half*vtape.PartAlign : (half+1)*vtape.PartAlign]); err != nil {
			_ = w.Abort() // may fail as well: then the file stays, and nobody has called it good
			return err
		}
	}
	if err := w.SetHeader(devicetest.Header(n)); err != nil {
		_ = w.Abort()
		return err
	}
	if _, err := w.Close(); err != nil {
		_ = w.Abort()
		return err
	}
	return nil
}

// Whatever operation fails, alone or with all after it, and whether the power goes then or not: what Format and Close
// called good is there, and the slot shows the old volume, the new one, or nothing, never something foreign.
func TestFaultSweep(t *testing.T) {
	for _, lasting := range []bool{false, true} {
		for n := 1; ; n++ {
			m := newSlot(t)
			put(t, m, "00000.OLD", block(t, devicetest.Label("OLD")))
			put(t, m, "00001.old.x.0", block(t, devicetest.Header(1)))
			put(t, m, "00002.old.x.0", block(t, devicetest.Header(1)))
			must(t, m.SyncDir(slot))
			reached := false
			fsys := vfs.Wrap(m, func(op vfs.Op) error {
				if op.Kind.Changes() && (op.N == n || lasting && op.N > n) {
					reached = true
					return syscall.EIO
				}
				return nil
			})
			formatted, parts := scenario(fsys)
			for what, world := range map[string]vfs.FS{"live": m, "after a crash": m.CrashClone()} {
				checkWorld(t, world, formatted, parts)
				if t.Failed() {
					t.Fatalf("operation %d fails (lasting: %v), %s", n, lasting, what)
				}
			}
			if !reached {
				if !formatted || len(parts) != 3 {
					t.Errorf("without a fault: %v, %d parts", formatted, len(parts))
				}
				break
			}
		}
	}
}

// The power goes after any operation: the slot is never foreign, and may be formatted again.
func TestCrashSweep(t *testing.T) {
	m := newSlot(t)
	put(t, m, "00000.OLD", block(t, devicetest.Label("OLD")))
	put(t, m, "00001.old.x.0", block(t, devicetest.Header(1)))
	must(t, m.SyncDir(slot))
	crashes := 0
	scenario(vfs.Wrap(m, func(op vfs.Op) error {
		if op.Kind.Changes() {
			crashes++
			crashed := m.CrashClone()
			checkWorld(t, crashed, false, nil)
			if formatted, parts := scenario(crashed); !formatted || len(parts) != 3 {
				t.Errorf("before operation %d (%s): a new start gives %v, %d parts", op.N, op.Kind, formatted, len(parts))
			}
		}
		return nil
	}))
	if crashes < 20 {
		t.Errorf("only %d crashes", crashes)
	}
}

func checkWorld(t *testing.T, world vfs.FS, formatted bool, parts map[int][]byte) {
	t.Helper()
	dev := dir.New(world, slot, dir.Options{})
	label, err := dev.ReadLabel(ctx)
	switch {
	case formatted && (err != nil || label.Label != "NEW"):
		t.Errorf("label %q, %v", label.Label, err)
	case err != nil && !errors.Is(err, vtape.ErrBlank):
		t.Errorf("label: %v", err)
	}
	for n, data := range parts {
		devicetest.Check(t, dev, n, devicetest.Header(n), data)
	}
}
