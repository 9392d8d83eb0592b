package rait

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"holdfast/catalog"
	"holdfast/vtape"
)

var (
	errStale      = errors.New("holds the volume as it was before")
	errOtherLabel = errors.New("holds another volume")
	errDisagree   = fmt.Errorf("%w: the members hold different volumes", vtape.ErrForeign)
)

// seen is what a look at a member's label found.
type seen struct {
	h   vtape.Header // without the member line
	err error
}

// look reads the labels of all members.
func (d *Device) look(ctx context.Context) ([]seen, error) {
	found := make([]seen, len(d.members))
	d.each(d.all(), func(i int) error {
		found[i] = d.lookAt(ctx, i)
		return nil
	})
	return found, ctx.Err()
}

func (d *Device) lookAt(ctx context.Context, member int) seen {
	dev := d.members[member].Device
	if dev == nil {
		return seen{err: vtape.ErrAbsent}
	}
	h, err := dev.ReadLabel(ctx)
	if err == nil {
		_, err = d.checkMember(h, member)
	}
	h.MemberLine = ""
	return seen{h: h, err: err}
}

// ReadLabel reads the labels of all members and gives the one that as many members hold as it takes to read the volume.
// The others are left out from then on (Degraded names them): those with an older stamp, which have missed a run, those
// with another label, and what is not a member of this set. A set is blank when it could not be read and no member that
// has a label holds a file.
func (d *Device) ReadLabel(ctx context.Context) (vtape.Header, error) {
	h, err := d.readLabel(ctx)
	if err != nil {
		return vtape.Header{}, fmt.Errorf("read label: parity set: %w", err)
	}
	return h, nil
}

func (d *Device) readLabel(ctx context.Context) (vtape.Header, error) {
	if err := ctx.Err(); err != nil {
		return vtape.Header{}, err
	}
	found, err := d.look(ctx)
	if err != nil {
		return vtape.Header{}, err
	}
	label, faults, err := d.vote(ctx, found)
	d.state.mu.Lock()
	d.state.known = err == nil || errors.Is(err, vtape.ErrBlank)
	d.state.label, d.state.faults = label, faults
	d.state.mu.Unlock()
	if err != nil && !errors.Is(err, vtape.ErrBlank) {
		return label, err // which tells of them
	}
	for _, i := range slices.Sorted(maps.Keys(faults)) {
		d.tell(faults[i])
	}
	return label, err
}

// vote finds the label that the set has, and what is the matter with the members that do not have it.
func (d *Device) vote(ctx context.Context, found []seen) (vtape.Header, map[int]MemberFault, error) {
	label, ok, err := d.elect(found)
	if err != nil {
		return vtape.Header{}, d.labelFaults(found, vtape.Header{}, nil), err
	}
	if ok {
		return label, d.labelFaults(found, label, nil), nil
	}
	blank := map[int]bool{}
	full := false
	for i, s := range found {
		switch {
		case errors.Is(s.err, vtape.ErrBlank):
			blank[i] = true
		case s.err == nil:
			files, err := d.members[i].Device.Files(ctx)
			blank[i] = err == nil && len(files) == 0
			full = full || !blank[i]
		}
	}
	if err := ctx.Err(); err != nil {
		return vtape.Header{}, nil, err
	}
	faults := d.labelFaults(found, vtape.Header{}, blank)
	if n := len(found) - len(faults); n >= d.data && !full {
		return vtape.Header{}, faults, vtape.ErrBlank
	}
	faults = d.labelFaults(found, onlyLabel(found), nil)
	return vtape.Header{}, faults, &TooFew{Members: len(found), Need: d.data, Faults: values(faults)}
}

// onlyLabel is the label of all members that have one; the zero Header when they differ. Too few bear it, but nothing is the
// matter with those that do.
func onlyLabel(found []seen) (label vtape.Header) {
	for _, s := range found {
		if s.err != nil {
			continue
		}
		if label.Label != "" && s.h != label {
			return vtape.Header{}
		}
		label = s.h
	}
	return label
}

// elect gives the label that enough members agree on: with the stamp, or, when a set was being labelled anew, without.
func (d *Device) elect(found []seen) (label vtape.Header, ok bool, err error) {
	type name struct {
		label catalog.Label
		stamp string
	}
	exact, byLabel := map[name]int{}, map[catalog.Label]int{}
	for _, s := range found {
		if s.err == nil {
			exact[name{s.h.Label, s.h.Stamp}]++
			byLabel[s.h.Label]++
		}
	}
	for _, s := range found {
		switch {
		case s.err != nil || exact[name{s.h.Label, s.h.Stamp}] < d.data:
		case ok && s.h.Label != label.Label:
			return label, false, fmt.Errorf("%w: %s and %s", errDisagree, label.Label, s.h.Label)
		case !ok || older(label.Stamp, s.h.Stamp):
			label, ok = s.h, true
		}
	}
	if ok {
		return label, true, nil
	}
	for _, s := range found {
		if s.err == nil && byLabel[s.h.Label] >= d.data && (!ok || older(s.h.Stamp, label.Stamp)) {
			label, ok = s.h, true
		}
	}
	return label, ok, nil
}

// older compares stamps. A volume labelled and never written has none.
func older(a, b string) bool { return age(a) < age(b) }

func age(stamp string) string {
	if stamp == "0" || strings.Trim(stamp, "0123456789") != "" {
		return ""
	}
	return stamp
}

// labelFaults tells what is the matter with each member that does not hold the label; with those of good nothing is.
func (d *Device) labelFaults(found []seen, label vtape.Header, good map[int]bool) map[int]MemberFault {
	exact := 0
	for _, s := range found {
		if s.err == nil && s.h == label {
			exact++
		}
	}
	faults := map[int]MemberFault{}
	for i, s := range found {
		err := s.err
		switch {
		case good[i]:
			continue
		case err != nil:
		case s.h.Label != label.Label:
			err = fmt.Errorf("%w: %s", errOtherLabel, s.h.Label)
		case s.h.Stamp != label.Stamp && exact >= d.data:
			err = fmt.Errorf("%w: stamp %s, the others have %s", errStale, s.h.Stamp, label.Stamp)
		default:
			continue
		}
		faults[i] = d.fault(i, 0, err)
	}
	return faults
}
