package freeze_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/dumpers"
	"holdfast/dumpers/freeze"
	"holdfast/internal/qgatest"
)

// startRun starts a run as a process of its own, which freezes and then pins for ever.
func startRun(t *testing.T, o freeze.Order) (run *os.Process, said *bufio.Reader) {
	t.Helper()
	order, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], roleRun)
	cmd.Stdin = strings.NewReader(string(order))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be dead
		_ = cmd.Wait()
	})
	return cmd.Process, bufio.NewReader(out)
}

func kill(t *testing.T, p *os.Process, signal os.Signal) {
	t.Helper()
	if err := p.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// The run is killed with kill -9 while the guest is frozen: it is thawed.
func TestRunKilled(t *testing.T) {
	s := newSite(t, &qgatest.Agent{FileSystems: 2})
	run, said := startRun(t, s.order)
	if line, err := said.ReadString('\n'); line != "pinning\n" || s.agent.Frozen() != 2 {
		t.Fatalf("the run says %q, %v; %d frozen", line, err, s.agent.Frozen())
	}
	kill(t, run, syscall.SIGKILL)
	s.agent.Await(t, 0)
}

// It is killed while the guest's hook is still at work: the freeze that follows is thawed.
func TestRunKilledInHook(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := newSite(t, &qgatest.Agent{FileSystems: 2, Hook: func() error {
		close(entered)
		<-release
		return nil
	}})
	run, said := startRun(t, s.order)
	<-entered
	kill(t, run, syscall.SIGKILL)
	if _, err := said.ReadString('\n'); !errors.Is(err, io.EOF) {
		t.Errorf("the run goes on: %v", err)
	}
	close(release)
	s.agent.AwaitCall(t, "guest-fsfreeze-thaw")
	s.agent.Await(t, 0)
}

// A run that is stopped and does not die is not waited for beyond the window.
func TestRunStopped(t *testing.T) {
	s := newSite(t, &qgatest.Agent{FileSystems: 1})
	s.order.Window = time.Second
	run, _ := startRun(t, s.order)
	s.agent.Await(t, 1)
	kill(t, run, syscall.SIGSTOP)
	s.agent.Await(t, 0)
}

// The hook takes longer than the freeze may: the run goes on without, and the freeze that comes later is thawed. The
// journal keeps the entry until it is seen that it is over.
func TestSlowHook(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := newSite(t, &qgatest.Agent{FileSystems: 1, Hook: func() error {
		close(entered)
		<-release
		return nil
	}})
	s.order.Timeout = time.Second
	reached, seen, err := s.around()
	if err != nil || seen != 0 || !reached.Unsettled {
		t.Errorf("%d frozen while pinning, %+v, %v", seen, reached, err)
	}
	s.want(reached, dumpers.ConsistentCrash, "it may freeze yet")
	s.wantJournal(1)
	<-entered
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if said, err := s.guard.Reap(soon, "web"); err == nil || len(said) > 0 {
		t.Errorf("reaped %q while the hook runs, %v", said, err)
	}
	s.wantJournal(1)
	close(release)
	s.agent.AwaitCall(t, "guest-fsfreeze-thaw")
	s.agent.Await(t, 0)
	said, err := s.guard.Reap(t.Context(), "web")
	if err != nil || fmt.Sprint(said) != "[web was not frozen any more]" {
		t.Errorf("reaped %q, %v", said, err)
	}
	s.wantJournal(0)
}

// The agent dies while the guest is frozen, and comes back: what was frozen was so to the end.
func TestAgentRestarted(t *testing.T) {
	t.Parallel()
	s := newSite(t, &qgatest.Agent{FileSystems: 1})
	reached, err := s.guard.Around(t.Context(), s.order, func(context.Context) error {
		s.agent.Kill()
		time.AfterFunc(100*time.Millisecond, s.agent.Restart)
		return nil
	})
	if err != nil || s.agent.Frozen() != 0 || reached.Unsettled {
		t.Errorf("%d frozen, %+v, %v", s.agent.Frozen(), reached, err)
	}
	s.want(reached, dumpers.ConsistentFS, "")
	s.wantJournal(0)
}

// leashed has the watchdog write its process id where a test finds it.
func (s *site) leashed() (id func() *os.Process) {
	file := filepath.Join(s.t.TempDir(), "pid")
	s.guard.Command = append([]string{"/bin/sh", "-c", `echo $$ >"$0" && exec "$@"`, file}, s.guard.Command...)
	return func() *os.Process {
		s.t.Helper()
		text, err := os.ReadFile(file)
		var pid int
		if _, scanErr := fmt.Sscan(string(text), &pid); err != nil || scanErr != nil {
			s.t.Fatal(err, scanErr)
		}
		p, err := os.FindProcess(pid)
		if err != nil {
			s.t.Fatal(err)
		}
		return p
	}
}

// When the watchdog itself is killed the run thaws; when both are, the next run does, by the journal.
func TestWatchdogKilled(t *testing.T) {
	s := newSite(t, &qgatest.Agent{FileSystems: 2})
	watchdog := s.leashed()
	reached, err := s.guard.Around(t.Context(), s.order, func(context.Context) error {
		kill(t, watchdog(), syscall.SIGKILL)
		return nil
	})
	if err != nil || s.agent.Frozen() != 0 || reached.Unsettled {
		t.Errorf("%d frozen, %+v, %v", s.agent.Frozen(), reached, err)
	}
	s.want(reached, dumpers.ConsistentCrash, "watchdog has died")
	s.wantJournal(0)
}

// It is killed while the guest's hook is still at work: the run thaws the freeze that nobody waits for any more.
func TestWatchdogKilledInHook(t *testing.T) {
	var watchdog func() *os.Process
	s := newSite(t, &qgatest.Agent{FileSystems: 2, Hook: func() error {
		return watchdog().Kill()
	}})
	watchdog = s.leashed()
	reached, _, err := s.around()
	if err != nil || s.agent.Frozen() != 0 || reached.Unsettled {
		t.Errorf("%d frozen, %+v, %v", s.agent.Frozen(), reached, err)
	}
	s.want(reached, dumpers.ConsistentCrash, "watchdog has died")
	s.agent.AwaitCall(t, "guest-fsfreeze-thaw")
	s.wantJournal(0)
}

// A watchdog that is told to end does not leave a frozen guest behind.
func TestWatchdogTerminated(t *testing.T) {
	s := newSite(t, &qgatest.Agent{FileSystems: 2})
	watchdog := s.leashed()
	reached, err := s.guard.Around(t.Context(), s.order, func(context.Context) error {
		kill(t, watchdog(), syscall.SIGTERM)
		s.agent.Await(t, 0)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	s.want(reached, dumpers.ConsistentCrash, "told to end")
}

// What nobody thawed is thawed by the next run; what is not to be thawed stays in the journal, and is told.
func TestReap(t *testing.T) {
	s := newSite(t, &qgatest.Agent{FileSystems: 2})
	agent, err := freeze.OpenQGA(t.Context(), s.order.Guest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := agent.Freeze(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	made := time.Date(2026, 11, 26, 1, 2, 3, 0, time.UTC)
	for id, guest := range map[string]freeze.Guest{
		"1": s.order.Guest, "2": {Kind: freeze.KindQGA, Socket: s.order.Guest.Socket + "-gone"}, "3": {Kind: "unheard-of"},
	} {
		data, err := json.Marshal(guest)
		if err != nil {
			t.Fatal(err)
		}
		r := catalog.Resource{ID: id, Kind: freeze.ResourceKind, Name: "vm" + id, Data: string(data), Made: made}
		if err := s.journal.Add(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if said, err := s.guard.Reap(soon, "vm1"); err == nil || len(said) > 0 || s.agent.Frozen() != 2 {
		t.Errorf("reaped %q while the port is in another's hands, %v", said, err)
	}
	agent.Close()
	said, err := s.guard.Reap(t.Context(), "vm2")
	if err != nil || fmt.Sprint(said) != "[vm2 was not frozen any more]" {
		t.Errorf("one VM: reaped %q, %v", said, err)
	}
	s.wantJournal(2)
	said, err = s.guard.Reap(t.Context(), "")
	if got := strings.Join(said, "; "); !strings.Contains(got, "thawed vm1: 2 file systems were frozen since 2026-11-26 01:02:03") {
		t.Errorf("reaped %q", got)
	}
	if err == nil || !strings.Contains(err.Error(), `thaw vm3, frozen since 2026-11-26 01:02:03: guest agent: unknown kind "unheard-of"`) {
		t.Errorf("error %v", err)
	}
	s.wantJournal(1)
	if s.agent.Frozen() != 0 {
		t.Error("still frozen")
	}
}

// Orders that make no sense are refused, and no order at all is none.
func FuzzOrders(f *testing.F) {
	for _, orders := range []string{"", "{}\n", "{\"do\":\"thaw\"}\n", "{\"do\":\"freeze\",\"guest\":{\"kind\":\"qga\"}}\n", "[[[[[[[[[[\n"} {
		f.Add(orders)
	}
	f.Fuzz(func(t *testing.T, orders string) {
		var said strings.Builder
		err := freeze.Watchdog{Open: openers(), Now: time.Now}.Run(t.Context(), strings.NewReader(orders), &said)
		if whole := strings.Contains(orders, "\n"); err == nil && whole && !strings.Contains(said.String(), `"refused"`) {
			t.Errorf("orders %q: %q", orders, said.String())
		}
	})
}
