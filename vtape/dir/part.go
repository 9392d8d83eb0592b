package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"holdfast/catalog"
	"holdfast/internal/vfs"
	"holdfast/vtape"
)

// Create begins a file. Its parts are cut at multiples of vtape.PartAlign when the volume is full.
func (d *Device) Create(ctx context.Context, number int, h vtape.Header) (vtape.PartWriter, error) {
	w, err := d.create(ctx, number, h)
	if err != nil {
		return nil, fmt.Errorf("create file %d: %s: %w", number, d.path, err)
	}
	return w, nil
}

func (d *Device) create(ctx context.Context, number int, h vtape.Header) (*partWriter, error) {
	if number < 1 {
		return nil, errors.New("files are numbered from 1")
	}
	block, err := h.Block()
	if err != nil {
		return nil, err
	}
	list, err := d.entries(ctx)
	if err != nil {
		return nil, err
	}
	if e, err := find(list, number); !errors.Is(err, vtape.ErrNoFile) {
		if err == nil {
			err = fmt.Errorf("%s: %w", e.name, fs.ErrExist)
		}
		return nil, err
	}
	room, err := d.room(list)
	if err != nil {
		return nil, err
	}
	if room < leastPart {
		return nil, d.endOfMedium(list)
	}
	name := path.Join(d.path, vtape.PartName(number, h.Host, h.Disk, h.Level))
	f, err := d.fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if isFull(err) {
		return nil, fmt.Errorf("%w: %w", vtape.ErrEndOfMedium, err)
	}
	if err != nil {
		return nil, err
	}
	w := &partWriter{d: d, f: f, name: name, limit: room - vtape.HeaderBytes}
	if err := w.writeHeader(block); err != nil {
		if isFull(err) {
			err = fmt.Errorf("%w: %w", vtape.ErrEndOfMedium, err)
		}
		return nil, errors.Join(err, w.Abort())
	}
	return w, nil
}

// leastPart is a header and one block of data, in bytes.
const leastPart = vtape.HeaderBytes + vtape.PartAlign

// endOfMedium says what there is no room on: the volume, or the file system below one that could take more.
func (d *Device) endOfMedium(list []entry) error {
	left := d.opts.CapacityBytes
	for _, e := range list {
		left -= e.bytes
	}
	if d.opts.CapacityBytes == 0 || left >= leastPart {
		return fmt.Errorf("%w: %w", vtape.ErrEndOfMedium, syscall.ENOSPC)
	}
	return vtape.ErrEndOfMedium
}

// isFull tells whether the error means that the file system has no room for this user.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// partWriter writes through to the file: callers write in large pieces.
type partWriter struct {
	d         *Device
	f         vfs.File
	name      string
	headerCRC uint32
	limit     int64 // how long the data may become
	size      int64 // of the data
	err       error // of the write that ended it
	closed    bool  // f is closed
	done      bool  // Close or Abort has done its work
}

func (w *partWriter) writeHeader(block []byte) error {
	if _, err := w.f.WriteAt(block, 0); err != nil {
		w.err = err
		return err
	}
	w.headerCRC = vtape.Checksum(block)
	return nil
}

// Write appends p, or as much of it as makes the data a multiple of vtape.PartAlign long.
func (w *partWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.done || w.closed {
		return 0, fmt.Errorf("write %s: %w", w.name, fs.ErrClosed)
	}
	full := int64(len(p)) > w.limit-w.size
	if full {
		p = p[:w.keep(w.limit)-w.size]
	}
	n, err := w.f.WriteAt(p, vtape.HeaderBytes+w.size)
	switch {
	case isFull(err):
		n, err = w.cutBack(n, err)
	case err == nil && full:
		err = fmt.Errorf("write %s: %w", w.name, vtape.ErrEndOfMedium)
	}
	w.size += int64(n)
	w.err = err
	return n, err
}

// keep is how much of the data stays when it must end at or before size: whole alignments, but nothing is taken back
// that an earlier Write has taken.
func (w *partWriter) keep(size int64) int64 {
	return max(w.size, size-size%vtape.PartAlign)
}

// cutBack is called when the file system took only n bytes of a write.
func (w *partWriter) cutBack(n int, cause error) (int, error) {
	keep := w.keep(w.size + int64(n))
	if err := w.f.Truncate(vtape.HeaderBytes + keep); err != nil {
		return 0, fmt.Errorf("cut back to %d bytes: %w", vtape.HeaderBytes+keep, err)
	}
	return int(keep - w.size), fmt.Errorf("%w: %w", vtape.ErrEndOfMedium, cause)
}

// SetHeader writes the new header over the first one.
func (w *partWriter) SetHeader(h vtape.Header) error {
	if w.done || w.closed {
		return fmt.Errorf("set header: %s: %w", w.name, fs.ErrClosed)
	}
	block, err := h.Block()
	if err == nil {
		err = w.writeHeader(block)
	}
	if err != nil {
		return fmt.Errorf("set header: %w", err)
	}
	return nil
}

// Close makes the file last. When it fails, Abort is still to be called.
func (w *partWriter) Close() (headerCRC uint32, err error) {
	if w.done || w.closed {
		return 0, fmt.Errorf("close %s: %w", w.name, fs.ErrClosed)
	}
	if w.err != nil && !errors.Is(w.err, vtape.ErrEndOfMedium) {
		return 0, fmt.Errorf("close after an error: %w", w.err)
	}
	err = w.f.Sync()
	w.closed = true
	err = errors.Join(err, w.f.Close())
	if err == nil {
		err = w.d.fsys.SyncDir(w.d.path)
	}
	if err != nil {
		return 0, fmt.Errorf("close file: %w", err)
	}
	w.done = true
	return w.headerCRC, nil
}

// Abort removes the file; after a Close that succeeded it does nothing.
func (w *partWriter) Abort() error {
	if w.done {
		return nil
	}
	var err error
	if !w.closed {
		w.closed = true
		err = w.f.Close()
	}
	w.done = true
	if err := errors.Join(err, w.d.fsys.Remove(w.name), w.d.fsys.SyncDir(w.d.path)); err != nil {
		return fmt.Errorf("remove file: %w", err)
	}
	return nil
}

// Open opens a file and reads its header.
func (d *Device) Open(ctx context.Context, number int) (vtape.PartReader, error) {
	r, err := d.openPart(ctx, number)
	if err != nil {
		return nil, fmt.Errorf("open file %d: %s: %w", number, d.path, err)
	}
	return r, nil
}

func (d *Device) openPart(ctx context.Context, number int) (*partReader, error) {
	list, err := d.entries(ctx)
	if err != nil {
		return nil, err
	}
	if number < 0 {
		return nil, vtape.ErrNoFile
	}
	e, err := find(list, number)
	if err != nil {
		return nil, err
	}
	r, err := d.open(e)
	if err != nil {
		return nil, err
	}
	r.label = labelOf(list)
	if h, err := vtape.ParseHeader(r.raw); err == nil {
		r.header = h
	}
	return r, nil
}

// open opens the file and reads the header block, or what there is of one.
func (d *Device) open(e entry) (*partReader, error) {
	f, err := d.fsys.OpenFile(path.Join(d.path, e.name), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	raw := make([]byte, vtape.HeaderBytes)
	n, err := f.ReadAt(raw, 0)
	if err != nil && err != io.EOF {
		return nil, errors.Join(err, f.Close())
	}
	return &partReader{f: f, number: e.number, raw: raw[:n], size: max(0, e.bytes-vtape.HeaderBytes)}, nil
}

type partReader struct {
	f      vfs.File
	label  catalog.Label
	number int
	header vtape.Header
	raw    []byte
	size   int64
}

func (r *partReader) Header() vtape.Header { return r.header }
func (r *partReader) RawHeader() []byte    { return r.raw }
func (r *partReader) SizeBytes() int64     { return r.size }
func (r *partReader) Close() error         { return r.f.Close() }

// ReadAt reads the part's data. An error of the file system is a *vtape.Damage of the bytes that were not read.
func (r *partReader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read file %d: negative offset %d", r.number, off)
	}
	n, err := r.f.ReadAt(p, vtape.HeaderBytes+off)
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, &vtape.Damage{
		Label: r.label, File: r.number,
		Offset: vtape.HeaderBytes + off + int64(n), Length: int64(len(p) - n), Err: err,
	}
}
