package qmp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"holdfast/internal/qmp"
)

const greeting = `{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}` + "\r\n"

// peer is the other end of a client: what a test makes of it.
type peer struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Scanner
}

// request is what a client sent.
type request struct {
	Execute string
	ID      uint64
}

// connect gives a client that is ready, and its peer.
func connect(t *testing.T) (*qmp.Client, *peer) {
	t.Helper()
	ours, theirs := net.Pipe()
	p := &peer{t: t, conn: theirs, in: bufio.NewScanner(theirs)}
	go func() {
		p.say(greeting)
		p.say(`{"return": {}, "id": %d}`, p.next().ID)
	}()
	c, err := qmp.New(context.Background(), ours)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		theirs.Close()
	})
	return c, p
}

// next is the next request, the zero one when the client has gone.
func (p *peer) next() request {
	var r request
	if p.in.Scan() {
		if err := json.Unmarshal(p.in.Bytes(), &r); err != nil {
			p.t.Errorf("the client sent %q: %v", p.in.Bytes(), err)
		}
	}
	return r
}

func (p *peer) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	// The client may have had enough in the middle of it.
	_, _ = io.WriteString(p.conn, strings.TrimRight(line, "\r\n")+"\r\n")
}
