// Package joined makes one io.ReaderAt of many pieces (the chunks of a dump on a holding disk, the parts of a dump on
// volumes). Its invariant: a piece is opened when it is first read, and only a bounded number stays open, so that a
// dump in thousands of pieces costs no more than one in two.
package joined

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sort"
	"sync"
)

// keepOpen is how many pieces stay open between reads: a restore reads one piece, and a metadata table in another.
const keepOpen = 8

// ReaderAtCloser is an open piece. ReadAt may be called concurrently.
type ReaderAtCloser interface {
	io.ReaderAt
	io.Closer
}

// Piece is one of the things joined. Open is called when the piece is read, again after it was closed meanwhile, and
// after an error; by one goroutine at a time.
type Piece struct {
	Bytes int64
	Open  func() (ReaderAtCloser, error)
}

// Reader reads all pieces as one. Its methods may be called concurrently, except Close.
type Reader struct {
	pieces []Piece
	ends   []int64 // ends[i] is where piece i ends in the whole

	mu     sync.Mutex // guards all below, and refs and used of the entries
	open   map[int]*entry
	clock  int64
	closed bool
}

type entry struct {
	once sync.Once
	r    ReaderAtCloser
	err  error
	refs int
	used int64 // clock of the last use
}

// New joins pieces in their order. Pieces of no bytes are never opened.
func New(pieces []Piece) *Reader {
	r := &Reader{pieces: pieces, open: make(map[int]*entry)}
	var end int64
	for _, p := range pieces {
		end += p.Bytes
		r.ends = append(r.ends, end)
	}
	return r
}

// Size is the number of bytes in all.
func (r *Reader) Size() int64 {
	if len(r.ends) == 0 {
		return 0
	}
	return r.ends[len(r.ends)-1]
}

// Find tells which piece holds the byte at off, and where in it. For an offset at or past the end it is the last
// piece.
func (r *Reader) Find(off int64) (piece int, within int64) {
	i := sort.Search(len(r.ends), func(i int) bool { return r.ends[i] > off })
	i = max(0, min(i, len(r.ends)-1))
	if i > 0 {
		off -= r.ends[i-1]
	}
	return i, off
}

// ReadAt reads over the borders of pieces. A piece shorter than it claims gives io.ErrUnexpectedEOF, never io.EOF.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	done := 0
	for done < len(p) {
		if off >= r.Size() {
			return done, io.EOF
		}
		i, within := r.Find(off)
		n := int(min(int64(len(p)-done), r.pieces[i].Bytes-within))
		got, err := r.readPiece(i, p[done:done+n], within)
		done += got
		off += int64(got)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

func (r *Reader) readPiece(i int, p []byte, off int64) (int, error) {
	e, err := r.acquire(i)
	if err != nil {
		return 0, err
	}
	defer r.release(i, e)
	n, err := e.r.ReadAt(p, off)
	if n == len(p) {
		return n, nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (r *Reader) acquire(i int) (*entry, error) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil, fs.ErrClosed
	}
	e := r.open[i]
	if e == nil {
		e = &entry{}
		r.open[i] = e
	}
	e.refs++
	r.clock++
	e.used = r.clock
	r.mu.Unlock()

	// Outside of the lock: opening may take long (another volume, a network), and other pieces can be read meanwhile.
	e.once.Do(func() { e.r, e.err = r.pieces[i].Open() })
	if e.err != nil {
		r.release(i, e)
		return nil, e.err
	}
	return e, nil
}

// release gives an entry back; one that could not be opened is forgotten, so that the next read tries again.
func (r *Reader) release(i int, e *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.refs--
	if e.err != nil && r.open[i] == e {
		delete(r.open, i)
	}
	for len(r.open) > keepOpen {
		oldest := -1
		for j, o := range r.open {
			if o.refs == 0 && (oldest < 0 || o.used < r.open[oldest].used) {
				oldest = j
			}
		}
		if oldest < 0 {
			return
		}
		_ = r.open[oldest].r.Close() // it was only read
		delete(r.open, oldest)
	}
}

// Close closes what is open. No other method may be running, and none is of use afterwards.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	var errs []error
	for _, i := range slices.Sorted(maps.Keys(r.open)) {
		errs = append(errs, r.open[i].r.Close())
		delete(r.open, i)
	}
	return errors.Join(errs...)
}
