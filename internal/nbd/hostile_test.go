package nbd_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"holdfast/internal/nbd"
)

// TestReplies plays replies to a read of 4096 bytes at 8192, to a map of as much, or to a write: good ones, and those
// that no server may send.
func TestReplies(t *testing.T) {
	ok, none := error(nil), []byte(nil)
	half := noise(1, 2048)
	left, right := be(uint64(8192), half), be(uint64(8192+2048), half)
	const read, status, write = "read", "map", "write"
	for _, tt := range []struct {
		name  string
		what  string
		reply []byte
		want  error
	}{
		{"read-one-chunk", read, chunk(true, 1, be(uint64(8192), half, half)), ok},
		{"read-two-chunks", read, be(chunk(false, 1, left), chunk(true, 1, right)), ok},
		{"read-backwards", read, be(chunk(false, 1, right), chunk(false, 1, left), chunk(true, 0, none)), ok},
		{"read-hole", read, be(chunk(false, 2, be(uint64(8192), 2048)), chunk(true, 1, right)), ok},
		{"read-error", read, chunk(true, 0x8001, be(5, uint16(4), "oops")), syscall.EIO},
		{"read-error-offset", read, chunk(true, 0x8002, be(28, uint16(4), "oops", uint64(8192))), syscall.ENOSPC},
		{"read-error-unknown", read, chunk(true, 0x8123, be(7777, uint16(0), "what more there is")), syscall.EINVAL},
		{"read-error-after-data", read, be(chunk(false, 1, left), chunk(true, 0x8001, be(5, uint16(0)))), syscall.EIO},
		{"read-error-simple", read, simple(1), syscall.EPERM},

		{"read-simple", read, be(simple(0), half, half), nbd.ErrProtocol},
		{"read-half", read, chunk(true, 1, left), nbd.ErrProtocol},
		{"read-nothing", read, chunk(true, 0, none), nbd.ErrProtocol},
		{"read-twice", read, be(chunk(false, 1, left), chunk(false, 1, left), chunk(true, 1, right)), nbd.ErrProtocol},
		{"read-overlap", read, be(chunk(false, 1, right), chunk(true, 1, be(uint64(8192+1), half))), nbd.ErrProtocol},
		{"read-before", read, chunk(true, 1, be(uint64(8191), half)), nbd.ErrProtocol},
		{"read-behind", read, chunk(true, 1, be(uint64(8192+2049), half)), nbd.ErrProtocol},
		{"read-far", read, chunk(true, 1, be(uint64(1<<63), half)), nbd.ErrProtocol},
		{"read-too-long", read, be(0x668e33ef, uint16(1), uint16(1), uint64(1), -1, uint64(8192)), nbd.ErrProtocol},
		{"read-empty-chunk", read, chunk(true, 1, be(uint64(8192))), nbd.ErrProtocol},
		{"read-empty-hole", read, chunk(true, 2, be(uint64(8192), 0)), nbd.ErrProtocol},
		{"read-long-hole", read, chunk(true, 2, be(uint64(8192), -1)), nbd.ErrProtocol},
		{"read-odd-hole", read, chunk(true, 2, be(uint64(8192), 4096, 0)), nbd.ErrProtocol},
		{"read-status", read, chunk(true, 5, be(1, 4096, 0)), nbd.ErrProtocol},
		{"read-unknown-chunk", read, chunk(true, 77, none), nbd.ErrProtocol},
		{"read-none-not-last", read, chunk(false, 0, none), nbd.ErrProtocol},
		{"read-error-short", read, chunk(true, 0x8001, be(5)), nbd.ErrProtocol},
		{"read-error-text-too-long", read, chunk(true, 0x8001, be(5, uint16(9), "oops")), nbd.ErrProtocol},
		{"read-error-long", read, chunk(true, 0x8001, be(5, uint16(60_000), make([]byte, 60_000))), nbd.ErrProtocol},
		{"read-error-that-is-none", read, chunk(true, 0x8001, be(0, uint16(0))), nbd.ErrProtocol},
		{"other-cookie", read, be(0x668e33ef, uint16(1), uint16(0), uint64(2), 0), nbd.ErrProtocol},
		{"other-magic", read, be(0x668e33ee, uint16(1), uint16(0), uint64(1), 0), nbd.ErrProtocol},
		{"silence", read, none, nbd.ErrLost},
		{"cut", read, chunk(true, 1, be(uint64(8192), half, half))[:3000], nbd.ErrLost},

		{"map", status, be(chunk(false, 5, be(2, 4096, 1)), chunk(true, 5, be(1, 4096, 0))), ok},
		{"map-longer", status, be(chunk(false, 5, be(2, 9999, 1)), chunk(true, 5, be(1, -1, 0))), ok},
		{"map-one-context", status, chunk(true, 5, be(2, 4096, 1)), nbd.ErrProtocol},
		{"map-nothing", status, chunk(true, 0, none), nbd.ErrProtocol},
		{"map-twice", status, be(chunk(false, 5, be(2, 4096, 1)), chunk(false, 5, be(2, 4096, 1)), chunk(true, 5, be(1, 4096, 0))), nbd.ErrProtocol},
		{"map-foreign", status, chunk(true, 5, be(3, 4096, 1)), nbd.ErrProtocol},
		{"map-empty-extent", status, chunk(true, 5, be(2, 0, 1)), nbd.ErrProtocol},
		{"map-no-extent", status, chunk(true, 5, be(2)), nbd.ErrProtocol},
		{"map-odd", status, chunk(true, 5, be(2, 4096, 0, 1)), nbd.ErrProtocol},
		{"map-data", status, chunk(true, 1, left), nbd.ErrProtocol},
		{"map-simple", status, simple(0), nbd.ErrProtocol},
		{"map-huge", status, be(0x668e33ef, uint16(1), uint16(5), uint64(1), -4), nbd.ErrProtocol},
		{"map-error", status, chunk(true, 0x8001, be(22, uint16(0))), syscall.EINVAL},

		{"write", write, simple(0), ok},
		{"write-structured", write, chunk(true, 0, none), ok},
		{"write-full", write, simple(28), syscall.ENOSPC},
		{"write-data", write, chunk(true, 1, left), nbd.ErrProtocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := play(t.Context(), tt.reply)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := ask(t.Context(), c, tt.what, make([]byte, 4096)); !errors.Is(err, tt.want) {
				t.Errorf("%v, not %v", err, tt.want)
			}
			if errors.Is(tt.want, nbd.ErrProtocol) {
				if err := c.Flush(t.Context()); !errors.Is(err, nbd.ErrProtocol) {
					t.Errorf("the connection was used again: %v", err)
				}
			}
		})
	}
}

// TestOtherExport: of further connections only those are used that show the same export, and may be used side by side.
func TestOtherExport(t *testing.T) {
	const alone, multi = 0x4fd, 0x5fd
	for _, tt := range []struct {
		name  string
		bytes uint64
		flags uint16
		want  int
	}{{"the same", scriptBytes, multi, 3}, {"another size", scriptBytes + 4096, multi, 1}, {"not side by side", scriptBytes, alone, 1}} {
		var dials atomic.Int64
		o := mapping("a", "b")
		o.Connections = 3
		o.Handshake.Dial = func(context.Context, string, string) (net.Conn, error) {
			if dials.Add(1) == 1 {
				return newScript(helloOf(scriptBytes, multi), nil), nil
			}
			return newScript(helloOf(tt.bytes, tt.flags), nil), nil
		}
		c, err := nbd.Open(t.Context(), "nbd://script", o)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Connections(); got != tt.want || dials.Load() != 3 {
			t.Errorf("%s: %d connections of %d, want %d", tt.name, got, dials.Load(), tt.want)
		}
		c.Close()
	}
}

// ask sends one request about the 4096 bytes at 8192.
func ask(ctx context.Context, c *nbd.Client, what string, p []byte) error {
	switch what {
	case "read":
		return c.Read(ctx, p, 8192)
	case "map":
		return c.Extents(ctx, 8192, 4096, func(nbd.Extent) error { return nil })
	}
	return c.Write(ctx, p, 8192, 0)
}

// TestReadHole: what a hole covers is zero, whatever was in the buffer; and messages cannot disturb a terminal.
func TestReadHole(t *testing.T) {
	c, err := play(t.Context(), chunk(true, 2, be(uint64(8192), 4096)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p := noise(1, 4096)
	if err := c.Read(t.Context(), p, 8192); err != nil || !bytes.Equal(p, make([]byte, 4096)) {
		t.Errorf("%v, % x", err, p[:8])
	}
	c, err = play(t.Context(), chunk(true, 0x8001, be(5, uint16(8), "\x1b[2J\n\xffé")))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var said *nbd.ServerError
	if err := c.Read(t.Context(), p, 8192); !errors.As(err, &said) || said.Message != "?[2J??é" {
		t.Errorf("%v", err)
	}
}

// FuzzReplies: whatever a server replies, a read that succeeds has written all of its buffer, a map that succeeds has no
// gap, and nothing hangs.
func FuzzReplies(f *testing.F) {
	half := noise(1, 2048)
	for _, reply := range [][]byte{
		nil, simple(0), simple(5),
		chunk(true, 1, be(uint64(8192), half, half)),
		be(chunk(false, 2, be(uint64(8192), 2048)), chunk(true, 1, be(uint64(8192+2048), half))),
		chunk(true, 0x8001, be(5, uint16(4), "oops")),
		chunk(true, 0x8002, be(5, uint16(4), "oops", uint64(1))),
		be(chunk(false, 5, be(2, 512, 1, 3584, 0)), chunk(true, 5, be(1, 4096, 0))),
	} {
		for what := range byte(3) {
			f.Add(what, reply)
		}
	}
	f.Fuzz(func(t *testing.T, what byte, reply []byte) {
		fuzzRead(t, reply)
		at := int64(8192)
		c, err := play(t.Context(), reply)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if what%2 == 0 {
			ask(t.Context(), c, "write", half)
			return
		}
		err = c.Extents(t.Context(), at, 4096, func(e nbd.Extent) error {
			if e.Start != at || e.Length <= 0 {
				t.Errorf("extent %+v, not at %d", e, at)
			}
			at += e.Length
			return nil
		})
		if err == nil && at != 8192+4096 {
			t.Errorf("the map ends at %d", at)
		}
	})
}

// fuzzRead reads into two buffers of different contents, which must then be equal.
func fuzzRead(t *testing.T, reply []byte) {
	buffers := [][]byte{bytes.Repeat([]byte{0x55}, 4096), bytes.Repeat([]byte{0xaa}, 4096)}
	var read [2]bool
	for i, p := range buffers {
		c, err := play(t.Context(), slices.Clone(reply))
		if err != nil {
			t.Fatal(err)
		}
		read[i] = ask(t.Context(), c, "read", p) == nil
		c.Close()
	}
	if read[0] != read[1] || read[0] && !bytes.Equal(buffers[0], buffers[1]) {
		t.Errorf("the same reply, twice: %v", read)
	}
}

// TestZeroPiece: a piece of a stream is called zero only when all of it came as holes.
func TestZeroPiece(t *testing.T) {
	half := noise(1, 2048)
	for _, tt := range []struct {
		reply []byte
		want  []byte
		zero  bool
	}{
		{chunk(true, 2, be(uint64(8192), 4096)), make([]byte, 4096), true},
		{be(chunk(false, 2, be(uint64(8192), 2048)), chunk(true, 1, be(uint64(8192+2048), half))), append(make([]byte, 2048), half...), false},
	} {
		c, err := play(t.Context(), tt.reply)
		if err != nil {
			t.Fatal(err)
		}
		spans := func(_ context.Context, yield func(nbd.Span) error) error {
			return yield(nbd.Span{Start: 8192, Length: 4096})
		}
		pieces := 0
		err = c.Stream(t.Context(), nbd.StreamOptions{}, spans, func(p nbd.Piece) error {
			pieces++
			if p.Zero != tt.zero || !bytes.Equal(p.Data, tt.want) {
				t.Errorf("zero: %v, want %v", p.Zero, tt.zero)
			}
			return nil
		})
		if err != nil || pieces != 1 {
			t.Errorf("%d pieces, %v", pieces, err)
		}
		c.Close()
	}
}
