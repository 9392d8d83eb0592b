package nbd_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"testing"

	"holdfast/internal/nbd"
)

// TestStream: spans of all kinds come in order, and with their bytes, from servers of small and of large blocks.
func TestStream(t *testing.T) {
	disk := noise(1, 5<<20+512)
	name := imageOf(t, disk)
	for _, command := range [][]string{
		{"qemu-nbd", "-r", "-t", "-e", "8", "-f", "raw", name},
		{"nbdkit", "-f", "-r", "--filter=blocksize-policy", "--filter=delay", "file", name, "rdelay=1ms", "blocksize-minimum=512",
			"blocksize-preferred=4096", "blocksize-maximum=48k", "blocksize-error-policy=error"},
	} {
		c := serve(t, "unix", command...).open("nbd", "", nbd.Options{})
		for seed := range uint64(4) {
			streamSpans(t, c, disk, rand.New(rand.NewPCG(seed, 1)))
		}
	}
}

func streamSpans(t *testing.T, c *nbd.Client, disk []byte, r *rand.Rand) {
	t.Helper()
	var spans []nbd.Span
	var want []byte
	for off := int64(0); off < int64(len(disk)); {
		n := min(r.Int64N(700_000), int64(len(disk))-off)
		spans = append(spans, nbd.Span{Start: off, Length: n})
		want = append(want, disk[off:off+n]...)
		off += n + r.Int64N(3)*r.Int64N(100_000)
	}
	var got []byte
	at, last := 0, int64(0)
	err := c.Stream(t.Context(), nbd.StreamOptions{PieceBytes: 64 << 10, Ahead: 7}, func(ctx context.Context, yield func(nbd.Span) error) error {
		for _, s := range spans {
			if err := yield(s); err != nil {
				return err
			}
		}
		return nil
	}, func(p nbd.Piece) error {
		for spans[at].Length == 0 || p.Start >= spans[at].Start+spans[at].Length {
			at++
		}
		if p.Start < last || p.Start < spans[at].Start || len(p.Data) > 64<<10 {
			t.Errorf("%d bytes at %d after %d, in %+v", len(p.Data), p.Start, last, spans[at])
		}
		last = p.Start + int64(len(p.Data))
		got = append(got, p.Data...)
		return nil
	})
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d: %v", len(got), len(want), err)
	}
}

// TestStreamMap streams what a map calls data, while the map is being read; and holes are known to a client without one.
func TestStreamMap(t *testing.T) {
	disk := noise(1, 4<<20)
	clear(disk[1<<20 : 2<<20])
	name := imageOf(t, disk)
	run(t, "fallocate", "--dig-holes", name)
	s := serve(t, "unix", "qemu-nbd", "-r", "-t", "-e", "8", "-f", "raw", name)
	c := s.open("nbd", "", mapping(nbd.ContextAllocation))
	got := make([]byte, len(disk))
	n := 0
	err := c.Stream(t.Context(), nbd.StreamOptions{}, func(ctx context.Context, yield func(nbd.Span) error) error {
		return c.Extents(ctx, 0, c.SizeBytes(), func(e nbd.Extent) error {
			if e.States[0]&nbd.StateZero != 0 {
				return nil
			}
			return yield(nbd.Span{Start: e.Start, Length: e.Length})
		})
	}, func(p nbd.Piece) error {
		n += copy(got[p.Start:], p.Data)
		return nil
	})
	if err != nil || !bytes.Equal(got, disk) || n != 3<<20 {
		t.Errorf("%d bytes: %v", n, err)
	}
	zeros := 0
	c = s.open("nbd", "", nbd.Options{})
	err = c.Stream(t.Context(), nbd.StreamOptions{}, whole(c), func(p nbd.Piece) error {
		if p.Zero {
			zeros += len(p.Data)
		}
		return nil
	})
	if err != nil || zeros != 1<<20 {
		t.Errorf("%d bytes of zeros: %v", zeros, err)
	}
}

// TestStreamEnds: errors of all who take part, and ctx, end a stream, and the client is in order after it.
func TestStreamEnds(t *testing.T) {
	disk := noise(1, 8<<20)
	c := serve(t, "unix", "qemu-nbd", "-r", "-t", "-e", "8", "-f", "raw", imageOf(t, disk)).open("nbd", "", nbd.Options{})
	full, broken := errors.New("disk full"), errors.New("no more spans")
	ctx, cancel := context.WithCancel(t.Context())
	for _, tt := range []struct {
		name    string
		spans   nbd.Spans
		deliver func(nbd.Piece) error
		want    error
	}{
		{"deliver", whole(c), func(nbd.Piece) error { return full }, full},
		{"spans", func(context.Context, func(nbd.Span) error) error { return broken }, func(nbd.Piece) error { return nil }, broken},
		{"spans-late", func(ctx context.Context, yield func(nbd.Span) error) error {
			return errors.Join(yield(nbd.Span{Length: 1 << 20}), broken)
		},
			func(nbd.Piece) error { return nil }, broken},
		{"range", func(ctx context.Context, yield func(nbd.Span) error) error {
			return yield(nbd.Span{Start: 8 << 20, Length: 1})
		},
			func(nbd.Piece) error { return nil }, nbd.ErrRange},
		{"ctx", whole(c), func(p nbd.Piece) error {
			if p.Start > 1<<20 {
				cancel()
			}
			return nil
		}, context.Canceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := c.Stream(ctx, nbd.StreamOptions{}, tt.spans, tt.deliver); !errors.Is(err, tt.want) {
				t.Errorf("%v, not %v", err, tt.want)
			}
			readEverywhere(t, c, disk)
		})
	}
	if err := c.Stream(t.Context(), nbd.StreamOptions{PieceBytes: 1000}, whole(c), nil); err == nil {
		t.Error("pieces of 1000 bytes were taken")
	}
}

// TestStreamDies: a server that dies ends a stream.
func TestStreamDies(t *testing.T) {
	s := serve(t, "unix", "nbdkit", "-f", "-r", "pattern", "64M")
	c := s.open("nbd", "", nbd.Options{})
	err := c.Stream(t.Context(), nbd.StreamOptions{Ahead: 4}, whole(c), func(nbd.Piece) error {
		s.kill()
		return nil
	})
	if !errors.Is(err, nbd.ErrLost) {
		t.Errorf("%v", err)
	}
}

// TestStreamMemory: what a stream allocates does not grow with what it reads.
func TestStreamMemory(t *testing.T) {
	c := serve(t, "unix", "nbdkit", "-f", "-r", "pattern", "256M").open("nbd", "", nbd.Options{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := c.Stream(t.Context(), nbd.StreamOptions{PieceBytes: 256 << 10, Ahead: 8}, whole(c), func(nbd.Piece) error { return nil })
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
		t.Errorf("%d bytes were allocated for 8 pieces of 256 KiB", n)
	}
}
