package qmp

import (
	"fmt"

	"holdfast/internal/jsonlines"
)

// read takes what comes until the connection ends. It never waits for anybody: a reply has a place of its own, and a
// subscriber that is full loses its subscription.
func (c *Client) read(lines *jsonlines.Reader) {
	defer close(c.done)
	for {
		line, err := lines.Line()
		if err == nil {
			err = c.take(line)
		} else {
			err = fmt.Errorf("%w: read: %w", ErrClosed, err)
		}
		if err != nil {
			c.end(err)
			c.endSubscriptions()
			return
		}
	}
}

func (c *Client) take(line []byte) error {
	if len(line) == 0 {
		return nil
	}
	var m message
	if err := limits.Decode(line, &m); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case m.Event != "":
		c.deliver(m)
	case m.ID == nil || m.Return == nil && m.Error == nil:
		return fmt.Errorf("%w: neither an event nor the reply to a command: %q", ErrProtocol, jsonlines.Text(string(line)))
	case c.waiting[*m.ID] != nil:
		c.waiting[*m.ID] <- m
		delete(c.waiting, *m.ID)
	}
	// All else is the late reply to a command that was given up.
	return nil
}
