package s3

import (
	"context"
	"fmt"

	"holdfast/vtape"
)

var (
	_ vtape.Remover = (*Device)(nil)
	_ vtape.Cleaner = (*Device)(nil)
)

// Remove removes a file with all its versions: vtape.ErrNoFile when there is none, ErrLocked when a lock keeps it. The header
// goes first, so that a file of which a part is gone does not show.
func (d *Device) Remove(ctx context.Context, number int) error {
	if err := d.removeFile(ctx, number); err != nil {
		return fmt.Errorf("remove file %d: %s: %w", number, d.where(), err)
	}
	return nil
}

func (d *Device) removeFile(ctx context.Context, number int) error {
	list, err := d.s.objects(ctx, d.prefix+filesPrefix)
	if err != nil {
		return err
	}
	var headers, data []object
	for _, o := range list {
		switch k, ok := d.parse(o); {
		case !ok || k.number != number:
		case k.kind == header:
			headers = append(headers, o)
		default:
			data = append(data, o)
		}
	}
	if number < 1 || len(headers) == 0 {
		return vtape.ErrNoFile
	}
	all := append(headers, data...)
	free, err := d.unlocked(ctx, all)
	switch {
	case err != nil:
		return err
	case len(free) < len(all):
		return ErrLocked
	}
	if err := d.s.remove(ctx, headers); err != nil {
		return err
	}
	return d.s.remove(ctx, data)
}
