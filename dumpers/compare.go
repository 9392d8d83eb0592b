package dumpers

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"holdfast/catalog"
	"holdfast/internal/blockmap"
	"holdfast/internal/qcow2"
)

// taskClusters is what a worker reads at once: 1 MiB. It divides a segment, so that a task lies in one.
const taskClusters = 16

// comparison finds the clusters of a view that differ from the base. One goroutine walks the extents and settles what
// the maps alone can tell, so that zeros and inherited stretches cost nothing; workers read the rest.
type comparison struct {
	job    *Job
	tasks  chan task
	sample *sampler

	mu      sync.Mutex // guards what follows until run has returned
	set     *qcow2.Set
	prints  map[int64]fingerprint
	refuted refutation
}

// task is a run of clusters to read, all in one segment. The claim is Data where there is none: then the clusters are
// compared with old, the base; otherwise old is what they must be according to the claim.
type task struct {
	run
	old *blockmap.Segment
}

func newComparison(job *Job, set *qcow2.Set) *comparison {
	return &comparison{
		job:    job,
		tasks:  make(chan task, job.Workers),
		sample: newSampler(job.Sample, job.Seed),
		set:    set,
		prints: map[int64]fingerprint{},
	}
}

func (c *comparison) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for range c.job.Workers {
		group.Go(func() error { return c.work(ctx) })
	}
	group.Go(func() error {
		defer close(c.tasks)
		return c.walk(ctx)
	})
	return group.Wait()
}

// walk settles each run of the image, or hands it to the workers.
func (c *comparison) walk(ctx context.Context) error {
	err := walkExtents(ctx, c.job.View, func(r run) error { return c.settle(ctx, r) })
	if err != nil {
		return err
	}
	for _, r := range c.sample.picks {
		source := c.job.Base
		if r.kind == Inherited {
			source = c.job.Parent
		}
		if err := c.send(ctx, r, source); err != nil {
			return err
		}
	}
	size := c.job.View.SizeBytes()
	c.job.Progress(catalog.PhaseScan, size, size)
	return nil
}

func (c *comparison) settle(ctx context.Context, r run) error {
	size := c.job.View.SizeBytes()
	if last := r.end - 1; (r.kind == Inherited || r.kind == Unchanged) && r.end*clusterBytes > size {
		// The map may know a longer image, and then a digest of more than this image's part of its last cluster.
		if err := c.settle(ctx, run{r.first, last, r.kind}); err != nil {
			return err
		}
		r = run{last, r.end, Data}
	}
	switch {
	case r.kind == Zero:
		return c.diff(ctx, r, nil)
	case r.kind == Unchanged:
		c.sample.offer(r)
		return nil
	case r.kind == Inherited && c.job.Parent != nil:
		c.sample.offer(r)
		if c.job.Parent == c.job.Base {
			return nil
		}
		return c.diff(ctx, r, c.job.Parent)
	}
	r.kind = Data
	for r.first < r.end {
		next := min(r.first-r.first%taskClusters+taskClusters, r.end)
		if err := c.send(ctx, run{r.first, next, Data}, c.job.Base); err != nil {
			return err
		}
		r.first = next
		c.job.Progress(catalog.PhaseScan, min(next*clusterBytes, size), size)
	}
	return nil
}

// send hands a run to the workers, with the segment of the map it is to be compared with.
func (c *comparison) send(ctx context.Context, r run, with *blockmap.Map) error {
	old, err := with.Segment(r.first / blockmap.SegmentClusters)
	if err != nil {
		return fmt.Errorf("base dump: %w", err)
	}
	select {
	case c.tasks <- task{r, old}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// diff compares a run without reading it: it holds what the map now says, zeros for nil.
func (c *comparison) diff(ctx context.Context, r run, now *blockmap.Map) error {
	for r.first < r.end {
		number, ok := nextSegment(r.first/blockmap.SegmentClusters, now, c.job.Base)
		if !ok || number*blockmap.SegmentClusters >= r.end {
			return nil
		}
		r.first = max(r.first, number*blockmap.SegmentClusters)
		stop := min(r.end, (number+1)*blockmap.SegmentClusters)
		if err := c.diffSegment(run{r.first, stop, r.kind}, now); err != nil {
			return fmt.Errorf("base dump: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		r.first = stop
	}
	return nil
}

// nextSegment is the first segment from number on that one of the maps holds; a nil map holds none.
func nextSegment(number int64, maps ...*blockmap.Map) (next int64, ok bool) {
	for _, m := range maps {
		if m == nil {
			continue
		}
		if n, has := m.NextSegment(number); has && (!ok || n < next) {
			next, ok = n, true
		}
	}
	return next, ok
}

func (c *comparison) diffSegment(r run, now *blockmap.Map) (err error) {
	number := r.first / blockmap.SegmentClusters
	var is *blockmap.Segment
	if now != nil {
		if is, err = now.Segment(number); err != nil {
			return err
		}
	}
	was, err := c.job.Base.Segment(number)
	if err != nil {
		return err
	}
	f := findings{c: c}
	for cluster := r.first; cluster < r.end; cluster++ {
		d, data := is.Lookup(cluster)
		f.compare(cluster, was, d, data)
	}
	f.close(number)
	return nil
}

// work reads what it is given.
func (c *comparison) work(ctx context.Context) error {
	buf := make([]byte, taskClusters*clusterBytes)
	for t := range c.tasks {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := buf[:(t.end-t.first)*clusterBytes]
		if err := readClusters(c.job.View, p, t.first); err != nil {
			return err
		}
		f := findings{c: c}
		for cluster := t.first; cluster < t.end; cluster++ {
			d, data := digestOf(p[:clusterBytes])
			p = p[clusterBytes:]
			if t.kind == Data {
				f.compare(cluster, t.old, d, data)
			} else if old, had := t.old.Lookup(cluster); had != data || old != d {
				c.refute(cluster, t.kind)
			}
		}
		f.close(t.first / blockmap.SegmentClusters)
	}
	return nil
}

// findings gathers what is found in one segment, so that the lock is taken once for a run.
type findings struct {
	c          *comparison
	first, end int64 // clusters of one kind, not yet in the set
	kind       qcow2.Kind
	print      fingerprint
}

// compare notes what cluster is now: data of digest d, or zero.
func (f *findings) compare(cluster int64, old *blockmap.Segment, d blockmap.Digest, data bool) {
	was, had := old.Lookup(cluster)
	if had == data && was == d {
		return
	}
	kind := qcow2.Zero
	if data {
		kind = qcow2.Data
		f.print.add(cluster, d)
	}
	if cluster != f.end || kind != f.kind {
		f.flush()
		f.first, f.kind = cluster, kind
	}
	f.end = cluster + 1
}

func (f *findings) flush() {
	if f.first == f.end {
		return
	}
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	f.c.set.AddRange(f.first, f.end-f.first, f.kind)
}

// close puts in what is left.
func (f *findings) close(segment int64) {
	f.flush()
	if f.print == (fingerprint{}) {
		return
	}
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	f.c.prints[segment] = f.c.prints[segment].plus(f.print)
}

// refute notes that a claim of the source is not true.
func (c *comparison) refute(cluster int64, kind ExtentKind) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuted.sampled = len(c.sample.picks)
	c.refuted.count++
	if c.refuted.count == 1 || cluster < c.refuted.first {
		c.refuted.first, c.refuted.kind = cluster, kind
	}
}

// refutation is what the sample found to be wrong.
type refutation struct {
	sampled, count int
	first          int64 // the first of these clusters
	kind           ExtentKind
}

func (r refutation) String() string {
	if r.count == 0 {
		return ""
	}
	claim := "as at its base dump"
	if r.kind == Inherited {
		claim = "inherited from its base image"
	}
	return fmt.Sprintf("%d of %d blocks read as a sample are not what the source says; the first, 64 KiB at byte %d, is not %s",
		r.count, r.sampled, r.first*clusterBytes, claim)
}

// fingerprint sums up digests of clusters, in any order: all that is kept of what a comparison read, to see whether the
// same is written. 16 bytes for each segment of 512 MiB instead of 16 for each cluster keep memory flat.
type fingerprint [2]uint64

// add takes in the digest of a cluster; the zero Digest for a cluster of zeros. An odd factor loses no bit of it and
// makes it count at its place only.
func (f *fingerprint) add(cluster int64, d blockmap.Digest) {
	factor := 2*uint64(cluster) + 1
	f[0] += factor * binary.LittleEndian.Uint64(d[:8])
	f[1] += factor * binary.LittleEndian.Uint64(d[8:])
}

func (f fingerprint) plus(g fingerprint) fingerprint { return fingerprint{f[0] + g[0], f[1] + g[1]} }
