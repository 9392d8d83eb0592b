package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/urfave/cli/v2"

	"holdfast/configs"
	"holdfast/internal/sdnotify"
	"holdfast/internal/vfs"
	"holdfast/scheduler/daemon"
)

func (a *app) daemonCommand() *cli.Command {
	return &cli.Command{
		Name: "daemon", Usage: "do the jobs of the schedule at their times",
		Description: `Stays in the foreground and does what the configuration's schedule says, one job at a time. What was missed while
it was down is made up for as catch-up says. SIGHUP has the schedule read anew: if the file is bad, the old one goes on. SIGTERM
ends the job that is running in good order, and then the daemon. Under systemd it tells how it is, and feeds the watchdog.
"holdfast status" shows when what comes next. cron or a timer that calls "holdfast run" does as well.

EXAMPLES
   holdfast daemon
   holdfast daemon --json     each line of the log in JSON`,
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "log in JSON, for programs"}},
		Action: a.daemon,
	}
}

func (a *app) daemon(c *cli.Context) error {
	cfg, err := loadConfig(c)
	if err != nil {
		return err
	}
	if len(cfg.Schedule.Jobs()) == 0 {
		return withHint(errNoSchedule, "`schedule:` says when what is done; docs/daemon.md tells how")
	}
	reload, quiet := hangups(c.Context)
	defer quiet()
	lock, err := lockDaemon(c.Context, cfg.State)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Unlock() }()
	manager, err := sdnotify.Dial(os.Getenv(notifySocket))
	if err != nil {
		return err
	}
	defer func() { _ = manager.Close() }()
	watchdog, err := sdnotify.Watchdog(os.Getenv(watchdogTime), os.Getenv(watchdogPID), os.Getpid())
	if err != nil {
		return err
	}
	log := a.logger(c.Bool("json"))
	j := &jobs{path: cfg.Path, state: cfg.State, log: log}
	d := &daemon.Daemon{
		FS: vfs.OS(), Path: daemonFile(cfg.State), Now: time.Now, Load: j.load, Runner: j, Reload: reload, Watchdog: watchdog,
		Tell: func(e daemon.Event) { logEvent(log, e) },
		Notify: func(lines ...string) {
			if err := manager.Send(time.Now(), lines...); err != nil {
				log.Warn(err.Error())
			}
		},
	}
	return d.Run(c.Context)
}

// What systemd tells a service, which is not for the jobs.
const (
	notifySocket = "NOTIFY_SOCKET"
	watchdogTime = "WATCHDOG_USEC"
	watchdogPID  = "WATCHDOG_PID"
)

var errNoSchedule = errors.New("there is no schedule in the configuration")

// daemonFile is where the daemon remembers.
func daemonFile(state string) string { return filepath.Join(state, "daemon.json") }

func daemonLock(state string) string { return filepath.Join(state, "daemon.lock") }

// lockDaemon makes sure that there is one daemon. A status that looks whether there is one holds the lock for a moment.
func lockDaemon(ctx context.Context, state string) (*flock.Flock, error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	lock := flock.New(daemonLock(state))
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	ok, err := lock.TryLockContext(short, 50*time.Millisecond)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded) || err == nil && !ok:
		return nil, withHint(fmt.Errorf("another daemon is at work on %s", state), "SIGHUP has it read its schedule anew")
	case err != nil:
		return nil, fmt.Errorf("lock %s: %w", state, err)
	}
	return lock, nil
}

// daemonRuns tells whether there is a daemon.
func daemonRuns(state string) bool {
	if _, err := os.Stat(daemonLock(state)); err != nil {
		return false
	}
	lock := flock.New(daemonLock(state), flock.SetFlag(os.O_RDONLY))
	ok, err := lock.TryRLock()
	_ = lock.Unlock()
	return err == nil && !ok
}

// hangups passes SIGHUP on until quiet is called. One that comes while another is not yet answered is the same one.
func hangups(ctx context.Context) (reload <-chan struct{}, quiet func()) {
	signals, out := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			select {
			case <-ctx.Done():
				return
			case out <- struct{}{}:
			}
		}
	}()
	return out, func() {
		signal.Stop(signals)
		cancel()
		<-done
	}
}

// logger writes lines on stderr. Under systemd the journal has the time.
func (a *app) logger(inJSON bool) *slog.Logger {
	if inJSON {
		return slog.New(slog.NewJSONHandler(a.stderr, nil))
	}
	var o slog.HandlerOptions
	if os.Getenv("JOURNAL_STREAM") != "" {
		o.ReplaceAttr = func(groups []string, at slog.Attr) slog.Attr {
			if at.Key == slog.TimeKey && len(groups) == 0 {
				return slog.Attr{}
			}
			return at
		}
	}
	return slog.New(slog.NewTextHandler(a.stderr, &o))
}

// logEvent tells what happened in a line.
func logEvent(log *slog.Logger, e daemon.Event) {
	level := slog.LevelInfo
	switch e.Kind {
	case daemon.Failed, daemon.KeptOld, daemon.NoMemory:
		level = slog.LevelError
	case daemon.Missed, daemon.CaughtUp, daemon.BrokenOff, daemon.Resumed, daemon.ClockBack:
		level = slog.LevelWarn
	}
	var attrs []slog.Attr
	if e.Job != "" {
		attrs = append(attrs, slog.String("job", e.Job))
	}
	if !e.At.IsZero() {
		attrs = append(attrs, slog.Time("due", e.At))
	}
	if e.Err == nil {
		log.LogAttrs(context.Background(), level, string(e.Kind), attrs...)
		return
	}
	var faults configs.Errors
	if !errors.As(e.Err, &faults) {
		log.LogAttrs(context.Background(), level, string(e.Kind), append(attrs, slog.Any("error", e.Err))...)
		return
	}
	for _, f := range faults { // one by one, each with the line it is about
		log.LogAttrs(context.Background(), level, string(e.Kind), append(attrs, slog.Any("error", f))...)
	}
}
