package rait

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"holdfast/vtape"
)

var (
	_ vtape.Remover    = (*Device)(nil)
	_ vtape.Cleaner    = (*Device)(nil)
	_ vtape.Fragmented = (*Device)(nil)
)

// Remove removes a file from all members that have it: vtape.ErrNoFile when none has. A member that cannot is told; it is an
// error when more of them cannot than the set can do without, for the file would still be there.
func (d *Device) Remove(ctx context.Context, number int) error {
	living, faults, err := d.living(ctx)
	if err != nil {
		return fmt.Errorf("remove file %d: parity set: %w", number, err)
	}
	none := true
	errs := d.each(living, func(i int) error {
		m, ok := d.members[i].Device.(vtape.Remover)
		if !ok {
			return errNoRemover
		}
		return m.Remove(ctx, number)
	})
	for _, i := range living {
		err := errs[i]
		switch {
		case errors.Is(err, vtape.ErrNoFile):
		case err != nil:
			faults = append(faults, d.fault(i, number, err))
			none = false
		default:
			none = false
		}
	}
	if none {
		return fmt.Errorf("remove file %d: parity set: %w", number, vtape.ErrNoFile)
	}
	if err := d.enough(len(d.members)-len(faults), faults); err != nil {
		return fmt.Errorf("remove file %d: parity set: %w", number, err)
	}
	return nil
}

var errNoRemover = errors.New("files cannot be removed one by one")

// Fragments are the files that so few members have that those which are away could not make up for it: what a writer
// leaves that was killed while the members began or ended a file.
func (d *Device) Fragments(ctx context.Context) ([]int, error) {
	sizes, err := d.sizes(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for fragments: parity set: %w", err)
	}
	living, _, err := d.living(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for fragments: parity set: %w", err)
	}
	var list []int
	for _, n := range slices.Sorted(maps.Keys(sizes)) {
		if n > 0 && len(sizes[n])+len(d.members)-len(living) < d.data {
			list = append(list, n)
		}
	}
	return list, nil
}

// CleanUp removes from all members what belongs to no file of theirs, and counts it.
func (d *Device) CleanUp(ctx context.Context) (removed int, err error) {
	removed, err = d.count(ctx, vtape.Cleaner.CleanUp)
	if err != nil {
		return removed, fmt.Errorf("clean up: parity set: %w", err)
	}
	return removed, nil
}

// Litter counts what CleanUp would remove.
func (d *Device) Litter(ctx context.Context) (int, error) {
	n, err := d.count(ctx, vtape.Cleaner.Litter)
	if err != nil {
		return n, fmt.Errorf("look for litter: parity set: %w", err)
	}
	return n, nil
}

// count adds up what the members that are there say.
func (d *Device) count(ctx context.Context, ask func(vtape.Cleaner, context.Context) (int, error)) (sum int, err error) {
	living, _, err := d.living(ctx)
	if err != nil {
		return 0, err
	}
	counts := make([]int, len(d.members))
	errs := d.each(living, func(i int) (err error) {
		if c, ok := d.members[i].Device.(vtape.Cleaner); ok {
			counts[i], err = ask(c, ctx)
		}
		return err
	})
	var joined error
	for _, i := range living {
		sum += counts[i]
		if errs[i] != nil {
			joined = errors.Join(joined, fmt.Errorf("member %s: %w", d.members[i].Name, errs[i]))
		}
	}
	return sum, joined
}
