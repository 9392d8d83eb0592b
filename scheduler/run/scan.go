package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"holdfast/catalog"
	"holdfast/scheduler/retention"
	"holdfast/vtape"
	"holdfast/vtape/library"
	"holdfast/vtape/taper"
)

// Verdicts tells for each volume of the main storage that must not be overwritten why not.
func (n *Night) Verdicts(ctx context.Context, current catalog.Stamp) (map[catalog.Label]string, []catalog.Volume, error) {
	st := n.Config.MainStorage()
	volumes, err := n.Store.Volumes(ctx, st.Name)
	if err != nil {
		return nil, nil, err
	}
	h, err := n.history(ctx)
	if err != nil {
		return nil, nil, err
	}
	return retention.Keep(retention.Input{
		Now: n.Now(), Volumes: volumes, Dumps: h.all(), Copies: h.copies, Held: h.held,
		KeepVolumes: st.KeepVolumes, Current: current,
	}), volumes, nil
}

// Next finds the next volume to write, and labels it. It is the taper's scan.
func (s *session) Next(ctx context.Context) (taper.Mounted, error) {
	m, err := s.nextVolume(ctx)
	var none *library.NoVolume
	switch {
	case errors.As(err, &none):
		// Why, slot by slot, stands in the notes once; the dumps that are left each name the fact.
		for _, why := range none.Reasons {
			if err := s.note(ctx, "taper", "%s", why); err != nil {
				return m, err
			}
		}
		return m, fmt.Errorf("%w can be written in storage %s; why not is under NOTES", taper.ErrNoVolume, s.storage.Name)
	case errors.Is(err, vtape.ErrAbsent):
		return m, fmt.Errorf("%w: %w", taper.ErrNoVolume, err)
	}
	return m, err
}

// nextVolume tries one slot after another: that one cannot be written is no reason not to write to the others.
func (s *session) nextVolume(ctx context.Context) (taper.Mounted, error) {
	for {
		m, err := s.tryVolume(ctx)
		var bad *badSlot
		if !errors.As(err, &bad) || ctx.Err() != nil {
			return m, err
		}
		s.badSlots[bad.slot] = bad.cause
		if err := s.event(ctx, s.mediaError(s.storage.Name, err.Error())); err != nil {
			return m, err
		}
	}
}

// badSlot is the error of a slot that cannot be written; another may do.
type badSlot struct {
	slot  string
	cause error
}

func (b *badSlot) Error() string { return fmt.Sprintf("slot %s: %v", b.slot, b.cause) }
func (b *badSlot) Unwrap() error { return b.cause }

func (s *session) tryVolume(ctx context.Context) (taper.Mounted, error) {
	lib, err := s.Opener().Open(ctx, s.storage)
	if err != nil {
		return taper.Mounted{}, err
	}
	inv, err := lib.Inventory(ctx)
	if err != nil {
		return taper.Mounted{}, err
	}
	for i := range inv {
		inv[i].Err = cmp.Or(inv[i].Err, s.badSlots[inv[i].Slot])
	}
	keep, volumes, err := s.Verdicts(ctx, s.stamp)
	if err != nil {
		return taper.Mounted{}, err
	}
	choice, err := library.Pick(inv, volumes, keep)
	if err != nil {
		return taper.Mounted{}, err
	}
	isNew := choice.Label == ""
	if isNew {
		if choice.Label, err = s.newLabel(ctx, lib, inv, volumes, choice.Slot); err != nil {
			return taper.Mounted{}, err
		}
	}
	dev, err := s.label(ctx, lib, choice)
	return taper.Mounted{
		Device: dev, Label: choice.Label, Slot: choice.Slot, Capacity: int64(s.storage.VolumeSize), New: isNew,
	}, err
}

// newLabel gives the label for a blank slot: the next free one, or the one that a crash kept from being written there.
func (s *session) newLabel(ctx context.Context, lib *library.Library, inv []library.SlotInfo, volumes []catalog.Volume, slot string) (catalog.Label, error) {
	var labels []catalog.Label
	for _, info := range inv {
		labels = append(labels, info.Label)
	}
	for _, v := range volumes {
		parts, err := s.Store.PartsOn(ctx, v.Label)
		if err != nil {
			return "", err
		}
		if v.Slot == slot && v.Files == 0 && len(parts) == 0 && !slices.Contains(labels, v.Label) {
			return v.Label, nil
		}
		labels = append(labels, v.Label)
	}
	return lib.NextLabel(labels)
}

// label writes the volume's label. The catalog forgets what was on it first: after a crash in between it knows of less
// than there is, never of more.
func (s *session) label(ctx context.Context, lib *library.Library, choice library.Choice) (vtape.Device, error) {
	header := labelHeader(choice.Label, s.stamp)
	block, err := header.Block()
	if err != nil {
		return nil, err
	}
	dev, err := lib.LoadForWriting(choice.Slot)
	if err != nil {
		return nil, &badSlot{choice.Slot, err}
	}
	err = s.Store.Relabel(context.WithoutCancel(ctx), catalog.Volume{
		Label: choice.Label, Storage: s.storage.Name, Slot: choice.Slot, WriteStamp: s.stamp,
		Bytes: vtape.HeaderBytes, HeaderCRC: vtape.Checksum(block), Seen: s.Now(),
	})
	if err != nil {
		return nil, err
	}
	if err := dev.Format(ctx, header); err != nil {
		return nil, &badSlot{choice.Slot, fmt.Errorf("label volume %s: %w", choice.Label, err)}
	}
	return dev, nil
}

// nextVolumes tells what the next run would write to.
func (s *session) nextVolumes(ctx context.Context) (catalog.NextVolumes, error) {
	next := catalog.NextVolumes{Storage: s.storage.Name}
	lib, err := s.Opener().Open(ctx, s.storage)
	if err != nil {
		return next, err
	}
	inv, err := lib.Inventory(ctx)
	if err != nil {
		return next, err
	}
	keep, volumes, err := s.Verdicts(ctx, s.stamp)
	if err != nil {
		return next, err
	}
	for range s.storage.RunVolumes {
		choice, err := library.Pick(inv, volumes, keep)
		if err != nil {
			break // fewer than a run may fill; the report says how many
		}
		if choice.Label == "" {
			next.New++
		} else {
			next.Labels = append(next.Labels, choice.Label)
		}
		inv = slices.DeleteFunc(inv, func(i library.SlotInfo) bool { return i.Slot == choice.Slot })
	}
	return next, nil
}
