package nbd

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/nbd/handshake"
)

// writeGrace: a payload whose caller has given up may still be sent for so long; then the connection is ended, because
// half a request cannot be taken back.
const writeGrace = 5 * time.Second

// conn is a connection in transmission. One goroutine receives; callers send. What a call waits for it gets from the
// receiver, always: its reply, or the reason why the connection has ended.
type conn struct {
	nc    net.Conn
	in    *bufio.Reader
	info  Info
	stall time.Duration

	slots   chan struct{} // one for each request under way
	sending chan struct{} // held by who writes
	gone    chan struct{} // closed when the connection is ended
	done    chan struct{} // closed when the receiver has finished all calls

	received atomic.Uint64 // counts up while bytes come

	mu      sync.Mutex // of all that follows, and of the marks in call
	pending map[uint64]*call
	cookie  uint64
	ended   error
	watch   *time.Timer
	watched uint64 // what received was when the watch looked last
}

// call is a request and what has come of its reply. The receiver owns it from start until finished is closed, except for
// the marks, which conn.mu guards.
type call struct {
	cmd            command
	flags          Flags
	offset, length int64
	payload        []byte // to write
	buf            []byte // to read into; length bytes

	cover    coverage
	zeros    int64        // bytes of a read that came as holes
	statuses []statusRuns // of a block status, for each context
	failed   *ServerError
	err      error
	finished chan struct{}

	abandoned bool          // nobody waits: buf must not be written any more
	filling   bool          // the receiver writes into buf
	idle      chan struct{} // closed by the receiver when it has left an abandoned buf
}

func newConn(nc net.Conn, info Info, o Options) *conn {
	c := &conn{
		nc: nc, in: bufio.NewReaderSize(nc, readBufferBytes), info: info, stall: o.Stall,
		slots: make(chan struct{}, o.Pending), sending: make(chan struct{}, 1),
		gone: make(chan struct{}), done: make(chan struct{}),
		pending: map[uint64]*call{},
	}
	c.mu.Lock()
	c.watch = time.AfterFunc(c.stall, c.look)
	c.mu.Unlock()
	go c.receive()
	return c
}

// start sends a request. Without an error the call is under way, and must be waited for or abandoned.
func (c *conn) start(ctx context.Context, k *call) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	k.finished = make(chan struct{})
	if err := c.take(ctx, c.slots); err != nil {
		return err
	}
	if err := c.take(ctx, c.sending); err != nil {
		<-c.slots
		return err
	}
	defer func() { <-c.sending }()
	cookie, err := c.register(k)
	if err != nil {
		<-c.slots
		return err
	}
	c.send(ctx, k, cookie)
	return nil
}

// take waits for a place.
func (c *conn) take(ctx context.Context, places chan struct{}) error {
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.gone:
		return c.cause()
	}
}

func (c *conn) cause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

func (c *conn) register(k *call) (cookie uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return 0, c.ended
	}
	if len(c.pending) == 0 {
		c.received.Add(1) // the watch counts from here
	}
	c.cookie++
	c.pending[c.cookie] = k
	return c.cookie, nil
}

// send writes a request. An error ends the connection, by which the call gets it.
func (c *conn) send(ctx context.Context, k *call, cookie uint64) {
	head := appendRequest(make([]byte, 0, requestBytes), k, cookie)
	if len(k.payload) == 0 {
		if _, err := c.nc.Write(head); err != nil {
			c.end(handshake.Lost(err))
		}
		return
	}
	written := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		grace := time.NewTimer(writeGrace)
		defer grace.Stop()
		select {
		case <-written:
		case <-grace.C:
			c.end(fmt.Errorf("%w: a write was given up, and the server does not take it", ErrLost))
		}
	})
	buffers := net.Buffers{head, k.payload}
	_, err := buffers.WriteTo(c.nc)
	close(written)
	stop()
	if err != nil {
		c.end(handshake.Lost(err))
	}
}

func appendRequest(p []byte, k *call, cookie uint64) []byte {
	p = binary.BigEndian.AppendUint32(p, magicRequest)
	p = binary.BigEndian.AppendUint16(p, uint16(k.flags))
	p = binary.BigEndian.AppendUint16(p, uint16(k.cmd))
	p = binary.BigEndian.AppendUint64(p, cookie)
	p = binary.BigEndian.AppendUint64(p, uint64(k.offset))
	return binary.BigEndian.AppendUint32(p, uint32(k.length))
}

// wait returns when the call is finished, or given up with ctx; then its buffers are the caller's again.
func (c *conn) wait(ctx context.Context, k *call) error {
	select {
	case <-k.finished:
		return k.err
	case <-ctx.Done():
		c.abandon(k)
		return ctx.Err()
	}
}

// past is a deadline that ends what waits.
func past() time.Time { return time.Unix(1, 0) }

// abandon gives a call up. Its reply is thrown away when it comes; until then it holds its slot. A receiver that
// is just filling the buffer is woken by a deadline in the past, so that this returns at once.
func (c *conn) abandon(k *call) {
	var idle chan struct{}
	c.mu.Lock()
	k.abandoned = true
	if k.filling {
		idle = make(chan struct{})
		k.idle = idle
	}
	c.mu.Unlock()
	if idle != nil {
		c.nc.SetReadDeadline(past())
		<-idle
	}
}

// end makes the connection useless, with the reason that all calls get. The first reason stays.
func (c *conn) end(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return
	}
	c.ended = reason
	c.watch.Stop()
	close(c.gone)
	hangUp(c.nc)
}

// hangUp closes a connection without taking leave, which could wait for a server that does not read.
func hangUp(nc net.Conn) {
	if secured, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = secured.NetConn()
	}
	nc.Close()
}

// close takes leave if that can be had at once, ends the connection, and waits until the receiver is done with all calls.
func (c *conn) close() {
	select {
	case c.sending <- struct{}{}:
		timer := time.AfterFunc(time.Second, func() { c.end(ErrClosed) })
		c.nc.Write(appendRequest(nil, &call{cmd: cmdDisconnect}, 0))
		timer.Stop()
		<-c.sending
	default:
	}
	c.end(ErrClosed)
	<-c.done
}

// look ends a connection that has stalled: requests are under way, and nothing has come since it looked last.
func (c *conn) look() {
	now := c.received.Load()
	c.mu.Lock()
	stalled := len(c.pending) > 0 && now == c.watched
	c.watched = now
	if c.ended == nil && !stalled {
		c.watch.Reset(c.stall)
	}
	c.mu.Unlock()
	if stalled {
		c.end(fmt.Errorf("%w: nothing has come for %s", ErrLost, c.stall))
	}
}
