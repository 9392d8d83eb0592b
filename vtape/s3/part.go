package s3

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"holdfast/vtape"
)

// abortTime is how long Abort tries to leave no trace, also after the run was cancelled.
const abortTime = 2 * time.Minute

// leastPart is a header and one block of data, in bytes.
const leastPart = vtape.HeaderBytes + vtape.PartAlign

// Create begins a file. Nothing of it is on the medium until its first piece is full, and it is a file when its header
// is written, last of all. Parts are cut at multiples of vtape.PartAlign when the volume is full. The writer may be used as
// long as ctx lives.
func (d *Device) Create(ctx context.Context, number int, h vtape.Header) (vtape.PartWriter, error) {
	w, err := d.create(ctx, number, h)
	if err != nil {
		return nil, fmt.Errorf("create file %d: %s: %w", number, d.where(), err)
	}
	return w, nil
}

func (d *Device) create(ctx context.Context, number int, h vtape.Header) (*partWriter, error) {
	if number < 1 {
		return nil, errors.New("files are numbered from 1")
	}
	head, err := h.Block()
	if err != nil {
		return nil, err
	}
	// Before anything is removed or resumed: it could be that of who has labelled the volume since.
	if err := d.checkOwn(ctx); err != nil {
		return nil, err
	}
	list, err := d.entries(ctx)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(list, func(e entry) bool { return e.number == number }); i >= 0 {
		if list[i].header {
			return nil, fmt.Errorf("%s: %w", key{kind: header, number: number}, fs.ErrExist)
		}
		if err := d.removeOrphan(ctx, number); err != nil {
			return nil, err
		}
	}
	room := d.room(list)
	if room < leastPart {
		return nil, vtape.ErrEndOfMedium
	}
	longest := room - vtape.HeaderBytes
	if d.s.opts.PartBytes > 0 {
		longest = min(longest, d.s.opts.PartBytes)
	}
	piece := d.s.opts.PieceBytes
	if longest < endless/2 {
		piece = pieceSize(piece, longest)
	}
	w := &partWriter{d: d, ctx: ctx, number: number, block: head, writer: rand.Text(), limit: min(room-vtape.HeaderBytes, piece*maxPieces)}
	w.pool = newPool(d.s.opts.Connections+1, piece)
	return w, nil
}

// removeOrphan removes data that an interrupted writer left under the number. Where the bucket keeps versions, it only
// hides it: it may be locked.
func (d *Device) removeOrphan(ctx context.Context, number int) error {
	var orphans []object
	list, err := d.s.objects(ctx, d.prefix+fmt.Sprintf("f%08x-", number))
	for _, o := range list {
		if _, ok := d.parse(o); ok && o.latest && !o.marker {
			orphans = append(orphans, object{key: o.key})
		}
	}
	if err == nil {
		err = d.s.remove(ctx, orphans)
	}
	if err != nil {
		return fmt.Errorf("remove what an earlier try left: %w", err)
	}
	return nil
}

// pool is the memory of a writer: so many pieces, each made when it is first needed.
type pool struct {
	free  chan []byte
	bytes int64        // of a piece
	made  atomic.Int64 // pieces
}

func newPool(pieces int, bytes int64) *pool {
	p := &pool{free: make(chan []byte, pieces), bytes: bytes}
	for range pieces {
		p.free <- nil
	}
	return p
}

// take waits for an empty piece.
func (p *pool) take(ctx context.Context) ([]byte, error) {
	select {
	case buf := <-p.free:
		if buf == nil {
			buf = make([]byte, 0, p.bytes)
			p.made.Add(1)
		}
		return buf[:0], nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (p *pool) give(buf []byte) { p.free <- buf }

// partWriter gathers pieces and sends each while the next ones fill.
type partWriter struct {
	d      *Device
	ctx    context.Context // that of Create: the contract gives the methods none
	number int
	block  []byte // the header
	pool   *pool
	buf    []byte  // the piece being filled
	up     *upload // from the second piece on
	stop   context.CancelFunc
	pieces int32 // given to up
	limit  int64 // how long the data may become
	size   int64
	err    error // of the write that ended it
	// writer marks what this writer has put into the store, for Abort to remove.
	writer       string
	closed, done bool
}

// Write appends p, or as much of it as makes the data a multiple of vtape.PartAlign long. An error of a piece that was
// sent in the background shows in a later call.
func (w *partWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.done || w.closed {
		return 0, fmt.Errorf("write file %d: %w", w.number, fs.ErrClosed)
	}
	full := int64(len(p)) > w.limit-w.size
	if full {
		p = p[:max(w.size, w.limit-w.limit%vtape.PartAlign)-w.size]
	}
	n, err := w.gather(p)
	w.size += int64(n)
	switch {
	case err != nil:
		w.err = fmt.Errorf("write file %d: %w", w.number, err)
	case full:
		w.err = fmt.Errorf("write file %d: %w", w.number, vtape.ErrEndOfMedium)
	}
	return n, w.err
}

// gather takes p into pieces. A piece that is full is sent when there is more: what fits one is no multipart upload.
func (w *partWriter) gather(p []byte) (n int, err error) {
	for n < len(p) {
		if int64(len(w.buf)) == w.pool.bytes {
			if err := w.flush(); err != nil {
				return n, err
			}
		}
		if w.buf == nil {
			if w.buf, err = w.pool.take(w.ctx); err != nil {
				return n, err
			}
		}
		took := min(len(p)-n, cap(w.buf)-len(w.buf))
		w.buf = append(w.buf, p[n:n+took]...)
		n += took
	}
	return n, nil
}

// flush hands the piece over to be sent.
func (w *partWriter) flush() error {
	if w.up == nil {
		up, err := w.d.s.startUpload(w.ctx, w.dataKey(), w.writer)
		if err != nil {
			return err
		}
		w.up = up
	}
	if err := w.up.failed(); err != nil {
		return err
	}
	if w.stop == nil {
		w.ctx, w.stop = context.WithCancel(w.ctx)
	}
	w.pieces++
	buf := w.buf
	w.buf = nil
	w.up.send(w.ctx, w.pieces, buf, func() { w.pool.give(buf) })
	return nil
}

func (w *partWriter) dataKey() string   { return w.d.key(key{kind: data, number: w.number}) }
func (w *partWriter) headerKey() string { return w.d.key(key{kind: header, number: w.number}) }

// SetHeader replaces the header, of which nothing has been written yet.
func (w *partWriter) SetHeader(h vtape.Header) error {
	if w.done || w.closed {
		return fmt.Errorf("set header: file %d: %w", w.number, fs.ErrClosed)
	}
	head, err := h.Block()
	if err != nil {
		return fmt.Errorf("set header: %w", err)
	}
	w.block = head
	return nil
}

// Close sends what is left of the data, then the header. When it fails, Abort is still to be called.
func (w *partWriter) Close() (headerCRC uint32, err error) {
	if w.done || w.closed {
		return 0, fmt.Errorf("close file %d: %w", w.number, fs.ErrClosed)
	}
	if w.err != nil && !errors.Is(w.err, vtape.ErrEndOfMedium) {
		return 0, fmt.Errorf("close after an error: %w", w.err)
	}
	w.closed = true
	if err := w.close(); err != nil {
		return 0, fmt.Errorf("close file %d: %s: %w", w.number, w.d.where(), err)
	}
	w.done = true
	w.release()
	return vtape.Checksum(w.block), nil
}

func (w *partWriter) close() error {
	if err := w.closeData(); err != nil {
		return fmt.Errorf("write data: %w", err)
	}
	if err := w.d.checkOwn(w.ctx); err != nil {
		return err
	}
	cond := condition{none: w.d.s.opts.AllowUnconditional}
	_, err := w.d.s.put(w.ctx, put{
		key: w.headerKey(), writer: w.writer, body: trimHeader(w.block), cond: cond, lock: true,
	})
	if err != nil {
		return fmt.Errorf("write header: %w", err)
	}
	// Again: who has labelled the volume anew since removes the files that were there then, and this may have come after.
	return w.d.checkOwn(w.ctx)
}

func (w *partWriter) closeData() error {
	if w.up == nil {
		cond := condition{none: w.d.s.opts.AllowUnconditional}
		_, err := w.d.s.put(w.ctx, put{
			key: w.dataKey(), writer: w.writer, body: w.buf, cond: cond, lock: true, data: true,
		})
		return err
	}
	if len(w.buf) > 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	return w.up.complete(w.ctx)
}

// checkOwn makes sure that the label is still the one this device wrote, if it wrote one.
func (d *Device) checkOwn(ctx context.Context) error {
	own := d.written()
	if own == "" {
		return nil
	}
	head, err := d.s.head(ctx, d.labelKey(), "")
	if err != nil {
		return fmt.Errorf("look at the label: %w", err)
	}
	if aws.ToString(head.ETag) != own {
		return errReplaced
	}
	return nil
}

var errReplaced = fmt.Errorf("the label was written anew: %w", ErrTaken)

// Abort removes what there is of the file; after a Close that succeeded it does nothing.
func (w *partWriter) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), abortTime)
	defer cancel()
	w.release()
	var errs []error
	// The header first: without it there is no file.
	for _, key := range []string{w.headerKey(), w.dataKey()} {
		if w.closed {
			errs = append(errs, w.d.s.removeOwn(ctx, key, w.writer))
		}
	}
	if w.up != nil {
		errs = append(errs, w.d.s.abort(ctx, w.up.key, w.up.id))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove file %d: %s: %w", w.number, w.d.where(), err)
	}
	return nil
}

// release ends what runs in the background, and lets go of the memory.
func (w *partWriter) release() {
	if w.up != nil {
		w.stop()
		w.up.wg.Wait()
	}
	w.buf, w.pool.free = nil, nil
}
