package nbd_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/nbd"
	"holdfast/internal/nbd/handshake"
)

// counted opens an export through gates, and gives the channel that gets something for each request.
func counted(s *server, o nbd.Options) (*nbd.Client, chan struct{}) {
	s.t.Helper()
	requests := make(chan struct{}, 1000)
	o.Handshake.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		g := newGate()
		g.requests = requests
		return g.dial(ctx, network, address)
	}
	c := s.open("nbd", "", o)
	for len(requests) > 0 {
		<-requests // of the negotiation
	}
	return c, requests
}

// TestServerDies: all that is under way on all connections ends with ErrLost, and so does all that comes later.
func TestServerDies(t *testing.T) {
	s := serve(t, "unix", "nbdkit", "-f", "--filter=delay", "memory", "1M", "delay-read=1000", "delay-write=1000")
	c, requests := counted(s, nbd.Options{})
	var all sync.WaitGroup
	for i := range int64(40) {
		all.Go(func() {
			err := c.Read(t.Context(), make([]byte, 512), i*512)
			if i%2 == 0 {
				err = c.Write(t.Context(), make([]byte, 512), i*512, 0)
			}
			if !errors.Is(err, nbd.ErrLost) {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	for range 20 {
		<-requests
	}
	s.kill()
	all.Wait()
	if err := c.Read(t.Context(), make([]byte, 512), 0); !errors.Is(err, nbd.ErrLost) {
		t.Errorf("later: %v", err)
	}
}

// TestClose: a client that is closed ends what is under way with ErrClosed.
func TestClose(t *testing.T) {
	s := serve(t, "unix", "nbdkit", "-f", "--filter=delay", "memory", "1M", "delay-read=1000")
	c, requests := counted(s, nbd.Options{Connections: 1, Pending: 2})
	var all sync.WaitGroup
	for i := range int64(8) {
		all.Go(func() { // two are sent, six wait for their turn
			if err := c.Read(t.Context(), make([]byte, 512), i*512); !errors.Is(err, nbd.ErrClosed) {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	<-requests
	<-requests
	c.Close()
	all.Wait()
	if err := c.Read(t.Context(), make([]byte, 512), 0); !errors.Is(err, nbd.ErrClosed) {
		t.Errorf("later: %v", err)
	}
}

// TestCancelWaiting: what is given up before its reply comes, or before its turn, costs no other request anything.
func TestCancelWaiting(t *testing.T) {
	s := serve(t, "unix", "nbdkit", "-f", "--filter=delay", "pattern", "1M", "rdelay=100ms")
	c, requests := counted(s, nbd.Options{Connections: 1, Pending: 1})
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var buffers [4][512]byte
	for i := range buffers {
		all.Go(func() {
			if err := c.Read(ctx, buffers[i][:], 0); !errors.Is(err, context.Canceled) {
				t.Errorf("given up: %v", err)
			}
		})
	}
	<-requests
	cancel()
	all.Wait()
	p := make([]byte, 8)
	if err := c.Read(t.Context(), p, 4096); err != nil || string(p) != string(bigEndian(4096)) {
		t.Errorf("after it: % x, %v", p, err)
	}
	if buffers != [4][512]byte{} { // the reply came before the one that was waited for
		t.Error("a buffer was written after its read had returned")
	}
}

// TestDisconnects: one connection that a proxy cuts in mid-reply costs the reads on it; the others go on.
func TestDisconnects(t *testing.T) {
	disk := noise(1, 4<<20)
	s := serve(t, "unix", "qemu-nbd", "-r", "-t", "-e", "4", "-f", "raw", imageOf(t, disk))
	var gates []*gate
	var mu sync.Mutex
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		g := newGate()
		mu.Lock()
		defer mu.Unlock()
		gates = append(gates, g)
		return g.dial(ctx, network, address)
	}
	c := s.open("nbd", "", nbd.Options{Connections: 2, Handshake: handshake.Options{Dial: dial}})
	gates[0].shutAfter(1 << 20)
	go func() {
		<-gates[0].shut
		gates[0].Conn.Close()
		gates[0].open()
	}()
	// Both are idle: the first is taken.
	if err := c.Read(t.Context(), make([]byte, 2<<20), 0); !errors.Is(err, nbd.ErrLost) {
		t.Errorf("cut: %v", err)
	}
	readEverywhere(t, c, disk)
}

// mute is a server in this process that negotiates as far as it is told, and then only listens.
func mute(ctx context.Context, says []byte) handshake.Options {
	return handshake.Options{Contexts: []string{"a", "b"}, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go theirs.Write(says)
		go func() {
			for p := make([]byte, 4096); ; {
				if _, err := theirs.Read(p); err != nil {
					return
				}
			}
		}()
		context.AfterFunc(ctx, func() { theirs.Close() })
		return ours, nil
	}}
}

// TestStall: a server that has stopped answering is given up after a while, by requests and handshakes; one that has
// nothing to answer is not.
func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		o := nbd.Options{Handshake: mute(ctx, hello()), Connections: 1, Stall: time.Minute}
		c, err := nbd.Open(ctx, "nbd://mute", o)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // of the bubble: takes no time
		start := time.Now()
		if err := c.Read(ctx, make([]byte, 512), 0); !errors.Is(err, nbd.ErrLost) {
			t.Errorf("read: %v", err)
		}
		if waited := time.Since(start); waited < time.Minute || waited > 2*time.Minute {
			t.Errorf("given up after %v", waited)
		}
		c.Close()

		o.Handshake = mute(ctx, hello()[:100])
		if _, err := nbd.Open(ctx, "nbd://mute", o); !errors.Is(err, nbd.ErrLost) {
			t.Errorf("handshake: %v", err)
		}
		short, stop := context.WithTimeout(ctx, time.Second)
		defer stop()
		if _, err := nbd.Open(short, "nbd://mute", o); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("handshake, given up: %v", err)
		}
	})
}

// TestWriteGivenUp: a write that the server does not take, and its caller gives up, ends the connection after a grace:
// half a request cannot be taken back.
func TestWriteGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		deaf := mute(ctx, hello())
		dial := deaf.Dial
		deaf.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			nc, err := dial(ctx, network, address)
			return &chokes{Conn: nc, choked: make(chan struct{})}, err
		}
		c, err := nbd.Open(ctx, "nbd://mute", nbd.Options{Handshake: deaf, Connections: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		short, stop := context.WithTimeout(ctx, time.Second)
		defer stop()
		start := time.Now()
		err = c.Write(short, make([]byte, 64<<10), 0, 0)
		if err == nil || time.Since(start) > 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := c.Flush(ctx); !errors.Is(err, nbd.ErrLost) {
			t.Errorf("after it: %v", err)
		}
	})
}

// chokes on anything long.
type chokes struct {
	net.Conn
	choked chan struct{}
	once   sync.Once
}

func (c *chokes) Write(p []byte) (int, error) {
	if len(p) > 4096 {
		<-c.choked
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

func (c *chokes) Close() error {
	c.once.Do(func() { close(c.choked) })
	return c.Conn.Close()
}
