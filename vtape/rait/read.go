package rait

import (
	"fmt"
	"io"
	"slices"
	"sync"

	"holdfast/catalog"
	"holdfast/vtape"
)

// partReader reads a part from its members. What a member does not give is rebuilt from the others.
type partReader struct {
	d       *Device
	label   catalog.Label
	number  int
	files   []*opened // by member; nil where there is none
	suspect []int     // members whose header cannot be read; used last
	header  vtape.Header
	raw     []byte
	// size is the part's length, memberSize that of the data on each member.
	size, memberSize int64

	mu     sync.Mutex // guards faults
	faults []MemberFault
}

// ReadAt reads the part's data. What cannot be rebuilt is a *vtape.Damage that names the members.
func (r *partReader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read file %d: negative offset %d", r.number, off)
	}
	end := error(nil)
	if left := max(0, r.size-off); int64(len(p)) > left {
		p, end = p[:left], io.EOF
	}
	for n := 0; n < len(p); {
		w := r.window(off+int64(n), int64(len(p)-n))
		if err := r.read(w, p[n:n+int(w.length)]); err != nil {
			return n, &vtape.Damage{
				Label: r.label, File: r.number, Offset: vtape.HeaderBytes + off + int64(n), Length: int64(len(p) - n), Err: err,
			}
		}
		n += int(w.length)
	}
	return len(p), end
}

// window is a piece of a part that is read at once.
type window struct {
	// off and length are the bytes of the part.
	off, length int64
	// at and n are the bytes that are read of each member for it.
	at, n int64
	// piece is how long what lies on one member is before the next one follows; whole is set when the window is whole
	// stripes.
	piece int64
	whole bool
	// first and last are the data members that it lies on.
	first, last int
}

// window gives the first piece of length bytes from off, which are inside the part.
func (r *partReader) window(off, length int64) window {
	f := r.d.form
	if f.data == 1 {
		length = min(length, f.round()*f.shard)
		return window{off: off, length: length, at: off, n: length, piece: length}
	}
	stripe, within := off/f.stripe(), off%f.stripe()
	piece := min(f.shard, r.memberSize-stripe*f.shard)
	if within == 0 && length >= f.stripe() && piece == f.shard {
		count := min(length/f.stripe(), f.round())
		return window{
			off: off, length: count * f.stripe(), at: stripe * f.shard, n: count * f.shard,
			piece: f.shard, whole: true, last: f.data - 1,
		}
	}
	length = min(length, f.stripe()-within)
	w := window{off: off, length: length, at: stripe * f.shard, n: piece, piece: piece}
	w.first, w.last = int(within/piece), int((within+length-1)/piece)
	if w.first == w.last {
		w.at, w.n = w.at+within%piece, length
	}
	return w
}

// read fills p with the bytes of a window.
func (r *partReader) read(w window, p []byte) error {
	g := &gathering{r: r, w: w, shards: make([][]byte, r.d.form.members()), failed: make([]bool, r.d.form.members())}
	defer g.release()
	direct := w.first == w.last || w.whole && w.n == w.piece
	if direct {
		for j := w.first; j <= w.last; j++ {
			g.shards[j] = p[int64(j-w.first)*w.n:][:w.n:w.n]
		}
	}
	if err := g.gather(); err != nil {
		return err
	}
	if direct {
		return nil
	}
	if w.whole {
		for at := int64(0); at < w.n; at += w.piece {
			for j := w.first; j <= w.last; j++ {
				p = p[copy(p, g.shards[j][at:at+w.piece]):]
			}
		}
		return nil
	}
	skip := w.off % r.d.stripe() % w.piece
	for j := w.first; j <= w.last; j++ {
		p = p[copy(p, g.shards[j][skip:]):]
		skip = 0
	}
	return nil
}

// gathering is the shards of one window being read.
type gathering struct {
	r      *partReader
	w      window
	shards [][]byte // by member: where its bytes go, or are
	have   []bool   // by member: they are there
	failed []bool   // by member: they cannot be read
	pooled []*[]byte
}

// gather gets the bytes of the data members first to last, from themselves or from the others.
func (g *gathering) gather() error {
	g.have = make([]bool, len(g.shards))
	for {
		members, rebuild := g.choose()
		if members == nil {
			return g.r.tooFew()
		}
		if g.readAll(members) {
			if rebuild {
				return g.rebuild()
			}
			return nil
		}
	}
}

// choose gives the members to read: those that the bytes lie on, or, when one of them has failed, as many as it takes
// to rebuild it. It gives nil when there are too few.
func (g *gathering) choose() (members []int, rebuild bool) {
	usable := func(i int) bool { return g.r.files[i] != nil && !g.failed[i] }
	for j := g.w.first; j <= g.w.last; j++ {
		rebuild = rebuild || !usable(j)
	}
	if !rebuild {
		for j := g.w.first; j <= g.w.last; j++ {
			members = append(members, j)
		}
		return members, false
	}
	rank := func(i int) int {
		switch {
		case g.have[i]:
			return 0
		case slices.Contains(g.r.suspect, i):
			return 2
		}
		return 1
	}
	for i := range g.shards {
		if usable(i) {
			members = append(members, i)
		}
	}
	if len(members) < g.r.d.data {
		return nil, true
	}
	slices.SortStableFunc(members, func(a, b int) int { return rank(a) - rank(b) })
	return members[:g.r.d.data], true
}

// readAll reads what is not there yet of the members, and tells whether all could be read.
func (g *gathering) readAll(members []int) bool {
	var todo []int
	for _, i := range members {
		if g.have[i] {
			continue
		}
		todo = append(todo, i)
		g.place(i)
	}
	read := func(i int) error { return g.r.readMember(i, g.shards[i], g.w.at) }
	if len(todo) == 1 {
		err := read(todo[0])
		return g.done(todo[0], err)
	}
	errs := g.r.d.each(todo, read)
	good := true
	for _, i := range todo {
		good = g.done(i, errs[i]) && good
	}
	return good
}

// place makes sure that a member's bytes have a place.
func (g *gathering) place(member int) {
	if g.shards[member] == nil {
		b := g.r.d.scratch.Get().(*[]byte)
		g.pooled = append(g.pooled, b)
		g.shards[member] = (*b)[:g.w.n:g.w.n]
	}
}

func (g *gathering) done(member int, err error) bool {
	g.have[member], g.failed[member] = err == nil, err != nil
	if err != nil {
		g.r.fault(member, err)
	}
	return err == nil
}

func (g *gathering) rebuild() error {
	want := make([]bool, len(g.shards))
	given := make([][]byte, len(g.shards))
	for i := range g.shards {
		if needed := i >= g.w.first && i <= g.w.last; needed && !g.have[i] {
			g.place(i)
			want[i], given[i] = true, g.shards[i][:0]
		} else if g.have[i] {
			given[i] = g.shards[i]
		}
	}
	if err := g.r.d.codec.rebuild(given, want); err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	for i := range want {
		if want[i] {
			copy(g.shards[i], given[i]) // the same bytes when there was room for them
		}
	}
	return nil
}

func (g *gathering) release() {
	for _, b := range g.pooled {
		g.r.d.scratch.Put(b)
	}
}

// readMember reads all of p from the data of a member.
func (r *partReader) readMember(member int, p []byte, off int64) error {
	n, err := r.files[member].r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = MemberFault{
			Member: r.d.members[member].Name, Index: member, Kind: FaultShort, File: r.number,
			Err: fmt.Errorf("ends at byte %d of %d", off+int64(n), r.memberSize),
		}
	}
	return err
}

func (r *partReader) tooFew() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &TooFew{Members: r.d.form.members(), Need: r.d.data, Faults: slices.Clone(r.faults)}
}
