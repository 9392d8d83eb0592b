package throttle_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/throttle"
)

const rate = 1 << 20

// passed is what went through a line, and when.
type passed struct {
	mu    sync.Mutex
	at    []time.Time
	bytes []int64
}

func (p *passed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = append(p.at, time.Now())
	p.bytes = append(p.bytes, int64(len(b)))
	return len(b), nil
}

// Several writers and pieces of all sizes: in no span of time more passes than the rate and a burst, and the line is not left
// idle while somebody waits.
func TestRateIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := throttle.New(rate, time.Now)
		var seen passed
		var all sync.WaitGroup
		begun := time.Now()
		const writers, each = 5, 3 << 20
		for i := range writers {
			all.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 0))
				w := b.Writer(t.Context(), &seen)
				for left := each; left > 0; {
					n := min(left, 1+r.IntN(300<<10))
					if _, err := w.Write(make([]byte, n)); err != nil {
						t.Error(err)
						return
					}
					left -= n
				}
			})
		}
		all.Wait()
		for i := range seen.at {
			var sum int64
			for j := i; j < len(seen.at); j++ {
				sum += seen.bytes[j]
				if most := int64(seen.at[j].Sub(seen.at[i]).Seconds()*rate) + b.BurstBytes() + seen.bytes[i]; sum > most {
					t.Fatalf("%d bytes passed within %v, at most %d should", sum, seen.at[j].Sub(seen.at[i]), most)
				}
			}
		}
		if took, want := time.Since(begun), time.Duration(writers*each/rate)*time.Second; took > want || took < want-time.Second {
			t.Errorf("took %v, want about %v", took, want)
		}
	})
}

// A piece much larger than the others does not hold them up until it has passed.
func TestLargePieceIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := throttle.New(rate, time.Now)
		go func() { _ = b.Wait(t.Context(), 100*rate) }() // its end is of no interest
		synctest.Wait()
		begun := time.Now()
		if err := b.Wait(t.Context(), 1000); err != nil || time.Since(begun) > time.Second {
			t.Errorf("waited %v, error %v", time.Since(begun), err)
		}
	})
}

// Who is cancelled is gone at once, and what did not pass is not counted.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := throttle.New(rate, time.Now)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		if err := b.Wait(ctx, 100*rate); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		if err := b.Wait(t.Context(), 1); err != nil || time.Since(begun) > 1200*time.Millisecond {
			t.Errorf("the line was free again after %v, error %v", time.Since(begun), err)
		}
	})
}

// However many are cancelled while they wait, none of what they did not send is counted.
func TestManyCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := throttle.New(rate, time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { _ = b.Wait(ctx, int(b.BurstBytes())) }) // the first one passes
		}
		synctest.Wait()
		cancel()
		all.Wait()
		begun := time.Now()
		if err := b.Wait(t.Context(), 1); err != nil || time.Since(begun) > 100*time.Millisecond {
			t.Errorf("the line was free again after %v, error %v", time.Since(begun), err)
		}
	})
}

// A line that was idle for long lets no more through at once than one that was idle for a moment.
func TestIdleSavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := throttle.New(rate, time.Now)
		if err := b.Wait(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // of the bubble: takes no time
		begun := time.Now()
		if err := b.Wait(t.Context(), 2*rate); err != nil || time.Since(begun) < 1900*time.Millisecond {
			t.Errorf("two seconds' worth passed within %v, error %v", time.Since(begun), err)
		}
	})
}

// longest remembers the longest read.
type longest struct {
	io.Reader
	bytes int
}

func (l *longest) Read(p []byte) (int, error) {
	l.bytes = max(l.bytes, len(p))
	return l.Reader.Read(p)
}

// A reader takes no more at once than may pass, and ends with its context.
func TestReaderTakesABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := throttle.New(rate, time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		from := &longest{Reader: bytes.NewReader(make([]byte, 3*rate))}
		r := b.Reader(ctx, from)
		if n, err := r.Read(make([]byte, 2*rate)); n == 0 || err != nil || int64(from.bytes) > b.BurstBytes() {
			t.Errorf("%d bytes at once, a burst is %d; %d read, %v", from.bytes, b.BurstBytes(), n, err)
		}
		cancel()
		if _, err := r.Read(make([]byte, 2*rate)); !errors.Is(err, context.Canceled) {
			t.Errorf("after the end of its context: %v", err)
		}
	})
}

// The wrappers hand on every byte, and errors too.
func TestWrappers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := bytes.Repeat([]byte("0123456789abcdef"), 50_000)
		for _, b := range []*throttle.Bucket{nil, throttle.New(0, time.Now), throttle.New(rate, time.Now)} {
			got, err := io.ReadAll(b.Reader(t.Context(), bytes.NewReader(content)))
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("reader: %d bytes, %v", len(got), err)
			}
			var out bytes.Buffer
			if n, err := b.Writer(t.Context(), &out).Write(content); n != len(content) || err != nil || !bytes.Equal(out.Bytes(), content) {
				t.Errorf("writer: %d bytes, %v", n, err)
			}
			at := b.ReaderAt(t.Context(), bytes.NewReader(content))
			part := make([]byte, 300_000)
			if n, err := at.ReadAt(part, 16); n != len(part) || err != nil || !slices.Equal(part, content[16:16+len(part)]) {
				t.Errorf("reader at: %d bytes, %v", n, err)
			}
			if n, err := at.ReadAt(part, int64(len(content))-5); n != 5 || err != io.EOF {
				t.Errorf("reader at the end: %d bytes, %v", n, err)
			}
		}
	})
}
