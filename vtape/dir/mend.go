package dir

import (
	"context"
	"fmt"
	"path"

	"holdfast/vtape"
)

var _ vtape.Mender = (*Device)(nil)

// Remove removes a file after the label.
func (d *Device) Remove(ctx context.Context, number int) error {
	if err := d.remove(ctx, number); err != nil {
		return fmt.Errorf("remove file %d: %s: %w", number, d.path, err)
	}
	return nil
}

func (d *Device) remove(ctx context.Context, number int) error {
	list, err := d.entries(ctx)
	if err != nil {
		return err
	}
	if number < 1 {
		return vtape.ErrNoFile
	}
	e, err := find(list, number)
	if err != nil {
		return err
	}
	if err := d.fsys.Remove(path.Join(d.path, e.name)); err != nil {
		return err
	}
	return d.fsys.SyncDir(d.path)
}

// Relabel replaces the label's header, in one step.
func (d *Device) Relabel(ctx context.Context, label vtape.Header) error {
	if err := d.relabel(ctx, label); err != nil {
		return fmt.Errorf("label volume %s anew: %s: %w", label.Label, d.path, err)
	}
	return nil
}

func (d *Device) relabel(ctx context.Context, label vtape.Header) error {
	old, err := d.readLabel(ctx)
	if err != nil {
		return err
	}
	if old.Label != label.Label {
		return fmt.Errorf("it is volume %s", old.Label)
	}
	_, err = d.writeLabel(label)
	return err
}
