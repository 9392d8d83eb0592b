package qga

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"holdfast/internal/jsonlines"
)

// limits: an agent describes a hundred file systems in 100 KiB.
var limits = jsonlines.Limits{LineBytes: 4 << 20, Depth: 32}

// syncMax is how long an agent may take to answer the synchronisation: it does at once, or it is busy, dead or another's.
// Nothing has been asked of it by then, so giving up is cheap.
const syncMax = 5 * time.Second

// staleMax is how many lines of earlier answers are dropped while waiting for the synchronisation.
const staleMax = 10_000

// sentinel resets the agent's parser, and leads its answer to guest-sync-delimited: no JSON holds it.
const sentinel = 0xFF

// Errors that callers branch on.
var (
	// ErrNoAnswer: the agent did not answer in time. It does not run, is busy, or its port is in another's hands; a command
	// that was sent may yet take effect.
	ErrNoAnswer = errors.New("the guest agent does not answer")
	// ErrProtocol: what came is not the agent's protocol.
	ErrProtocol = errors.New("not the guest agent's protocol")
)

// Error is the agent's refusal of a command.
type Error struct {
	Command, Class, Desc string
}

// Error names the command and the cause.
func (e *Error) Error() string {
	return fmt.Sprintf("guest agent: %s: %s", e.Command, jsonlines.Text(e.Desc))
}

// Refused tells whether an error is the agent's refusal: it has answered, so the command is over.
func Refused(err error) bool {
	var refusal *Error
	return errors.As(err, &refusal)
}

// Client talks with one agent. It connects when it must, and anew after any error but a refusal. Methods may be called
// concurrently; commands are done one after another.
type Client struct {
	dial func(context.Context) (net.Conn, error)

	busy chan struct{} // held for a command; guards conn and lines
	conn net.Conn
	line *jsonlines.Reader

	closing sync.Once
	closed  chan struct{}
}

// New makes a client of the agent whose port has its socket at path. Nothing is connected yet.
func New(path string) *Client {
	return NewDialer(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	})
}

// NewDialer makes a client that connects with dial.
func NewDialer(dial func(context.Context) (net.Conn, error)) *Client {
	return &Client{dial: dial, busy: make(chan struct{}, 1), closed: make(chan struct{})}
}

// Close ends the connection. A command under way is waited for: its context ends it.
func (c *Client) Close() error {
	c.closing.Do(func() { close(c.closed) })
	c.busy <- struct{}{}
	defer func() { <-c.busy }()
	return c.disconnect()
}

// Execute synchronises, sends a command, and decodes the answer into result unless that is nil. ErrNoAnswer when ctx ends
// first: then the command may yet be done, and only a later command that is answered shows that it is over.
func (c *Client) Execute(ctx context.Context, command string, arguments, result any) error {
	select {
	case c.busy <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("guest agent: %s: wait for the command before: %w", command, ctx.Err())
	}
	defer func() { <-c.busy }()
	select {
	case <-c.closed:
		return fmt.Errorf("guest agent: %s: %w", command, net.ErrClosed)
	default:
	}
	answer, err := c.exchange(ctx, command, arguments)
	if err != nil {
		return errors.Join(fmt.Errorf("guest agent: %s: %w", command, err), c.disconnect())
	}
	if answer.Error != nil {
		return &Error{Command: command, Class: answer.Error.Class, Desc: answer.Error.Desc}
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Return, result); err != nil {
		return fmt.Errorf("guest agent: %s: decode the answer: %w", command, err)
	}
	return nil
}

type answer struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
}

func (c *Client) exchange(ctx context.Context, command string, arguments any) (answer, error) {
	if c.conn == nil {
		conn, err := c.dial(ctx)
		if err != nil {
			return answer{}, fmt.Errorf("connect: %w", err)
		}
		c.conn, c.line = conn, jsonlines.NewReader(conn, limits)
	}
	if err := c.within(ctx, syncMax, c.sync); err != nil {
		return answer{}, fmt.Errorf("synchronise: %w", err)
	}
	var a answer
	err := c.within(ctx, 0, func() error { return c.ask(&a, command, arguments) })
	return a, err
}

// within does one step on the connection, for no longer than ctx and the limit (0 for none) allow.
func (c *Client) within(ctx context.Context, limit time.Duration, step func() error) error {
	if limit > 0 {
		limited, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		ctx = limited
	}
	release := jsonlines.Bound(ctx, c.conn.SetDeadline)
	err := step()
	release()
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", ErrNoAnswer, ctx.Err())
	}
	return err
}

// ask sends one command and takes the line that comes next: behind the synchronisation it is the answer.
func (c *Client) ask(a *answer, command string, arguments any) error {
	if err := c.send(nil, command, arguments); err != nil {
		return err
	}
	line, err := c.line.Line()
	if err != nil {
		return err
	}
	if err := limits.Decode(line, a); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if a.Return == nil && a.Error == nil {
		return fmt.Errorf("%w: neither an answer nor an error: %q", ErrProtocol, jsonlines.Text(string(line)))
	}
	return nil
}

// sync drops what is left of earlier conversations. The agent complains of the sentinel itself first, as of bad JSON: that
// is dropped, too.
func (c *Client) sync() error {
	var random [8]byte
	if _, err := io.ReadFull(rand.Reader, random[:]); err != nil {
		return err
	}
	want := binary.LittleEndian.Uint64(random[:]) >> 11 // a number that every JSON parser keeps whole
	if err := c.send([]byte{sentinel}, "guest-sync-delimited", map[string]any{"id": want}); err != nil {
		return err
	}
	for range staleMax {
		line, err := c.line.Line()
		if err != nil {
			return err
		}
		if matches(line, want) {
			return nil
		}
	}
	return fmt.Errorf("%w: %d lines and not the one that was asked for", ErrProtocol, staleMax)
}

// matches tells whether a line is the answer to the synchronisation: behind the last sentinel in it, the number.
func matches(line []byte, want uint64) bool {
	led := false
	for i := len(line) - 1; i >= 0 && !led; i-- {
		if led = line[i] == sentinel; led {
			line = line[i+1:]
		}
	}
	var got struct {
		Return *uint64 `json:"return"`
	}
	return led && limits.Decode(line, &got) == nil && got.Return != nil && *got.Return == want
}

func (c *Client) send(lead []byte, command string, arguments any) error {
	request, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{command, arguments})
	if err != nil {
		return err
	}
	_, err = c.conn.Write(append(append(lead, request...), '\n'))
	return err
}

func (c *Client) disconnect() error {
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close()
	c.conn, c.line = nil, nil
	return err
}
