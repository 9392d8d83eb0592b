package taping

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"holdfast/catalog"
	"holdfast/vtape"
	"holdfast/vtape/library"
)

// stampNever stands in the label of a volume that was labelled and never written; it is Amanda's word.
const stampNever = "X"

// Erase erases the volumes that nothing keeps any more: each gets its label again, as if it had never been written. It is
// called after Close. The error is one of the catalog; what cannot be erased is noted, and tried again in the next run.
func (w *Writer) Erase(ctx context.Context) error {
	if _, off := w.State(); off != nil {
		return nil
	}
	lib, err := w.o.Open(ctx)
	if err != nil {
		return w.notErased(ctx, err)
	}
	inv, err := lib.Inventory(ctx)
	if err != nil {
		return w.notErased(ctx, err)
	}
	verdicts, volumes, err := w.o.Verdicts(ctx)
	if err != nil {
		return err
	}
	var erased []string
	var freed int64
	erasable := verdicts.Erasable()
	for _, v := range VolumesOf(w.o.Storage.Name, volumes) {
		slot, there := asRecorded(inv, v)
		if !slices.Contains(erasable, v.Label) || !there || ctx.Err() != nil {
			continue
		}
		if err := w.erase(ctx, lib, v, slot); err != nil {
			if err := w.notErased(ctx, fmt.Errorf("volume %s: %w", v.Label, err)); err != nil {
				return err
			}
			continue
		}
		erased = append(erased, string(v.Label))
		freed += max(0, slot.Bytes-vtape.HeaderBytes)
	}
	if len(erased) == 0 {
		return nil
	}
	return w.o.Event(ctx, catalog.Note{Program: "taper", Text: fmt.Sprintf("storage %s: erased %s, which nothing keeps any more: %s freed",
		w.o.Storage.Name, strings.Join(erased, ", "), humanize.IBytes(uint64(freed)))})
}

// asRecorded finds the volume in the library, as the catalog knows it or older: what a crash of an erasure leaves.
func asRecorded(inv []library.SlotInfo, v catalog.Volume) (library.SlotInfo, bool) {
	for _, slot := range inv {
		if slot.Label == v.Label && slot.Err == nil && !slot.Blank {
			return slot, slot.Stamp == stampNever || slot.Stamp <= v.WriteStamp
		}
	}
	return library.SlotInfo{}, false
}

// erase forgets what is on the volume before it goes. Between the two the catalog's stamp is this run's: one that is later
// than the volume's is what Pick takes for an interrupted labelling, while an earlier one would make it a stranger.
func (w *Writer) erase(ctx context.Context, lib *library.Library, v catalog.Volume, slot library.SlotInfo) error {
	dev, err := lib.LoadForWriting(ctx, slot.Slot)
	if err != nil {
		return err
	}
	header := vtape.Header{Type: vtape.TypeTapeStart, Label: v.Label, Stamp: stampNever}
	v = catalog.Volume{Label: v.Label, Slot: slot.Slot, WriteStamp: w.o.Stamp}
	if err := w.relabel(ctx, v, header); err != nil {
		return err
	}
	if err := dev.Format(ctx, header); err != nil {
		return err
	}
	blank, err := w.o.Store.Volume(ctx, v.Label)
	if err != nil {
		return err
	}
	blank.WriteStamp = ""
	return w.o.Store.PutVolume(context.WithoutCancel(ctx), blank)
}

func (w *Writer) notErased(ctx context.Context, err error) error {
	return w.o.Event(ctx, catalog.Note{Program: "taper", Text: fmt.Sprintf("storage %s: not erased: %v", w.o.Storage.Name, err)})
}
