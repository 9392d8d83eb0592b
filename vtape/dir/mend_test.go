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

// A file is removed for good, and the others stay; the label and what is not there cannot be removed.
func TestRemove(t *testing.T) {
	m := newSlot(t)
	dev := dir.New(m, slot, dir.Options{})
	must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
	devicetest.Write(t, dev, 1, devicetest.Header(1), []byte("one"))
	devicetest.Write(t, dev, 2, devicetest.Header(2), []byte("two"))
	must(t, dev.Remove(ctx, 1))
	after := dir.New(m.CrashClone(), slot, dir.Options{})
	if _, err := after.Open(ctx, 1); !errors.Is(err, vtape.ErrNoFile) {
		t.Errorf("open a removed file after a crash: %v", err)
	}
	devicetest.Check(t, after, 2, devicetest.Header(2), []byte("two"))
	for _, n := range []int{-1, 0, 1, 7} {
		if err := dev.Remove(ctx, n); !errors.Is(err, vtape.ErrNoFile) {
			t.Errorf("remove file %d: %v", n, err)
		}
	}
}

// Whatever operation fails, and even if the power goes then, the volume has the old label or the new one, and its files.
func TestRelabel(t *testing.T) {
	for n := 1; ; n++ {
		m := newSlot(t)
		dev := dir.New(m, slot, dir.Options{})
		must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
		devicetest.Write(t, dev, 1, devicetest.Header(1), []byte("one"))
		next := devicetest.Label("DEMO-001")
		next.Stamp = "20250709000000"
		reached := false
		faulty := vfs.Wrap(m, func(op vfs.Op) error {
			if op.Kind.Changes() && op.N == n {
				reached = true
				return syscall.EIO
			}
			return nil
		})
		err := dir.New(faulty, slot, dir.Options{}).Relabel(ctx, next)
		for _, world := range []vfs.FS{m, m.CrashClone()} {
			dev := dir.New(world, slot, dir.Options{})
			got, readErr := dev.ReadLabel(ctx)
			if readErr != nil || got.Stamp != next.Stamp && (err == nil || got.Stamp != "20250102030405") {
				t.Errorf("operation %d fails: %v; then label %+v, %v", n, err, got, readErr)
			}
			devicetest.Check(t, dev, 1, devicetest.Header(1), []byte("one"))
		}
		if !reached {
			must(t, err)
			break
		}
	}
	dev := dir.New(newSlot(t), slot, dir.Options{})
	if err := dev.Relabel(ctx, devicetest.Label("DEMO-001")); !errors.Is(err, vtape.ErrBlank) {
		t.Errorf("relabel a blank slot: %v", err)
	}
	must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
	if err := dev.Relabel(ctx, devicetest.Label("DEMO-002")); err == nil {
		t.Error("relabel to another label: no error")
	}
}
