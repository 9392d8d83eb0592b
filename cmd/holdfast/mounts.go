package main

import (
	"context"
	"os/exec"
	"sync"
	"time"

	nightly "holdfast/scheduler/run"
)

// killDelay is how long the pipes of a command that was ended are waited for: a child may hold them.
const killDelay = 5 * time.Second

// callCommand runs a mount or unmount command. No shell comes between: what the configuration says is what is run.
func callCommand(ctx context.Context, words []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.WaitDelay = killDelay
	return cmd.CombinedOutput()
}

// useMedia lets the site mount what is away, and has the administrator told what is amiss with media.
func (a *app) useMedia(s *site) {
	s.Mounts = nightly.NewMounts(callCommand)
	var mu sync.Mutex // guards told
	told := map[string]bool{}
	s.MediaNote = func(text string) {
		mu.Lock()
		defer mu.Unlock()
		if !told[text] { // each time that the library is opened it is noticed anew
			told[text] = true
			a.say("note", text)
		}
	}
	s.release = func() {
		// Also when the command was interrupted: a disk that stays mounted is one that is pulled out mounted.
		if err := s.Mounts.Release(context.Background()); err != nil {
			a.say("warning", err.Error())
		}
	}
}
