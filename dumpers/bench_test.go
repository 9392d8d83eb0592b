package dumpers_test

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/dumpers"
	"holdfast/internal/blockmap"
	"holdfast/internal/frames"
)

const benchBytes = 256 << 20

// benchView is a disk in memory whose reads cost a copy; half of it compresses.
func benchView() fake {
	disk := noise(1, benchBytes)
	for at := 0; at < len(disk); at += 2 * cluster {
		copy(disk[at:at+cluster], bytes.Repeat(disk[at:at+64], cluster/64))
	}
	return fake{
		size: benchBytes, extents: []dumpers.Extent{{Length: benchBytes}},
		read: func(p []byte, off int64) (int, error) { return copy(p, disk[off:]), nil },
	}
}

// readAndHash is the least that a scan can do: all cores read 1 MiB at a time and hash each cluster.
func readAndHash(view fake) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			p := make([]byte, 1<<20)
			for off := next.Add(1<<20) - 1<<20; off < view.size; off = next.Add(1<<20) - 1<<20 {
				view.ReadAt(p, off)
				for at := 0; at < len(p); at += cluster {
					if !blockmap.IsZero(p[at : at+cluster]) {
						blockmap.Sum(p[at : at+cluster])
					}
				}
			}
		})
	}
	wg.Wait()
}

// compareTimes runs do and what it is measured by in turn, and reports the part of the reference's speed that do has.
func compareTimes(b *testing.B, reference, do func()) {
	b.SetBytes(benchBytes)
	var used, least time.Duration
	for b.Loop() {
		start := b.Elapsed()
		reference()
		between := b.Elapsed()
		do()
		least += between - start
		used += b.Elapsed() - between
	}
	b.ReportMetric(float64(least)/float64(used), "of-reference")
	b.ReportMetric(float64(b.N)*benchBytes/1e6/used.Seconds(), "own-MB/s")
}

// BenchmarkScan is the scan of an image in which nothing has changed, by the speed of reading and hashing alone.
func BenchmarkScan(b *testing.B) {
	view := benchView()
	p, err := dumpers.Prepare(b.Context(), dumpers.Job{View: view, Level: frames.None})
	if err != nil {
		b.Fatal(err)
	}
	base := write(b, p).state
	compareTimes(b, func() { readAndHash(view) }, func() {
		p, err := dumpers.Prepare(b.Context(), dumpers.Job{View: view, Base: base, Backing: "base"})
		if err != nil || p.DataBytes() != 0 {
			b.Fatal(err)
		}
	})
}

// BenchmarkFull is a full, by the speed of its pieces: reading, hashing and compressing in frames, without qcow2, order
// of clusters and block map.
func BenchmarkFull(b *testing.B) {
	view := benchView()
	compareTimes(b, func() {
		w, err := frames.NewWriter(b.Context(), io.Discard, frames.Options{Level: frames.Fast})
		if err != nil {
			b.Fatal(err)
		}
		for off := int64(0); off < view.size; off += frames.FrameBytes {
			err := w.Add(frames.Frame{Bytes: frames.FrameBytes, Fill: func(_ context.Context, p []byte) error {
				view.ReadAt(p, off)
				for at := 0; at < len(p); at += cluster {
					blockmap.Sum(p[at : at+cluster])
				}
				return nil
			}})
			if err != nil {
				b.Fatal(err)
			}
		}
		if _, err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}, func() {
		p, err := dumpers.Prepare(b.Context(), dumpers.Job{View: view, Level: frames.Fast})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Write(b.Context(), io.Discard, io.Discard); err != nil {
			b.Fatal(err)
		}
	})
}
