package recovery

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/frames"
	"holdfast/internal/qcow2"
)

// ReadAt reads the disk, checking each cluster it touches. It may be called concurrently.
func (c *Chain) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at byte %d: negative offset", off)
	}
	n := 0
	cluster := make([]byte, qcow2.ClusterBytes)
	for n < len(p) && off < c.size {
		at := off / qcow2.ClusterBytes
		if err := c.readCluster(at, cluster); err != nil {
			return n, err
		}
		skip := off - at*qcow2.ClusterBytes
		length := min(qcow2.ClusterBytes-skip, c.size-off)
		k := copy(p[n:], cluster[skip:skip+length])
		n += k
		off += int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// owner gives the layer a cluster comes from; nil when it is zero.
func (c *Chain) owner(cluster int64) *layer {
	for i := len(c.layers) - 1; i >= 0; i-- {
		switch c.take[i].Kind(cluster) {
		case qcow2.Data:
			return c.layers[i]
		case qcow2.Zero:
			return nil
		}
	}
	return nil
}

// readCluster reads one cluster through the qcow2 tables of its layer, from the first replica that gives it sound.
func (c *Chain) readCluster(cluster int64, p []byte) error {
	l := c.owner(cluster)
	if l == nil {
		clear(p)
		return c.check(cluster, p)
	}
	var errs error
	for n := 0; ; n++ {
		r := l.replica(context.Background(), n)
		if r == nil {
			return fmt.Errorf("%s: %w", l.dump.ID, errs)
		}
		clear(p)
		_, err := r.image.ReadAt(p, cluster*qcow2.ClusterBytes)
		if err == nil || errors.Is(err, io.EOF) { // the image's last cluster may be short
			if err = c.check(cluster, p); err == nil {
				return nil
			}
		}
		errs = errors.Join(errs, named(r.stored, err))
	}
}

// piece is a stretch of an output stream: made by a worker, written in order.
type piece struct {
	fill func(p []byte) error
	size int
	buf  []byte
	done chan error
}

// WriteRaw writes the disk to w from its first byte to its last, zeros included.
func (c *Chain) WriteRaw(ctx context.Context, w io.Writer) error {
	if err := c.checkHoles(ctx); err != nil {
		return err
	}
	return c.inOrder(ctx, w, c.size, func(off int64, p []byte) error {
		_, err := c.ReadAt(p, off)
		return err
	})
}

// WriteQcow2 writes the disk to w as one qcow2 file without a backing file, from its first byte to its last.
func (c *Chain) WriteQcow2(ctx context.Context, w io.Writer) error {
	if err := c.checkHoles(ctx); err != nil {
		return err
	}
	set := c.dataSet()
	layout, err := qcow2.NewLayout(c.size, set, "")
	if err != nil {
		return err
	}
	if err := c.inOrder(ctx, w, layout.MetadataBytes(), func(off int64, p []byte) error {
		return layout.ReadMetadata(p, off)
	}); err != nil {
		return err
	}
	return c.pieces(ctx, w, c.dataPieces(set))
}

func (c *Chain) readClusters(clusters []int64, p []byte) error {
	for i, at := range clusters {
		if err := c.readCluster(at, p[i*qcow2.ClusterBytes:(i+1)*qcow2.ClusterBytes]); err != nil {
			return err
		}
	}
	return nil
}

// inOrder writes size bytes made by fill, in pieces of a frame's length.
func (c *Chain) inOrder(ctx context.Context, w io.Writer, size int64, fill func(off int64, p []byte) error) error {
	return c.pieces(ctx, w, func(yield func(size int, fill func(p []byte) error) error) error {
		for off := int64(0); off < size; off += frames.FrameBytes {
			n := int(min(frames.FrameBytes, size-off))
			if err := yield(n, func(p []byte) error { return fill(off, p) }); err != nil {
				return err
			}
		}
		return nil
	})
}

// pieces fills the pieces that each hands out on all workers and writes them in order. Two pieces a worker are under
// way at most, so memory does not grow with the disk.
func (c *Chain) pieces(ctx context.Context, w io.Writer, each func(yield func(size int, fill func(p []byte) error) error) error) error {
	g, ctx := errgroup.WithContext(ctx)
	work := make(chan *piece)
	order := make(chan *piece, 2*c.site.workers())
	g.Go(func() error {
		defer close(work)
		defer close(order)
		return each(func(size int, fill func(p []byte) error) error {
			p := &piece{fill: fill, size: size, done: make(chan error, 1)}
			for _, ch := range []chan *piece{order, work} {
				select {
				case ch <- p:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	})
	for range c.site.workers() {
		g.Go(func() error {
			for p := range work {
				p.buf = make([]byte, p.size)
				p.done <- p.fill(p.buf)
			}
			return nil
		})
	}
	g.Go(func() error { return c.emit(ctx, w, order) })
	return g.Wait()
}

func (c *Chain) emit(ctx context.Context, w io.Writer, order <-chan *piece) error {
	var done int64
	for p := range order {
		select {
		case err := <-p.done:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		if _, err := w.Write(p.buf); err != nil {
			return err
		}
		done += int64(p.size)
		c.site.progress(done, c.size)
	}
	return nil
}
