package run

import (
	"context"
	"fmt"
	"slices"

	"holdfast/catalog"
	"holdfast/reports"
	"holdfast/vtape"
	"holdfast/vtape/library"
)

// LabelBlank labels a blank slot, with the next label if none is given. Anything but a blank slot is refused.
func (n *Night) LabelBlank(ctx context.Context, slot string, label catalog.Label) (catalog.Label, error) {
	st := n.Config.MainStorage()
	lib, err := n.Opener().Open(ctx, st)
	if err != nil {
		return "", err
	}
	inv, err := lib.Inventory(ctx)
	if err != nil {
		return "", err
	}
	volumes, err := n.Store.Volumes(ctx, "")
	if err != nil {
		return "", err
	}
	var taken []catalog.Label
	for _, v := range volumes {
		taken = append(taken, v.Label)
	}
	i := slices.IndexFunc(inv, func(s library.SlotInfo) bool { return s.Slot == slot })
	switch {
	case i < 0:
		return "", fmt.Errorf("label slot %s: storage %s has slots 1 to %d", slot, st.Name, st.Slots)
	case inv[i].Err != nil:
		return "", fmt.Errorf("label slot %s: %w", slot, inv[i].Err)
	case !inv[i].Blank:
		return "", fmt.Errorf("label slot %s: it holds volume %s, and only a blank slot is labelled", slot, inv[i].Label)
	case label != "" && slices.Contains(taken, label):
		return "", fmt.Errorf("label slot %s: label %s was given to another volume, and is never given twice", slot, label)
	}
	for _, s := range inv {
		taken = append(taken, s.Label)
	}
	if label != "" && !library.Fits(st.Label, label) {
		return "", fmt.Errorf("label slot %s: %s is not a label of storage %s, whose labels are like %s", slot, label, st.Name, st.Label)
	}
	if label == "" {
		if label, err = lib.NextLabel(taken); err != nil {
			return "", err
		}
	} else if slices.Contains(taken, label) {
		return "", fmt.Errorf("label slot %s: label %s is on a volume in the library already", slot, label)
	}
	return label, n.writeBlankLabel(ctx, lib, slot, label)
}

func (n *Night) writeBlankLabel(ctx context.Context, lib *library.Library, slot string, label catalog.Label) error {
	// Amanda's word for a volume that was labelled and never written.
	header := vtape.Header{Type: vtape.TypeTapeStart, Label: label, Stamp: "X"}
	block, err := header.Block()
	if err != nil {
		return fmt.Errorf("label slot %s: %w", slot, err)
	}
	dev, err := lib.LoadForWriting(ctx, slot)
	if err != nil {
		return err
	}
	err = n.Store.PutVolume(ctx, catalog.Volume{
		Label: label, Storage: n.Config.MainStorage().Name, Slot: slot, Bytes: vtape.HeaderBytes,
		HeaderCRC: vtape.Checksum(block), Seen: n.Now(),
	})
	if err != nil {
		return err
	}
	return dev.Format(ctx, header)
}

// SendReport mails a report again.
func (n *Night) SendReport(ctx context.Context, r reports.Report) error {
	if n.Mail == nil {
		return fmt.Errorf("mail the report: no address under mailto")
	}
	body, err := reportText(r, n.Now().Location())
	if err != nil {
		return err
	}
	return n.Mail(ctx, r.Subject(), body)
}
