package nbd_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/nbd"
	"holdfast/internal/testtools"
)

// server is an outside NBD server that this test has started.
type server struct {
	t testing.TB
	// network and address are where it listens.
	network, address string
	cmd              *exec.Cmd
	exited           chan struct{}
}

// serve starts a server that takes its listening socket over from the test (systemd's way), so that it can be reached at
// once. network is "unix" or "tcp".
func serve(t testing.TB, network string, command ...string) *server {
	t.Helper()
	testtools.Need(t, command[0])
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(shortDir(t), "s")
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	file, err := ln.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s := &server{t: t, network: network, address: ln.Addr().String()}
	s.cmd = exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, command...)...)
	s.cmd.Env = append(os.Environ(), "LISTEN_FDS=1")
	s.cmd.ExtraFiles = []*os.File{file}
	s.run()
	return s
}

// run starts the command, and sees to its end.
func (s *server) run() {
	s.t.Helper()
	var said bytes.Buffer
	s.cmd.Stdout, s.cmd.Stderr = &said, &said
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.exited = make(chan struct{})
	go func() {
		s.cmd.Wait()
		close(s.exited)
	}()
	s.t.Cleanup(func() {
		s.kill()
		if s.t.Failed() {
			s.t.Logf("%s said: %s", s.cmd.Args, said.Bytes())
		}
	})
}

// kill ends the server in the hard way.
func (s *server) kill() {
	s.cmd.Process.Kill()
	<-s.exited
}

// uri is the address of an export.
func (s *server) uri(scheme, export string) string {
	if s.network == "unix" {
		return scheme + "+unix:///" + url.PathEscape(export) + "?socket=" + s.address
	}
	return scheme + "://" + s.address + "/" + url.PathEscape(export)
}

// open opens an export until the end of the test.
func (s *server) open(scheme, export string, o nbd.Options) *nbd.Client {
	s.t.Helper()
	c, err := nbd.Open(s.t.Context(), s.uri(scheme, export), o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// shortDir is a directory whose name is short enough for a socket.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nbd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// run runs a command to its end.
func run(t testing.TB, command ...string) string {
	t.Helper()
	testtools.Need(t, command[0])
	out, err := exec.CommandContext(context.Background(), command[0], command[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(command, " "), err, out)
	}
	return string(out)
}

// noise is data that nothing compresses, the same for the same seed.
func noise(seed uint64, n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(p)
	return p
}

// imageOf writes a raw image.
func imageOf(t testing.TB, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// whole is all of an export, for Stream.
func whole(c *nbd.Client) nbd.Spans {
	return func(_ context.Context, yield func(nbd.Span) error) error {
		return yield(nbd.Span{Length: c.SizeBytes()})
	}
}
