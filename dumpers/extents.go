package dumpers

import (
	"context"
	"errors"
	"fmt"
	"io"

	"holdfast/internal/blockmap"
)

// clusterBytes is the cluster of the dump stream, and the granularity of extents.
const clusterBytes = blockmap.ClusterBytes

// run is a run of clusters of one kind: first up to end, which is not included.
type run struct {
	first, end int64
	kind       ExtentKind
}

// walkExtents gives a view's extents as runs of clusters. A source that breaks the contract is told so here, before its
// extents are believed.
func walkExtents(ctx context.Context, view BlockView, yield func(run) error) error {
	size, at := view.SizeBytes(), int64(0)
	var stopped error // by yield
	err := view.Extents(ctx, func(e Extent) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if e.Start != at || e.Length <= 0 || e.Length > size-at || e.Kind > Unchanged {
			return fmt.Errorf("extent of %d bytes at byte %d: want one at byte %d of %d", e.Length, e.Start, at, size)
		}
		at += e.Length
		if at%clusterBytes != 0 && at != size {
			return fmt.Errorf("extent ends at byte %d, within a block of 64 KiB", at)
		}
		stopped = yield(run{first: e.Start / clusterBytes, end: blockmap.Clusters(at), kind: e.Kind})
		return stopped
	})
	if stopped != nil {
		return stopped
	}
	if err == nil && at != size {
		err = fmt.Errorf("extents end at byte %d of %d", at, size)
	}
	if err != nil {
		return fmt.Errorf("map image: %w", err)
	}
	return nil
}

// readClusters fills p with whole clusters from first on; zeros stand for what is past the image's end.
func readClusters(view BlockView, p []byte, first int64) error {
	off := first * clusterBytes
	inside := int(min(int64(len(p)), view.SizeBytes()-off))
	clear(p[inside:])
	n, err := view.ReadAt(p[:inside], off)
	if n == inside {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read image: at byte %d: %w", off+int64(n), err)
}

// digestOf gives a cluster's digest; false for one that is zero.
func digestOf(cluster []byte) (blockmap.Digest, bool) {
	if blockmap.IsZero(cluster) {
		return blockmap.Digest{}, false
	}
	return blockmap.Sum(cluster), true
}
