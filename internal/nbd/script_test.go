package nbd_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"

	"holdfast/internal/nbd"
)

// scriptBytes is the size of the export that a script plays.
const scriptBytes = 1 << 20

// be appends numbers, each big-endian in its own width, and bytes.
func be(parts ...any) (p []byte) {
	for _, part := range parts {
		switch v := part.(type) {
		case int:
			p = binary.BigEndian.AppendUint32(p, uint32(v))
		case string:
			p = append(p, v...)
		case []byte:
			p = append(p, v...)
		default:
			p, _ = binary.Append(p, binary.BigEndian, v)
		}
	}
	return p
}

// hello is a negotiation that ends well: structured replies, the contexts "a" and "b" with the numbers 1 and 2, all
// commands.
func hello() []byte { return helloOf(scriptBytes, 0x4fd) }

// helloOf is hello of an export of another size, and with other flags.
func helloOf(bytes uint64, flags uint16) []byte {
	reply := func(option, kind int, data []byte) []byte {
		return be(uint64(0x3e889045565a9), option, kind, len(data), data)
	}
	return be("NBDMAGICIHAVEOPT", uint16(3),
		reply(8, 1, nil),
		reply(10, 4, be(1, "a")), reply(10, 4, be(2, "b")), reply(10, 1, nil),
		reply(7, 3, be(uint16(0), bytes, flags)),
		reply(7, 3, be(uint16(3), 1, 4096, 32<<20)), reply(7, 1, nil))
}

// chunk is a chunk of a structured reply to the first request.
func chunk(last bool, kind int, data []byte) []byte {
	flags := uint16(0)
	if last {
		flags = 1
	}
	return be(0x668e33ef, flags, uint16(kind), uint64(1), len(data), data)
}

// simple is a simple reply to the first request.
func simple(number int) []byte { return be(0x67446698, number, uint64(1)) }

// script is a connection to a server that says what was written down before: first the negotiation, then, once a
// request was sent, the rest, whatever was asked; then it hangs up.
type script struct {
	mu     sync.Mutex
	now    []byte
	later  []byte
	asked  chan struct{}
	closed chan struct{}
	once   [2]sync.Once
}

func newScript(now, later []byte) *script {
	return &script{now: now, later: later, asked: make(chan struct{}), closed: make(chan struct{})}
}

func (s *script) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.now) == 0 {
		select {
		case <-s.asked:
		case <-s.closed:
			return 0, net.ErrClosed
		}
		s.now, s.later = s.later, nil
	}
	if len(s.now) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.now)
	s.now = s.now[n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error) {
	if len(p) >= 4 && binary.BigEndian.Uint32(p) == 0x25609513 {
		s.once[0].Do(func() { close(s.asked) })
	}
	return len(p), nil
}

func (s *script) Close() error {
	s.once[1].Do(func() { close(s.closed) })
	return nil
}

func (s *script) LocalAddr() net.Addr              { return nil }
func (s *script) RemoteAddr() net.Addr             { return nil }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// play opens the export of a script.
func play(ctx context.Context, later []byte) (*nbd.Client, error) {
	o := mapping("a", "b")
	o.Handshake.Dial = func(context.Context, string, string) (net.Conn, error) { return newScript(hello(), later), nil }
	return nbd.Open(ctx, "nbd://script", o)
}
