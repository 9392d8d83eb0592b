package run

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/vtape"
	"holdfast/vtape/library"
)

// LabelOptions say what is to be labelled.
type LabelOptions struct {
	Storage configs.Storage
	Slot    string
	// Label is the new one; empty for the next by the storage's template.
	Label catalog.Label
	// Force overwrites what is in the slot, if Confirm gives its name; see ContentOf.
	Force   bool
	Confirm string
}

// ErrNotConfirmed: what is in the slot was not called by its name.
var ErrNotConfirmed = errors.New("it was not called by its name")

// ErrNotBlank: the slot holds something, and overwriting it was not asked for.
var ErrNotBlank = errors.New("only a blank slot is labelled")

// ContentOf gives the name of what is in a slot: its volume's label, or STORAGE/SLOT for what is no volume; empty when it is
// blank. Whoever wants it overwritten must say it.
func (n *Night) ContentOf(ctx context.Context, st configs.Storage, slot string) (string, error) {
	_, inv, err := n.inventory(ctx, st)
	if err != nil {
		return "", err
	}
	info, err := slotOf(st, inv, slot)
	return contentName(st, info), err
}

func contentName(st configs.Storage, info library.SlotInfo) string {
	switch {
	case info.Blank:
		return ""
	case info.Label != "":
		return string(info.Label)
	}
	return st.Name + "/" + info.Slot
}

func (n *Night) inventory(ctx context.Context, st configs.Storage) (*library.Library, []library.SlotInfo, error) {
	lib, err := n.Opener().Open(ctx, st)
	if err != nil {
		return nil, nil, err
	}
	inv, err := lib.Inventory(ctx)
	return lib, inv, err
}

func slotOf(st configs.Storage, inv []library.SlotInfo, slot string) (library.SlotInfo, error) {
	i := slices.IndexFunc(inv, func(s library.SlotInfo) bool { return s.Slot == slot })
	if i < 0 {
		return library.SlotInfo{}, fmt.Errorf("label slot %s: storage %s has slots 1 to %d", slot, st.Name, st.Slots)
	}
	return inv[i], nil
}

// LabelSlot labels a blank slot, and with Force one that holds something that nobody needs. A volume that retention keeps,
// or that is marked no-reuse, is refused even so, unless it was retired. The error is ErrNotBlank or ErrNotConfirmed when
// these are the reason.
//
// The catalog is told first: after a crash it may know a label that is on no volume, which the same call then writes, but
// never the other way round.
func (n *Night) LabelSlot(ctx context.Context, o LabelOptions) (catalog.Label, error) {
	lib, inv, err := n.inventory(ctx, o.Storage)
	if err != nil {
		return "", err
	}
	info, err := slotOf(o.Storage, inv, o.Slot)
	if err != nil {
		return "", err
	}
	volumes, err := n.Store.Volumes(ctx, "")
	if err != nil {
		return "", err
	}
	label, err := n.labelFor(lib, o, inv, volumes)
	if err == nil && !info.Blank {
		err = n.giveUp(ctx, o, info, volumes)
	}
	if err != nil {
		return "", fmt.Errorf("label slot %s: %w", o.Slot, err)
	}
	return label, n.writeLabel(ctx, lib, o, label)
}

// labelFor gives the label that the slot gets: the one asked for, the one that a crash kept from being written there, or
// the next.
func (n *Night) labelFor(lib *library.Library, o LabelOptions, inv []library.SlotInfo, volumes []catalog.Volume) (catalog.Label, error) {
	var seen, taken []catalog.Label
	for _, s := range inv {
		seen = append(seen, s.Label)
	}
	for _, v := range volumes {
		unwritten := v.Storage == o.Storage.Name && v.Slot == o.Slot && v.WriteStamp == "" && v.Files == 0 && !v.Retired && !slices.Contains(seen, v.Label)
		if unwritten && (o.Label == "" || o.Label == v.Label) {
			return v.Label, nil
		}
		taken = append(taken, v.Label)
	}
	switch {
	case o.Label == "":
		return lib.NextLabel(append(taken, seen...))
	case slices.Contains(taken, o.Label):
		return "", fmt.Errorf("label %s was given to another volume, and is never given twice", o.Label)
	case !library.Fits(o.Storage.Label, o.Label):
		return "", fmt.Errorf("%s is not a label of storage %s, whose labels are like %s", o.Label, o.Storage.Name, o.Storage.Label)
	case slices.Contains(seen, o.Label):
		return "", fmt.Errorf("label %s is on a volume in the library already", o.Label)
	}
	return o.Label, nil
}

// giveUp makes sure that what is in the slot may go, and forgets it.
func (n *Night) giveUp(ctx context.Context, o LabelOptions, info library.SlotInfo, volumes []catalog.Volume) error {
	name := contentName(o.Storage, info)
	absent := errors.Is(info.Err, vtape.ErrAbsent)
	switch {
	case absent || !o.Force && info.Err != nil:
		return info.Err
	case !o.Force:
		return fmt.Errorf("it holds volume %s, and %w", name, ErrNotBlank)
	case o.Confirm != name:
		return fmt.Errorf("it holds %s: %w", name, ErrNotConfirmed)
	}
	i := slices.IndexFunc(volumes, func(v catalog.Volume) bool { return v.Label == info.Label && info.Label != "" })
	if i < 0 || volumes[i].Retired {
		return nil
	}
	v := volumes[i]
	if v.NoReuse {
		return fmt.Errorf("volume %s is marked no-reuse", v.Label)
	}
	verdicts, _, err := n.Judge(ctx, "")
	if err != nil {
		return err
	}
	if verdict, _ := verdicts.Of(v.Label); !verdict.Reusable {
		return fmt.Errorf("volume %s must not be overwritten: %s", v.Label, verdict.Reasons[0].Text)
	}
	return n.Store.Retire(context.WithoutCancel(ctx), v.Label)
}

func (n *Night) writeLabel(ctx context.Context, lib *library.Library, o LabelOptions, label catalog.Label) error {
	// Amanda's word for a volume that was labelled and never written.
	header := vtape.Header{Type: vtape.TypeTapeStart, Label: label, Stamp: "X"}
	block, err := header.Block()
	if err != nil {
		return fmt.Errorf("label slot %s: %w", o.Slot, err)
	}
	dev, err := lib.LoadForWriting(ctx, o.Slot)
	if err != nil {
		return err
	}
	err = n.Store.PutVolume(ctx, catalog.Volume{
		Label: label, Storage: o.Storage.Name, Slot: o.Slot, Bytes: vtape.HeaderBytes,
		HeaderCRC: vtape.Checksum(block), Seen: n.Now(),
	})
	if err != nil {
		return err
	}
	return dev.Format(ctx, header)
}
