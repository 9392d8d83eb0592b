package qga_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/jsonlines"
	"holdfast/internal/qga"
	"holdfast/internal/qgatest"
)

func client(t *testing.T, a *qgatest.Agent) *qga.Client {
	t.Helper()
	c := qga.New(a.Socket)
	t.Cleanup(func() { c.Close() })
	return c
}

// Each command says what it does; while frozen all but the harmless ones are refused.
func TestCommands(t *testing.T) {
	ctx := t.Context()
	a := qgatest.Start(t, &qgatest.Agent{FileSystems: 2, Mountpoints: []string{"/", "/srv"}})
	c := client(t, a)
	if err := c.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	info, err := c.Info(ctx)
	if err != nil || info.Version != "7.2.22" || len(info.Commands) != 1 || !info.Commands[0].Enabled {
		t.Errorf("info %+v, %v", info, err)
	}
	list, err := c.FileSystems(ctx)
	if err != nil || len(list) != 1 || list[0].Mountpoint != "/" || list[0].TotalBytes != 262144000 || list[0].Disks[0].Device != "/dev/vda" {
		t.Errorf("file systems %+v, %v", list, err)
	}
	wantCount(t, 2, func() (int, error) { return c.Freeze(ctx) })
	if s, err := c.Status(ctx); s != qga.Frozen || err != nil {
		t.Errorf("status %s, %v", s, err)
	}
	if _, err := c.Freeze(ctx); !qga.Refused(err) || !strings.HasPrefix(err.Error(), "guest agent: guest-fsfreeze-freeze: ") {
		t.Errorf("a second freeze: %v", err)
	}
	wantCount(t, 2, func() (int, error) { return c.Thaw(ctx) })
	wantCount(t, 0, func() (int, error) { return c.Thaw(ctx) })
	wantCount(t, 1, func() (int, error) { return c.Freeze(ctx, "/srv") })
	wantCount(t, 1, func() (int, error) { return c.Thaw(ctx) })
	wantCount(t, 0, func() (int, error) { return c.Freeze(ctx, "/nowhere") })
	if s, err := c.Status(ctx); s != qga.Thawed || err != nil {
		t.Errorf("status %s, %v", s, err)
	}
}

func wantCount(t *testing.T, want int, do func() (int, error)) {
	t.Helper()
	if n, err := do(); n != want || err != nil {
		t.Errorf("%d file systems, %v; want %d", n, err, want)
	}
}

// The answer to a freeze that was given up is not taken for that of the next command, on this connection or on a new one.
func TestLateAnswer(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	a := qgatest.Start(t, &qgatest.Agent{FileSystems: 5, Hook: func() error {
		close(entered)
		<-release
		return nil
	}})
	ctx, cancel := context.WithCancel(t.Context())
	first := client(t, a)
	go func() {
		<-entered
		cancel()
	}()
	if _, err := first.Freeze(ctx); !errors.Is(err, qga.ErrNoAnswer) || !errors.Is(err, context.Canceled) {
		t.Fatalf("a freeze that was given up: %v", err)
	}
	close(release)
	// The first command that is answered comes after the freeze: it shows what became of it.
	for _, c := range []*qga.Client{first, client(t, a)} {
		if s, err := c.Status(t.Context()); s != qga.Frozen || err != nil {
			t.Errorf("status %s, %v", s, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	wantCount(t, 5, func() (int, error) { return client(t, a).Thaw(t.Context()) })
}

// Who comes second hears nothing, and hears all once the first has gone. So it is with an agent that has died.
func TestNoAnswer(t *testing.T) {
	a := qgatest.Start(t, &qgatest.Agent{FileSystems: 1})
	first, second := client(t, a), client(t, a)
	if err := first.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name         string
		before, mend func()
	}{
		{"second", func() {}, func() { first.Close() }},
		{"dead", a.Kill, a.Restart},
	} {
		step.before()
		short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		if err := second.Ping(short); !errors.Is(err, qga.ErrNoAnswer) || qga.Refused(err) {
			t.Errorf("%s: %v", step.name, err)
		}
		cancel()
		step.mend()
		if err := second.Ping(t.Context()); err != nil {
			t.Errorf("%s, mended: %v", step.name, err)
		}
	}
	if err := qga.New(a.Socket + "-none").Ping(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no socket: %v", err)
	}
	if err := first.Ping(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed client: %v", err)
	}
}

// saying is a client whose agent answers the synchronisation, and then says this to whatever it is asked, and goes.
func saying(says string) *qga.Client {
	return qga.NewDialer(func(context.Context) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			answerOnce(theirs, bufio.NewReader(theirs), says)
		}()
		return ours, nil
	})
}

// answer does the same for as long as it is asked.
func answer(conn net.Conn, says string) {
	defer conn.Close()
	for in := bufio.NewReader(conn); answerOnce(conn, in, says); {
	}
}

func answerOnce(conn io.Writer, in *bufio.Reader, says string) (more bool) {
	line, _ := in.ReadString('\n')
	var id uint64
	_, number, _ := strings.Cut(line, `"id":`)
	fmt.Sscan(strings.TrimRight(number, "}\n"), &id)
	fmt.Fprintf(conn, "{\"return\": 7}\n\xff{\"return\": %d}\n{\"error\": {}}\n\xff{\"return\": %d}\n", id+1, id)
	_, _ = in.ReadString('\n')
	_, err := io.WriteString(conn, says)
	return err == nil
}

// A guest that wants to do harm is an error, and costs no more than the limits.
func TestHostile(t *testing.T) {
	for name, c := range map[string]struct {
		says string
		want error
	}{
		"no JSON":         {"x\n", qga.ErrProtocol},
		"neither":         {"{}\n", qga.ErrProtocol},
		"unknown status":  {"{\"return\": \"melting\"}\n", qga.ErrProtocol},
		"deep":            {"{\"return\": " + strings.Repeat("[", 1000) + "\n", jsonlines.ErrTooDeep},
		"long":            {strings.Repeat("x", 5<<20) + "\n", jsonlines.ErrTooLong},
		"half an answer":  {"{\"return\":", io.EOF},
		"nothing further": {"", io.EOF},
	} {
		client := saying(c.says)
		if _, err := client.Status(t.Context()); !errors.Is(err, c.want) {
			t.Errorf("%s: %.200v", name, err)
		}
		client.Close()
	}
	c := saying("{\"return\": -3}\n")
	if _, err := c.Thaw(t.Context()); !errors.Is(err, qga.ErrProtocol) {
		t.Errorf("a negative count: %v", err)
	}
	c.Close()
	c = saying("{\"error\": {\"desc\": \"\\u001b[2J" + strings.Repeat("y", 10_000) + "\"}}\n")
	if err := c.Ping(t.Context()); !qga.Refused(err) || len(err.Error()) > 500 || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("a refusal with a long text: %.600q", err)
	}
	c.Close()
}

// After any error but a refusal the next command goes over a new connection: nobody knows what the old one has yet to say.
func TestConnectsAnew(t *testing.T) {
	for says, want := range map[string]int{"x\n": 2, "{\"error\": {\"desc\": \"no\"}}\n": 1} {
		dials := 0
		c := qga.NewDialer(func(context.Context) (net.Conn, error) {
			dials++
			ours, theirs := net.Pipe()
			go answer(theirs, says)
			return ours, nil
		})
		for range 2 {
			if err := c.Ping(t.Context()); err == nil {
				t.Errorf("%q is a success", says)
			}
		}
		if dials != want {
			t.Errorf("%q: %d connections, want %d", says, dials, want)
		}
		c.Close()
	}
}

// Endless old answers do not keep a client busy for ever.
func TestEndlessStale(t *testing.T) {
	c := qga.NewDialer(func(context.Context) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go io.Copy(io.Discard, theirs)
		go func() {
			for err := error(nil); err == nil; {
				_, err = io.WriteString(theirs, strings.Repeat("\xff{\"return\": 1}\n", 100))
			}
		}()
		return ours, nil
	})
	if err := c.Ping(t.Context()); !errors.Is(err, qga.ErrProtocol) {
		t.Errorf("endless old answers: %v", err)
	}
	c.Close()
}

// Whatever the guest says, a command ends, and only a well-formed answer is a success.
func FuzzAnswer(f *testing.F) {
	for _, line := range []string{`{"return": "frozen"}`, `{"return": 3}`, `{"error": {"class": "GenericError", "desc": "no"}}`, "\xff{", `[]`, ``} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, says []byte) {
		c := saying(string(says) + "\n")
		s, err := c.Status(t.Context())
		if err == nil && !slices.Contains([]qga.Status{qga.Frozen, qga.Thawed}, s) {
			t.Errorf("status %q of %q", s, says)
		}
		c.Close()
	})
}
