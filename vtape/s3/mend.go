package s3

import (
	"context"
	"fmt"

	"holdfast/vtape"
)

var (
	_ vtape.Mender  = (*Device)(nil)
	_ vtape.Cleaner = (*Device)(nil)
	_ vtape.Locker  = (*Device)(nil)
	_ vtape.Shelf   = (*Shelf)(nil)
)

// Remove removes a file after the label, with all its versions. ErrLocked: object lock keeps it. ErrTaken: this device wrote
// the label, and another has replaced it since.
func (d *Device) Remove(ctx context.Context, number int) error {
	if err := d.removeFile(ctx, number); err != nil {
		return fmt.Errorf("remove file %d: %s: %w", number, d.where(), err)
	}
	return nil
}

func (d *Device) removeFile(ctx context.Context, number int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if number < 1 {
		return vtape.ErrNoFile
	}
	if err := d.checkOwn(ctx); err != nil {
		return err
	}
	list, err := d.s.objects(ctx, d.prefix+fmt.Sprintf("f%08x-", number))
	if err != nil {
		return err
	}
	list = d.ofFiles(list)
	there := false
	for _, o := range list {
		k, _ := d.parse(o)
		there = there || k.kind == header && o.latest && !o.marker
	}
	if !there {
		return vtape.ErrNoFile
	}
	free, err := d.unlocked(ctx, list)
	if err != nil {
		return err
	}
	if len(free) < len(list) {
		return ErrLocked
	}
	return d.removeFiles(ctx, list)
}

// Relabel replaces the label's header, in one step. ErrTaken: another writer has done so meanwhile. Old versions of a
// label stay until the volume is formatted.
func (d *Device) Relabel(ctx context.Context, label vtape.Header) error {
	if err := d.relabelAs(ctx, label); err != nil {
		return fmt.Errorf("label volume %s anew: %s: %w", label.Label, d.where(), err)
	}
	return nil
}

func (d *Device) relabelAs(ctx context.Context, label vtape.Header) error {
	body, err := labelBody(label)
	if err != nil {
		return err
	}
	old, head, err := d.readLabel(ctx)
	if err != nil {
		return err
	}
	if label.Type != vtape.TypeTapeStart || head.Label != label.Label {
		return fmt.Errorf("it is volume %s", head.Label)
	}
	if own := d.written(); own != "" && own != old.etag {
		return errReplaced
	}
	cond := condition{etag: old.etag}
	if cond.none, err = d.probe(ctx, old); err != nil {
		return err
	}
	etag, err := d.s.put(ctx, put{key: d.labelKey(), body: body, cond: cond, lock: true})
	if err != nil {
		return err
	}
	d.wrote(etag)
	return nil
}
