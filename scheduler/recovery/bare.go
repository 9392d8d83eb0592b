package recovery

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"holdfast/catalog"
	"holdfast/internal/blockmap"
	"holdfast/vtape"
)

// bare tells whether the dump's stream has no checksums of its own: neither frames that are compressed nor encryption.
func bare(d catalog.Dump) bool { return d.Compress == "" && d.Encrypt == "" }

// proveBare sees to it that no byte of a bare layer is handed out unchecked. The block map must be whole then; without
// one each such stream is read beforehand, and compared with the checksum in the catalog or in its header.
func (c *Chain) proveBare(ctx context.Context) error {
	if !slices.ContainsFunc(c.layers, func(l *layer) bool { return bare(l.dump) }) {
		return nil
	}
	c.strict = true
	if c.digests != nil {
		err := c.digests.Range(0, c.clusters(), func(int64, blockmap.Digest) error { return ctx.Err() })
		if err == nil || !errors.Is(err, blockmap.ErrDamaged) {
			return err
		}
		c.site.note("%s: block map left out: %v", c.top().ID, err)
		_ = c.digests.Close() // only read from
		c.digests = nil
	}
	for _, l := range c.layers {
		if err := l.proveWhole(ctx); err != nil {
			return err
		}
	}
	return nil
}

// proveWhole compares each replica of a bare layer with the checksum of the stream, and keeps those that agree.
func (l *layer) proveWhole(ctx context.Context) error {
	if !bare(l.dump) {
		return nil
	}
	if l.dump.StoredBytes == 0 {
		return fmt.Errorf("%s: neither a block map nor a checksum is there to check it with", l.dump.ID)
	}
	var errs error
	wrong := func(r *replica) bool {
		err := l.provenBy(ctx, r)
		if err == nil {
			return false
		}
		errs = errors.Join(errs, err)
		_ = r.stored.Close() // only read from
		return true
	}
	l.replicas = slices.DeleteFunc(l.replicas, wrong)
	for len(l.replicas) == 0 && l.replica(ctx, 0) != nil {
		l.replicas = slices.DeleteFunc(l.replicas, wrong)
	}
	if len(l.replicas) == 0 {
		return fmt.Errorf("%s: %w", l.dump.ID, errors.Join(ErrNoCopy, errs))
	}
	if errs != nil {
		l.site.note("%s: a copy is left out: %v", l.dump.ID, errs)
	}
	return nil
}

// provenBy compares one replica with the checksum of the whole stream.
func (l *layer) provenBy(ctx context.Context, r *replica) error {
	sum := crc32.New(vtape.Castagnoli)
	_, err := io.Copy(sum, readerOf(ctx, r.stored))
	if err == nil && sum.Sum32() != l.dump.StoredCRC {
		err = fmt.Errorf("checksum %08x, want %08x", sum.Sum32(), l.dump.StoredCRC)
		err = named(r.stored, errors.Join(somewhere(r.stored, err), r.stored.Verify(ctx)))
	}
	return err
}

// readerOf reads a stream from its beginning until ctx is cancelled.
func readerOf(ctx context.Context, s stored) io.Reader {
	return cancelled{ctx, io.NewSectionReader(s, 0, s.Size())}
}

type cancelled struct {
	ctx context.Context
	io.Reader
}

// Read reads, unless the context is cancelled.
func (c cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.Reader.Read(p)
}
