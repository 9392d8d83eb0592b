package frames

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"filippo.io/age"
)

// failingWriter takes n writes, then none; after counts those it refused.
type failingWriter struct {
	n     int
	after int
}

var errFull = errors.New("disk is full")

func (f *failingWriter) Write(p []byte) (int, error) {
	if f.n == 0 {
		f.after++
		return 0, errFull
	}
	f.n--
	return len(p), nil
}

// writeFrames adds frames until there is an error, and closes. Done is counted.
func writeFrames(ctx context.Context, w io.Writer, o Options, frames [][]byte) (done int, err error) {
	fw, err := NewWriter(ctx, w, o)
	if err != nil {
		return 0, err
	}
	for _, raw := range frames {
		f := frameOf(raw)
		f.Done = func([]byte) error { done++; return nil }
		if err = fw.Add(f); err != nil {
			break
		}
	}
	_, closeErr := fw.Close()
	if err != nil && !errors.Is(closeErr, err) {
		return done, fmt.Errorf("Close gives %w after Add gave %w", closeErr, err)
	}
	if _, again := fw.Close(); !errors.Is(again, closeErr) && closeErr != nil {
		return done, fmt.Errorf("Close gives %w the second time", again)
	}
	return done, closeErr
}

// TestWriterFailsCleanly fails the n-th write for all n: the error arrives, nothing is written after it, and no
// goroutine is left (the bubble would not end).
func TestWriterFailsCleanly(t *testing.T) {
	frames := pieces(mixedData(600_000, 1), 50_000)
	for _, f := range allForms() {
		for n := 0; ; n++ {
			w := &failingWriter{n: n}
			var done int
			var err error
			synctest.Test(t, func(t *testing.T) {
				done, err = writeFrames(context.Background(), w, f.options(), frames)
			})
			if err == nil {
				if n == 0 || w.after > 0 || done != len(frames) {
					t.Errorf("%v: %d writes suffice, %d after, %d frames done", f, n, w.after, done)
				}
				break
			}
			if !errors.Is(err, errFull) || w.after != 1 || !f.encrypt && done > n {
				t.Errorf("%v, write %d: %v; %d writes after, %d frames done", f, n, err, w.after, done)
			}
		}
	}
}

// TestCancelWithoutClose forgets a writer whose context ends: its goroutines end by themselves, or the bubble would not.
func TestCancelWithoutClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		w, err := NewWriter(ctx, io.Discard, Options{Level: Fast})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add(frameOf([]byte("x"))); err != nil {
			t.Fatal(err)
		}
		cancel()
	})
}

// TestCancel ends the context while a Fill is under way and the pipeline is full.
func TestCancel(t *testing.T) {
	errWhy := errors.New("the night is over")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(context.Background())
		w, err := NewWriter(ctx, io.Discard, Options{Level: Fast, Workers: 2})
		if err != nil {
			t.Fatal(err)
		}
		stuck := Frame{Bytes: 10, Fill: func(ctx context.Context, _ []byte) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		for range 4 {
			if err := w.Add(stuck); err != nil {
				t.Fatal(err)
			}
		}
		added := make(chan error)
		go func() { added <- w.Add(stuck) }()
		synctest.Wait() // the fifth Add waits: there are four slots
		select {
		case err := <-added:
			t.Errorf("the pipeline takes a fifth frame: %v", err)
		default:
		}
		cancel(errWhy)
		if err := <-added; !errors.Is(err, errWhy) {
			t.Errorf("Add: %v", err)
		}
		synctest.Wait()
		if totals, err := w.Close(); !errors.Is(err, errWhy) || totals != (Totals{}) {
			t.Errorf("Close: %+v, %v", totals, err)
		}
	})
}

// TestAbort stops a writer half way, from another goroutine, and after Close has succeeded.
func TestAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, err := NewWriter(context.Background(), io.Discard, Options{Level: Default})
		if err != nil {
			t.Fatal(err)
		}
		go w.Abort()
		synctest.Wait()
		if err := w.Add(frameOf([]byte("x"))); !errors.Is(err, errAborted) {
			t.Errorf("Add: %v", err)
		}
		if _, err := w.Close(); !errors.Is(err, errAborted) {
			t.Errorf("Close: %v", err)
		}
	})
	w, err := NewWriter(t.Context(), io.Discard, Options{})
	if err != nil {
		t.Fatal(err)
	}
	first, err := w.Close()
	w.Abort()
	if again, err2 := w.Close(); err != nil || err2 != nil || again != first {
		t.Errorf("Close: %v, then %v", err, err2)
	}
	if err := w.Add(frameOf([]byte("x"))); err == nil {
		t.Error("Add after Close succeeds")
	}
}

// TestFrameErrors: what a frame's own functions return stops the writer, in stream order, and says where.
func TestFrameErrors(t *testing.T) {
	errSource := errors.New("cannot read the image")
	bad := func(context.Context, []byte) error { return errSource }
	ok := func(context.Context, []byte) error { return nil }
	cases := []struct {
		name  string
		frame Frame
		is    error
		words string
	}{
		{"fill", Frame{Bytes: 10, Fill: bad}, errSource, "fill frame at raw byte 1: cannot read the image"},
		{
			"done", Frame{Bytes: 10, Fill: ok, Done: func([]byte) error { return errSource }}, errSource,
			"after frame at raw byte 1: cannot read the image",
		},
		{"empty", Frame{Fill: ok}, nil, "0 bytes: want 1 to 1048576"},
		{"large", Frame{Bytes: FrameBytes + 1, Fill: ok}, nil, "1048577 bytes: want"},
		{"no fill", Frame{Bytes: 10}, nil, "a fill function"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, err := NewWriter(context.Background(), io.Discard, Options{Level: Fast})
				if err != nil {
					t.Fatal(err)
				}
				if err := w.Add(frameOf([]byte("x"))); err != nil {
					t.Fatal(err)
				}
				_ = w.Add(c.frame)
				_, err = w.Close()
				checkError(t, err, c.is, c.words)
			})
		})
	}
}

// TestDoneInOrder: Done sees the raw bytes in stream order on one goroutine, after the frame has reached w.
func TestDoneInOrder(t *testing.T) {
	frames := pieces(mixedData(4_000_000, 2), 70_001)
	for _, f := range allForms() {
		var out bytes.Buffer
		w, err := NewWriter(t.Context(), &out, f.options())
		if err != nil {
			t.Fatal(err)
		}
		var filling, most atomic.Int32
		next, rawBytes := 0, 0
		for i, raw := range frames {
			frame := frameOf(raw)
			fill := frame.Fill
			frame.Fill = func(ctx context.Context, p []byte) error {
				defer filling.Add(-1)
				if n := filling.Add(1); n > most.Load() {
					most.Store(n)
				}
				return fill(ctx, p)
			}
			frame.Done = func(got []byte) error {
				if i != next || !bytes.Equal(got, raw) {
					return fmt.Errorf("frame %d instead of %d, or other bytes", i, next)
				}
				next, rawBytes = next+1, rawBytes+len(raw)
				if f.level == None && out.Len() < rawBytes-agePlainChunk {
					return fmt.Errorf("%d bytes written of %d", out.Len(), rawBytes)
				}
				return nil
			}
			if err := w.Add(frame); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Close(); err != nil || next != len(frames) {
			t.Errorf("%v: %v, %d frames done", f, err, next)
		}
		if most.Load() > 3 {
			t.Errorf("%d frames filled at once by 3 workers", most.Load())
		}
	}
}

// TestNewWriterRefuses lists options that make no stream.
func TestNewWriterRefuses(t *testing.T) {
	secret, err := age.NewScryptRecipient("secret")
	if err != nil {
		t.Fatal(err)
	}
	pq, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	classic := testKey().Recipient()
	cases := []struct {
		o     Options
		words string
	}{
		{Options{Level: Best + 1}, "unknown compression level 4"},
		{Options{Recipients: []age.Recipient{classic, secret}}, "a passphrase must be the only recipient"},
		{Options{Recipients: []age.Recipient{classic, pq.Recipient()}}, "do not mix with others"},
	}
	for _, c := range cases {
		_, err := NewWriter(t.Context(), io.Discard, c.o)
		checkError(t, err, nil, c.words)
	}
}

// TestPadding checks the arithmetic for all header lengths and sizes near the edges of chunks and multiples.
func TestPadding(t *testing.T) {
	for _, header := range []int64{0, 184, 200, 1660, 65_536 - 32, 65_552, 131_072} {
		for base := int64(0); base <= 3*PadBytes; base += agePlainChunk {
			for minBytes := max(0, base-2500); minBytes < base+2500; minBytes++ {
				got := paddedBytes(minBytes, header)
				stored := got
				if header > 0 {
					stored = header + got + ageChunks(got)*ageTagBytes
				}
				if got < minBytes || stored%PadBytes != 0 || got-minBytes > 2*PadBytes+64 {
					t.Fatalf("%d bytes after a header of %d: padded to %d, stored %d", minBytes, header, got, stored)
				}
				if header > 0 && agePlainBytes(stored-header) != got {
					t.Fatalf("%d bytes stored hold %d, not %d", stored-header, agePlainBytes(stored-header), got)
				}
			}
		}
	}
}

// TestTableCoversStream reads the table by the published format alone: every byte before it belongs to an entry, and
// each entry's frame begins where the ones before it end.
func TestTableCoversStream(t *testing.T) {
	raw := mixedData(2*FrameBytes+5, 3)
	p, _ := form{level: Default}.store(t, raw)
	le := binary.LittleEndian
	n := int(le.Uint32(p[len(p)-9:]))
	table := p[len(p)-9-8*n-8:]
	if le.Uint32(p[len(p)-4:]) != 0x8F92EAB1 || p[len(p)-5] != 0 || n != 4 ||
		le.Uint32(table) != 0x184D2A5E || int(le.Uint32(table[4:])) != len(table)-8 {
		t.Fatalf("table % x", table)
	}
	at, rawBytes := 0, 0
	for i := range n {
		want := uint32(0xFD2FB528)
		if i == n-1 {
			want = 0x184D2A50
		}
		if got := le.Uint32(p[at:]); got != want {
			t.Errorf("frame %d at %d: magic %#x, want %#x", i, at, got, want)
		}
		at += int(le.Uint32(table[8+8*i:]))
		rawBytes += int(le.Uint32(table[12+8*i:]))
	}
	if at != len(p)-len(table) || rawBytes != len(raw) {
		t.Errorf("entries cover %d of %d bytes, %d raw of %d", at, len(p)-len(table), rawBytes, len(raw))
	}
}

// TestLevels parses every word it prints, and no other.
func TestLevels(t *testing.T) {
	for l := None; l <= Best; l++ {
		if got, err := ParseLevel(l.String()); err != nil || got != l {
			t.Errorf("ParseLevel(%q) = %v, %v", l, got, err)
		}
	}
	for _, s := range []string{"", "Best", "3", Level(-1).String(), Level(9).String()} {
		if _, err := ParseLevel(s); err == nil {
			t.Errorf("ParseLevel(%q) succeeds", s)
		}
	}
}
