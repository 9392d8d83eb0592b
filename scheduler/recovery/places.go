package recovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"holdfast/catalog"
	"holdfast/internal/frames"
	"holdfast/vtape"
	"holdfast/vtape/holding"
	"holdfast/vtape/taper"
)

// stored is a dump's stored stream in one place.
type stored interface {
	vtape.Stream
	// Name says where, for messages: a holding disk, or the volumes.
	Name() string
	// Verify reads all of it and compares sizes and checksums with the catalog.
	Verify(ctx context.Context) error
	Close() error
}

type heldStream struct {
	*holding.Reader
	path string
}

func (h heldStream) Name() string { return "holding disk " + h.path }

type copyStream struct {
	*taper.Stream
	copy catalog.Copy
	open taper.OpenDevice
}

// Verify goes on after a part that is damaged: the others may be, too, and all must be named.
func (c copyStream) Verify(ctx context.Context) error {
	var errs error
	for _, p := range c.copy.Parts {
		dev, err := c.open(ctx, p.Label)
		if err == nil {
			err = taper.VerifyPart(ctx, dev, p)
		}
		errs = errors.Join(errs, err)
	}
	return errs
}

func (c copyStream) Name() string { return "volumes " + labelList(c.copy) }

// labelList names the volumes of a copy in the order in which they are read.
func labelList(c catalog.Copy) string {
	var labels []string
	for _, p := range c.Parts {
		if n := len(labels); n == 0 || labels[n-1] != string(p.Label) {
			labels = append(labels, string(p.Label))
		}
	}
	return strings.Join(labels, ", ")
}

// openPlaces opens the stored stream in every place it lies in: the holding disk first, for it is nearest. The error
// joins what could not be opened; there may be places all the same.
func (s *Site) openPlaces(ctx context.Context, d catalog.Dump) ([]stored, error) {
	var places []stored
	var errs error
	held, err := s.Catalog.Holding(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	if held != nil && len(held.Chunks) > 0 {
		r, err := holding.Open(s.FS, *held)
		if err == nil {
			places = append(places, heldStream{r, held.Chunks[0].Path})
		}
		errs = errors.Join(errs, err)
	}
	copies, err := s.Catalog.Copies(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	for _, c := range s.bestFirst(copies) {
		if !c.Status.Usable() {
			continue
		}
		r, err := s.openCopy(ctx, c)
		if err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		places = append(places, r)
	}
	return places, errs
}

// bestFirst sorts copies by the rank of their storage; among equals the one in fewest pieces comes first.
func (s *Site) bestFirst(copies []catalog.Copy) []catalog.Copy {
	if s.Rank == nil {
		return copies
	}
	return slices.SortedStableFunc(slices.Values(copies), func(a, b catalog.Copy) int {
		return cmp.Or(cmp.Compare(s.Rank(a.Storage), s.Rank(b.Storage)), cmp.Compare(len(a.Parts), len(b.Parts)))
	})
}

// openCopy opens a copy on volumes. A damaged part header does not keep its data from being restored: the catalog knows
// what it said, and each block is checked all the same.
func (s *Site) openCopy(ctx context.Context, c catalog.Copy) (stored, error) {
	open := func(ctx context.Context, label catalog.Label) (vtape.Device, error) {
		return s.Device(ctx, c.Storage, label)
	}
	if err := allThere(ctx, c.Parts, open); err != nil {
		return nil, err
	}
	r, err := taper.OpenCopy(ctx, c.Parts, open)
	if err != nil {
		return nil, err
	}
	r.Tolerate(func(err error) { s.note("%v: the header is not needed, the data are read all the same", err) })
	return copyStream{r, c, open}, nil
}

// allThere tells at once which volumes are absent: that is not damage, and nothing has to be read to know it.
func allThere(ctx context.Context, parts []catalog.Part, open taper.OpenDevice) error {
	var errs error
	asked := map[catalog.Label]bool{}
	for _, p := range parts {
		if asked[p.Label] {
			continue
		}
		asked[p.Label] = true
		if _, err := open(ctx, p.Label); err != nil {
			errs = errors.Join(errs, fmt.Errorf("volume %s: %w", p.Label, err))
		}
	}
	return errs
}

// named adds to an error of a stream where it lies: volume, file and bytes, or the holding file; the place as a whole
// when no bytes are known.
func named(p stored, err error) error {
	var damage *frames.DamageError
	var known *vtape.Damage
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case !errors.As(err, &damage):
		return fmt.Errorf("%s: %w", p.Name(), err)
	}
	var errs error
	off, end := damage.StoredOffset, damage.StoredOffset+damage.StoredLength
	for { // a frame may lie in several parts
		at := p.Locate(off)
		if at.Path != "" {
			return fmt.Errorf("%s: %w", at, err)
		}
		length := min(end-off, at.Left)
		errs = errors.Join(errs, &vtape.Damage{Label: at.Label, File: at.File, Offset: at.Offset, Length: length, Err: err})
		off += at.Left
		if off >= end || at.Left <= 0 {
			return errs
		}
	}
}
