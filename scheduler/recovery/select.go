package recovery

import (
	"context"
	"fmt"
	"slices"
	"time"

	"holdfast/catalog"
)

// Wanted says which dump a user means. Zero fields mean "any"; of several the latest is taken.
type Wanted struct {
	VM string
	// Disk may be empty when the VM has one disk only.
	Disk string
	// At takes the latest dump that is not younger than this time.
	At time.Time
	// Run takes the dump of this run.
	Run catalog.Stamp
	// Level takes dumps of this level; negative for any.
	Level catalog.Level
}

// Select finds the dump that is meant, and tells names that are near where there is none.
func Select(ctx context.Context, c Catalog, w Wanted) (catalog.Dump, error) {
	dumps, err := c.Dumps(ctx, nil)
	if err != nil {
		return catalog.Dump{}, err
	}
	dumps, err = ofDLE(dumps, w)
	if err != nil {
		return catalog.Dump{}, err
	}
	var best catalog.Dump
	var unusable string // what matches, and why it cannot be restored
	for _, d := range dumps {
		switch {
		case !w.matches(d):
			continue
		case !d.Status.Usable():
			unusable += fmt.Sprintf("; level %d of %s is %s", d.Level, d.Stamp, d.Outcome())
			continue
		}
		if best.ID == "" || best.Stamp < d.Stamp || (best.Stamp == d.Stamp && best.Level < d.Level) {
			best = d
		}
	}
	if best.ID == "" {
		return best, fmt.Errorf("%s: %w%s", catalog.DLE{VM: w.VM, Disk: dumps[0].DLE.Disk}, ErrNoDump, w.describe()+unusable)
	}
	return best, nil
}

func (w Wanted) matches(d catalog.Dump) bool {
	switch {
	case w.Run != "" && d.Stamp != w.Run:
		return false
	case w.Level >= 0 && d.Level != w.Level:
		return false
	case !w.At.IsZero() && d.Stamp > catalog.NewStamp(w.At):
		return false
	}
	return true
}

func (w Wanted) describe() string {
	var s string
	if w.Run != "" {
		s += fmt.Sprintf(" of run %s", w.Run)
	}
	if w.Level >= 0 {
		s += fmt.Sprintf(" at level %d", w.Level)
	}
	if !w.At.IsZero() {
		s += fmt.Sprintf(" from before %s", w.At.Format("2006-01-02 15:04:05"))
	}
	return s
}

// ofDLE keeps the dumps of the VM and disk meant; at least one is left.
func ofDLE(dumps []catalog.Dump, w Wanted) ([]catalog.Dump, error) {
	var vms, disks []string
	var out []catalog.Dump
	for _, d := range dumps {
		vms = append(vms, d.DLE.VM)
		if d.DLE.VM != w.VM {
			continue
		}
		disks = append(disks, d.DLE.Disk)
		if w.Disk == "" || d.DLE.Disk == w.Disk {
			out = append(out, d)
		}
	}
	slices.Sort(disks)
	disks = slices.Compact(disks)
	switch {
	case len(disks) == 0:
		return nil, unknown("VM", w.VM, vms)
	case len(out) == 0:
		return nil, unknown("disk of "+w.VM, w.Disk, disks)
	case w.Disk == "" && len(disks) > 1:
		return nil, fmt.Errorf("%s has several disks, name one: %v", w.VM, disks)
	}
	return out, nil
}

// unknown is an ErrNoDump with the name that may have been meant.
func unknown(what, name string, known []string) error {
	if near, ok := catalog.Nearest(name, known); ok {
		return fmt.Errorf("%s %q: %w (did you mean %q?)", what, name, ErrNoDump, near)
	}
	return fmt.Errorf("%s %q: %w", what, name, ErrNoDump)
}
