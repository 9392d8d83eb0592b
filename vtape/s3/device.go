package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"holdfast/vtape"
)

// endless is the room on a volume without a limit. It is far from the largest number, so that callers may add to it.
const endless = 1 << 60

// Device is a vtape.Device on the objects whose keys begin with a prefix.
type Device struct {
	s      *Store
	prefix string // of all keys, the store's own included

	mu sync.Mutex // guards etag
	// etag is that of the label as this device wrote it: a writer whose label is gone must stop.
	etag string
}

var _ vtape.Device = (*Device)(nil)

// Device gives the volume whose keys begin with the store's prefix and this one, which should end with '-' or '/'. It
// sends no request: a bucket that is not there shows as vtape.ErrAbsent in each operation.
func (s *Store) Device(prefix string) *Device {
	return &Device{s: s, prefix: s.opts.Prefix + prefix}
}

// where names the volume for messages, as Amanda names its device.
func (d *Device) where() string { return d.s.where() + "/" + d.prefix }

func (d *Device) labelKey() string  { return d.prefix + labelName }
func (d *Device) key(k key) string  { return d.prefix + k.String() }
func (d *Device) written() string   { d.mu.Lock(); defer d.mu.Unlock(); return d.etag }
func (d *Device) wrote(etag string) { d.mu.Lock(); defer d.mu.Unlock(); d.etag = etag }

// ReadLabel reads the label.
func (d *Device) ReadLabel(ctx context.Context) (vtape.Header, error) {
	_, h, err := d.readLabel(ctx)
	if err != nil {
		return vtape.Header{}, fmt.Errorf("read label: %s: %w", d.where(), err)
	}
	return h, nil
}

// readLabel gives the label as it lies there, too.
func (d *Device) readLabel(ctx context.Context) (got small, h vtape.Header, err error) {
	if err := ctx.Err(); err != nil {
		return got, h, err
	}
	got, err = d.s.getSmall(ctx, d.labelKey(), vtape.HeaderBytes)
	if errors.Is(err, errNoObject) {
		return got, h, d.noLabel(ctx)
	}
	if err != nil {
		return got, h, err
	}
	if h, err = vtape.ParseHeader(got.body); err != nil {
		return got, h, fmt.Errorf("%w: %s: %w", vtape.ErrForeign, labelName, err)
	}
	if h.Type != vtape.TypeTapeStart {
		return got, h, fmt.Errorf("%w: %s: has type %s", vtape.ErrForeign, labelName, h.Type)
	}
	return got, h, nil
}

// noLabel tells what a volume without a label is.
func (d *Device) noLabel(ctx context.Context) error {
	list, err := d.entries(ctx)
	if err != nil {
		return err
	}
	if len(list) > 0 {
		return fmt.Errorf("%w: no label, but objects of file %d", vtape.ErrForeign, list[0].number)
	}
	return vtape.ErrBlank
}

// Files lists the files after the label.
func (d *Device) Files(ctx context.Context) ([]vtape.File, error) {
	list, err := d.entries(ctx)
	if err != nil {
		return nil, fmt.Errorf("list files: %s: %w", d.where(), err)
	}
	return files(list), nil
}

// Room gives what fits until the capacity is reached. Headers are counted with vtape.HeaderBytes, as on other devices,
// though they take less here. What an interrupted writer left is not counted.
func (d *Device) Room(ctx context.Context) (int64, error) {
	list, err := d.entries(ctx)
	if err != nil {
		return 0, fmt.Errorf("measure room: %s: %w", d.where(), err)
	}
	return d.room(list), nil
}

func (d *Device) room(list []entry) int64 {
	if d.s.opts.CapacityBytes == 0 {
		return endless
	}
	left := d.s.opts.CapacityBytes - vtape.HeaderBytes // the label's
	for _, f := range files(list) {
		left -= vtape.HeaderBytes + f.Bytes
	}
	return max(0, left)
}

// trimHeader gives a header block as Amanda writes it to a bucket: without the NUL bytes at its end.
func trimHeader(block []byte) []byte { return bytes.TrimRight(block, "\x00") }

// padHeader gives the block that a header object stands for.
func padHeader(body []byte) []byte {
	raw := make([]byte, vtape.HeaderBytes)
	copy(raw, body)
	return raw
}
