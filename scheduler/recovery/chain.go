package recovery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"holdfast/catalog"
	"holdfast/internal/blockmap"
	"holdfast/internal/qcow2"
)

// Chain is a dump with all that it rests on, open as one disk.
type Chain struct {
	site   *Site
	layers []*layer // the one that stands alone first
	// take says for each layer which clusters the disk gets from it: those no later layer holds.
	take []*qcow2.Set
	// digests is the whole disk's block map at the time of the dump; nil when it is lost.
	digests *Map
	size    int64
	// strict is set when a block that cannot be compared with its digest is not checked by anything else.
	strict  bool
	mapLost sync.Once
}

// OpenChain opens a dump and its bases. Close it.
func (s *Site) OpenChain(ctx context.Context, d catalog.Dump) (*Chain, error) {
	dumps, err := catalog.Chain(d.ID, func(id catalog.DumpID) (catalog.Dump, bool) {
		got, err := s.Catalog.Dump(ctx, id)
		return got, err == nil
	})
	if err != nil {
		return nil, err
	}
	c := &Chain{site: s, size: d.ImageBytes}
	for _, d := range dumps {
		l, err := s.openLayer(ctx, d)
		if err != nil {
			c.Close()
			return nil, err
		}
		c.layers = append(c.layers, l)
	}
	c.divide()
	err = c.openDigests(d)
	if err == nil {
		err = c.proveBare(ctx)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// divide finds the owner of each cluster, from the newest layer down.
func (c *Chain) divide() {
	c.take = make([]*qcow2.Set, len(c.layers))
	for i := range c.layers {
		c.take[i] = c.layers[i].set
		for j := i + 1; j < len(c.layers); j++ {
			c.take[i] = c.take[i].Without(c.layers[j].set)
		}
	}
}

// openDigests opens the block map. A lost one is noted; one that is not what the catalog recorded is left out, too.
func (c *Chain) openDigests(d catalog.Dump) error {
	if c.site.Map == nil {
		return nil
	}
	m, err := c.site.Map(d.ID)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.site.note("%s: no block map: blocks are checked by the frames' checksums only", d.ID)
		return nil
	case err != nil:
		c.site.note("%s: block map left out: %v", d.ID, err)
		return nil
	case m.ImageBytes() != c.size:
		_ = m.Close()
		return fmt.Errorf("%s: block map is of an image of %d bytes, the dump of one of %d", d.ID, m.ImageBytes(), c.size)
	}
	c.digests = m
	return nil
}

// SizeBytes is the size of the disk.
func (c *Chain) SizeBytes() int64 { return c.size }

// Checked tells whether each block is compared with its digest.
func (c *Chain) Checked() bool { return c.digests != nil }

// Close closes all that the chain holds open.
func (c *Chain) Close() {
	for _, l := range c.layers {
		l.close()
	}
	if c.digests != nil {
		_ = c.digests.Close() // only read from
	}
}

// clusters is how many the disk has; the last one may be cut short by its size.
func (c *Chain) clusters() int64 {
	return (c.size + qcow2.ClusterBytes - 1) / qcow2.ClusterBytes
}

// dataClusters counts what has to be read for the whole disk.
func (c *Chain) dataClusters() int64 {
	var n int64
	for _, t := range c.take {
		n += t.DataClusters()
	}
	return n
}

// check compares a cluster with its digest. Without a block map there is nothing to compare with.
func (c *Chain) check(cluster int64, data []byte) error {
	if c.digests == nil {
		return nil
	}
	want, ok, err := c.digests.Lookup(cluster)
	switch {
	case err != nil && c.strict:
		return fmt.Errorf("block map: %w", err)
	case err != nil:
		c.mapLost.Do(func() { c.site.note("%s: block map: %v; blocks are checked by the frames' checksums", c.top().ID, err) })
		return nil
	case !ok && !blockmap.IsZero(data):
		return fmt.Errorf("block at byte %d of the image: holds data, was zero when dumped", cluster*qcow2.ClusterBytes)
	case ok && blockmap.Sum(data) != want:
		return fmt.Errorf("block at byte %d of the image: digest differs from the one taken when it was dumped", cluster*qcow2.ClusterBytes)
	}
	return nil
}

// checkHoles makes sure that every block with a digest is held by some layer.
func (c *Chain) checkHoles(ctx context.Context) error {
	if c.digests == nil {
		return nil
	}
	err := c.digests.Range(0, c.clusters(), func(cluster int64, _ blockmap.Digest) error {
		if cluster%blockmap.SegmentClusters == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		for _, t := range c.take {
			switch t.Kind(cluster) {
			case qcow2.Data:
				return nil
			case qcow2.Zero:
				return fmt.Errorf("%s: block at byte %d of the image: is zero, held data when dumped", c.top().ID, cluster*qcow2.ClusterBytes)
			}
		}
		return fmt.Errorf("%s: block at byte %d of the image: no dump of the chain holds it", c.top().ID, cluster*qcow2.ClusterBytes)
	})
	if errors.Is(err, blockmap.ErrDamaged) {
		c.site.note("%s: block map: %v", c.top().ID, err)
		return nil
	}
	return err
}

func (c *Chain) top() catalog.Dump { return c.layers[len(c.layers)-1].dump }
