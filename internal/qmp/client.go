package qmp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"holdfast/internal/jsonlines"
)

// greetingMax is how long QEMU may take to greet: it does at once, or not at all.
const greetingMax = 5 * time.Second

// limits: the longest line known is the schema of all commands, 200 KiB; a VM with a hundred disks and their snapshots
// describes its nodes in a few MiB.
var limits = jsonlines.Limits{LineBytes: 32 << 20, Depth: 64}

// Version is QEMU's.
type Version struct {
	Major int `json:"major"`
	Minor int `json:"minor"`
	Micro int `json:"micro"`
}

// AtLeast tells whether the version is that one or a later one.
func (v Version) AtLeast(major, minor int) bool {
	return v.Major > major || v.Major == major && v.Minor >= minor
}

// Client is a connection with a monitor. Methods may be called concurrently; QEMU answers in the order of the commands.
type Client struct {
	// Version of QEMU, from its greeting.
	Version Version

	conn    net.Conn
	writing chan struct{} // held while a command is written
	done    chan struct{} // closed when the reader has ended

	mu      sync.Mutex // guards what follows
	lastID  uint64
	waiting map[uint64]chan message
	subs    map[*Subscription]struct{}
	cause   error // why the connection ended
}

// message is anything that QEMU sends.
type message struct {
	Greeting *struct {
		Version struct {
			QEMU Version `json:"qemu"`
		} `json:"version"`
	} `json:"QMP"`
	ID     *uint64         `json:"id"`
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
	Time  struct {
		Seconds      int64 `json:"seconds"`
		Microseconds int64 `json:"microseconds"`
	} `json:"timestamp"`
}

// Dial connects with the monitor at a Unix socket and readies it for commands. ErrNoGreeting when it is somebody else's.
func Dial(ctx context.Context, path string) (*Client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("qmp: connect: %w", err)
	}
	c, err := New(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("qmp: connect: %s: %w", path, err)
	}
	return c, nil
}

// New readies a connection for commands. It is closed when that does not succeed.
func New(ctx context.Context, conn net.Conn) (*Client, error) {
	c := &Client{
		conn: conn, writing: make(chan struct{}, 1), done: make(chan struct{}),
		waiting: map[uint64]chan message{}, subs: map[*Subscription]struct{}{},
	}
	lines := jsonlines.NewReader(conn, limits)
	greetCtx, cancel := context.WithTimeout(ctx, greetingMax)
	defer cancel()
	if err := c.greet(greetCtx, lines); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	go c.read(lines)
	if err := c.Execute(greetCtx, "qmp_capabilities", nil, nil); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Client) greet(ctx context.Context, lines *jsonlines.Reader) error {
	release := jsonlines.Bound(ctx, c.conn.SetReadDeadline)
	defer release()
	line, err := lines.Line()
	if ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", ErrNoGreeting, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("read greeting: %w", err)
	}
	var m message
	if err := limits.Decode(line, &m); err != nil || m.Greeting == nil {
		return fmt.Errorf("%w: it greets with %q", ErrProtocol, jsonlines.Text(string(line)))
	}
	c.Version = m.Greeting.Version.QEMU
	return nil
}

// Execute sends a command and waits for its reply. Arguments (nil for none) are encoded as JSON, the reply is decoded into
// result unless that is nil. A refusal is an *Error. When ctx ends first the command may still take effect: its late reply
// is dropped, and the connection remains good for others, which QEMU takes up after it.
func (c *Client) Execute(ctx context.Context, command string, arguments, result any) error {
	m, err := c.call(ctx, command, arguments)
	if err != nil {
		return fmt.Errorf("qmp: %s: %w", command, err)
	}
	if m.Error != nil {
		return &Error{Command: command, Class: m.Error.Class, Desc: m.Error.Desc}
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(m.Return, result); err != nil {
		return fmt.Errorf("qmp: %s: decode the answer: %w", command, err)
	}
	return nil
}

func (c *Client) call(ctx context.Context, command string, arguments any) (message, error) {
	id, reply, err := c.expect()
	if err != nil {
		return message{}, err
	}
	defer c.forget(id)
	request, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
		ID        uint64 `json:"id"`
	}{command, arguments, id})
	if err != nil {
		return message{}, err
	}
	if err := c.write(ctx, append(request, '\n')); err != nil {
		return message{}, err
	}
	select {
	case m := <-reply:
		return m, nil
	case <-ctx.Done():
		return message{}, ctx.Err()
	case <-c.done:
		select {
		case m := <-reply: // it came just before the end, as that of "quit" does
			return m, nil
		default:
			return message{}, c.ended()
		}
	}
}

// expect makes a place for a reply.
func (c *Client) expect() (uint64, chan message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return 0, nil, c.cause
	}
	c.lastID++
	reply := make(chan message, 1)
	c.waiting[c.lastID] = reply
	return c.lastID, reply, nil
}

func (c *Client) forget(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

// write sends one request. Half a request would garble all that follow, so that ends the connection.
func (c *Client) write(ctx context.Context, request []byte) error {
	select {
	case c.writing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return c.ended()
	}
	defer func() { <-c.writing }()
	release := jsonlines.Bound(ctx, c.conn.SetWriteDeadline)
	defer release()
	if n, err := c.conn.Write(request); err != nil {
		if n > 0 || ctx.Err() == nil {
			c.end(fmt.Errorf("%w: write: %w", ErrClosed, err))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return c.ended()
	}
	return nil
}

// Close ends the connection and waits for its reader. Commands under way and subscriptions end with ErrClosed.
func (c *Client) Close() error {
	c.end(ErrClosed)
	<-c.done
	return nil
}

// Done is closed when the connection has ended, from whichever side.
func (c *Client) Done() <-chan struct{} { return c.done }

// end gives the connection up for a cause; the first one counts.
func (c *Client) end(cause error) {
	c.mu.Lock()
	if c.cause == nil {
		c.cause = cause
	}
	c.mu.Unlock()
	_ = c.conn.Close() // nothing is lost by it: the cause is what matters
}

func (c *Client) ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}
