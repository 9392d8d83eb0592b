// Package sdnotify tells systemd how a service is, as sd_notify(3) says: datagrams of KEY=VALUE lines to the socket that the
// variable NOTIFY_SOCKET names. Its one invariant: where there is no socket, nothing is sent and nothing fails.
package sdnotify

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What may be told; see sd_notify(3).
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
	Alive    = "WATCHDOG=1"
)

// Status is a line for people, as systemctl status shows it.
func Status(text string) string { return "STATUS=" + strings.ReplaceAll(text, "\n", " ") }

// Reloading says that the configuration is being read anew, until Ready is told. systemd wants the time by the clock that
// never jumps with it.
func Reloading() string {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return "RELOADING=1"
	}
	return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/int64(time.Microsecond))
}

// Socket is where the service manager listens. The zero value is nowhere. It may be used by several goroutines.
type Socket struct{ conn *net.UnixConn }

// Dial opens the socket of that name, the value of NOTIFY_SOCKET: a path, or a name of its own after @. An empty name is nowhere.
func Dial(name string) (Socket, error) {
	if name == "" {
		return Socket{}, nil
	}
	if name[0] != '/' && name[0] != '@' {
		return Socket{}, fmt.Errorf("service manager: socket %q: neither a path nor @NAME", name)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return Socket{}, fmt.Errorf("service manager: %w", err)
	}
	return Socket{conn}, nil
}

// sendMax is how long a manager that does not read may hold the service up.
const sendMax = time.Second

// Send tells all lines at once, at the time now.
func (s Socket) Send(now time.Time, lines ...string) error {
	if s.conn == nil {
		return nil
	}
	if err := s.conn.SetWriteDeadline(now.Add(sendMax)); err != nil {
		return fmt.Errorf("service manager: %w", err)
	}
	if _, err := s.conn.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("service manager: %w", err)
	}
	return nil
}

// Close closes the socket.
func (s Socket) Close() error {
	if s.conn == nil {
		return nil
	}
	return s.conn.Close()
}

var errWatchdog = errors.New("service manager: WATCHDOG_USEC is not a time")

// Watchdog gives how often the manager wants to hear Alive at least, from WATCHDOG_USEC and WATCHDOG_PID; 0: never, or it is
// meant for another process than pid.
func Watchdog(usec, forPID string, pid int) (time.Duration, error) {
	if usec == "" || forPID != "" && forPID != strconv.Itoa(pid) {
		return 0, nil
	}
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || n <= 0 || n > int64(1<<62)/int64(time.Microsecond) {
		return 0, fmt.Errorf("%w: %q", errWatchdog, usec)
	}
	return time.Duration(n) * time.Microsecond, nil
}
