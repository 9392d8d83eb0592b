package dumpers

import (
	"context"
	"errors"
	"fmt"
	"io"

	"holdfast/catalog"
	"holdfast/internal/blockmap"
	"holdfast/internal/frames"
	"holdfast/internal/qcow2"
)

// frameClusters is how many data clusters a frame holds at most.
const frameClusters = frames.FrameBytes / clusterBytes

// Result is what a dump turned out to be. Checksums are CRC-32C.
type Result struct {
	// ImageBytes is the image's size, exact to the byte.
	ImageBytes int64
	// OrigBytes and NativeCRC are of the qcow2 file; at frames.None including the zeros that fill the stream up.
	OrigBytes int64
	NativeCRC uint32
	// StoredBytes and StoredCRC are of what was written.
	StoredBytes int64
	StoredCRC   uint32
	// ChangedBytes is how much of the image the dump holds, in clusters of 64 KiB.
	ChangedBytes int64
	// MapDigest is the SHA-256 of the block map file, in hex.
	MapDigest string
	// Strange are the reasons why the dump may not show one point of time; none for a good dump.
	Strange []string
}

// Write writes the dump stream to w and, in the same pass, the block map of the image's new state to mapOut: digests of
// the bytes that went into the stream, and the base's for all else. An error of the view names the byte of the image.
// After an error what was written is of no use; Write may be called again, with new writers.
func (p *Prepared) Write(ctx context.Context, w, mapOut io.Writer) (Result, error) {
	if p.mismatch != "" {
		return Result{}, errors.New("write dump: the source was wrong about what changed: only a full will do")
	}
	out := newMapMerge(p, mapOut)
	totals, err := p.stream(ctx, w, out)
	if err != nil {
		return Result{}, fmt.Errorf("write dump: %w", err)
	}
	digest, err := out.close(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("write dump: %w", err)
	}
	return Result{
		ImageBytes: p.job.View.SizeBytes(),
		OrigBytes:  totals.RawBytes, NativeCRC: totals.RawCRC,
		StoredBytes: totals.StoredBytes, StoredCRC: totals.StoredCRC,
		ChangedBytes: p.DataBytes(),
		MapDigest:    digest,
		Strange:      p.strange(out),
	}, nil
}

// strange gathers what is odd about a dump that is complete.
func (p *Prepared) strange(out *mapMerge) []string {
	var list []string
	if out.moved > 0 {
		list = append(list, fmt.Sprintf("the image changed between being compared and being written; "+
			"stretches of 512 MiB in which it did: %d, the first at byte %d",
			out.moved, out.firstMoved*blockmap.SegmentClusters*clusterBytes))
	}
	why, err := p.job.View.Changed()
	if err != nil {
		why = fmt.Sprintf("it is not known whether the image changed while it was dumped: %v", err)
	}
	if why != "" {
		list = append(list, why)
	}
	return list
}

// stream makes the frames of the qcow2 file, and waits until all of them are written.
func (p *Prepared) stream(ctx context.Context, w io.Writer, out *mapMerge) (frames.Totals, error) {
	fw, err := frames.NewWriter(ctx, w, frames.Options{Level: p.job.Level, Workers: p.job.Workers, Recipients: p.job.Recipients})
	if err != nil {
		return frames.Totals{}, err
	}
	s := &stream{p: p, fw: fw, out: out}
	if err := s.addAll(ctx); err != nil {
		fw.Abort()
		return frames.Totals{}, err
	}
	totals, err := fw.Close()
	if err == nil && s.done != p.layout.SizeBytes() {
		panic(fmt.Sprintf("dumpers: a stream of %d bytes, laid out for %d", s.done, p.layout.SizeBytes()))
	}
	return totals, err
}

// stream is a qcow2 file on its way into frames.
type stream struct {
	p    *Prepared
	fw   *frames.Writer
	out  *mapMerge
	done int64 // bytes written; belongs to the frames' Done until the frame writer is closed
}

func (s *stream) addAll(ctx context.Context) error {
	if err := s.addMetadata(); err != nil {
		return err
	}
	b := &batch{}
	for at := int64(0); ; {
		cluster, kind, ok := s.p.set.Next(at)
		if b.n == frameClusters || !ok && b.n > 0 {
			if err := s.addData(ctx, b); err != nil {
				return err
			}
			b = &batch{}
		}
		if !ok {
			return nil
		}
		if kind == qcow2.Data {
			b.clusters[b.n] = cluster
			b.n++
		}
		at = cluster + 1
	}
}

func (s *stream) addMetadata() error {
	end := s.p.layout.MetadataBytes()
	for off := int64(0); off < end; off += frames.FrameBytes {
		err := s.fw.Add(frames.Frame{
			Bytes: int(min(frames.FrameBytes, end-off)),
			Fill:  func(_ context.Context, p []byte) error { return s.p.layout.ReadMetadata(p, off) },
			Done:  s.advance,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *stream) addData(ctx context.Context, b *batch) error {
	return s.fw.Add(frames.Frame{
		Bytes: b.n * clusterBytes,
		Fill:  func(ctx context.Context, p []byte) error { return b.fill(ctx, s.p.job.View, p) },
		Done: func(raw []byte) error {
			for i, cluster := range b.clusters[:b.n] {
				if err := s.out.put(ctx, cluster, b.digests[i], b.data[i]); err != nil {
					return err
				}
			}
			return s.advance(raw)
		},
	})
}

func (s *stream) advance(raw []byte) error {
	s.done += int64(len(raw))
	s.p.job.Progress(catalog.PhaseDump, s.done, s.p.layout.SizeBytes())
	return nil
}

// batch is the data clusters of a frame. They are hashed where they are read, by the frame writer's workers.
type batch struct {
	clusters [frameClusters]int64
	n        int
	digests  [frameClusters]blockmap.Digest
	data     [frameClusters]bool // false: zeros
}

// fill reads the clusters into p, as many at once as lie side by side.
func (b *batch) fill(ctx context.Context, view BlockView, p []byte) error {
	for i := 0; i < b.n; {
		if err := ctx.Err(); err != nil {
			return err
		}
		end := i + 1
		for end < b.n && b.clusters[end] == b.clusters[end-1]+1 {
			end++
		}
		if err := readClusters(view, p[i*clusterBytes:end*clusterBytes], b.clusters[i]); err != nil {
			return err
		}
		i = end
	}
	for i := range b.n {
		b.digests[i], b.data[i] = digestOf(p[i*clusterBytes : (i+1)*clusterBytes])
	}
	return nil
}
