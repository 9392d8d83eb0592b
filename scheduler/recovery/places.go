package recovery

import (
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
	for _, c := range copies {
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

// openCopy opens a copy on volumes. The checksums of the part headers are left to Verify: a header whose words are
// right does not keep its data from being restored.
func (s *Site) openCopy(ctx context.Context, c catalog.Copy) (stored, error) {
	open := func(ctx context.Context, label catalog.Label) (vtape.Device, error) {
		return s.Device(ctx, c.Storage, label)
	}
	parts := slices.Clone(c.Parts)
	for i := range parts {
		parts[i].HeaderCRC = 0
	}
	r, err := taper.OpenCopy(ctx, parts, open)
	if err != nil {
		return nil, err
	}
	return copyStream{r, c, open}, nil
}

// named adds to damage of a stream where it lies: volume, file and bytes, or the holding file.
func named(p stored, err error) error {
	var damage *frames.DamageError
	if err == nil || !errors.As(err, &damage) {
		return err
	}
	at := p.Locate(damage.StoredOffset)
	if at.Path != "" {
		return fmt.Errorf("%s: %w", at, err)
	}
	return &vtape.Damage{Label: at.Label, File: at.File, Offset: at.Offset, Length: min(damage.StoredLength, at.Left), Err: err}
}
