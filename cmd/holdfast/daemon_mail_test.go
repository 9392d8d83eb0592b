package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// mailed has the site mail by a program that keeps what it is given, and the daemon do a job that it missed.
func (s *served) mailed(job, more string) {
	s.t.Helper()
	s.write("sendmail", "#!/bin/sh\ncat >>"+s.path("mails")+"\n")
	config := strings.Replace(s.config, "mailto: []", fmt.Sprintf("mailto: [root@example.org]\nmail: {sendmail: %q}", s.path("sendmail")), 1)
	s.write("holdfast.yaml", config+strings.Replace(nightSchedule, "run:", job+":", 1)+more)
	s.write("state/daemon.json", `{"`+job+`": {"schedule": "0 1 * * * Europe/Warsaw", "last": "2026-01-01T01:00:00+01:00"}}`)
}

// subjects are those of the mails so far.
func (s *served) subjects() []string {
	s.t.Helper()
	text, err := os.ReadFile(s.path("mails"))
	if err != nil {
		s.t.Fatalf("%v\n%s", err, strings.Join(s.log, "\n"))
	}
	var all []string
	for line := range strings.Lines(string(text)) {
		if subject, ok := strings.CutPrefix(line, "Subject: "); ok {
			all = append(all, strings.TrimSpace(subject))
		}
	}
	return all
}

// damage changes bytes in the middle of each part on the vtapes.
func (s *served) damage() {
	s.t.Helper()
	parts, err := filepath.Glob(s.path("vtapes/*/*web01*"))
	if err != nil || len(parts) == 0 {
		s.t.Fatalf("parts of web01: %q, %v", parts, err)
	}
	for _, part := range parts {
		f, err := os.OpenFile(part, os.O_WRONLY, 0)
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("damaged"), 33<<10); err != nil {
			s.t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			s.t.Fatal(err)
		}
	}
}

// What the sample of a night finds damaged is mailed, though verify makes no report.
func TestDaemonMailsDamage(t *testing.T) {
	s := newServed(t)
	s.holdfast("run")
	s.damage()
	s.mailed("verify", "")
	s.start()
	s.until("level=ERROR", "DAMAGED", "job=verify")
	s.until("msg=failed", "job=verify")
	s.signal(syscall.SIGTERM)
	s.ends()
	if got := s.subjects(); len(got) != 1 || !strings.HasSuffix(got[0], "FAIL: HOLDFAST VERIFY FOUND DAMAGE") {
		t.Errorf("subjects: %q", got)
	}
	text := s.read("mails")
	for _, want := range []string{"\nFrom: <" + ownAddress() + ">", "\nTo: <root@example.org>", "DAMAGED  web01/disk0/", "0 good, 0 sealed, 1 damaged", "It ended with: exit status 1"} {
		if !strings.Contains(text, want) {
			t.Errorf("the mail lacks %q:\n%s", want, text)
		}
	}
}

// A job that fails before it makes a report is mailed by the daemon.
func TestDaemonMailsFailure(t *testing.T) {
	s := newServed(t)
	s.mailed("run", "")
	s.write("state/"+catalogFile, "no catalog at all, but long enough to be looked at")
	s.start()
	s.until("msg=failed", "job=run")
	s.signal(syscall.SIGTERM)
	s.ends()
	if got := s.subjects(); len(got) != 1 || !strings.HasSuffix(got[0], "FAIL: HOLDFAST RUN ENDED WITHOUT A REPORT") {
		t.Errorf("subjects: %q", got)
	}
	if text := s.read("mails"); !strings.Contains(text, "the catalog file is damaged") || !strings.Contains(text, "It ended with: exit status 1") {
		t.Errorf("the mail does not say why:\n%s", text)
	}
}

// A run whose report tells of a failure is mailed once, by the run.
func TestDaemonMailsNothingTwice(t *testing.T) {
	s := newServed(t)
	s.mailed("run", "")
	if err := os.Remove(s.path("images/web01.raw")); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.until("msg=failed", "job=run")
	s.signal(syscall.SIGTERM)
	s.ends()
	if got := s.subjects(); len(got) != 1 || !strings.Contains(got[0], "FAIL: HOLDFAST MAIL REPORT FOR") {
		t.Errorf("subjects: %q", got)
	}
}

// A daemon that is killed leaves its job at work, whose words nobody reads. The next daemon lets it come to its end before it
// begins the job again: neither breaks the other.
func TestDaemonKilled(t *testing.T) {
	s := newServed(t)
	for _, name := range []string{"begun", "go"} {
		if err := syscall.Mkfifo(s.path(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.write("gate", "#!/bin/sh\n[ -e "+s.path("second")+" ] && exit 0\necho now >"+s.path("begun")+"\nread x <"+s.path("go")+"\n")
	s.mailed("run", fmt.Sprintf("hooks: [{when: [pre-backup], command: [%q]}]\n", s.path("gate")))
	s.start()
	if text := s.read("begun"); text != "now\n" { // which waits for the hook
		t.Errorf("the hook said %q", text)
	}
	s.signal(syscall.SIGKILL)
	_ = s.cmd.Wait() // it was killed
	s.write("second", "")
	s.start()
	s.until("was broken off, begun again", "job=run")
	s.until("waits: another holdfast is at work", "job=run")
	s.write("go", "on\n")
	s.until("msg=done", "job=run")
	s.signal(syscall.SIGTERM)
	s.ends()
	if text := s.holdfast("verify"); !strings.Contains(text, "2 good, 0 sealed, 0 damaged") {
		t.Errorf("of two runs:\n%s", text)
	}
	if got := s.subjects(); len(got) != 2 || strings.Contains(strings.Join(got, ""), "FAIL") {
		t.Errorf("subjects: %q", got)
	}
}
