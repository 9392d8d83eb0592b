package rait

import (
	"context"
	"errors"
	"fmt"

	"holdfast/vtape"
)

var (
	_ vtape.Mender  = (*Device)(nil)
	_ vtape.Cleaner = (*Device)(nil)
)

// Remove removes a file from all members. One that cannot is left out from then on; it is an error when so many cannot
// that the file might still be read.
func (d *Device) Remove(ctx context.Context, number int) error {
	if err := d.mendEach(ctx, number, func(m vtape.Mender, _ int) error { return m.Remove(ctx, number) }); err != nil {
		return fmt.Errorf("remove file %d: parity set: %w", number, err)
	}
	d.state.mu.Lock()
	delete(d.state.bytes, number)
	d.state.mu.Unlock()
	return nil
}

// Relabel replaces the label on all members that are there.
func (d *Device) Relabel(ctx context.Context, label vtape.Header) error {
	err := d.mendEach(ctx, 0, func(m vtape.Mender, i int) error { return m.Relabel(ctx, d.memberHeader(label, i, nil)) })
	if err != nil {
		return fmt.Errorf("label volume %s anew: parity set: %w", label.Label, err)
	}
	d.state.mu.Lock()
	d.state.known = false // it is read when it is needed next
	d.state.mu.Unlock()
	return nil
}

func (d *Device) mendEach(ctx context.Context, number int, do func(m vtape.Mender, member int) error) error {
	living, faults, err := d.living(ctx)
	if err != nil {
		return err
	}
	errs := d.each(living, func(i int) error {
		m, ok := d.members[i].Device.(vtape.Mender)
		if !ok {
			return errCannotReplace
		}
		return do(m, i)
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	absent := 0
	for _, i := range living {
		err := errs[i]
		switch {
		case errors.Is(err, vtape.ErrNoFile):
			absent++
		case err != nil:
			f := d.fault(i, number, err)
			d.drop(f)
			faults = append(faults, f)
		}
	}
	if absent == len(living) {
		return vtape.ErrNoFile
	}
	return d.enough(d.form.members()-len(faults), faults)
}

// CleanUp cleans up on each member that knows how to.
func (d *Device) CleanUp(ctx context.Context) (removed []string, err error) {
	living, _, err := d.living(ctx)
	if err != nil {
		return nil, fmt.Errorf("clean up: parity set: %w", err)
	}
	var errs []error
	for _, i := range living {
		c, ok := d.members[i].Device.(vtape.Cleaner)
		if !ok {
			continue
		}
		names, err := c.CleanUp(ctx)
		for _, n := range names {
			removed = append(removed, d.members[i].Name+": "+n)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("member %s: %w", d.members[i].Name, err))
		}
	}
	return removed, errors.Join(errs...)
}
