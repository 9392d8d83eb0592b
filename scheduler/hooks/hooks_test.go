package hooks_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/internal/vfs"
	"holdfast/scheduler/hooks"
)

var web = catalog.DLE{VM: "web01", Disk: "disk0"}

// site is a directory with scripts and a runner of them. Each script appends to the file log what it was told.
type site struct {
	*hooks.Runner
	t   *testing.T
	dir string

	mu      sync.Mutex // guards what follows
	told    []catalog.HookFinished
	journal []catalog.Resource
	// journalled is called with each entry that is added.
	journalled func(catalog.Resource)
}

func newSite(t *testing.T) *site {
	s := &site{t: t, dir: t.TempDir()}
	s.Runner = &hooks.Runner{
		Config: &configs.Config{Path: "/etc/hf.yaml", Org: "site"}, FS: vfs.OS(), Journal: s, Now: time.Now, Grace: 20 * time.Millisecond,
		Env:    []string{"PATH=" + os.Getenv("PATH"), "LOG=" + filepath.Join(s.dir, "log")},
		Record: s.record,
	}
	return s
}

func (s *site) record(_ context.Context, f catalog.HookFinished) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, f)
	return nil
}

func (s *site) Add(_ context.Context, r catalog.Resource) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.journalled != nil {
		s.journalled(r)
	}
	s.journal = append(s.journal, r)
	return nil
}

func (s *site) Done(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal = slices.DeleteFunc(s.journal, func(r catalog.Resource) bool { return r.ID == id })
	return nil
}

func (s *site) Open(_ context.Context, kind string) ([]catalog.Resource, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.journal), func(r catalog.Resource) bool { return r.Kind != kind }), nil
}

// hook writes a script and gives its hook.
func (s *site) hook(name, script string, when ...configs.HookEvent) configs.Hook {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho $HOLDFAST_EVENT $HOLDFAST_HOOK $HOLDFAST_STATUS >>$LOG\n"+script+"\n"), 0o755); err != nil {
		s.t.Fatal(err)
	}
	return configs.Hook{
		Name: name, When: when, Command: []string{path}, Order: 5000, Timeout: configs.Duration(time.Minute), OnFailure: configs.HookStop,
	}
}

func (s *site) log() []string {
	data, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	return strings.Fields(strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(string(data)), " ", ":"), ":\n", "\n"))
}

func (s *site) wantLog(want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), s.log()); diff != "" {
		s.t.Errorf("what was run (-want +got):\n%s", diff)
	}
}

func (s *site) outcomes() []string {
	var all []string
	for _, f := range s.told {
		all = append(all, fmt.Sprintf("%s %s %s %s", f.Event, f.Hook, f.Outcome, f.Text))
	}
	return all
}

func backup(d catalog.DLE) hooks.Subject {
	level := catalog.Level(1)
	return hooks.Subject{Level: configs.HookDLE, Moment: configs.HookBackup, DLE: d, Stamp: "20261121010000", Dump: &level, Image: "/i.raw"}
}

const preDLE, postDLE = configs.HookEvent("pre-dle-backup"), configs.HookEvent("post-dle-backup")

// Lowest order first, before and after; what is not of this moment is not run.
func TestOrder(t *testing.T) {
	s := newSite(t)
	b, a, other := s.hook("b", "", preDLE, postDLE), s.hook("a", "", preDLE, postDLE), s.hook("other", "", "pre-backup", "post-dle-check")
	a.Order = 10
	s.Config.Hooks = []configs.Hook{other, b, a}
	scope := s.Scope(backup(web))
	if err := scope.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(s.journal) != 2 {
		t.Errorf("%d entries in the journal while two post hooks are to come", len(s.journal))
	}
	if err := scope.End(t.Context(), hooks.Result{Status: hooks.StatusStrange, Reason: "odd"}); err != nil {
		t.Fatal(err)
	}
	s.wantLog("pre-dle-backup:a", "pre-dle-backup:b", "post-dle-backup:a:strange", "post-dle-backup:b:strange")
	if len(s.journal) != 0 {
		t.Errorf("left in the journal: %v", s.journal)
	}
}

// A hook sees what is documented, and nothing that the program itself was given.
func TestEnvironment(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hush")
	t.Setenv("HOLDFAST_PASSPHRASE", "hush")
	s := newSite(t)
	s.Config.Hooks = []configs.Hook{s.hook("env", "env | grep -v -e ^PATH= -e ^LOG= -e ^_= | sort; pwd; cat", preDLE, postDLE)}
	scope := s.Scope(backup(web))
	if err := scope.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := scope.End(t.Context(), hooks.Result{Status: hooks.StatusFailed, Reason: "line\nand\x00more"}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"HOLDFAST_CONFIG=/etc/hf.yaml", "HOLDFAST_DISK=disk0", "HOLDFAST_EVENT=pre-dle-backup", "HOLDFAST_HOOK=env", "HOLDFAST_IMAGE=/i.raw",
		"HOLDFAST_LEVEL=1", "HOLDFAST_ORG=site", "HOLDFAST_STAMP=20261121010000", "HOLDFAST_VM=web01", "PWD=/", "/",
	}
	if diff := cmp.Diff(want, s.told[0].Output); diff != "" {
		t.Errorf("before (-want +got):\n%s", diff)
	}
	after := strings.Join(s.told[1].Output, "\n")
	if !strings.Contains(after, "HOLDFAST_STATUS=failed") || !strings.Contains(after, "HOLDFAST_REASON=line and more") {
		t.Errorf("after:\n%s", after)
	}
}

// What each end of a pre hook means, and that the post hooks of those that ran come all the same, and no others.
func TestEnds(t *testing.T) {
	for name, test := range map[string]struct {
		script    string
		onFailure configs.HookFailure
		want      string // Begin's error
		vetoed    bool
		log       []string
	}{
		"veto": {
			"echo looking >&2; echo 'backup in progress'; exit 75", configs.HookStop,
			"pre-dle-backup hook second for web01:disk0 vetoed it: backup in progress", true,
			[]string{"post-dle-backup:first:vetoed", "post-dle-backup:second:vetoed", "post-dle-backup:alone:vetoed"},
		},
		"silent veto": {
			"exit 75", configs.HookContinue, "pre-dle-backup hook second for web01:disk0 vetoed it: it gave no reason", true,
			[]string{"post-dle-backup:first:vetoed", "post-dle-backup:second:vetoed", "post-dle-backup:alone:vetoed"},
		},
		"failure": {
			"echo no such database; exit 3", configs.HookStop,
			"pre-dle-backup hook second for web01:disk0 failed: exit status 3: no such database", false,
			[]string{"post-dle-backup:first:failed", "post-dle-backup:second:failed", "post-dle-backup:alone:failed"},
		},
		"killed": {
			"kill -9 $$", configs.HookStop, "pre-dle-backup hook second for web01:disk0 failed: signal: killed", false,
			[]string{"post-dle-backup:first:failed", "post-dle-backup:second:failed", "post-dle-backup:alone:failed"},
		},
		"failure that does not matter": {
			"exit 3", configs.HookContinue, "", false,
			[]string{"pre-dle-backup:third", "post-dle-backup:first:ok", "post-dle-backup:second:ok", "post-dle-backup:third:ok", "post-dle-backup:alone:ok"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			second := s.hook("second", `if [ "$HOLDFAST_EVENT" = pre-dle-backup ]; then `+test.script+`; fi`, preDLE, postDLE)
			second.OnFailure = test.onFailure
			s.Config.Hooks = []configs.Hook{
				s.hook("first", "", preDLE, postDLE), second, s.hook("third", "", preDLE, postDLE), s.hook("alone", "", postDLE),
			}
			scope := s.Scope(backup(web))
			err := scope.Begin(t.Context())
			if got := fmt.Sprint(err); err != nil && got != test.want || err == nil && test.want != "" {
				t.Errorf("Begin: %v, want %q", err, test.want)
			}
			if hooks.Vetoed(err) != test.vetoed {
				t.Errorf("a veto: %v, want %v", hooks.Vetoed(err), test.vetoed)
			}
			if err := scope.End(t.Context(), hooks.ResultOf(err)); err != nil {
				t.Fatal(err)
			}
			s.wantLog(append([]string{"pre-dle-backup:first", "pre-dle-backup:second"}, test.log...)...)
			if len(s.journal) != 0 {
				t.Errorf("left in the journal: %v", s.journal)
			}
		})
	}
}

// A post hook has nothing to veto: each status but 0 is a failure, and the others are run all the same.
func TestPostFails(t *testing.T) {
	s := newSite(t)
	s.Config.Hooks = []configs.Hook{s.hook("a", "echo odd; exit 75", postDLE), s.hook("b", "exit 1", postDLE), s.hook("c", "", postDLE)}
	if err := s.Scope(backup(web)).End(t.Context(), hooks.Result{Status: hooks.StatusOK}); err != nil {
		t.Fatal(err)
	}
	want := []string{"post-dle-backup a failed exit status 75: odd", "post-dle-backup b failed exit status 1", "post-dle-backup c ok "}
	if diff := cmp.Diff(want, s.outcomes()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A program that is not there, is none, or that anyone may change is not run, and its post part neither.
func TestUnsound(t *testing.T) {
	s := newSite(t)
	gone, plain, open, inOpen := s.hook("gone", "", preDLE, postDLE), s.hook("plain", "", preDLE, postDLE), s.hook("open", "", preDLE, postDLE), s.hook("in-open", "", preDLE)
	dir := filepath.Join(s.dir, "open-dir")
	for _, err := range []error{
		os.Remove(gone.Command[0]), os.Chmod(plain.Command[0], 0o644), os.Chmod(open.Command[0], 0o757), os.Mkdir(dir, 0o755),
		os.Rename(inOpen.Command[0], filepath.Join(dir, "hook")), os.Chmod(dir, 0o777),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	inOpen.Command[0] = filepath.Join(dir, "hook")
	for _, test := range []struct {
		hook configs.Hook
		want error
	}{{gone, os.ErrNotExist}, {plain, hooks.ErrNotProgram}, {open, hooks.ErrAnyone}, {inOpen, hooks.ErrAnyone}} {
		if err := hooks.Sound(s.FS, test.hook.Command[0]); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.hook.Name, err, test.want)
		}
		s.Config.Hooks = []configs.Hook{test.hook}
		scope := s.Scope(backup(web))
		var failed *hooks.Error
		if err := scope.Begin(t.Context()); !errors.As(err, &failed) || failed.Outcome != catalog.HookFailed {
			t.Errorf("%s: Begin: %v, want that it failed", test.hook.Name, err)
		}
		if err := scope.End(t.Context(), hooks.Result{Status: hooks.StatusFailed}); err != nil {
			t.Fatal(err)
		}
	}
	s.wantLog()
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if err := hooks.Sound(s.FS, inOpen.Command[0]); err != nil {
		t.Errorf("in a directory like /tmp: %v", err)
	}
	if len(s.told) != 4 || len(s.journal) != 0 {
		t.Errorf("told: %v; journal: %v", s.outcomes(), s.journal)
	}
}

// The journal has a pre hook before it runs, and only if there is a post hook for it.
func TestJournalledFirst(t *testing.T) {
	s := newSite(t)
	s.Config.Hooks = []configs.Hook{s.hook("alone", "", preDLE), s.hook("pair", "", preDLE, postDLE)}
	var before []string
	s.journalled = func(catalog.Resource) { before = s.log() }
	if err := s.Scope(backup(web)).Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"pre-dle-backup:alone"}; !slices.Equal(before, want) || len(s.journal) != 1 {
		t.Errorf("journalled after %q, want after %q; %d entries", before, want, len(s.journal))
	}
}
