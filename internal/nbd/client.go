package nbd

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"holdfast/internal/nbd/handshake"
)

// ContextsMax is how many meta contexts a client can ask for.
const ContextsMax = 8

// Info is what a server says of an export.
type Info = handshake.Info

// Options of a client. The zero value is a good one for reading without TLS.
type Options struct {
	// Handshake is how to connect: TLS, and the meta contexts of the map.
	Handshake handshake.Options
	// Connections is how many to make, where the server allows more than one; 0 stands for 4.
	Connections int
	// Pending is how many requests may be under way on a connection; 0 stands for 16, QEMU's own limit.
	Pending int
	// Stall: a connection with requests under way from which nothing has come for so long (or up to twice as long) is
	// given up; 0 stands for 5 min. A flush may take long.
	Stall time.Duration
}

// extraWait bounds the handshakes of the connections beyond the first: a server that takes no more of them lets one wait.
const extraWait = 3 * time.Second

// bounceBytes is how much a read that is not aligned takes at a time, a multiple of every BlockMin.
const bounceBytes = 1 << 20

func (o Options) withDefaults() Options {
	o.Connections, o.Pending = orDefault(o.Connections, 4), orDefault(o.Pending, 16)
	o.Stall = orDefault(o.Stall, 5*time.Minute)
	return o
}

func orDefault[N int | time.Duration](n, otherwise N) N {
	if n <= 0 {
		return otherwise
	}
	return n
}

// Client is an open export. Its methods may be called from several goroutines. It does not connect anew: once all its
// connections are lost, everything fails with ErrLost.
type Client struct {
	where string // the address, for errors
	info  Info
	conns []*conn
	read  Flags // of reads
}

// Open connects to an export, by its address's text form (see handshake.Address).
func Open(ctx context.Context, uri string, o Options) (*Client, error) {
	o = o.withDefaults()
	if n := len(o.Handshake.Contexts); n > ContextsMax {
		return nil, fmt.Errorf("open %s: %d meta contexts, at most %d", uri, n, ContextsMax)
	}
	first, err := open(ctx, uri, o)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", uri, err)
	}
	c := &Client{where: uri, info: first.info, conns: []*conn{first}}
	if first.info.DontFragment && slices.Contains(first.info.Contexts, ContextAllocation) {
		// Who has a map does not need holes in reads; and QEMU (7.2) hangs up where it cannot read a disk in fragments,
		// but says why where it cannot read it in one.
		c.read = dontFragment
	}
	if first.info.MultiConn {
		c.openMore(ctx, o)
	}
	return c, nil
}

// openMore makes the other connections. Those that do not come about, or show another export, are done without.
func (c *Client) openMore(ctx context.Context, o Options) {
	o.Handshake.Timeout = extraWait
	extra := make([]*conn, o.Connections-1)
	var all sync.WaitGroup
	for i := range extra {
		all.Go(func() { extra[i], _ = open(ctx, c.where, o) })
	}
	all.Wait()
	for _, n := range extra {
		switch {
		case n == nil:
		case n.info.SizeBytes != c.info.SizeBytes || !n.info.MultiConn:
			n.close()
		default:
			c.conns = append(c.conns, n)
		}
	}
}

// Info is what the server said of the export.
func (c *Client) Info() Info { return c.info }

// SizeBytes is the size of the export, to the byte.
func (c *Client) SizeBytes() int64 { return c.info.SizeBytes }

// Connections is how many there are, the lost ones among them.
func (c *Client) Connections() int { return len(c.conns) }

// Close ends what is under way with ErrClosed, takes leave of the server, and returns when nothing more can happen.
func (c *Client) Close() error {
	var all sync.WaitGroup
	for _, n := range c.conns {
		all.Go(n.close)
	}
	all.Wait()
	return nil
}

// pick chooses the connection with the fewest requests under way, of those that live.
func (c *Client) pick() *conn {
	best := c.conns[0]
	for _, n := range c.conns[1:] {
		if !best.alive() || n.alive() && len(n.slots) < len(best.slots) {
			best = n
		}
	}
	return best
}

// do carries a request out, and says of an error what was done, and where.
func (c *Client) do(ctx context.Context, k *call) error {
	n := c.pick()
	err := n.start(ctx, k)
	if err == nil {
		err = n.wait(ctx, k)
	}
	return c.explain(k, err)
}

func (c *Client) explain(k *call, err error) error {
	if err == nil {
		return nil
	}
	return c.explainRange(k.cmd, k.offset, k.length, err)
}

func (c *Client) explainRange(cmd command, off, length int64, err error) error {
	if cmd == cmdFlush {
		return fmt.Errorf("flush %s: %w", c.where, err)
	}
	return fmt.Errorf("%s %d bytes at %d of %s: %w", cmd, length, off, c.where, err)
}

// inside checks a range that a caller gave.
func (c *Client) inside(off, length int64) error {
	if off < 0 || length < 0 || off > c.info.SizeBytes || length > c.info.SizeBytes-off {
		return fmt.Errorf("%w of %d bytes", ErrRange, c.info.SizeBytes)
	}
	return nil
}

// aligned widens a range to the server's least block, as far as the export goes.
func (c *Client) aligned(off, length int64) (from, to int64) {
	least := c.info.BlockMin
	return off / least * least, min((off+length+least-1)/least*least, c.info.SizeBytes)
}

// Read fills p with the bytes from off on. Ranges that are not aligned to the server's blocks are read with what
// surrounds them. When it fails the contents of p are undefined; after it has returned, p is not written any more.
func (c *Client) Read(ctx context.Context, p []byte, off int64) error {
	if err := c.inside(off, int64(len(p))); err != nil {
		return c.explainRange(cmdRead, off, int64(len(p)), err)
	}
	from, to := c.aligned(off, int64(len(p)))
	if from == off && to == off+int64(len(p)) {
		return c.readAligned(ctx, p, off)
	}
	for len(p) > 0 {
		from, _ = c.aligned(off, 0)
		_, to = c.aligned(from, min(off+int64(len(p)), from+min(c.info.BlockMax, bounceBytes))-from)
		around := make([]byte, to-from)
		if err := c.readAligned(ctx, around, from); err != nil {
			return err
		}
		n := copy(p, around[off-from:])
		p, off = p[n:], off+int64(n)
	}
	return nil
}

func (c *Client) readAligned(ctx context.Context, p []byte, off int64) error {
	for len(p) > 0 {
		n := min(int64(len(p)), c.info.BlockMax)
		if err := c.do(ctx, &call{cmd: cmdRead, flags: c.read, offset: off, length: n, buf: p[:n]}); err != nil {
			return err
		}
		p, off = p[n:], off+n
	}
	return nil
}

// ReadAt is Read for an io.ReaderAt, without a context: Close ends it.
func (c *Client) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, c.explainRange(cmdRead, off, int64(len(p)), ErrRange)
	}
	n := max(0, min(int64(len(p)), c.info.SizeBytes-off))
	if err := c.Read(context.Background(), p[:n], min(off, c.info.SizeBytes)); err != nil {
		return 0, err
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

// open makes one connection.
func open(ctx context.Context, uri string, o Options) (*conn, error) {
	nc, info, err := handshake.Connect(ctx, uri, o.Handshake)
	if err != nil {
		return nil, err
	}
	return newConn(nc, info, o), nil
}

// alive tells whether requests can be sent.
func (c *conn) alive() bool {
	select {
	case <-c.gone:
		return false
	default:
		return true
	}
}
