// Package throttle holds readers and writers to a rate that they share.
//
// A Bucket is one line, say a network interface. All that goes over it waits for its turn in the order in which it came, in
// pieces, so that nobody holds the others up with one large piece. Its invariant: in any span of time no more goes through
// than the rate allows for that span, and a burst.
package throttle

import (
	"context"
	"io"
	"sync"
	"time"
)

const (
	// burstTime is how much a line that was idle lets through at once: short enough not to be felt by others on it, long
	// enough that a timer's coarseness costs no rate.
	burstTime = 100 * time.Millisecond
	// minBurst is never less than a block of an image.
	minBurst = 64 << 10
)

// Bucket is a line with a rate. Many goroutines may use it. A nil Bucket lets all through.
type Bucket struct {
	now   func() time.Time
	rate  float64 // bytes a second
	burst int64

	mu sync.Mutex
	// free is when the line will have carried all that was let onto it.
	free time.Time
}

// New gives a line that carries so many bytes a second; nil for 0 or less, which is no limit.
func New(bytesPerSecond int64, now func() time.Time) *Bucket {
	if bytesPerSecond <= 0 {
		return nil
	}
	burst := max(minBurst, int64(float64(bytesPerSecond)*burstTime.Seconds()))
	return &Bucket{now: now, rate: float64(bytesPerSecond), burst: burst}
}

// BurstBytes is what may go through at once after a time of idleness; 0 for a nil Bucket, which knows no bound.
func (b *Bucket) BurstBytes() int64 {
	if b == nil {
		return 0
	}
	return b.burst
}

// Wait waits until n bytes may pass. When it returns the error of ctx, some of them may have been counted.
func (b *Bucket) Wait(ctx context.Context, n int) error {
	if b == nil {
		return ctx.Err()
	}
	for left := int64(n); left > 0; left -= b.burst {
		if err := b.piece(ctx, min(left, b.burst)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// piece waits for a piece that is no longer than a burst.
func (b *Bucket) piece(ctx context.Context, n int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	cost := b.span(n)
	b.mu.Lock()
	now := b.now()
	if b.free.Before(now) {
		b.free = now
	}
	b.free = b.free.Add(cost)
	wait := b.free.Sub(now) - b.span(b.burst)
	b.mu.Unlock()
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		b.mu.Lock()
		b.free = b.free.Add(-cost) // it did not pass
		b.mu.Unlock()
		return ctx.Err()
	}
}

func (b *Bucket) span(n int64) time.Duration {
	return time.Duration(float64(n) / b.rate * float64(time.Second))
}

// Reader gives r at the rate of the line. A nil Bucket gives r as it is.
func (b *Bucket) Reader(ctx context.Context, r io.Reader) io.Reader {
	if b == nil {
		return r
	}
	return readerFunc(func(p []byte) (int, error) {
		if int64(len(p)) > b.burst {
			p = p[:b.burst]
		}
		n, err := r.Read(p)
		if waitErr := b.Wait(ctx, n); waitErr != nil && err == nil {
			err = waitErr
		}
		return n, err
	})
}

// Writer gives w at the rate of the line. A nil Bucket gives w as it is.
func (b *Bucket) Writer(ctx context.Context, w io.Writer) io.Writer {
	if b == nil {
		return w
	}
	return writerFunc(func(p []byte) (int, error) {
		done := 0
		for done < len(p) {
			piece := p[done:min(len(p), done+int(b.burst))]
			if err := b.Wait(ctx, len(piece)); err != nil {
				return done, err
			}
			n, err := w.Write(piece)
			done += n
			if err != nil {
				return done, err
			}
		}
		return done, nil
	})
}

// ReaderAt gives r at the rate of the line. A nil Bucket gives r as it is.
func (b *Bucket) ReaderAt(ctx context.Context, r io.ReaderAt) io.ReaderAt {
	if b == nil {
		return r
	}
	return readerAtFunc(func(p []byte, off int64) (int, error) {
		if err := b.Wait(ctx, len(p)); err != nil {
			return 0, err
		}
		return r.ReadAt(p, off)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

type readerAtFunc func([]byte, int64) (int, error)

func (f readerAtFunc) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }
