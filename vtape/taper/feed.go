package taper

import (
	"fmt"
	"io"
)

// feedBytes is how much is read and written at a time.
const feedBytes = 1 << 20

// feed hands out the bytes of a dump and takes back those that no volume took.
type feed struct {
	from io.Reader
	held *io.SectionReader // from, when the dump is at rest and can be read again; else nil

	buf  []byte
	base int64 // where buf begins in the stream
	n    int   // bytes in buf
	pos  int   // of these, taken
	err  error // what comes after buf; io.EOF at the end
}

func newFeed(d Dump) *feed {
	f := &feed{from: d.Stream, buf: make([]byte, feedBytes)}
	if d.Held != nil {
		f.held = io.NewSectionReader(d.Held, 0, d.HeldBytes)
		f.from = f.held
	}
	return f
}

// offset is where the next byte lies in the stream.
func (f *feed) offset() int64 { return f.base + int64(f.pos) }

// more tells whether there are bytes left, and reads them if need be. An error is the source's.
func (f *feed) more() (bool, error) {
	if f.pos < f.n {
		return true, nil
	}
	if f.err == nil {
		f.read()
	}
	if f.n > f.pos {
		return true, nil
	}
	if f.err != io.EOF {
		return false, fmt.Errorf("read dump: %w", f.err)
	}
	if f.held != nil && f.offset() < f.held.Size() {
		return false, fmt.Errorf("read dump: at byte %d of %d: %w", f.offset(), f.held.Size(), io.ErrUnexpectedEOF)
	}
	return false, nil
}

// read fills the buffer. It is not io.ReadFull, which gives io.ErrUnexpectedEOF for an end: from a source, that is an
// error.
func (f *feed) read() {
	f.base, f.n, f.pos = f.offset(), 0, 0
	for f.n < len(f.buf) && f.err == nil {
		var n int
		n, f.err = f.from.Read(f.buf[f.n:])
		f.n += n
	}
}

// next gives at most max bytes of those that more has found.
func (f *feed) next(maxBytes int64) []byte {
	p := f.buf[f.pos:f.n]
	return p[:min(int64(len(p)), maxBytes)]
}

// take moves on by n bytes.
func (f *feed) take(n int) { f.pos += n }

// rewind goes back to an offset handed out before, and tells whether it could: a stream keeps only what is in the
// buffer.
func (f *feed) rewind(offset int64) bool {
	if offset >= f.base && offset <= f.base+int64(f.n) {
		f.pos = int(offset - f.base)
		return true
	}
	if f.held == nil {
		return false
	}
	if _, err := f.held.Seek(offset, io.SeekStart); err != nil {
		return false
	}
	f.base, f.n, f.pos, f.err = offset, 0, 0, nil
	return true
}
