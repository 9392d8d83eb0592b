package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// served is a site with the real program as its daemon, and a real socket of a service manager.
type served struct {
	t       *testing.T
	dir     string
	config  string // its text without a schedule
	manager *net.UnixConn

	cmd   *exec.Cmd
	lines *bufio.Scanner
	log   []string
}

// nightSchedule is due at any time of the day: a run was missed within the last 24 hours.
const nightSchedule = "schedule:\n  run: {at: \"0 1 * * *\", zone: Europe/Warsaw, catch-up: run, within: 25h}\n"

func newServed(t *testing.T) *served {
	s := &served{t: t, dir: t.TempDir()}
	s.write("images/web01.raw", strings.Repeat("a disk", 100_000))
	s.holdfast("init", "--images", s.path("images"), "--vtapes", s.path("vtapes"), "--holding", s.path("holding"), "--state", s.path("state"))
	s.config = s.read("holdfast.yaml")
	s.write("holdfast.yaml", s.config+nightSchedule)
	var err error
	if s.manager, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path("notify"), Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.manager.Close() })
	return s
}

func (s *served) path(name string) string { return filepath.Join(s.dir, name) }

func (s *served) write(name, text string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.path(name), []byte(text), 0o700); err != nil { // some are programs
		s.t.Fatal(err)
	}
}

func (s *served) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(s.path(name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// missed has the daemon remember that its last night was long ago.
func (s *served) missed() {
	s.t.Helper()
	s.write("state/daemon.json", `{"run": {"schedule": "0 1 * * * Europe/Warsaw", "last": "2026-01-01T01:00:00+01:00"}}`)
}

// holdfast calls the program, and gives what it answers.
func (s *served) holdfast(args ...string) string {
	s.t.Helper()
	out, err := exec.Command("holdfast", append([]string{"--config", s.path("holdfast.yaml")}, args...)...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("holdfast %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// start brings the daemon up.
func (s *served) start() {
	s.t.Helper()
	s.cmd = exec.Command("holdfast", "--config", s.path("holdfast.yaml"), "daemon")
	s.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+s.path("notify"), "WATCHDOG_USEC=400000")
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.lines = bufio.NewScanner(stderr)
	s.t.Cleanup(func() { _ = s.cmd.Process.Kill() }) // it has ended, unless the test has failed
}

// until reads the log up to a line with all these words.
func (s *served) until(words ...string) {
	s.t.Helper()
	for s.lines.Scan() {
		line := s.lines.Text()
		s.log = append(s.log, line)
		has := true
		for _, w := range words {
			has = has && strings.Contains(line, w)
		}
		if has {
			return
		}
	}
	s.t.Fatalf("%q was never said:\n%s", words, strings.Join(s.log, "\n"))
}

// heard reads what the service manager is told up to a message with this in it.
func (s *served) heard(want string) {
	s.t.Helper()
	var all []string
	message := make([]byte, 4096)
	for {
		n, err := s.manager.Read(message)
		if err != nil {
			s.t.Fatalf("%s was never told: %v\n%s", want, err, strings.Join(all, "\n"))
		}
		all = append(all, string(message[:n]))
		if strings.Contains(string(message[:n]), want) {
			return
		}
	}
}

func (s *served) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// ends waits for the daemon's end, which is a good one.
func (s *served) ends() {
	s.t.Helper()
	for s.lines.Scan() {
		s.log = append(s.log, s.lines.Text())
	}
	if err := s.cmd.Wait(); err != nil {
		s.t.Fatalf("the daemon ended: %v\n%s", err, strings.Join(s.log, "\n"))
	}
}

// A night that was missed is made up for at once, and once; the service manager is told; a bad configuration changes nothing on
// SIGHUP; SIGTERM ends it all.
func TestDaemon(t *testing.T) {
	s := newServed(t)
	if before := s.holdfast("status"); !strings.Contains(before, "no run yet") || !strings.Contains(before, "no daemon is running") {
		t.Errorf("status before the first run:\n%s", before)
	}
	s.missed()
	s.start()
	s.heard("READY=1")
	s.until("missed, made up for", "job=run")
	s.until("msg=done", "job=run")
	s.heard("STATUS=next run ")
	s.heard("WATCHDOG=1")
	answer := s.holdfast("status", "--json")
	var status struct {
		Head     struct{ Status string }
		Schedule struct {
			Daemon bool
			Jobs   []struct{ Job, Next, Ended, Result string }
		}
	}
	if err := json.Unmarshal([]byte(answer), &status); err != nil {
		t.Fatal(err)
	}
	if j := status.Schedule.Jobs; !status.Schedule.Daemon || len(j) != 1 || !strings.Contains(j[0].Next, "T01:00:00+0") || j[0].Ended == "" || j[0].Result != "" || status.Head.Status != "done" {
		t.Errorf("status:\n%s", answer)
	}

	s.write("holdfast.yaml", s.config+strings.Replace(nightSchedule, "Warsaw", "Warsav", 1))
	s.signal(syscall.SIGHUP)
	s.until("kept the old schedule", `there is no time zone \"Europe/Warsav\"`)
	s.heard("RELOADING=1\nMONOTONIC_USEC=")
	s.heard("READY=1")
	s.write("holdfast.yaml", s.config+strings.Replace(nightSchedule, "Warsaw", "Berlin", 1))
	s.signal(syscall.SIGHUP)
	s.until("msg=reloaded")

	second := exec.Command("holdfast", "--config", s.path("holdfast.yaml"), "daemon")
	if out, err := second.CombinedOutput(); err == nil || !strings.Contains(string(out), "another daemon is at work on") {
		t.Errorf("a second daemon: %v\n%s", err, out)
	}
	s.signal(syscall.SIGTERM)
	s.heard("STOPPING=1")
	s.ends()
	for _, line := range s.log {
		if strings.Contains(line, "begun") && strings.Contains(line, "again") || strings.Count(strings.Join(s.log, "\n"), "msg=begun") != 1 {
			t.Fatalf("more than one run:\n%s", strings.Join(s.log, "\n"))
		}
	}
	if text := s.holdfast("status"); !strings.Contains(text, "no daemon is running") || !strings.Contains(text, "01:00 CE") {
		t.Errorf("status in the end:\n%s", text)
	}
}

// A job that is due while the configuration is bad is done with the last good one.
func TestDaemonKeepsConfiguration(t *testing.T) {
	s := newServed(t)
	s.write("images/web02.raw", strings.Repeat("two", 1000))
	s.write("gate", "#!/bin/sh\necho bad: [ >"+s.path("holdfast.yaml")+"\n")
	s.write("holdfast.yaml", s.config+nightSchedule+strings.Replace(strings.TrimPrefix(nightSchedule, "schedule:\n"), "run:", "flush:", 1)+
		fmt.Sprintf("hooks: [{when: [post-backup], command: [%q]}]\n", s.path("gate")))
	s.write("state/daemon.json", `{"run": {"schedule": "0 1 * * * Europe/Warsaw", "last": "2026-01-01T01:00:00+01:00"},
		"flush": {"schedule": "0 1 * * * Europe/Warsaw", "last": "2026-01-01T01:00:00+01:00"}}`)
	s.start()
	s.until("msg=done", "job=run")
	s.until("the configuration is bad: the last good one is used", "job=flush")
	s.until("nothing is on the holding disk", "job=flush")
	s.until("msg=done", "job=flush")
	s.signal(syscall.SIGTERM)
	s.ends()
}

// SIGTERM breaks the job that is running off in good order, and the next daemon begins it again.
func TestDaemonTerminated(t *testing.T) {
	s := newServed(t)
	if err := syscall.Mkfifo(s.path("begun"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.write("gate", "#!/bin/sh\n[ -e "+s.path("second")+" ] && exit 0\necho now >"+s.path("begun")+"\nexec sleep 600\n")
	s.write("holdfast.yaml", s.config+nightSchedule+fmt.Sprintf("hooks: [{when: [pre-backup], command: [%q]}]\n", s.path("gate")))
	s.missed()
	s.start()
	if text := s.read("begun"); text != "now\n" { // which waits for the hook
		t.Errorf("the hook said %q", text)
	}
	if text := s.holdfast("status"); !strings.Contains(text, "the daemon is running") || !strings.Contains(text, "running") {
		t.Errorf("status:\n%s", text)
	}
	s.signal(syscall.SIGTERM)
	s.until("msg=stopping")
	s.until("msg=failed", "job=run")
	s.ends()
	if text := s.holdfast("report"); !strings.Contains(text, "cancel") && !strings.Contains(text, "CANCEL") {
		t.Errorf("the report of what was broken off:\n%s", text)
	}
	s.write("second", "")
	s.start()
	s.until("was broken off, begun again", "job=run")
	s.until("msg=done", "job=run")
	s.signal(syscall.SIGTERM)
	s.ends()
}

// Without a schedule there is nothing to wait for.
func TestDaemonWithoutSchedule(t *testing.T) {
	s := newServed(t)
	s.write("holdfast.yaml", s.config)
	out, err := exec.Command("holdfast", "--config", s.path("holdfast.yaml"), "daemon").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "holdfast: error: there is no schedule in the configuration") {
		t.Errorf("%v\n%s", err, out)
	}
}
