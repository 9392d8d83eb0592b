package run_test

import (
	"context"
	"errors"
	"testing"

	"holdfast/internal/vfs"
	"holdfast/scheduler/run"
)

// Whatever operation on the medium fails and whatever a loss of power takes: a slot has a whole label or none that counts,
// the catalog knows each label that is on a medium, and the same call finishes what was begun without giving away a label.
func TestLabelFaultSweep(t *testing.T) {
	ctx := context.Background()
	for n := 1; ; n++ {
		s := newSite(t, newImages(t, 1), siteYAML)
		st := s.config.MainStorage()
		reached := false
		s.fs = vfs.Wrap(s.mem, func(op vfs.Op) error {
			if op.Kind.Changes() && op.N >= n {
				reached = true
				return errInjected
			}
			return nil
		})
		o := run.LabelOptions{Storage: st, Slot: "3"}
		_, err := s.Night().LabelSlot(ctx, o)
		if reached && err == nil || !reached && err != nil {
			t.Fatalf("operation %d: %v", n, err)
		}
		s.mem = s.mem.CrashClone()
		s.fs = s.mem
		looks, err := s.Night().Look(ctx, st)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range looks {
			if l.State != run.SlotKnown && l.State != run.SlotBlank && l.Slot != "" {
				t.Errorf("operation %d: slot %s is %s: %s", n, l.Slot, l.State, l.Text)
			}
		}
		label, err := s.Night().LabelSlot(ctx, o)
		if reached && !errors.Is(err, run.ErrNotBlank) && (err != nil || label != "T-001") || !reached && !errors.Is(err, run.ErrNotBlank) {
			t.Errorf("operation %d: again: %s, %v", n, label, err)
		}
		volumes, err := s.store.Volumes(ctx, "")
		if err != nil || len(volumes) != 1 || volumes[0].Label != "T-001" || volumes[0].Slot != "3" {
			t.Errorf("operation %d: catalog has %+v, %v", n, volumes, err)
		}
		if name, err := s.Night().ContentOf(ctx, st, "3"); err != nil || name != "T-001" {
			t.Errorf("operation %d: slot 3 holds %q, %v", n, name, err)
		}
		s.close()
		if !reached {
			return
		}
	}
}
