package file

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"holdfast/dumpers"
)

// The kinds of relation.
const (
	// KindBacking: the image is an overlay of its base.
	KindBacking = "backing"
	// KindCopy: the image was once copied from its base, or both from a third, and still has much in common with it.
	KindCopy = "copy"
)

// Relation says that an image rests on another, or began as a copy of it. Following bases never leads in a circle.
type Relation struct {
	// Image and Base are paths. The base of an overlay need not be among the images that were looked at.
	Image, Base string
	Kind        string
	// Share is how much of the image's data is the same in the base, at the same place: 0 to 1, an estimate from a sample
	// for a copy, and 1 for an overlay.
	Share float64
}

const (
	// sampleBlocks is how many blocks of an image are looked at. A share is off by 3 in 100 at most, two times in three.
	sampleBlocks = 256
	// leastBlocks is how many blocks there must be to compare: a few blocks alike prove nothing.
	leastBlocks = 8
	// leastShare of its data makes an image a copy.
	leastShare = 0.5
)

// Relations tells which of the images are overlays, and which are copies that have drifted from another: the older one,
// by the time of its last change, that has most in common with it. It reads some 16 MiB of each image that is not an
// overlay. Images found with an error are left out; an image that cannot be read here leaves the others to be compared,
// and its error is returned with their relations.
func Relations(ctx context.Context, found []Found) ([]Relation, error) {
	var relations []Relation
	var errs []error
	var samples []sample
	for _, f := range found {
		switch {
		case f.Err != nil:
		case f.Backing != "":
			relations = append(relations, Relation{Image: f.Path, Base: f.Backing, Kind: KindBacking, Share: 1})
		default:
			s, err := takeSample(ctx, f)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("compare images: %w", err))
				continue
			}
			samples = append(samples, s)
		}
	}
	relations = append(relations, copies(samples)...)
	slices.SortFunc(relations, func(a, b Relation) int { return cmp.Compare(a.Image, b.Image) })
	return relations, errors.Join(errs...)
}

// sample is what was read of an image. Which blocks are read depends on their place only: those data blocks whose places
// have the lowest ranks. So two images that hold data in the same places are sampled in the same places.
type sample struct {
	path    string
	changed time.Time
	blocks  []block // by rising rank, without those that are zero
	// all is set when no data block was left out, else the last rank tells how far the sample goes.
	all  bool
	last uint64
}

type block struct{ rank, digest uint64 }

// rank scatters block numbers (the finalizer of splitmix64).
func rank(n int64) uint64 {
	x := uint64(n) + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// takeSample reads the sample of an image.
func takeSample(ctx context.Context, f Found) (sample, error) {
	c, err := openUnlocked(ctx, f.Path, f.Format, func() {})
	if err != nil {
		return sample{}, err
	}
	defer c.close()
	places, all, err := c.lowest(ctx)
	if err != nil {
		return sample{}, err
	}
	s := sample{path: f.Path, changed: c.top().state.info.ModTime(), all: all}
	var buffer, zeros [blockBytes]byte
	for _, n := range places {
		if err := ctx.Err(); err != nil {
			return sample{}, err
		}
		s.last = rank(n)
		size, err := c.top().ReadAt(buffer[:], n*blockBytes)
		if err != nil && err != io.EOF {
			return sample{}, err
		}
		if !bytes.Equal(buffer[:size], zeros[:size]) {
			s.blocks = append(s.blocks, block{s.last, xxhash.Sum64(buffer[:size])})
		}
	}
	return s, nil
}

// lowest gives the data blocks of lowest rank, by rank, and whether these are all there are.
func (c chain) lowest(ctx context.Context) (places []int64, all bool, err error) {
	byRank := func(a, b int64) int { return cmp.Compare(rank(a), rank(b)) }
	all = true
	shrink := func() {
		slices.SortFunc(places, byRank)
		if len(places) > sampleBlocks {
			places, all = places[:sampleBlocks], false
		}
	}
	limit := ^uint64(0)
	err = c.extents(ctx, func(e dumpers.Extent) error {
		if e.Kind == dumpers.Zero {
			return nil
		}
		for n := e.Start / blockBytes; n*blockBytes < e.Start+e.Length; n++ {
			if rank(n) > limit {
				continue
			}
			if places = append(places, n); len(places) == 4*sampleBlocks {
				shrink()
				limit = rank(places[len(places)-1])
			}
		}
		return nil
	})
	shrink()
	return places, all, err
}

// copies finds for each sample the older one that has most in common with it.
func copies(samples []sample) []Relation {
	slices.SortFunc(samples, func(a, b sample) int {
		return cmp.Or(a.changed.Compare(b.changed), cmp.Compare(a.path, b.path))
	})
	var relations []Relation
	holders := map[block][]int{} // which of the older samples have a block
	for i, s := range samples {
		same := make([]int, i)
		for _, b := range s.blocks {
			for _, older := range holders[b] {
				same[older]++
			}
			holders[b] = append(holders[b], i)
		}
		best, bestShare := 0, 0.0
		for older, n := range same {
			comparable := s.upTo(samples[older])
			if comparable < leastBlocks {
				continue
			}
			if share := float64(n) / float64(comparable); share > bestShare {
				best, bestShare = older, share
			}
		}
		if bestShare >= leastShare {
			relations = append(relations, Relation{Image: s.path, Base: samples[best].path, Kind: KindCopy, Share: bestShare})
		}
	}
	return relations
}

// upTo is how many blocks of s the sample of another image would hold if that had data there, too.
func (s sample) upTo(o sample) int {
	if o.all {
		return len(s.blocks)
	}
	n, _ := slices.BinarySearchFunc(s.blocks, o.last+1, func(b block, rank uint64) int { return cmp.Compare(b.rank, rank) })
	return n
}
