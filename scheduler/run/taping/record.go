package taping

import (
	"context"
	"fmt"
	"slices"

	"holdfast/catalog"
	"holdfast/vtape/taper"
)

// finish ends the workers' volumes when all is written. The catalog record comes last, behind what another worker may have
// begun: on the volume that is written at the moment, or on the next one. A run that is being cancelled has written volumes,
// too, so ctx is not looked at.
func (w *Writer) finish(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	last := w.workers[0]
	if i := slices.IndexFunc(w.workers, func(k *worker) bool { return k.started }); i >= 0 {
		last = w.workers[i]
	}
	if w.failed == nil && w.o.Record != nil {
		w.broken(last.writeRecord(ctx))
	}
	for _, k := range w.workers {
		w.broken(k.taper.Close(ctx))
	}
}

// writeRecord writes the catalog record, if the run wrote anything to the storage. One that cannot be written is noted and no
// failure: the dumps are good without it. The error is the catalog's.
func (k *worker) writeRecord(ctx context.Context) error {
	wrote, err := k.w.o.Store.Wrote(ctx, k.w.o.Stamp, k.w.o.Storage.Name)
	if err != nil || !wrote {
		return err
	}
	if k.started {
		// What has become of the volume is known when it is finished, behind the record: so the record gets it beforehand.
		err := k.record(ctx, k.label, func(v *catalog.Volume) { v.Degraded = members(k.faults()) })
		if err != nil {
			return err
		}
	}
	d, err := k.w.o.Record(ctx)
	if err != nil {
		return k.noRecord(ctx, err)
	}
	k.w.recording = d.ID
	defer func() { k.w.recording = "" }()
	res, err := k.taper.Write(ctx, d)
	if err != nil {
		return k.noRecord(ctx, noVolume(err))
	}
	return k.w.o.Store.PutRecord(ctx, res.Parts)
}

func (k *worker) noRecord(ctx context.Context, err error) error {
	return k.w.o.Event(ctx, catalog.Note{
		Program: "taper", Text: fmt.Sprintf("no catalog record of this run is on storage %s: %v", k.w.o.Storage.Name, err),
	})
}

// mediaError is what went wrong with a volume. While the catalog record is written it is a note: every dump is safe then.
func (w *Writer) mediaError(text string) catalog.EventBody {
	if w.recording != "" {
		return catalog.Note{Program: "taper", Text: text}
	}
	return catalog.MediaError{Storage: w.o.Storage.Name, Error: text}
}

// Record makes the catalog record of the run for a storage: a dump that no list of dumps knows.
type Record func(ctx context.Context) (taper.Dump, error)
