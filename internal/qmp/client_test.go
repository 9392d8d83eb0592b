package qmp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"holdfast/internal/jsonlines"
	"holdfast/internal/qmp"
)

// Events that come between a command and its reply reach their subscribers, in order, and only those who asked.
func TestEventsBetween(t *testing.T) {
	ctx := context.Background()
	c, p := connect(t)
	all, some := c.Subscribe(), c.Subscribe("STOP")
	go func() {
		r := p.next()
		for i, name := range []string{"RESUME", "STOP", "SHUTDOWN", "STOP"} {
			p.say(`{"timestamp": {"seconds": %d, "microseconds": 5}, "event": %q, "data": {"n": %d}}`, 100+i, name, i)
		}
		p.say(`{"return": {"status": "running", "running": true}, "id": %d}`, r.ID)
	}()
	status, err := c.Status(ctx)
	if err != nil || status != (qmp.Status{Running: true, State: qmp.StateRunning}) {
		t.Fatalf("status %+v, %v", status, err)
	}
	wantEvents(t, all, "RESUME 0 100", "STOP 1 101", "SHUTDOWN 2 102", "STOP 3 103")
	wantEvents(t, some, "STOP 1 101", "STOP 3 103")
	some.Close()
	if _, err := some.Next(ctx); !errors.Is(err, qmp.ErrClosed) {
		t.Errorf("a closed subscription: %v", err)
	}
}

func wantEvents(t *testing.T, s *qmp.Subscription, want ...string) {
	t.Helper()
	for _, w := range want {
		e, err := s.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		var data struct{ N int }
		if err := e.Decode(&data); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(e.Name, " ", data.N, " ", e.Time.Unix()); got != w {
			t.Errorf("event %s, want %s", got, w)
		}
	}
}

// A subscriber that does not listen stops nobody, and learns that it lost something.
func TestSlowSubscriber(t *testing.T) {
	ctx := context.Background()
	c, p := connect(t)
	s := c.Subscribe("X")
	const raised = 3000
	go func() {
		for range raised {
			p.say(`{"event": "X"}`)
		}
		p.say(`{"return": {}, "id": %d}`, p.next().ID)
	}()
	if err := c.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for {
		_, err := s.Next(ctx)
		if errors.Is(err, qmp.ErrEventsLost) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		seen++
	}
	if seen == 0 || seen >= raised {
		t.Errorf("%d of %d events seen before the loss", seen, raised)
	}
}

// The reply to a command that was given up is not taken for that of the next one.
func TestLateReply(t *testing.T) {
	c, p := connect(t)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		first := p.next()
		cancel()
		second := p.next()
		p.say(`{"return": {"status": "first"}, "id": %d}`, first.ID)
		p.say(`{"return": {"status": "second"}, "id": %d}`, second.ID)
	}()
	if _, err := c.Status(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("a command given up: %v", err)
	}
	status, err := c.Status(context.Background())
	if err != nil || status.State != "second" {
		t.Errorf("the next command got %q, %v", status.State, err)
	}
}

// Replies may come in any order: each goes to its own command.
func TestRepliesByID(t *testing.T) {
	c, p := connect(t)
	go func() {
		a, b := p.next(), p.next()
		p.say(`{"return": %q, "id": %d}`, b.Execute, b.ID)
		p.say(`{"error": {"class": "DeviceNotFound", "desc": "no\u001b[31m %s"}, "id": %d}`, a.Execute, a.ID)
	}()
	results := make(chan error, 2)
	for _, name := range []string{"one", "two"} {
		go func() {
			var said string
			err := c.Execute(context.Background(), name, nil, &said)
			if err == nil && said != name {
				err = fmt.Errorf("%s got the reply of %s", name, said)
			}
			if err != nil && qmp.Refused(err, qmp.ClassDeviceNotFound) {
				if want := fmt.Sprintf("qmp: %s: no [31m %s (DeviceNotFound)", name, name); err.Error() != want {
					err = fmt.Errorf("refusal %q, want %q", err, want)
				} else {
					err = nil
				}
			}
			results <- err
		}()
	}
	for range 2 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// A peer that breaks the protocol ends the connection, with the cause for the command that waits and for those that follow.
func TestHostile(t *testing.T) {
	for name, c := range map[string]struct {
		says string
		want error
	}{
		"no JSON":           {"hello", qmp.ErrProtocol},
		"no id":             {`{"return": {}}`, qmp.ErrProtocol},
		"an error at large": {`{"error": {"class": "GenericError", "desc": "JSON parse error"}}`, qmp.ErrProtocol},
		"neither":           {`{"id": 2}`, qmp.ErrProtocol},
		"another type":      {`{"return": {}, "id": "2"}`, qmp.ErrProtocol},
		"deep":              {`{"id": 2, "return": ` + strings.Repeat("[", 100_000), jsonlines.ErrTooDeep},
		"long":              {strings.Repeat("x", 33<<20), jsonlines.ErrTooLong},
		"the end":           {"", io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			client, p := connect(t)
			events := client.Subscribe()
			go func() {
				p.next()
				if c.says != "" {
					p.say("%s", c.says)
				}
				p.conn.Close()
			}()
			if err := client.Stop(context.Background()); !errors.Is(err, c.want) {
				t.Errorf("the command: %.200v", err)
			}
			if err := client.Stop(context.Background()); !errors.Is(err, c.want) {
				t.Errorf("the next command: %.200v", err)
			}
			if _, err := events.Next(context.Background()); !errors.Is(err, c.want) {
				t.Errorf("the subscriber: %.200v", err)
			}
		})
	}
}

// A peer that does not read holds up a command no longer than its context; half a request ends the connection.
func TestDeafPeer(t *testing.T) {
	c, p := connect(t)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		var one [1]byte
		if _, err := p.conn.Read(one[:]); err != nil {
			t.Error(err)
		}
		cancel()
	}()
	if err := c.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a command that cannot be written: %v", err)
	}
	if err := c.Stop(context.Background()); !errors.Is(err, qmp.ErrClosed) {
		t.Errorf("after half a request: %v", err)
	}
}

// Whoever waits for a job asks again when more events came than could be kept.
func TestAwaitJobInAStorm(t *testing.T) {
	c, p := connect(t)
	go func() {
		first := p.next()
		for range 2000 {
			p.say(`{"event": "JOB_STATUS_CHANGE", "data": {"id": "another"}}`)
		}
		for r, state := first, "running"; r.ID != 0; r = p.next() {
			if r.ID > first.ID+1024 { // all that was kept is used up by then
				state = qmp.JobConcluded
			}
			p.say(`{"return": [{"id": "night", "status": %q}], "id": %d}`, state, r.ID)
		}
	}()
	j, err := c.AwaitJob(context.Background(), "night")
	if err != nil || j.Status != qmp.JobConcluded {
		t.Errorf("%+v, %v", j, err)
	}
}

// What is no monitor is told from one that serves somebody else.
func TestGreeting(t *testing.T) {
	ours, theirs := net.Pipe()
	go io.WriteString(theirs, "SSH-2.0-OpenSSH\r\n")
	if _, err := qmp.New(context.Background(), ours); !errors.Is(err, qmp.ErrProtocol) || !strings.Contains(err.Error(), "SSH") {
		t.Errorf("another protocol: %v", err)
	}
	ours, theirs = net.Pipe()
	go io.WriteString(theirs, `{"return": {}}`+"\r\n")
	if _, err := qmp.New(context.Background(), ours); !errors.Is(err, qmp.ErrProtocol) {
		t.Errorf("JSON, and no greeting: %v", err)
	}
	ours, _ = net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := qmp.New(ctx, ours); !errors.Is(err, qmp.ErrNoGreeting) || !errors.Is(err, context.Canceled) {
		t.Errorf("silence: %v", err)
	}
}

// Whatever a peer says, commands and subscriptions end with an answer or an error.
func FuzzClient(f *testing.F) {
	for _, line := range []string{`{"return": {}, "id": 2}`, `{"event": "STOP", "data": {"a": [1]}}` + "\n" + `{"id": 2, "error": {"desc": "x"}}`,
		`{"return": {"status": 3}, "id": 2}`, `{"QMP": {}}`, "\n\n{", `{"id": 99, "return": null}`} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, says []byte) {
		c, p := connect(t)
		events := c.Subscribe()
		go func() {
			p.in.Scan()
			p.conn.Write(append(says, '\n'))
			p.conn.Close()
		}()
		_, err := c.Status(context.Background())
		var refused *qmp.Error
		if errors.As(err, &refused) && strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%q", err)
		}
		for err = nil; err == nil; {
			_, err = events.Next(context.Background())
		}
		<-c.Done()
	})
}
