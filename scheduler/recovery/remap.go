package recovery

import (
	"context"
	"fmt"
	"io"

	"holdfast/internal/blockmap"
	"holdfast/internal/frames"
	"holdfast/internal/qcow2"
)

// WriteMap reads the whole disk and writes its block map to w: the same, to the byte, as the one that was made when it was
// dumped. It gives the map's digest, as in catalog.Dump.
func (c *Chain) WriteMap(ctx context.Context, w io.Writer) (digest string, err error) {
	set := c.dataSet()
	out := &mapWriter{w: blockmap.NewWriter(w, c.size), set: set}
	if err := c.pieces(ctx, out, c.dataPieces(set)); err != nil {
		return "", fmt.Errorf("make block map of %s: %w", c.top().ID, err)
	}
	if digest, err = out.w.Close(); err != nil {
		return "", fmt.Errorf("make block map of %s: %w", c.top().ID, err)
	}
	return digest, nil
}

// mapWriter takes the clusters of a set in their order, and names their digests.
type mapWriter struct {
	w    *blockmap.Writer
	set  *qcow2.Set
	next int64
}

// Write takes whole clusters.
func (m *mapWriter) Write(p []byte) (int, error) {
	for off := 0; off < len(p); off += qcow2.ClusterBytes {
		at, _, ok := m.set.Next(m.next)
		if !ok {
			panic("recovery: more clusters than the disk holds")
		}
		m.next = at + 1
		data := p[off : off+qcow2.ClusterBytes]
		if blockmap.IsZero(data) {
			continue
		}
		if err := m.w.Data(at, blockmap.Sum(data)); err != nil {
			return off, err
		}
	}
	return len(p), nil
}

// dataSet are the clusters that some layer holds data for.
func (c *Chain) dataSet() *qcow2.Set {
	set := qcow2.NewSet(c.size)
	for _, take := range c.take {
		for at, kind, ok := take.Next(0); ok && at < c.clusters(); at, kind, ok = take.Next(at + 1) {
			if kind == qcow2.Data {
				set.Add(at, qcow2.Data)
			}
		}
	}
	return set
}

// dataPieces hands out the clusters of a set in their order, as pieces does.
func (c *Chain) dataPieces(set *qcow2.Set) func(yield func(size int, fill func(p []byte) error) error) error {
	return func(yield func(size int, fill func(p []byte) error) error) error {
		next := int64(0) // one goroutine hands out, so the walk over the set needs no lock
		for {
			var batch []int64
			for len(batch) < frames.FrameBytes/qcow2.ClusterBytes {
				at, _, ok := set.Next(next)
				if !ok {
					break
				}
				batch, next = append(batch, at), at+1
			}
			if len(batch) == 0 {
				return nil
			}
			if err := yield(len(batch)*qcow2.ClusterBytes, func(p []byte) error { return c.readClusters(batch, p) }); err != nil {
				return err
			}
		}
	}
}
