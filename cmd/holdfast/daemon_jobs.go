package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"holdfast/configs"
	"holdfast/internal/vfs"
	"holdfast/scheduler/daemon"
)

// jobs does the daemon's jobs, each as a process of its own: this program called as by hand. So a job has all that it needs
// afresh, its faults are not the daemon's, and after an update the next job is the new program.
type jobs struct {
	path, state string
	log         *slog.Logger
	// good is the configuration that was read last. mu guards it: it is read while a job begins.
	mu   sync.Mutex
	good *configs.Config
}

// lastGood is the configuration by which the daemon goes.
func (j *jobs) lastGood() *configs.Config {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.good
}

// keptConfigEnv names a file that is read in place of the configuration, whose name stays: the daemon's last good one.
const keptConfigEnv = "HOLDFAST_KEPT_CONFIG"

func (j *jobs) keptConfig() string { return filepath.Join(j.state, "daemon.yaml") }

// load reads the configuration and keeps its text, in case that it is bad when a job is due.
func (j *jobs) load() ([]daemon.Entry, error) {
	var text []byte
	cfg, err := configs.Load(j.path, func(path string) (_ []byte, err error) {
		text, err = os.ReadFile(path)
		return text, err
	})
	if err != nil {
		return nil, err
	}
	if cfg.State != j.state {
		return nil, fmt.Errorf("the state directory is another, %s: the daemon must be started anew", cfg.State)
	}
	entries := daemon.Entries(cfg.Schedule)
	if len(entries) == 0 {
		return nil, errNoSchedule
	}
	for _, w := range cfg.Warnings {
		j.log.Warn(w)
	}
	if err := vfs.WriteFileDurable(vfs.OS(), j.keptConfig(), text, 0o600); err != nil {
		return nil, fmt.Errorf("keep the configuration: %w", err)
	}
	j.mu.Lock()
	j.good = cfg
	j.mu.Unlock()
	return entries, nil
}

// Do does a job. It is over when its process is. What is then in no report is mailed.
func (j *jobs) Do(ctx context.Context, job string) error {
	said := &account{}
	err := j.do(ctx, job, said)
	if subject := said.subject(job, err, ctx.Err() != nil); subject != "" {
		j.mail(ctx, subject, said.text(err))
	}
	return err
}

func (j *jobs) do(ctx context.Context, job string, said *account) error {
	args := []string{os.Args[0], "--" + configFlag, j.path, job}
	if job == configs.JobVerify {
		share, err := j.lastGood().Schedule.Verify.Sample.MarshalText()
		if err != nil {
			return err
		}
		args = append(args, "--sample", string(share))
	} else if err := j.turn(ctx, job); err != nil {
		return err
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{notifySocket, watchdogTime, watchdogPID, keptConfigEnv}, name)
	})
	if _, err := configs.Load(j.path, os.ReadFile); err != nil {
		j.log.Error("the configuration is bad: the last good one is used", "job", job, "error", err)
		env = append(env, keptConfigEnv+"="+j.keptConfig())
	}
	return j.call(ctx, jobCall{job, args, env, said})
}

// turn waits until no other holdfast is at work, such as one that was called by hand.
func (j *jobs) turn(ctx context.Context, job string) error {
	const lookAgain = 2 * time.Second
	for told := false; ; told = true {
		lock, err := takeLock(j.state)
		if err == nil {
			return lock.Unlock()
		}
		if !errors.Is(err, errAtWork) {
			return err
		}
		if !told {
			j.log.Warn("waits: "+err.Error(), "job", job)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookAgain):
		}
	}
}

// jobCall is one call of this program for a job, with what it says.
type jobCall struct {
	job       string
	args, env []string
	said      *account
}

// call calls this program. What it says goes into the log; of its answers only what verify found, for the others' are mailed.
func (j *jobs) call(ctx context.Context, k jobCall) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program: %w", err)
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Args, cmd.Env = k.args, k.env
	// A Ctrl-C on the terminal is for the daemon, which passes it on once: a second signal would end the job at once.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	said := &lineLog{log: j.log.With("job", k.job), said: k.said}
	answer := &lineLog{log: said.log, said: k.said}
	cmd.Stderr, cmd.Stdout = said, (*reported)(k.said)
	if k.job == configs.JobVerify {
		cmd.Stdout = answer
	}
	err = cmd.Run()
	said.end()
	answer.end()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return fmt.Errorf("exit status %d: %s", exit.ExitCode(), meaning(exit.ExitCode()))
	}
	return err
}

// meaning puts an exit status into words.
func meaning(status int) string {
	var words []string
	for _, e := range exitMeanings {
		if e.code == status && status == exitUsage || e.code != 0 && e.code < exitUsage && status < exitUsage && status&e.code != 0 {
			short, _, _ := strings.Cut(e.meaning, ": ")
			words = append(words, short)
		}
	}
	return cmp.Or(strings.Join(words, "; "), "unknown")
}

// lineLog logs what is written to it line by line, and has the account keep it.
type lineLog struct {
	log  *slog.Logger
	said *account
	rest []byte
}

// lineMax keeps a line without an end from filling the memory.
const lineMax = 8 << 10

// Write logs the lines that are whole.
func (l *lineLog) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		n := bytes.IndexByte(l.rest, '\n')
		if n < 0 && len(l.rest) < lineMax {
			return len(p), nil
		}
		if n < 0 {
			n = len(l.rest) - 1
		}
		l.line(string(l.rest[:n+1]))
		l.rest = l.rest[n+1:]
	}
}

// end logs what came without an end.
func (l *lineLog) end() {
	l.line(string(l.rest))
	l.rest = nil
}

func (l *lineLog) line(text string) {
	text = strings.TrimSpace(strings.TrimPrefix(text, "holdfast: "))
	level := slog.LevelInfo
	for word, at := range map[string]slog.Level{
		"error: ": slog.LevelError, "warning: ": slog.LevelWarn, damagedWord: slog.LevelError, absentWord: slog.LevelError,
	} {
		if strings.HasPrefix(text, word) {
			level = at
		}
	}
	if text != "" {
		l.log.Log(context.Background(), level, text)
		l.said.keep(text)
	}
}
