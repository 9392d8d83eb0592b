package dumpers

import (
	"context"
	"io"

	"holdfast/internal/blockmap"
	"holdfast/internal/qcow2"
)

// mapMerge writes the block map of the image's new state while the stream is written: the base's map, and over it what
// the dump holds. It also sees whether what is written is what was compared.
type mapMerge struct {
	w    *blockmap.Writer
	base *blockmap.Map // nil for none
	set  *qcow2.Set
	end  int64 // clusters of the image
	next int64 // clusters before this one are settled

	compared   map[int64]fingerprint // nil when nothing was
	segment    int64                 // that of the last cluster
	print      fingerprint           // of the segment's clusters written so far
	moved      int                   // segments that differ from what was compared
	firstMoved int64
}

func newMapMerge(p *Prepared, w io.Writer) *mapMerge {
	return &mapMerge{
		w:        blockmap.NewWriter(w, p.job.View.SizeBytes()),
		base:     p.job.Base,
		set:      p.set,
		end:      p.set.Clusters(),
		compared: p.compared,
	}
}

// put takes the next data cluster of the stream, in rising order: its digest, or that it holds zeros.
func (m *mapMerge) put(ctx context.Context, cluster int64, d blockmap.Digest, data bool) error {
	if err := m.copyUntil(ctx, cluster); err != nil {
		return err
	}
	m.next = cluster + 1
	m.check(cluster, d)
	if !data {
		return nil
	}
	return m.w.Data(cluster, d)
}

// copyUntil copies what the base has of clusters that the dump does not hold. Those it holds as zeros take no digest.
func (m *mapMerge) copyUntil(ctx context.Context, end int64) error {
	for m.base != nil && m.next < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		stop := min(end, (m.next/blockmap.SegmentClusters+1)*blockmap.SegmentClusters)
		if err := m.base.Range(m.next, stop, m.copy); err != nil {
			return err
		}
		m.next = stop
	}
	return nil
}

func (m *mapMerge) copy(cluster int64, d blockmap.Digest) error {
	if m.set.Kind(cluster) != qcow2.None {
		return nil
	}
	return m.w.Data(cluster, d)
}

// check sums up a segment, and looks at the sum once the next segment begins.
func (m *mapMerge) check(cluster int64, d blockmap.Digest) {
	if segment := cluster / blockmap.SegmentClusters; segment != m.segment {
		m.checkSegment()
		m.segment, m.print = segment, fingerprint{}
	}
	m.print.add(cluster, d)
}

func (m *mapMerge) checkSegment() {
	if m.compared == nil || m.compared[m.segment] == m.print {
		return
	}
	if m.moved == 0 {
		m.firstMoved = m.segment
	}
	m.moved++
}

// close ends the map and gives its digest.
func (m *mapMerge) close(ctx context.Context) (string, error) {
	m.checkSegment()
	if err := m.copyUntil(ctx, m.end); err != nil {
		return "", err
	}
	return m.w.Close()
}
