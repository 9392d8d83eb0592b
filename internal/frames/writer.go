package frames

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"sync"

	"filippo.io/age"
)

// FrameBytes is the most raw bytes of a frame. PadBytes divides the length of every stored stream: with it a stream
// fills the blocks of a parity set of 2, 3 or 5 volumes, whose readers hand out a last block's padding as data.
const (
	FrameBytes = 1 << 20
	PadBytes   = 128 << 10
)

// Options of a Writer.
type Options struct {
	Level Level
	// Workers fill and compress frames at the same time; 0 means GOMAXPROCS.
	Workers int
	// Recipients encrypt the stream; none, no encryption. A passphrase must be the only one.
	Recipients []age.Recipient
}

// Frame is the promise of 1 to FrameBytes raw bytes.
type Frame struct {
	Bytes int
	// Fill makes the raw bytes, all of p. It runs in a worker, at the same time as that of other frames.
	Fill func(ctx context.Context, p []byte) error
	// Done, if not nil, is called in stream order, on one goroutine, after the frame was handed to w (encryption holds
	// back less than 64 KiB of it). raw is valid during the call only.
	Done func(raw []byte) error
}

// Totals are lengths and checksums of a whole stream. Sums are CRC-32C.
type Totals struct {
	// RawBytes and RawCRC are over the raw bytes; at level None that includes the zeros at the end, because they cannot
	// be told from data when the stream is read back.
	RawBytes int64
	RawCRC   uint32
	// StoredBytes, a multiple of PadBytes, and StoredCRC are over what was written.
	StoredBytes int64
	StoredCRC   uint32
}

// Writer makes one stream. Add and Close are called by one goroutine, Abort by any.
type Writer struct {
	level  Level
	ctx    context.Context // the pipeline's life: ends with its first error, which is the cause
	cancel context.CancelCauseFunc
	free   chan *slot // slots not in use
	work   chan *slot // to the workers
	order  chan *slot // to the sequencer, in stream order
	group  sync.WaitGroup
	closed bool
	added  int64 // raw bytes of the frames added

	// The rest belongs to the sequencer, and to Close after it.
	sink   *sink
	plain  io.Writer      // takes framed bytes: sink, or age's writer above it
	cipher io.WriteCloser // nil when not encrypted
	header int64          // bytes before the encrypted payload
	framed int64          // bytes written to plain
	table  tableWriter
	totals Totals
	err    error
}

// slot is one frame on its way through the pipeline, and its memory.
type slot struct {
	frame  Frame
	raw    []byte // FrameBytes long
	out    []byte // the frame; empty at level None
	offset int64  // raw offset, for messages
	err    error
	ready  chan struct{} // one token when raw and out are made
}

// NewWriter starts a stream on w, which one goroutine at a time writes to. When ctx ends, the writer stops by itself;
// Close says why.
func NewWriter(ctx context.Context, w io.Writer, o Options) (*Writer, error) {
	return newWriter(ctx, w, o, newCodec)
}

func newWriter(ctx context.Context, w io.Writer, o Options, newCodec newCodecFunc) (*Writer, error) {
	if !o.Level.valid() {
		return nil, fmt.Errorf("new frame writer: unknown compression level %d", int(o.Level))
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	wr := &Writer{level: o.Level, sink: newSink(w)}
	wr.plain = wr.sink
	if len(o.Recipients) > 0 {
		if err := wr.encrypt(o.Recipients); err != nil {
			return nil, fmt.Errorf("new frame writer: %w", err)
		}
	}
	codecs := make([]codec, o.Workers)
	for i := range codecs {
		if o.Level == None {
			break
		}
		c, err := newCodec(o.Level)
		if err != nil {
			return nil, fmt.Errorf("new frame writer: %w", err)
		}
		codecs[i] = &zeroCodec{codec: c}
	}
	wr.start(ctx, codecs)
	return wr, nil
}

func (w *Writer) encrypt(to []age.Recipient) error {
	if err := checkRecipients(to); err != nil {
		return err
	}
	cipher, err := age.Encrypt(w.sink, to...)
	if err != nil {
		return fmt.Errorf("encrypt: %w", err)
	}
	w.cipher, w.plain, w.header = cipher, cipher, w.sink.bytes
	return nil
}

// start makes two slots a worker: one in its hands, one waiting on either side. The channels hold all slots, so only
// taking a free one ever blocks.
func (w *Writer) start(ctx context.Context, codecs []codec) {
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	slots := 2 * len(codecs)
	w.free, w.work, w.order = make(chan *slot, slots), make(chan *slot, slots), make(chan *slot, slots)
	for range slots {
		w.free <- &slot{ready: make(chan struct{}, 1)}
	}
	for _, c := range codecs {
		w.group.Go(func() { w.worker(w.ctx, c) })
	}
	w.group.Go(func() { w.sequence(w.ctx) })
}

// Add queues a frame and waits while the pipeline is full. An error is the writer's first one, and final.
func (w *Writer) Add(f Frame) error {
	switch {
	case w.closed:
		return errors.New("add frame: writer is closed")
	case f.Bytes <= 0 || f.Bytes > FrameBytes || f.Fill == nil:
		return w.fail(fmt.Errorf("add frame: %d bytes: want 1 to %d and a fill function", f.Bytes, FrameBytes))
	case w.ctx.Err() != nil:
		return context.Cause(w.ctx)
	}
	select {
	case s := <-w.free:
		s.frame, s.offset = f, w.added
		w.added += int64(f.Bytes)
		w.work <- s
		w.order <- s
		return nil
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
}

// fail stops the pipeline and gives the error it stops with: the first one.
func (w *Writer) fail(err error) error {
	w.cancel(err)
	return context.Cause(w.ctx)
}

// worker fills and compresses frames, whichever comes next.
func (w *Writer) worker(ctx context.Context, c codec) {
	for {
		select {
		case s, ok := <-w.work:
			if !ok {
				return
			}
			s.err = s.make(ctx, c)
			s.ready <- struct{}{}
		case <-ctx.Done():
			return
		}
	}
}

func (s *slot) make(ctx context.Context, c codec) (err error) {
	if s.raw == nil {
		s.raw = make([]byte, FrameBytes)
	}
	raw := s.raw[:s.frame.Bytes]
	if err := s.frame.Fill(ctx, raw); err != nil {
		return fmt.Errorf("fill frame at raw byte %d: %w", s.offset, err)
	}
	if c == nil {
		return nil
	}
	if s.out, err = c.encode(s.out[:0], raw); err != nil {
		return fmt.Errorf("compress frame at raw byte %d: %w", s.offset, err)
	}
	return nil
}

// sequence writes the frames in the order in which they were added.
func (w *Writer) sequence(ctx context.Context) {
	for {
		select {
		case s, ok := <-w.order:
			if !ok {
				return
			}
			if err := w.take(ctx, s); err != nil {
				w.cancel(err)
				return
			}
			w.free <- s
		case <-ctx.Done():
			return
		}
	}
}

// take waits for a frame, writes it, and tells its maker.
func (w *Writer) take(ctx context.Context, s *slot) error {
	select {
	case <-s.ready:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if s.err != nil {
		return s.err
	}
	if err := w.put(s.raw[:s.frame.Bytes], s.out); err != nil {
		return err
	}
	if s.frame.Done != nil {
		if err := s.frame.Done(s.raw[:s.frame.Bytes]); err != nil {
			return fmt.Errorf("after frame at raw byte %d: %w", s.offset, err)
		}
	}
	s.frame = Frame{}
	return nil
}

func (w *Writer) put(raw, out []byte) error {
	w.totals.RawBytes += int64(len(raw))
	w.totals.RawCRC = crc32.Update(w.totals.RawCRC, castagnoli, raw)
	if w.level == None {
		out = raw
	} else if err := w.table.add(int64(len(out)), int64(len(raw))); err != nil {
		return err
	}
	if err := w.write(out); err != nil {
		return err
	}
	return w.sink.flush()
}

func (w *Writer) write(p []byte) error {
	w.framed += int64(len(p))
	_, err := w.plain.Write(p)
	return err
}

// Close waits for the frames added, and ends the stream: padding, seek table, last encrypted chunk. It does not close
// the underlying writer. After an error nothing more is written and no goroutine is left; a second call gives the
// same answer again.
func (w *Writer) Close() (Totals, error) {
	if w.closed {
		return w.totals, w.err
	}
	w.closed = true
	close(w.work)
	close(w.order)
	w.group.Wait()
	err := context.Cause(w.ctx)
	if err == nil {
		err = w.finish()
	}
	w.cancel(err)
	w.free, w.work, w.order = nil, nil, nil // the slots' memory
	if err != nil {
		w.totals, w.err = Totals{}, err
		return w.totals, w.err
	}
	w.totals.StoredBytes, w.totals.StoredCRC = w.sink.bytes, w.sink.crc
	return w.totals, nil
}

// Abort stops the writer and waits until its goroutines have ended; a Fill, a Done or a write that is under way is
// waited for, so these must not call it. Close then gives errAborted, or the error that came before.
func (w *Writer) Abort() {
	w.cancel(errAborted)
	w.group.Wait()
}

func (w *Writer) finish() error {
	if err := w.end(); err != nil {
		return err
	}
	if w.cipher != nil {
		if err := w.cipher.Close(); err != nil {
			return fmt.Errorf("encrypt: %w", err)
		}
	}
	if err := w.sink.flush(); err != nil {
		return err
	}
	if w.sink.bytes%PadBytes != 0 {
		panic(fmt.Sprintf("frames: stream padded to %d bytes", w.sink.bytes))
	}
	return nil
}

// end writes what comes after the last frame.
func (w *Writer) end() error {
	if w.level == None {
		zeros := make([]byte, paddedBytes(w.framed, w.header)-w.framed)
		w.totals.RawBytes += int64(len(zeros))
		w.totals.RawCRC = crc32.Update(w.totals.RawCRC, castagnoli, zeros)
		return w.write(zeros)
	}
	pad, table, err := w.table.tail(w.framed, w.header)
	if err != nil {
		return err
	}
	if err := w.write(pad); err != nil {
		return err
	}
	return w.write(table)
}

// sink counts and sums what goes to the underlying writer. Small writes are gathered, because age writes its chunks
// one by one; frames pass as they are.
type sink struct {
	buf   *bufio.Writer
	bytes int64
	crc   uint32
}

func newSink(w io.Writer) *sink { return &sink{buf: bufio.NewWriterSize(w, FrameBytes)} }

// Write implements io.Writer.
func (s *sink) Write(p []byte) (int, error) {
	n, err := s.buf.Write(p)
	if err != nil {
		return n, fmt.Errorf("write stream at byte %d: %w", s.bytes, err)
	}
	s.bytes += int64(n)
	s.crc = crc32.Update(s.crc, castagnoli, p)
	return n, nil
}

func (s *sink) flush() error {
	if err := s.buf.Flush(); err != nil {
		return fmt.Errorf("write stream up to byte %d: %w", s.bytes, err)
	}
	return nil
}
