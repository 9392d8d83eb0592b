package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A run goes on to its end when whoever read what it says has gone, as a daemon that was killed, or `2>&1 | head`.
func TestRunUnread(t *testing.T) {
	s := newServed(t)
	s.write("holdfast.yaml", strings.Replace(s.config, "recovery-window: 7d", "recovery-window: 90d", 1)) // it warns of that first
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("holdfast", "--config", s.path("holdfast.yaml"), "run")
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != exitError {
		t.Errorf("it ended with %v, want exit status %d, for its report was not printed", err, exitError)
	}
	if text := s.holdfast("report"); !strings.Contains(text, "DUMP SUMMARY") || !strings.Contains(text, "web01") || strings.Contains(text, "FAILED") {
		t.Errorf("the report of the run that nobody read:\n%s", text)
	}
}

// A command that only answers ends without a word when the answer is read no further, as by head.
func TestAnswerUnread(t *testing.T) {
	s := newServed(t)
	s.holdfast("run")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"report"}, {"volume", "list"}, {"status", "--json"}} {
		var said strings.Builder
		cmd := exec.Command("holdfast", append([]string{"--config", s.path("holdfast.yaml")}, args...)...)
		cmd.Stdout, cmd.Stderr = w, &said
		if err := cmd.Run(); cmd.ProcessState.ExitCode() != exitError || said.String() != "" {
			t.Errorf("%v: %v, and said %q", args, err, said.String())
		}
	}
}
