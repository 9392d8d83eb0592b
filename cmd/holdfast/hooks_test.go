package main

import (
	"os"
	"os/exec"
	"testing"
)

// A process is known by its number and its start, and no more when it has ended or the number is another's.
func TestOwner(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	name := owner(cmd.Process.Pid)
	if !ownerLives(name) || !ownerLives(owner(os.Getpid())) {
		t.Errorf("%s does not live", name)
	}
	if ownerLives(name + "0") {
		t.Error("a process with the number, but another start, is taken for it")
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, dead := range []string{name, "", "x", "-1@5", "0@"} {
		if ownerLives(dead) {
			t.Errorf("%q lives", dead)
		}
	}
}
