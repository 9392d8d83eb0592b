package qmp

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// eventsMax is how many events wait for a subscriber: a disk that fails raises one for each request.
const eventsMax = 1024

// Event is something that happened in QEMU.
type Event struct {
	Name string
	// Time is the host's when it happened.
	Time time.Time
	data json.RawMessage
}

// Decode decodes the event's data.
func (e Event) Decode(v any) error {
	if err := json.Unmarshal(e.data, v); err != nil {
		return fmt.Errorf("qmp: event %s: %w", e.Name, err)
	}
	return nil
}

// Subscription is a queue of events. It is used by one goroutine at a time, and closed in the end.
type Subscription struct {
	client *Client
	names  []string
	queue  chan Event
	// lost: the queue was full once. Guarded by the client's mutex, as is the closing of queue.
	lost, closed bool
}

// Subscribe queues the events of these names (all for none) from now on. Subscribe before the command whose events matter.
func (c *Client) Subscribe(names ...string) *Subscription {
	s := &Subscription{client: c, names: names, queue: make(chan Event, eventsMax)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		s.close()
		return s
	}
	c.subs[s] = struct{}{}
	return s
}

// Next gives the next event. ErrEventsLost when the queue had been full, after what was in it; the cause when the
// connection has ended.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	select {
	case e, ok := <-s.queue:
		if ok {
			return e, nil
		}
		return Event{}, s.cause()
	case <-ctx.Done():
		return Event{}, ctx.Err()
	}
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	s.close()
}

func (s *Subscription) cause() error {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	if s.lost {
		return fmt.Errorf("qmp: %w", ErrEventsLost)
	}
	if s.client.cause != nil {
		return fmt.Errorf("qmp: events: %w", s.client.cause)
	}
	return fmt.Errorf("qmp: events: subscription: %w", ErrClosed)
}

// close wants the client's mutex held.
func (s *Subscription) close() {
	delete(s.client.subs, s)
	if !s.closed {
		s.closed = true
		close(s.queue)
	}
}

// deliver queues an event for all who want it. It wants the mutex held.
func (c *Client) deliver(m message) {
	e := Event{Name: m.Event, Time: time.Unix(m.Time.Seconds, m.Time.Microseconds*1000), data: m.Data}
	for s := range c.subs {
		if len(s.names) > 0 && !slices.Contains(s.names, e.Name) {
			continue
		}
		select {
		case s.queue <- e:
		default:
			s.lost = true
			s.close()
		}
	}
}

func (c *Client) endSubscriptions() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.subs {
		s.close()
	}
}
