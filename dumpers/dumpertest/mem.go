package dumpertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"holdfast/dumpers"
)

// Mem is a source in memory with one disk, however large: only what was written takes memory. It does what the contract
// says until a test tells it not to. All methods may be called concurrently.
type Mem struct {
	disk string

	mu      sync.Mutex
	live    *image
	base    *image // as at the last commit; nil before the first
	tracks  bool
	moving  bool
	claims  []dumpers.Extent
	broken  map[int64]error
	changed string
}

var _ dumpers.Source = (*Mem)(nil)

// NewMem makes a source whose disk holds zeros.
func NewMem(disk string, sizeBytes int64) *Mem {
	return &Mem{disk: disk, live: &image{sizeBytes: sizeBytes, pages: map[int64]*[pageBytes]byte{}}, broken: map[int64]error{}}
}

// NewOverlay makes a source whose disk is an overlay of another one as it is now: what is not written here is Inherited.
func NewOverlay(disk string, sizeBytes int64, backing *Mem) *Mem {
	backing.mu.Lock()
	defer backing.mu.Unlock()
	m := NewMem(disk, sizeBytes)
	m.live.backing = backing.live.clone()
	return m
}

// Write changes the disk. A write past its end is a mistake in the test.
func (m *Mem) Write(off int64, p []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.checkRange(off, int64(len(p)))
	m.live.write(p, off)
}

// Discard makes whole pages of 64 KiB read as zeros, and be Zero extents.
func (m *Mem) Discard(off, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.checkRange(off, n)
	for i := off / pageBytes; i*pageBytes < off+n; i++ {
		m.live.pages[i] = nil
	}
}

func (m *Mem) checkRange(off, n int64) {
	if off < 0 || n < 0 || off+n > m.live.sizeBytes {
		panic(fmt.Sprintf("dumpertest: bytes %d+%d are outside of a disk of %d", off, n, m.live.sizeBytes))
	}
}

// Track makes the source tell what is Unchanged since the last commit.
func (m *Mem) Track() { m.set(func() { m.tracks = true }) }

// Move makes views show the disk as it is at each moment, instead of as it was when it was pinned.
func (m *Mem) Move() { m.set(func() { m.moving = true }) }

// Claim makes the source say that pages are of another kind than they are.
func (m *Mem) Claim(e dumpers.Extent) { m.set(func() { m.claims = append(m.claims, e) }) }

// Break makes reads that touch the page of 64 KiB at byte off fail, at its first byte; nil mends it.
func (m *Mem) Break(off int64, err error) { m.set(func() { m.broken[off/pageBytes] = err }) }

// SetChanged is what views say about the image having changed.
func (m *Mem) SetChanged(why string) { m.set(func() { m.changed = why }) }

func (m *Mem) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

// ReadAt reads the disk as it is now, without the errors that a test has set.
func (m *Mem) ReadAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.live.readAt(p, off)
}

func (m *image) readAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	n := min(int64(len(p)), max(m.sizeBytes-off, 0))
	m.read(p[:n], off)
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

// Describe implements dumpers.Source.
func (m *Mem) Describe(ctx context.Context) (dumpers.Description, error) {
	if err := ctx.Err(); err != nil {
		return dumpers.Description{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	info := dumpers.DiskInfo{Name: m.disk, Format: "raw", SizeBytes: m.live.sizeBytes, Identity: fmt.Sprintf("mem-%p", m)}
	for i := range m.live.pages {
		info.AllocatedBytes += min(pageBytes, m.live.sizeBytes-i*pageBytes)
	}
	return dumpers.Description{Disks: []dumpers.DiskInfo{info}}, nil
}

// Pin implements dumpers.Source.
func (m *Mem) Pin(ctx context.Context, _ dumpers.Journal, disks ...string) (dumpers.Point, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, d := range disks {
		if d != m.disk {
			return nil, fmt.Errorf("pin: no disk %q", d)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return &point{m: m, image: m.live.clone()}, nil
}

// Reap implements dumpers.Source. Nothing is ever made outside.
func (m *Mem) Reap(ctx context.Context, _ dumpers.Journal) ([]string, error) { return nil, ctx.Err() }

// point is a Mem at one point of time.
type point struct {
	m     *Mem
	image *image

	// Guarded by m.mu.
	open  int
	ended bool
}

func (p *point) Consistency(string) (dumpers.Consistency, string) {
	return dumpers.ConsistentOffline, ""
}

func (p *point) Metadata() map[string][]byte { return nil }

func (p *point) Disk(ctx context.Context, disk string) (dumpers.BlockView, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	if p.ended || disk != p.m.disk {
		return nil, fmt.Errorf("open disk %q: no such disk, or the point has ended", disk)
	}
	p.open++
	return &view{point: p, image: p.image}, nil
}

func (p *point) Commit(context.Context) error { return p.end(p.image) }

func (p *point) Abort(context.Context) error { return p.end(nil) }

// end ends the point, whose image becomes the base unless it is nil.
func (p *point) end(base *image) error {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	if p.ended || p.open > 0 {
		return fmt.Errorf("end point: ended before: %v, open views: %d", p.ended, p.open)
	}
	p.ended = true
	if base != nil {
		p.m.base = base
	}
	return nil
}

// view is the disk of a point.
type view struct {
	point *point
	image *image

	closed bool // guarded by point.m.mu
}

func (v *view) SizeBytes() int64 { return v.image.sizeBytes }

// now is the image to show. The source's lock is held.
func (v *view) now() *image {
	if v.point.m.moving {
		return v.point.m.live
	}
	return v.image
}

func (v *view) ReadAt(p []byte, off int64) (int, error) {
	m := v.point.m
	m.mu.Lock()
	now := v.now()
	if m.moving {
		now = now.clone()
	}
	fail, err := int64(-1), error(nil)
	for i, e := range m.broken {
		start := max(i*pageBytes, off)
		if e != nil && start < off+int64(len(p)) && start < (i+1)*pageBytes && (fail < 0 || start < fail) {
			fail, err = start, e
		}
	}
	if v.closed {
		fail, err = off, errors.New("view is closed")
	}
	m.mu.Unlock()
	if err != nil {
		n, _ := now.readAt(p[:fail-off], off)
		return n, err
	}
	return now.readAt(p, off)
}

func (v *view) Extents(ctx context.Context, yield func(dumpers.Extent) error) error {
	m := v.point.m
	m.mu.Lock()
	var base *image
	if m.tracks {
		base = m.base
	}
	list := v.now().extents(base, m.claims)
	m.mu.Unlock()
	for _, e := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := yield(e); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (v *view) Changed() (string, error) {
	v.point.m.mu.Lock()
	defer v.point.m.mu.Unlock()
	return v.point.m.changed, nil
}

func (v *view) Close() error {
	v.point.m.mu.Lock()
	defer v.point.m.mu.Unlock()
	if !v.closed {
		v.closed = true
		v.point.open--
	}
	return nil
}
