package hooks_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/scheduler/hooks"
)

// held gives a named pipe that a script opens as file 9, and a function that returns when no process has it open any more.
func held(t *testing.T, s *site) (script string, gone func()) {
	path := filepath.Join(s.dir, "held")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() {
		f, err := os.Open(path) // waits for the script
		if err == nil {
			_, err = io.Copy(io.Discard, f)
		}
		closed <- err
	}()
	return "exec 9>" + path + "\n", func() {
		t.Helper()
		// A script that was ended before it came to open the pipe must not be waited for.
		if f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
			f.Close()
		}
		if err := <-closed; err != nil {
			t.Fatal(err)
		}
	}
}

// A hook that takes too long is ended with all that it started, whether they heed SIGTERM or not, and its post hook runs.
func TestTimeout(t *testing.T) {
	for name, script := range map[string]string{
		"heeds":    "echo begun\nsleep 1000 &\nsleep 1000",
		"does not": "trap '' TERM\necho begun\nsh -c 'sleep 1000' &\nwhile :; do sleep 1000; done",
		"leaves what does not": "sh -c \"trap '' TERM; while :; do sleep 1000; done\" &\necho begun\n" +
			"trap 'exit 0' TERM\nwait",
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			hold, gone := held(t, s)
			h := s.hook("slow", "[ -z \"$HOLDFAST_STATUS\" ] || exit 0\n"+hold+script, preDLE, postDLE)
			h.Timeout = configs.Duration(3 * time.Second) // a busy machine must have come to the script's end by then
			s.Config.Hooks = []configs.Hook{h}
			scope := s.Scope(backup(web))
			err := scope.Begin(t.Context())
			if err == nil || !strings.Contains(err.Error(), "failed: not done after 3s, and ended: begun") {
				t.Errorf("Begin: %v", err)
			}
			gone()
			h.Timeout = configs.Duration(time.Minute)
			s.Config.Hooks[0] = h
			if err := scope.End(t.Context(), hooks.ResultOf(err)); err != nil {
				t.Fatal(err)
			}
			s.wantLog("pre-dle-backup:slow", "post-dle-backup:slow:failed")
		})
	}
}

// When the work is cancelled the pre hook is ended, no other is begun, and the post hook runs though the context has ended.
func TestCancelled(t *testing.T) {
	s := newSite(t)
	hold, gone := held(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	begun := filepath.Join(s.dir, "begun")
	if err := syscall.Mkfifo(begun, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Config.Hooks = []configs.Hook{
		s.hook("long", "[ -z \"$HOLDFAST_STATUS\" ] || exit 0\n"+hold+"echo >"+begun+"\nsleep 1000", preDLE, postDLE),
		s.hook("next", "", preDLE, postDLE),
	}
	go func() {
		_, _ = os.ReadFile(begun) // which the script writes
		cancel()
	}()
	scope := s.Scope(backup(web))
	err := scope.Begin(ctx)
	if err != context.Canceled {
		t.Errorf("Begin: %v, want %v", err, context.Canceled)
	}
	gone()
	if err := scope.End(ctx, hooks.ResultOf(err)); err != nil {
		t.Fatal(err)
	}
	s.wantLog("pre-dle-backup:long", "post-dle-backup:long:cancelled")
	if s.told[0].Outcome != catalog.HookCancelled || s.told[1].Outcome != catalog.HookOK {
		t.Errorf("told: %q", s.outcomes())
	}
	if err := s.Scope(backup(web)).Begin(ctx); err != context.Canceled {
		t.Errorf("Begin after that: %v", err)
	}
}

// A process that a pre hook leaves behind, as one that holds a lock, does not keep it from ending, and goes on.
func TestLeftBehind(t *testing.T) {
	s := newSite(t)
	hold, gone := held(t, s)
	s.Config.Hooks = []configs.Hook{s.hook("leaves", hold+"sleep 1000 & echo $!", preDLE)}
	if err := s.Scope(backup(web)).Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(s.told[0].Output[0], &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("the process left behind: %v", err)
	}
	gone()
}

// However much a hook writes, a bounded part is kept: how it began, how it ended, and how much is missing between.
func TestOutput(t *testing.T) {
	s := newSite(t)
	s.Config.Hooks = []configs.Hook{s.hook("loud", `
		seq 100000
		head -c 3000000 /dev/zero | tr '\0' x
		printf '\n\n  \n\ttab\033[31mred\377\n'
		printf 'not ended'; exit 75`, preDLE)}
	err := s.Scope(backup(web)).Begin(t.Context())
	if err == nil || !strings.HasSuffix(err.Error(), "vetoed it: not ended") {
		t.Errorf("Begin: %v", err)
	}
	f := s.told[0]
	if len(f.Output) != 200 || f.Dropped != 100003-200 {
		t.Fatalf("%d lines and %d dropped", len(f.Output), f.Dropped)
	}
	for at, want := range map[int]string{0: "1", 99: "100", 100: "99904", 196: "100000", 197: strings.Repeat("x", 1000) + "...", 198: "tab [31mred?", 199: "not ended"} {
		if f.Output[at] != want {
			t.Errorf("line %d: %.40q, want %.40q", at, f.Output[at], want)
		}
	}
}

// Arguments are words: nothing in them means anything to a shell.
func TestWords(t *testing.T) {
	s := newSite(t)
	h := s.hook("words", `for w in "$@"; do echo "[$w]"; done`, preDLE)
	h.Command = append(h.Command, "a b", "$(id)", "; false", "*")
	s.Config.Hooks = []configs.Hook{h}
	if err := s.Scope(backup(web)).Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.told[0].Output, ""); got != "[a b][$(id)][; false][*]" {
		t.Errorf("arguments: %s", got)
	}
}

// A host's hooks run once, before its first DLE and after its last, while many DLEs are worked on at once.
func TestHosts(t *testing.T) {
	s := newSite(t)
	s.Config.Hooks = []configs.Hook{
		s.hook("h", `[ "$HOLDFAST_VM" != db01 ] || [ -n "$HOLDFAST_STATUS" ] || { echo busy; exit 75; }`, "pre-host-backup", "post-host-backup"),
	}
	var dles []catalog.DLE
	for i := range 8 {
		dles = append(dles, catalog.DLE{VM: "web01", Disk: fmt.Sprint(i)})
	}
	dles = append(dles, catalog.DLE{VM: "db01", Disk: "a"}, catalog.DLE{VM: "db01", Disk: "b"}, catalog.DLE{VM: "never", Disk: "a"}, catalog.DLE{VM: "cut", Disk: "a"})
	hosts := s.Hosts(configs.HookBackup, "20261121010000", dles)
	var all sync.WaitGroup
	for i, d := range dles[:10] {
		all.Go(func() {
			err := hosts.Begin(t.Context(), d.VM)
			if hooks.Vetoed(err) != (d.VM == "db01") || err != nil && d.VM != "db01" {
				t.Errorf("%s: %v", d, err)
			}
			r := hooks.ResultOf(err)
			if i == 3 {
				r = hooks.Result{Status: hooks.StatusFailed, Reason: "no"}
			}
			if err := hosts.End(t.Context(), d.VM, r); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := hosts.Begin(t.Context(), "cut"); err != nil {
		t.Fatal(err)
	}
	if err := hosts.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, f := range s.told {
		got[f.DLE.VM+" "+f.Event]++
	}
	if len(got) != 6 || len(s.told) != 6 {
		t.Errorf("hooks that ran: %v", got)
	}
	log := strings.Join(s.log(), " ")
	for _, status := range []string{"failed", "vetoed", "cancelled"} {
		if strings.Count(log, "post-host-backup:h:"+status) != 1 {
			t.Errorf("%s is not told once: %s", status, log)
		}
	}
}

// What a killed process left is undone by the hooks that the configuration has now, the latest first, and told; that of a
// process which lives is left alone.
func TestReap(t *testing.T) {
	s := newSite(t)
	a, b, gone := s.hook("a", "", preDLE, postDLE), s.hook("b", "echo back", preDLE, postDLE), s.hook("gone", "", preDLE, postDLE)
	s.Config.Hooks = []configs.Hook{a, b, gone}
	if err := s.Scope(backup(web)).Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	living := *s.Runner
	living.Owner = "7@1"
	if err := living.Scope(backup(catalog.DLE{VM: "living", Disk: "d"})).Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.Order, b.Command[0] = 1, filepath.Join(s.dir, "b")
	s.Config.Hooks = []configs.Hook{b, a}
	s.told = nil
	reaped, err := s.Reap(t.Context(), func(owner string) bool { return owner == "7@1" })
	if err != nil {
		t.Fatal(err)
	}
	want := []hooks.Reaped{
		{Hook: "gone", About: "web01:disk0", Stamp: "20261121010000", Gone: true},
		{Hook: "b", About: "web01:disk0", Stamp: "20261121010000"}, {Hook: "a", About: "web01:disk0", Stamp: "20261121010000"},
	}
	if fmt.Sprint(reaped) != fmt.Sprint(want) {
		t.Errorf("reaped %v, want %v", reaped, want)
	}
	if log := s.log(); strings.Join(log[len(log)-2:], " ") != "post-dle-backup:b:killed post-dle-backup:a:killed" {
		t.Errorf("what was run: %q", log)
	}
	if len(s.told) != 2 || s.told[0].Left != "20261121010000" || s.told[0].DLE != web {
		t.Errorf("told: %+v", s.told)
	}
	if len(s.journal) != 3 {
		t.Errorf("%d entries in the journal, want the three of the living", len(s.journal))
	}
	if reaped, err = s.Reap(t.Context(), func(string) bool { return false }); err != nil || len(reaped) != 3 || len(s.journal) != 0 {
		t.Errorf("when that has died, too: %v, %v; journal: %v", reaped, err, s.journal)
	}
}

// A post hook that cannot be run keeps its place in the journal until it can.
func TestReapLater(t *testing.T) {
	s := newSite(t)
	s.Config.Hooks = []configs.Hook{s.hook("a", "", preDLE, postDLE)}
	if err := s.Scope(backup(web)).Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	program := s.Config.Hooks[0].Command[0]
	if err := os.Chmod(program, 0o644); err != nil {
		t.Fatal(err)
	}
	if reaped, err := s.Reap(t.Context(), nil); err == nil || len(reaped) != 0 || len(s.journal) != 1 {
		t.Errorf("reaped %v, %v; %d in the journal", reaped, err, len(s.journal))
	}
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	if reaped, err := s.Reap(t.Context(), nil); err != nil || len(reaped) != 1 || len(s.journal) != 0 {
		t.Errorf("reaped %v, %v; %d in the journal", reaped, err, len(s.journal))
	}
}

// SIGTERM comes first, so that a hook can put right what it has begun.
func TestTerminated(t *testing.T) {
	s := newSite(t)
	s.Grace = time.Minute
	h := s.hook("tidy", "trap 'echo tidied; exit 0' TERM\nwhile :; do sleep 1000; done", preDLE)
	h.Timeout = configs.Duration(3 * time.Second) // a busy machine must have come to the script's end by then
	s.Config.Hooks = []configs.Hook{h}
	if err := s.Scope(backup(web)).Begin(t.Context()); err == nil || !strings.HasSuffix(err.Error(), "and ended: tidied") {
		t.Errorf("Begin: %v", err)
	}
}
