package dumpers

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"filippo.io/age"

	"holdfast/internal/blockmap"
	"holdfast/internal/frames"
	"holdfast/internal/qcow2"
)

// Job is one dump to make of a block view.
type Job struct {
	View BlockView
	// Base is the map of the dump that the new one holds the changes since; nil for a full that stands alone. Its image may
	// be larger or smaller, as a clone's base: what lies past its end counts as zeros.
	Base *blockmap.Map
	// Parent is the map of the base image's dump, for a view of an overlay: what an Inherited extent holds. It may be
	// Base itself: the level 0 of a clone. Without it Inherited extents are read like Data.
	Parent *blockmap.Map
	// Backing is the file name of the base dump, which the stream names as backing file. Base and Backing come together.
	Backing string

	Level      frames.Level
	Recipients []age.Recipient
	// Workers read, hash and compress; 0 means GOMAXPROCS.
	Workers int

	// Sample is how many of the blocks that the source calls Unchanged or Inherited are read all the same, to see whether
	// it tells the truth; 0 means DefaultSample, negative none. Seed chooses them.
	Sample int
	Seed   uint64

	// Progress, if not nil, is called about once for each MiB, not concurrently, with bytes of the image in
	// catalog.PhaseScan and bytes of the uncompressed stream in catalog.PhaseDump.
	Progress func(phase string, doneBytes, totalBytes int64)
}

// DefaultSample finds a source that missed a tenth of the blocks in 29 of 30 dumps, and costs 2 MiB of reading.
const DefaultSample = 32

// Prepared is a dump of which it is known what it will hold, and how long its stream will be.
type Prepared struct {
	job      Job
	set      *qcow2.Set
	layout   *qcow2.Layout
	compared map[int64]fingerprint // by segment of the block map; nil when nothing was compared
	mismatch string
}

// Prepare finds what a dump must hold. Without a base that is what the extents call data, and nothing is read; with one,
// Data extents are read and compared with it. An error of the view names the byte of the image.
func Prepare(ctx context.Context, job Job) (*Prepared, error) {
	job, err := job.complete()
	if err != nil {
		return nil, fmt.Errorf("prepare dump: %w", err)
	}
	p := &Prepared{job: job, set: qcow2.NewSet(job.View.SizeBytes())}
	if job.Base == nil {
		err = p.takeAll(ctx)
	} else {
		err = p.takeChanges(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("prepare dump: %w", err)
	}
	if p.layout, err = qcow2.NewLayout(job.View.SizeBytes(), p.set, job.Backing); err != nil {
		return nil, fmt.Errorf("prepare dump: %w", err)
	}
	return p, nil
}

// complete checks a job and puts defaults in.
func (j Job) complete() (Job, error) {
	if (j.Base == nil) != (j.Backing == "") {
		return j, errors.New("a base needs the name of its dump, and the other way round")
	}
	if size := j.View.SizeBytes(); size < 0 || size > blockmap.MaxImageBytes {
		return j, fmt.Errorf("image of %d bytes: at most %d are possible", size, int64(blockmap.MaxImageBytes))
	}
	if j.Workers <= 0 {
		j.Workers = runtime.GOMAXPROCS(0)
	}
	if j.Sample == 0 {
		j.Sample = DefaultSample
	}
	if j.Progress == nil {
		j.Progress = func(string, int64, int64) {}
	}
	return j, nil
}

// takeAll makes the set of a full: whatever is not surely zero. With no base, nothing is unchanged or inherited.
func (p *Prepared) takeAll(ctx context.Context) error {
	return walkExtents(ctx, p.job.View, func(r run) error {
		if r.kind != Zero {
			p.set.AddRange(r.first, r.end-r.first, qcow2.Data)
		}
		return nil
	})
}

// takeChanges makes the set of a dump with a base.
func (p *Prepared) takeChanges(ctx context.Context) error {
	c := newComparison(&p.job, p.set)
	if err := c.run(ctx); err != nil {
		return err
	}
	p.compared, p.mismatch = c.prints, c.refuted.String()
	return nil
}

// OrigBytes is the exact length of the qcow2 file that the stream will hold.
func (p *Prepared) OrigBytes() int64 { return p.layout.SizeBytes() }

// DataBytes is how much of the image the dump will hold, in clusters of 64 KiB.
func (p *Prepared) DataBytes() int64 { return p.set.DataClusters() * clusterBytes }

// Mismatch says which claim of the source the sample refuted; empty for none. Such a dump must be made as a full
// instead, and Write refuses it.
func (p *Prepared) Mismatch() string { return p.mismatch }
