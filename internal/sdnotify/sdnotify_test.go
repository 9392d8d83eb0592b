package sdnotify_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"holdfast/internal/sdnotify"
)

// A real socket gets each call as one datagram, under a path and under a name of its own.
func TestSend(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@holdfast-test-%d", os.Getpid())} {
		manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer manager.Close()
		s, err := sdnotify.Dial(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			lines []string
			want  string
		}{
			{[]string{sdnotify.Ready, sdnotify.Status("next: run\ntonight")}, "^READY=1\nSTATUS=next: run tonight$"},
			{[]string{sdnotify.Reloading()}, "^RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]*$"},
			{[]string{sdnotify.Alive}, "^WATCHDOG=1$"},
		} {
			if err := s.Send(time.Now(), c.lines...); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 200)
			n, err := manager.Read(got)
			if err != nil || !regexp.MustCompile(c.want).Match(got[:n]) {
				t.Errorf("heard %q, %v, want %s", got[:n], err, c.want)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Without a manager nothing fails; a name that cannot be one is told.
func TestNowhere(t *testing.T) {
	s, err := sdnotify.Dial("")
	if err != nil || s.Send(time.Now(), sdnotify.Ready) != nil || s.Close() != nil {
		t.Errorf("nowhere: %v", err)
	}
	for _, name := range []string{"vsock:2:1234", filepath.Join(t.TempDir(), "none")} {
		if _, err := sdnotify.Dial(name); err == nil {
			t.Errorf("%s was opened", name)
		}
	}
}

func TestWatchdog(t *testing.T) {
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
		fails     bool
	}{
		{"", "", 0, false}, {"30000000", "", 30 * time.Second, false}, {"30000000", "7", 30 * time.Second, false}, {"30000000", "8", 0, false},
		{"0", "", 0, true}, {"-1", "", 0, true}, {"soon", "", 0, true}, {"9223372036854775807", "", 0, true},
	} {
		got, err := sdnotify.Watchdog(c.usec, c.pid, 7)
		if got != c.want || (err != nil) != c.fails {
			t.Errorf("%q for %q: %v, %v", c.usec, c.pid, got, err)
		}
	}
}
