package rait

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"holdfast/vtape"
)

// Format erases the volume that ReadLabel finds and writes the label to all its members, and to those that are blank.
// A member that holds something else (foreign, another volume, another set's) is left as it is, and noted: what
// overwrites a volume must not take another one with it. Where ReadLabel gives ErrForeign or finds no volume, there is
// nothing to go by; who formats then has chosen to overwrite what all the members hold.
//
// A member that is absent or fails is left out. At least as many as it takes to read must get the label. One that another writer
// takes meanwhile (vtape.ErrTaken) ends it at once: two that had some members each would both think that they had the set.
func (d *Device) Format(ctx context.Context, label vtape.Header) error {
	if err := d.format(ctx, label); err != nil {
		return fmt.Errorf("format volume %s: parity set: %w", label.Label, err)
	}
	return nil
}

func (d *Device) format(ctx context.Context, label vtape.Header) error {
	if label.Type != vtape.TypeTapeStart {
		return fmt.Errorf("header has type %s, want %s", label.Type, vtape.TypeTapeStart)
	}
	label.MemberLine = ""
	if _, err := label.Block(); err != nil {
		return err
	}
	found, err := d.look(ctx)
	if err != nil {
		return err
	}
	old, _, voted := d.vote(ctx, found)
	targets, left := d.toFormat(ctx, found, old, voted)
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.enough(len(targets), values(left)); err != nil {
		return err
	}
	if old.Label != "" {
		// One member after another is erased under the label it has, so that at no time members of the old volume, of the
		// new one and blank ones stand beside each other: nobody would know what that is.
		erased := old
		if old.Label == label.Label {
			erased = label
		}
		for _, i := range slices.Clone(targets) {
			if len(d.label(ctx, []int{i}, erased, left)) == 0 {
				targets = slices.DeleteFunc(targets, func(t int) bool { return t == i })
			}
			if err := taken(values(left)); err != nil {
				return err
			}
		}
	}
	if old.Label != label.Label {
		targets = d.label(ctx, targets, label, left)
	}
	if err := cmp.Or(ctx.Err(), taken(values(left))); err != nil {
		return err
	}
	d.formatted(label, left)
	return d.enough(len(targets), values(left))
}

// toFormat gives the members that Format may overwrite, and the faults of the others. Voted is what the vote said.
func (d *Device) toFormat(ctx context.Context, found []seen, old vtape.Header, voted error) (targets []int, left map[int]MemberFault) {
	left = map[int]MemberFault{}
	anything := voted != nil && !errors.Is(voted, vtape.ErrBlank)
	for i, s := range found {
		switch {
		case d.members[i].Device == nil || errors.Is(s.err, vtape.ErrAbsent):
			left[i] = d.fault(i, 0, s.err)
		case anything, s.err == nil && s.h.Label == old.Label, errors.Is(s.err, vtape.ErrBlank), errors.Is(s.err, errUnrepaired) && s.h.Label == old.Label:
			targets = append(targets, i)
		case s.err == nil && voted != nil && d.void(ctx, i):
			targets = append(targets, i) // left of a format that was cut short
		case s.err == nil:
			left[i] = d.fault(i, 0, fmt.Errorf("%w: %s", errOtherLabel, s.h.Label))
		default:
			left[i] = d.fault(i, 0, s.err)
		}
	}
	return targets, left
}

// void tells whether a member holds no files.
func (d *Device) void(ctx context.Context, member int) bool {
	files, err := d.members[member].Device.Files(ctx)
	return err == nil && len(files) == 0
}

// label formats members, and gives those that got the label; the faults of the others go to left.
func (d *Device) label(ctx context.Context, members []int, label vtape.Header, left map[int]MemberFault) []int {
	errs := d.each(members, func(i int) error {
		return d.members[i].Device.Format(ctx, d.memberHeader(label, i, nil))
	})
	return slices.DeleteFunc(members, func(i int) bool {
		err := errs[i]
		if err != nil {
			left[i] = d.fault(i, 0, err)
		}
		return err != nil
	})
}

// formatted forgets what was known of the volume that was there.
func (d *Device) formatted(label vtape.Header, left map[int]MemberFault) {
	d.state.mu.Lock()
	d.state.known, d.state.label, d.state.faults = true, label, left
	clear(d.state.dropped)
	clear(d.state.bytes)
	clear(d.state.told)
	d.state.mu.Unlock()
	for _, f := range values(left) {
		d.tell(f)
	}
}

// values gives faults in the order of the members.
func values(faults map[int]MemberFault) []MemberFault {
	var list []MemberFault
	for _, f := range faults {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b MemberFault) int { return a.Index - b.Index })
	return list
}
