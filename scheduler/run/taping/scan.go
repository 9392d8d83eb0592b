package taping

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"holdfast/catalog"
	"holdfast/vtape"
	"holdfast/vtape/library"
	"holdfast/vtape/taper"
)

// maxScanFaults is how often in a row the look for a volume may end in an error that says nothing of volumes, before the
// storage is taken to be dead.
const maxScanFaults = 2

// scan looks for volumes. One worker at a time does: no volume is given to two.
type scan struct {
	mu sync.Mutex
	// bad are the slots that could not be labelled in this run, with the reason.
	bad    map[string]error
	faults int
}

// recordError is an error of the catalog: the storage is not to blame.
type recordError struct{ error }

func (r *recordError) Unwrap() error { return r.error }

func recorded(err error) error {
	if err == nil {
		return nil
	}
	return &recordError{err}
}

// probe is the first look at the storage: is there a volume to write to?
func (w *Writer) probe(ctx context.Context) {
	w.scan.mu.Lock()
	_, err := w.lookOnce(ctx, w.look)
	for w.scan.faults > 0 && w.scan.faults < maxScanFaults && ctx.Err() == nil {
		_, err = w.lookOnce(ctx, w.look)
	}
	w.scan.mu.Unlock()
	cancelled := ctx.Err() != nil
	ctx = context.WithoutCancel(ctx)
	var fatal *recordError
	switch {
	case err == nil:
		err = w.o.Event(ctx, catalog.StorageChanged{Storage: w.o.Storage.Name, State: catalog.StorageReady})
	case errors.As(err, &fatal):
	case cancelled:
		err = nil // the dumps tell
	default:
		err = w.turnOff(ctx, noVolume(err))
	}
	w.broken(err)
	w.change(func() { w.probed = true })
	w.changed()
}

// Next finds the next volume to write, and labels it. It is the taper's scan.
func (k *worker) Next(ctx context.Context) (taper.Mounted, error) {
	w := k.w
	w.scan.mu.Lock()
	defer w.scan.mu.Unlock()
	w.mu.Lock()
	used := w.volumes
	w.mu.Unlock()
	if limit := w.o.Storage.RunVolumes; limit > 0 && used >= limit {
		return taper.Mounted{}, fmt.Errorf("%w: %s filled; run-volumes: %d allows no more", taper.ErrNoVolume, count(used, "volume"), limit)
	}
	m, err := w.lookOnce(ctx, w.nextVolume)
	if err == nil {
		w.change(func() { w.volumes++ })
		k.device = m.Device
	}
	return m, err
}

func count(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// lookOnce looks once and gives errors the meaning that the taper knows. w.scan is held.
func (w *Writer) lookOnce(ctx context.Context, look func(context.Context) (taper.Mounted, error)) (taper.Mounted, error) {
	m, err := look(ctx)
	var none *library.NoVolume
	var fatal *recordError
	switch {
	case err == nil:
		w.scan.faults = 0
		return m, nil
	case ctx.Err() != nil || errors.As(err, &fatal):
		return m, err
	case errors.As(err, &none):
		// Why, slot by slot, stands in the notes once; the dumps that are left each name the fact.
		for _, why := range none.Reasons {
			if err := w.o.Event(ctx, catalog.Note{Program: "taper", Text: why}); err != nil {
				return m, recorded(err)
			}
		}
		return m, fmt.Errorf("%w can be written in storage %s; why not is under NOTES", taper.ErrNoVolume, w.o.Storage.Name)
	case errors.Is(err, vtape.ErrAbsent):
		return m, fmt.Errorf("%w: %w", taper.ErrNoVolume, err)
	}
	if w.scan.faults++; w.scan.faults >= maxScanFaults {
		return m, fmt.Errorf("%w: storage %s cannot be used: %w", taper.ErrNoVolume, w.o.Storage.Name, err)
	}
	return m, err
}

// look tells whether there is a volume to write to, and changes nothing.
func (w *Writer) look(ctx context.Context) (taper.Mounted, error) {
	_, err := w.choose(ctx)
	return taper.Mounted{}, err
}

// nextVolume tries one slot after another: that one cannot be written is no reason not to write to the others.
func (w *Writer) nextVolume(ctx context.Context) (taper.Mounted, error) {
	for {
		m, err := w.tryVolume(ctx)
		var bad *badSlot
		if !errors.As(err, &bad) || ctx.Err() != nil {
			return m, err
		}
		w.scan.bad[bad.slot] = bad.cause
		if err := w.o.Event(ctx, w.mediaError(err.Error())); err != nil {
			return m, recorded(err)
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

// choice is a slot chosen, with what the choice was made from.
type choice struct {
	library.Choice
	lib *library.Library
	inv []library.SlotInfo
}

func (w *Writer) choose(ctx context.Context) (choice, error) {
	lib, err := w.o.Open(ctx)
	if err != nil {
		return choice{}, err
	}
	inv, err := lib.Inventory(ctx)
	if err != nil {
		return choice{}, err
	}
	for i := range inv {
		inv[i].Err = cmp.Or(inv[i].Err, w.scan.bad[inv[i].Slot])
	}
	verdicts, volumes, err := w.o.Verdicts(ctx)
	if err != nil {
		return choice{}, recorded(err)
	}
	picked, givenUp, err := PickVolume(inv, volumes, verdicts, w.o.Storage.Name)
	for _, why := range givenUp {
		// The night's dumps go first; but a copy that will never be made is nothing to be quiet about.
		text := fmt.Sprintf("volume %s is overwritten since no other is left: it %s", picked.Label, why.Text)
		if err := w.o.Event(ctx, w.mediaError(text)); err != nil {
			return choice{}, recorded(err)
		}
	}
	return choice{picked, lib, inv}, err
}

func (w *Writer) tryVolume(ctx context.Context) (taper.Mounted, error) {
	c, err := w.choose(ctx)
	if err != nil {
		return taper.Mounted{}, err
	}
	isNew := c.Label == ""
	dev, err := w.label(ctx, &c)
	return taper.Mounted{
		Device: dev, Label: c.Label, Slot: c.Slot, Capacity: int64(w.o.Storage.VolumeSize), New: isNew,
	}, err
}

// label writes the volume's label. The catalog forgets what was on it first: after a crash in between it knows of less
// than there is, never of more.
func (w *Writer) label(ctx context.Context, c *choice) (vtape.Device, error) {
	dev, err := c.lib.LoadForWriting(ctx, c.Slot)
	if err != nil {
		return nil, &badSlot{c.Slot, err}
	}
	header, err := w.give(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := dev.Format(ctx, header); err != nil {
		return nil, &badSlot{c.Slot, fmt.Errorf("label volume %s: %w", c.Label, err)}
	}
	return dev, nil
}

// give records the label that the slot's volume gets, or keeps.
func (w *Writer) give(ctx context.Context, c *choice) (vtape.Header, error) {
	w.o.Labels.Lock()
	defer w.o.Labels.Unlock()
	if c.Label == "" {
		label, err := w.newLabel(ctx, c)
		if err != nil {
			return vtape.Header{}, err
		}
		c.Label = label
	}
	header := vtape.Header{Type: vtape.TypeTapeStart, Label: c.Label, Stamp: string(w.o.Stamp)}
	return header, w.relabel(ctx, catalog.Volume{Label: c.Label, Slot: c.Slot, WriteStamp: w.o.Stamp}, header)
}

// relabel records a volume that is about to be written from its beginning.
func (w *Writer) relabel(ctx context.Context, v catalog.Volume, header vtape.Header) error {
	block, err := header.Block()
	if err != nil {
		return err
	}
	v.Storage, v.Bytes, v.HeaderCRC, v.Seen = w.o.Storage.Name, vtape.HeaderBytes, vtape.Checksum(block), w.o.Now()
	return recorded(w.o.Store.Relabel(context.WithoutCancel(ctx), v))
}

// newLabel gives the label for a blank slot: the next free one, or the one that a crash kept from being written there.
func (w *Writer) newLabel(ctx context.Context, c *choice) (catalog.Label, error) {
	volumes, err := w.o.Store.Volumes(ctx, "") // of all storages: no label is given twice
	if err != nil {
		return "", recorded(err)
	}
	var labels []catalog.Label
	for _, info := range c.inv {
		labels = append(labels, info.Label)
	}
	for _, v := range volumes {
		parts, err := w.o.Store.PartsOn(ctx, v.Label)
		if err != nil {
			return "", recorded(err)
		}
		unused := v.Storage == w.o.Storage.Name && v.Slot == c.Slot && v.Files == 0 && len(parts) == 0
		if unused && !slices.Contains(labels, v.Label) {
			return v.Label, nil
		}
		labels = append(labels, v.Label)
	}
	return c.lib.NextLabel(labels)
}

// NextVolumes tells what the next run would write to. It may be called after Close.
func (w *Writer) NextVolumes(ctx context.Context) (catalog.NextVolumes, error) {
	next := catalog.NextVolumes{Storage: w.o.Storage.Name}
	lib, err := w.o.Open(ctx)
	if err != nil {
		return next, err
	}
	inv, err := lib.Inventory(ctx)
	if err != nil {
		return next, err
	}
	verdicts, volumes, err := w.o.Verdicts(ctx)
	if err != nil {
		return next, err
	}
	for range w.o.Storage.RunVolumes {
		choice, _, err := PickVolume(inv, volumes, verdicts, w.o.Storage.Name)
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
