package hooks_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/scheduler/hooks"
)

// What a pre hook did stays in the journal when its post hook cannot be run: it is still to be undone.
func TestUnsoundAfterwards(t *testing.T) {
	s := newSite(t)
	h := s.hook("freeze", "", configs.Pre(configs.HookDLE, configs.HookBackup), configs.Post(configs.HookDLE, configs.HookBackup))
	s.Config.Hooks = []configs.Hook{h}
	scope := s.Scope(hooks.Subject{Level: configs.HookDLE, Moment: configs.HookBackup, DLE: web})
	if err := scope.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(h.Command[0], 0o777); err != nil {
		t.Fatal(err)
	}
	if err := scope.End(t.Context(), hooks.Result{Status: hooks.StatusOK}); err != nil {
		t.Error(err)
	}
	s.wantLog("pre-dle-backup:freeze")
	if len(s.journal) != 1 {
		t.Errorf("the journal: %v", s.journal)
	}
}

// The post hook of a host is told the worst of its dumps, whichever comes last.
func TestHostIsToldTheWorst(t *testing.T) {
	s := newSite(t)
	s.Config.Hooks = []configs.Hook{s.hook("host", "", configs.Post(configs.HookHost, configs.HookBackup))}
	disks := []catalog.DLE{web, {VM: web.VM, Disk: "disk1"}}
	all := s.Hosts(configs.HookBackup, "20261121010000", disks)
	for _, status := range []hooks.Status{hooks.StatusFailed, hooks.StatusOK} {
		if err := errors.Join(all.Begin(t.Context(), web.VM), all.End(t.Context(), web.VM, hooks.Result{Status: status})); err != nil {
			t.Fatal(err)
		}
	}
	s.wantLog("post-host-backup:host:failed")
}

// Work that was cancelled is so for its post hooks, whatever error it ended with.
func TestAroundCancelled(t *testing.T) {
	s := newSite(t)
	s.Config.Hooks = []configs.Hook{s.hook("post", "", configs.Post(configs.HookRun, configs.HookRestore))}
	ctx, cancel := context.WithCancel(t.Context())
	broken := errors.New("the write was broken off")
	err := s.Around(ctx, []hooks.Subject{{Level: configs.HookRun, Moment: configs.HookRestore}}, func() error {
		cancel()
		return broken
	})
	if !errors.Is(err, broken) {
		t.Error(err)
	}
	s.wantLog("post-restore:post:cancelled")
}
