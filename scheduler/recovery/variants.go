package recovery

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"holdfast/catalog"
	"holdfast/internal/qcow2"
	"holdfast/vtape"
	"holdfast/vtape/taper"
)

// A parity set hands out what its members give and does not know when one of them is wrong: only a checksum of what they
// make up tells. So when a frame or a block is found damaged everywhere it lies, it is read again from each parity set,
// leaving out one choice of members after another, until the checksum agrees. The choice may differ from frame to frame.

// add takes a replica in; set is what it holds.
func (l *layer) add(r *replica, set *qcow2.Set) {
	l.replicas = append(l.replicas, r)
	if l.set == nil {
		l.set, l.metadata = set, r.metadataBytes(set)
	}
}

// spares are the variants of a layer's places, opened one after another as they are asked for.
type spares struct {
	places []stored
	next   func() (stored, bool)
	stop   func()
	ended  bool
}

// open gives the next variant that can be opened at all.
func (s *spares) open(ctx context.Context, l *layer) bool {
	if s.next == nil && !s.ended {
		s.next, s.stop = iter.Pull(variants(s.places))
	}
	for !s.ended && ctx.Err() == nil {
		p, ok := s.next()
		if !ok {
			s.end()
			break
		}
		r, set, err := l.site.openReplica(ctx, l.dump, p)
		if err == nil {
			l.add(r, set)
			return true
		}
		_ = p.Close() // only read from
	}
	return false
}

func (s *spares) end() {
	s.ended = true
	if s.stop != nil {
		s.stop()
	}
}

// replica gives the n-th way to read the dump, variants after all others; nil when there is none.
func (l *layer) replica(ctx context.Context, n int) *replica {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n >= len(l.replicas) {
		if !l.spares.open(ctx, l) {
			return nil
		}
	}
	return l.replicas[n]
}

// variants gives the other ways to read copies that lie on parity sets.
func variants(places []stored) iter.Seq[stored] {
	return func(yield func(stored) bool) {
		for _, p := range places {
			c, ok := p.(copyStream)
			if !ok {
				continue
			}
			for v := range c.variants() {
				if !yield(v) {
					return
				}
			}
		}
	}
}

// variants gives the other ways to read a copy: of all its volumes, the same members are left out.
func (c copyStream) variants() iter.Seq[stored] {
	return func(yield func(stored) bool) {
		ctx := context.Background() // what is opened has been opened before; the caller looks at its own context
		if len(c.copy.Parts) == 0 {
			return
		}
		dev, err := c.open(ctx, c.copy.Parts[0].Label)
		set, ok := dev.(vtape.Redundant)
		if err != nil || !ok {
			return
		}
		nth := 0
		for leftOut := range set.Variants() {
			v, err := c.variant(ctx, nth, leftOut)
			if nth++; err == nil && !yield(v) {
				return
			}
		}
	}
}

// variant is the copy read by the n-th variant of each of its volumes.
func (c copyStream) variant(ctx context.Context, n int, leftOut string) (stored, error) {
	open := func(ctx context.Context, label catalog.Label) (vtape.Device, error) {
		dev, err := c.open(ctx, label)
		if err != nil {
			return nil, err
		}
		return nthVariant(dev, n)
	}
	r, err := taper.OpenCopy(ctx, c.copy.Parts, open)
	if err != nil {
		return nil, err
	}
	r.Tolerate(func(error) {}) // told when the copy was opened as it is
	return variantStream{copyStream{r, c.copy, open}, leftOut}, nil
}

var errNoVariant = errors.New("no such choice of members")

func nthVariant(dev vtape.Device, n int) (vtape.Device, error) {
	set, ok := dev.(vtape.Redundant)
	if !ok {
		return nil, errNoVariant
	}
	for _, v := range set.Variants() {
		if n == 0 {
			return v, nil
		}
		n--
	}
	return nil, errNoVariant
}

// variantStream is a copy read without some members.
type variantStream struct {
	copyStream
	leftOut string
}

// Name tells which members are left out.
func (v variantStream) Name() string { return fmt.Sprintf("%s, %s", v.copyStream.Name(), v.leftOut) }
