package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"holdfast/internal/testtools"
)

// What `make install` puts in place is whole, and can be used by others than root.
func TestInstall(t *testing.T) {
	testtools.Need(t, "make", "install")
	program, err := exec.LookPath("holdfast")
	if err != nil {
		t.Fatal(err)
	}
	dest := t.TempDir()
	call := exec.Command("make", "-C", "../..", "install", "PROGRAM="+program, "DESTDIR="+dest, "PREFIX=/opt/hold fast")
	if out, err := call.CombinedOutput(); err != nil {
		t.Fatalf("make install: %v\n%s", err, out)
	}
	for _, file := range []struct {
		path, begins string
		mode         os.FileMode
	}{
		{"bin/holdfast", "", 0o755},
		{"lib/holdfast/age", "#!/bin/sh\n", 0o755},
		{"share/man/man8/holdfast.8", ".TH \"holdfast\" \"8\"", 0o644},
		{"share/bash-completion/completions/holdfast", "# holdfast completion for bash", 0o644},
		{"share/zsh/site-functions/_holdfast", "#compdef holdfast\n", 0o644},
		{"share/fish/vendor_completions.d/holdfast.fish", "# holdfast completion for fish", 0o644},
		{"lib/systemd/system/holdfast.service", "# The daemon", 0o644},
		{"lib/systemd/system/holdfast-run.service", "# One night", 0o644},
		{"lib/systemd/system/holdfast-run.timer", "# A night", 0o644},
	} {
		path := filepath.Join(dest, "opt/hold fast", file.path)
		info, err := os.Stat(path)
		if err != nil {
			t.Error(err)
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil || len(text) == 0 || !strings.HasPrefix(string(text), file.begins) || info.Mode() != file.mode {
			t.Errorf("%s: %v, %d bytes, mode %v; want %v, beginning with %q", file.path, err, len(text), info.Mode(), file.mode, file.begins)
		}
	}
}

// make help names every target but the files.
func TestMakeHelp(t *testing.T) {
	text, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+):[^=\n]*$`).FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(m[0], "## ") {
			t.Errorf("Makefile: target %s has no line for make help", m[1])
		}
	}
}
