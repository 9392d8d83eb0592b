package taping

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"holdfast/catalog"
	"holdfast/vtape"
	"holdfast/vtape/library"
)

// clearAttempt takes back what an earlier attempt of this run has left of a dump in this storage. In the catalog a storage has
// one copy of a dump a run: the parts of the next attempt would take the place of those, and leave files that nobody knows.
// It is forgotten first, then removed: a crash in between leaves files behind the last known, which the reaper removes. The
// error is one of the catalog; a file that cannot be removed is noted, and goes when its volume is written over.
func (k *worker) clearAttempt(ctx context.Context, id catalog.DumpID) error {
	w := k.w
	copies, err := w.o.Store.Copies(ctx, id)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(copies, func(c catalog.Copy) bool {
		return c.Storage == w.o.Storage.Name && c.WriteStamp == w.o.Stamp && !c.Status.Usable() && len(c.Parts) > 0
	})
	if i < 0 {
		return nil
	}
	if err := w.o.Store.DropCopy(ctx, copies[i]); err != nil {
		return err
	}
	if err := k.removeParts(ctx, copies[i].Parts); err != nil {
		text := fmt.Sprintf("storage %s: parts of %s that came to nothing stay on their volume: %v", w.o.Storage.Name, id, err)
		return w.o.Event(ctx, catalog.Note{Program: "taper", Text: text})
	}
	return nil
}

// removeParts removes files from their volumes, the last first.
func (k *worker) removeParts(ctx context.Context, parts []catalog.Part) error {
	lib, err := k.w.o.Open(ctx)
	if err != nil {
		return err
	}
	var errs error
	for _, p := range slices.Backward(parts) {
		errs = errors.Join(errs, removePart(ctx, lib, p))
	}
	return errs
}

func removePart(ctx context.Context, lib *library.Library, p catalog.Part) error {
	_, dev, err := lib.Load(ctx, p.Label)
	if err != nil {
		return err
	}
	r, ok := dev.(vtape.Remover)
	if !ok {
		return fmt.Errorf("volume %s file %d: no file can be removed from it", p.Label, p.File)
	}
	return r.Remove(ctx, p.File)
}
