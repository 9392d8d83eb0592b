package recovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"holdfast/catalog"
	"holdfast/internal/frames"
	"holdfast/internal/qcow2"
)

// layer is one dump of a chain, open: the clusters it holds and where they lie in its stream.
type layer struct {
	dump catalog.Dump
	site *Site
	// replicas are the places the dump lies in, the one to read first at the front. All hold the same bytes.
	replicas []*replica
	// spares become replicas when all others have failed.
	spares spares
	mu     sync.Mutex // guards replicas and spares once the layer is open
	// set are the clusters this dump holds; data cluster i lies at metadata + i*64 KiB of the raw stream.
	set      *qcow2.Set
	metadata int64
}

// replica is a dump in one place, decoded.
type replica struct {
	stored stored
	frames *frames.Reader
	image  *qcow2.Image
}

// openLayer opens a dump from every place it lies in that can be opened at all; what cannot is noted.
func (s *Site) openLayer(ctx context.Context, d catalog.Dump) (*layer, error) {
	if d.Program != catalog.ProgramImage {
		return nil, fmt.Errorf("%s: %w", d.ID, ErrNative)
	}
	places, err := s.openPlaces(ctx, d)
	l := &layer{dump: d, site: s}
	for _, p := range places {
		r, set, openErr := s.openReplica(ctx, d, p)
		if openErr != nil {
			err = errors.Join(err, openErr)
			_ = p.Close() // only read from
			continue
		}
		l.add(r, set)
	}
	l.spares.places = places
	if len(l.replicas) == 0 {
		_ = l.replica(ctx, 0) // the first variant that can be opened
	}
	switch {
	case len(l.replicas) == 0 && err == nil:
		return nil, fmt.Errorf("%s: %w", d.ID, ErrNoCopy)
	case len(l.replicas) == 0:
		return nil, fmt.Errorf("%s: no copy can be read: %w", d.ID, err)
	}
	if err != nil {
		s.note("%s: a copy is left out: %v", d.ID, err)
	}
	return l, nil
}

// openReplica opens the layers of one place and checks the stream's structure: its metadata must be, to the byte, what
// our writer makes for the clusters that it names.
func (s *Site) openReplica(ctx context.Context, d catalog.Dump, p stored) (*replica, *qcow2.Set, error) {
	ids := s.Identities
	switch {
	case d.Encrypt == "":
		ids = nil
	case len(ids) == 0:
		return nil, nil, fmt.Errorf("%s: %w: the dump is encrypted", p.Name(), frames.ErrNoIdentity)
	}
	fr, err := frames.Open(p, p.Size(), frames.ReadOptions{
		Compress: d.Compress != "", Identities: ids, RawBytes: d.OrigBytes,
	})
	if errors.Is(err, frames.ErrNoIdentity) {
		return nil, nil, named(p, err)
	}
	if err != nil {
		return nil, nil, named(p, somewhere(p, err))
	}
	if why := fr.Rebuilt(); why != nil {
		s.note("%s: seek table rebuilt: %v", p.Name(), why)
	}
	image, err := qcow2.Open(fr, fr.Size())
	if err != nil {
		return nil, nil, named(p, damagedAt(fr, 0, err))
	}
	set, err := image.Set(ctx)
	if err != nil {
		return nil, nil, named(p, somewhere(p, err))
	}
	r := &replica{stored: p, frames: fr, image: image}
	return r, set, named(p, r.checkStructure(set))
}

// somewhere says that it does not show which byte of the stream is wrong.
func somewhere(p stored, err error) error {
	var known *frames.DamageError
	if errors.As(err, &known) {
		return err
	}
	return &frames.DamageError{StoredLength: p.Size(), Err: err}
}

// damagedAt says that err is about the frame that holds the byte at off of the raw stream. A frame that is compressed
// has a checksum of its own; one that is not is only seen to be wrong by what it holds.
func damagedAt(fr *frames.Reader, off int64, err error) error {
	var known *frames.DamageError
	if errors.As(err, &known) || fr.Size() == 0 {
		return err
	}
	_, _, stored, length := fr.FrameInfo(fr.FrameAt(off))
	return &frames.DamageError{StoredOffset: stored, StoredLength: length, Err: err}
}

func (r *replica) metadataBytes(set *qcow2.Set) int64 {
	layout, err := r.layout(set)
	if err != nil {
		panic(err) // checkStructure made it before
	}
	return layout.MetadataBytes()
}

func (r *replica) layout(set *qcow2.Set) (*qcow2.Layout, error) {
	backing, _ := r.image.Backing()
	return qcow2.NewLayout(r.image.SizeBytes(), set, backing)
}

func (r *replica) checkStructure(set *qcow2.Set) error {
	layout, err := r.layout(set)
	if err != nil {
		return err
	}
	if r.frames.Size() < layout.SizeBytes() {
		return fmt.Errorf("qcow2 stream: %d bytes, its tables need %d", r.frames.Size(), layout.SizeBytes())
	}
	want, got := make([]byte, qcow2.ClusterBytes), make([]byte, qcow2.ClusterBytes)
	for off := int64(0); off < layout.MetadataBytes(); off += qcow2.ClusterBytes {
		if err := layout.ReadMetadata(want, off); err != nil {
			return err
		}
		if _, err := r.frames.ReadAt(got, off); err != nil {
			return err
		}
		if !bytes.Equal(want, got) {
			return damagedAt(r.frames, off, fmt.Errorf("qcow2 stream: metadata at byte %d are not what the writer makes", off))
		}
	}
	return nil
}

// readFrame decodes one frame from the first replica that gives it undamaged; check is part of the proof.
func (l *layer) readFrame(ctx context.Context, i int, buf []byte, check func(raw []byte) error) ([]byte, error) {
	var errs error
	for n := 0; ; n++ {
		r := l.replica(ctx, n)
		if r == nil {
			return nil, fmt.Errorf("%s: %w", l.dump.ID, errs)
		}
		raw, err := r.frames.ReadFrame(ctx, i, buf)
		if err == nil {
			if err = check(raw); err == nil {
				if n > 0 {
					l.site.note("%s: read from another copy: %v", l.dump.ID, errs)
				}
				return raw, nil
			}
			_, _, off, length := r.frames.FrameInfo(i)
			err = &frames.DamageError{StoredOffset: off, StoredLength: length, Err: err}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		errs = errors.Join(errs, named(r.stored, err))
	}
}

func (l *layer) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spares.end()
	for _, r := range l.replicas {
		_ = r.stored.Close() // only read from
	}
}
