package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
	"holdfast/configs"
	"holdfast/internal/vfs"
	"holdfast/scheduler/hooks"
)

// hookVariables are what hooks get of the program's own environment: what a program needs to find its way, and nothing secret.
var hookVariables = []string{"HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER"}

// hookPath is for programs that were started without a PATH.
const hookPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func hookEnvironment() []string {
	var env []string
	for _, name := range hookVariables {
		value, ok := os.LookupEnv(name)
		if name == "PATH" && value == "" {
			value, ok = hookPath, true
		}
		if ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// owner names a process for as long as it lives: its number, and when it was started, since numbers are given again.
func owner(pid int) string { return fmt.Sprintf("%d@%s", pid, startOf(pid)) }

// ownerLives tells whether the process that was named so is there.
func ownerLives(name string) bool {
	var pid int
	if n, err := fmt.Sscanf(name, "%d@", &pid); n != 1 && err != nil || pid <= 0 {
		return false
	}
	err := syscall.Kill(pid, 0)
	return (err == nil || errors.Is(err, syscall.EPERM)) && owner(pid) == name
}

// startOf gives when a process was started, in ticks after the machine was; see proc(5). It is empty where there is no /proc.
func startOf(pid int) string {
	const startTime = 22 - 3 // fields count from 1, and the first two end with the name in brackets
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) <= startTime {
		return ""
	}
	return fields[startTime]
}

// hookedRestore does the restore of a dump between the hooks that the configuration has for it. They are journalled in the catalog,
// which a restore reads only, so it is opened once more.
func (a *app) hookedRestore(c *cli.Context, s *site, d catalog.Dump, restore func() error) error {
	ofRestore := func(e configs.HookEvent) bool { return e.Moment() == configs.HookRestore }
	hooked := func(h configs.Hook) bool { return slices.ContainsFunc(h.When, ofRestore) }
	if s == nil || c.Bool("no-hooks") || !slices.ContainsFunc(s.Config.AllHooks(), hooked) {
		return restore()
	}
	store, err := sqlstore.Open(c.Context, filepath.Join(s.Config.State, catalogFile), sqlstore.Options{})
	if err != nil {
		return withHint(fmt.Errorf("note in the catalog that hooks are run: %w", err), "--no-hooks restores without them")
	}
	defer store.Close()
	subject := hooks.Subject{
		Level: configs.HookDLE, Moment: configs.HookRestore, DLE: d.DLE, Stamp: d.Stamp, Dump: &d.Level, Target: c.String("to"),
	}
	if dle, ok := s.Config.Find(d.DLE); ok {
		subject.Image = dle.Image
	}
	if subject.Target != "-" {
		if subject.Target, err = filepath.Abs(subject.Target); err != nil {
			return err
		}
	}
	r := &hooks.Runner{
		Config: s.Config, FS: vfs.OS(), Journal: store.Journal(d.Stamp), Record: a.tellHook, Now: time.Now, Env: hookEnvironment(),
		Owner: owner(os.Getpid()),
	}
	err = r.Around(c.Context, subject.Widening(), restore)
	var stopped *hooks.Error
	if errors.As(err, &stopped) {
		return withHint(err, "nothing was restored; --no-hooks restores without hooks")
	}
	return err
}

// tellHook says on the screen what became of a hook. A failure that stops nothing shows in the exit status.
func (a *app) tellHook(_ context.Context, f catalog.HookFinished) error {
	name := f.Event + " hook " + f.Hook
	for _, line := range f.Output {
		a.say("note", name+": "+line)
	}
	if f.Outcome == catalog.HookFailed {
		a.say("warning", name+" failed: "+f.Text)
		a.status = exitError
	}
	return nil
}
