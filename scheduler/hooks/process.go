package hooks

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"holdfast/catalog"
	"holdfast/configs"
)

// pipeDelay is how long output is waited for once the hook itself has ended: what it left running in the background may hold
// the pipe, and is none of our business.
const pipeDelay = 2 * time.Second

// errTooLong is why a hook's context ends by its timeout.
type errTooLong struct{ limit configs.Duration }

// Error says how long it was waited for.
func (e errTooLong) Error() string { return fmt.Sprintf("not done after %s, and ended", e.limit) }

// ended is why a hook that was ended by us was.
type ended struct{ error }

// Unwrap gives the cause.
func (e ended) Unwrap() error { return e.error }

// execute runs a hook to its end and says in f how it went.
func (r *Runner) execute(ctx context.Context, h configs.Hook, env []string, f *catalog.HookFinished) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(h.Timeout), errTooLong{h.Timeout})
	defer cancel()
	begun := r.Now()
	output := &lines{}
	cmd := exec.Command(h.Command[0], h.Command[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = env, "/", output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for us alone, and the group can be ended as a whole
	cmd.WaitDelay = pipeDelay
	err := cmd.Start()
	if err == nil {
		err = r.wait(ctx, cmd)
	}
	f.Output, f.Dropped = output.all()
	f.Seconds = r.Now().Sub(begun).Seconds()
	f.Outcome, f.Text = judge(err, f.Output)
}

// wait waits for the hook, and ends its process group when ctx ends. The error then is of type ended.
func (r *Runner) wait(ctx context.Context, cmd *exec.Cmd) error {
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	group := -cmd.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM) // it may have ended just now
	grace := r.Grace
	if grace == 0 {
		grace = defaultGrace
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case err := <-done:
		done <- err
	case <-timer.C:
	}
	_ = syscall.Kill(group, syscall.SIGKILL) // what did not heed SIGTERM, whether the hook itself did or not
	<-done
	return ended{context.Cause(ctx)}
}

// judge says what an end means.
func judge(err error, output []string) (catalog.HookOutcome, string) {
	var exit *exec.ExitError
	var late errTooLong
	var cancelled ended
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return catalog.HookOK, ""
	case errors.As(err, &late):
		return catalog.HookFailed, reason(err.Error(), output)
	case errors.As(err, &cancelled):
		return catalog.HookCancelled, "ended, because the work was cancelled"
	case errors.As(err, &exit) && exit.ExitCode() == VetoStatus:
		if len(output) == 0 {
			return catalog.HookVetoed, "it gave no reason"
		}
		return catalog.HookVetoed, reason("", output)
	}
	return catalog.HookFailed, reason(strings.TrimSpace(err.Error()), output)
}
