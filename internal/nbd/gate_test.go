package nbd_test

import (
	"context"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"holdfast/internal/nbd"
	"holdfast/internal/nbd/handshake"
)

// gate is a connection whose incoming bytes can be held up after a certain number.
type gate struct {
	net.Conn
	shut chan struct{} // closed when bytes are being held up

	mu       sync.Mutex
	left     int // bytes until it shuts; negative for open
	opened   chan struct{}
	deadline chan struct{} // closed while a deadline in the past is set
	requests chan struct{} // one for each write
}

func newGate() *gate {
	return &gate{shut: make(chan struct{}), left: -1, opened: make(chan struct{}), deadline: make(chan struct{}), requests: make(chan struct{}, 1000)}
}

func (g *gate) dial(ctx context.Context, network, address string) (_ net.Conn, err error) {
	g.Conn, err = new(net.Dialer).DialContext(ctx, network, address)
	return g, err
}

func (g *gate) shutAfter(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left = n
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left = -1
	close(g.opened)
}

func (g *gate) Write(p []byte) (int, error) {
	g.requests <- struct{}{}
	return g.Conn.Write(p)
}

func (g *gate) Read(p []byte) (int, error) {
	g.mu.Lock()
	left, opened, deadline := g.left, g.opened, g.deadline
	g.mu.Unlock()
	if left == 0 {
		select {
		case <-g.shut:
		default:
			close(g.shut)
		}
		select {
		case <-opened:
		case <-deadline:
			return 0, os.ErrDeadlineExceeded
		}
	}
	if left > 0 {
		p = p[:min(left, len(p))]
	}
	n, err := g.Conn.Read(p)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.left > 0 {
		g.left -= min(n, g.left)
	}
	return n, err
}

func (g *gate) SetReadDeadline(t time.Time) error {
	g.mu.Lock()
	if t.IsZero() {
		g.deadline = make(chan struct{})
	} else {
		close(g.deadline)
	}
	g.mu.Unlock()
	return g.Conn.SetReadDeadline(t)
}

// TestCancel: a read that is given up halfway leaves the client in order.
func TestCancel(t *testing.T) {
	disk := noise(1, 8<<20)
	s := serve(t, "unix", "qemu-nbd", "-r", "-t", "-f", "raw", imageOf(t, disk))
	gate := newGate()
	c := s.open("nbd", "", nbd.Options{Connections: 1, Handshake: handshake.Options{Dial: gate.dial}})
	cancelHalfway(t, c, gate, disk)
}
