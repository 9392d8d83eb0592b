package recovery

import (
	"context"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/blockmap"
	"holdfast/internal/frames"
	"holdfast/internal/qcow2"
)

// Target takes a disk at random places. WriteAt and Zero are called from several goroutines.
type Target interface {
	WriteAt(p []byte, off int64) (int, error)
	// Zero makes a range read as zeros; a fresh sparse file need not do anything.
	Zero(off, length int64) error
}

// frameJob is one frame of a layer with the clusters to take from it.
type frameJob struct {
	layer *layer
	frame int
	slots []slot
}

// slot is one cluster: where it goes and where it lies in the frame.
type slot struct {
	cluster int64
	offset  int64
}

// WriteTo writes the whole disk to the target: each frame is decoded once, each cluster is checked and written once.
// fresh says that the target reads as zeros already, so that holes can be left alone.
func (c *Chain) WriteTo(ctx context.Context, t Target, fresh bool) error {
	if err := c.checkHoles(ctx); err != nil {
		return err
	}
	if !fresh {
		if err := c.zeroRest(ctx, t); err != nil {
			return err
		}
	}
	var done atomic.Int64
	total := c.dataClusters() * qcow2.ClusterBytes
	return c.eachFrame(ctx, func(ctx context.Context, j frameJob, buf []byte) error {
		raw, err := j.layer.readFrame(ctx, j.frame, buf, func(raw []byte) error { return c.checkSlots(j, raw) })
		if err != nil {
			return err
		}
		if err := c.writeSlots(t, j.slots, raw, fresh); err != nil {
			return err
		}
		c.site.progress(done.Add(int64(len(j.slots))*qcow2.ClusterBytes), total)
		return nil
	})
}

func (c *Chain) checkSlots(j frameJob, raw []byte) error {
	for _, s := range j.slots {
		if s.offset+qcow2.ClusterBytes > int64(len(raw)) {
			return fmt.Errorf("frame %d: ends within a cluster", j.frame)
		}
		if err := c.check(s.cluster, raw[s.offset:s.offset+qcow2.ClusterBytes]); err != nil {
			return err
		}
	}
	return nil
}

// writeSlots writes clusters that follow one another in one go, and leaves zeros out where they are there already.
func (c *Chain) writeSlots(t Target, slots []slot, raw []byte, fresh bool) error {
	for i := 0; i < len(slots); {
		first := slots[i]
		data := raw[first.offset : first.offset+qcow2.ClusterBytes]
		if fresh && blockmap.IsZero(data) {
			i++
			continue
		}
		n := 1
		for i+n < len(slots) && slots[i+n].cluster == first.cluster+int64(n) && slots[i+n].offset == first.offset+int64(n)*qcow2.ClusterBytes {
			next := raw[slots[i+n].offset : slots[i+n].offset+qcow2.ClusterBytes]
			if fresh && blockmap.IsZero(next) {
				break
			}
			n++
		}
		off := first.cluster * qcow2.ClusterBytes
		length := min(int64(n)*qcow2.ClusterBytes, c.size-off)
		if _, err := t.WriteAt(raw[first.offset:first.offset+length], off); err != nil {
			return err
		}
		i += n
	}
	return nil
}

// zeroRest zeroes what no layer holds data for: on a device the old content would show through.
func (c *Chain) zeroRest(ctx context.Context, t Target) error {
	data := qcow2.NewSet(c.size)
	for _, take := range c.take {
		for at, kind, ok := take.Next(0); ok && at < c.clusters(); at, kind, ok = take.Next(at + 1) {
			if kind == qcow2.Data {
				data.Add(at, qcow2.Data)
			}
		}
	}
	for at := int64(0); at < c.clusters(); {
		next, _, ok := data.Next(at)
		if !ok {
			next = c.clusters()
		}
		if next > at {
			off := at * qcow2.ClusterBytes
			if err := t.Zero(off, min(next*qcow2.ClusterBytes, c.size)-off); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		at = next + 1
	}
	return nil
}

// eachFrame calls do on all workers for each frame that holds clusters to take; buf is the worker's own.
func (c *Chain) eachFrame(ctx context.Context, do func(ctx context.Context, j frameJob, buf []byte) error) error {
	g, ctx := errgroup.WithContext(ctx)
	jobs := make(chan frameJob, 2*c.site.workers())
	g.Go(func() error {
		defer close(jobs)
		for i, l := range c.layers {
			if err := l.frameJobs(ctx, c.take[i], c.clusters(), jobs); err != nil {
				return err
			}
		}
		return nil
	})
	for range c.site.workers() {
		g.Go(func() error {
			var buf []byte
			for j := range jobs {
				if cap(buf) == 0 {
					buf = make([]byte, 0, frames.FrameBytes)
				}
				if err := do(ctx, j, buf); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// frameJobs walks the layer's clusters in stream order and sends a job for each frame that holds one of take.
func (l *layer) frameJobs(ctx context.Context, take *qcow2.Set, clusters int64, jobs chan<- frameJob) error {
	fr := l.replicas[0].frames
	var job frameJob
	var frameEnd int64
	send := func() error {
		if len(job.slots) == 0 {
			return nil
		}
		select {
		case jobs <- job:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	at := l.metadata
	for cluster, kind, ok := l.set.Next(0); ok; cluster, kind, ok = l.set.Next(cluster + 1) {
		if kind != qcow2.Data {
			continue
		}
		off := at
		at += qcow2.ClusterBytes
		if cluster >= clusters || take.Kind(cluster) != qcow2.Data {
			continue
		}
		if off >= frameEnd {
			if err := send(); err != nil {
				return err
			}
			i := fr.FrameAt(off)
			start, length, _, _ := fr.FrameInfo(i)
			frameEnd = start + length
			job = frameJob{layer: l, frame: i}
		}
		start, _, _, _ := fr.FrameInfo(job.frame)
		job.slots = append(job.slots, slot{cluster: cluster, offset: off - start})
	}
	return send()
}
