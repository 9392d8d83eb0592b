package freeze_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/dumpers"
	"holdfast/dumpers/dumpertest"
	"holdfast/dumpers/freeze"
	"holdfast/internal/qgatest"
)

// site is an agent and a guard before it.
type site struct {
	t       *testing.T
	agent   *qgatest.Agent
	journal *dumpertest.Journal
	guard   *freeze.Guard
	order   freeze.Order
}

func newSite(t *testing.T, a *qgatest.Agent) *site {
	t.Helper()
	j := &dumpertest.Journal{}
	s := &site{t: t, agent: qgatest.Start(t, a), journal: j, guard: guard(j)}
	s.order = freeze.Order{
		VM: "web", Guest: freeze.Guest{Kind: freeze.KindQGA, Socket: a.Socket}, Policy: freeze.Prefer,
		Timeout: time.Minute, Window: time.Minute,
	}
	return s
}

// around freezes, and gives how many file systems were frozen when pin was called; -1 when it was not.
func (s *site) around() (freeze.Reached, int, error) {
	seen := -1
	reached, err := s.guard.Around(s.t.Context(), s.order, func(context.Context) error {
		seen = s.agent.Frozen()
		return nil
	})
	return reached, seen, err
}

func (s *site) wantJournal(entries int) {
	s.t.Helper()
	open, err := s.journal.Open(s.t.Context(), freeze.ResourceKind)
	if err != nil || len(open) != entries {
		s.t.Errorf("%d journal entries, want %d: %+v, %v", len(open), entries, open, err)
	}
}

func (s *site) want(got freeze.Reached, c dumpers.Consistency, reason string) {
	s.t.Helper()
	if got.Consistency != c || (got.Reason == "") != (reason == "") || !strings.Contains(got.Reason, reason) {
		s.t.Errorf("reached %+v, want %s because of %q", got, c, reason)
	}
}

// What is pinned is pinned while frozen, and thawed after; it is worth what was done for it.
func TestAround(t *testing.T) {
	s := newSite(t, &qgatest.Agent{FileSystems: 3, Mountpoints: []string{"/srv"}})
	reached, seen, err := s.around()
	if err != nil || seen != 3 || reached.FileSystems != 3 || reached.Held <= 0 || reached.Unsettled {
		t.Errorf("%d frozen while pinning, %+v, %v", seen, reached, err)
	}
	s.want(reached, dumpers.ConsistentFS, "")
	s.order.Hooks, s.order.Policy, s.order.Mountpoints = true, freeze.Require, []string{"/srv"}
	if reached, seen, err = s.around(); err != nil || seen != 1 {
		t.Errorf("%d frozen while pinning, %v", seen, err)
	}
	s.want(reached, dumpers.ConsistentApplication, "")
	before := len(s.agent.Calls())
	s.order.Policy = freeze.Never
	if reached, seen, err = s.around(); err != nil || seen != 0 || len(s.agent.Calls()) != before {
		t.Errorf("never: %d frozen, calls %v, %v", seen, s.agent.Calls()[before:], err)
	}
	s.want(reached, dumpers.ConsistentCrash, "never")
	s.wantJournal(0)
}

// The freeze is in the journal before it is asked for, with all that a reaper needs.
func TestJournalFirst(t *testing.T) {
	var s *site
	var during []catalog.Resource
	s = newSite(t, &qgatest.Agent{FileSystems: 1, Hook: func() error {
		during, _ = s.journal.Open(t.Context(), freeze.ResourceKind)
		return nil
	}})
	if _, _, err := s.around(); err != nil {
		t.Fatal(err)
	}
	if len(during) != 1 || during[0].Name != "web" || !strings.Contains(during[0].Data, s.agent.Socket) || during[0].Made.IsZero() {
		t.Errorf("journal at the time of the freeze: %+v", during)
	}
}

// What keeps a guest from being frozen: an error of the policy require, a reason with prefer.
func TestNotFrozen(t *testing.T) {
	for _, c := range []struct {
		name, reason string
		agent        *qgatest.Agent
		change       func(s *site)
	}{
		{"hook fails", "hook has failed with status 3", &qgatest.Agent{FileSystems: 1, Hook: func() error {
			return errors.New("fsfreeze hook has failed with status 3")
		}}, func(*site) {}},
		{"nothing to freeze", "no file system was frozen", &qgatest.Agent{}, func(*site) {}},
		{"unknown mount point", "no file system was frozen", &qgatest.Agent{FileSystems: 1}, func(s *site) { s.order.Mountpoints = []string{"/none"} }},
		{"no VM", "does not run", &qgatest.Agent{}, func(s *site) { s.order.Guest.Socket += "-none" }},
		{"unknown kind", `unknown kind "x"`, &qgatest.Agent{}, func(s *site) { s.order.Guest.Kind = "x" }},
		{"agent dead", "does not answer", &qgatest.Agent{}, func(s *site) {
			s.agent.Kill()
			s.order.Timeout = 20 * time.Millisecond
		}},
		{"no watchdog", "start the watchdog", &qgatest.Agent{FileSystems: 1}, func(s *site) { s.guard.Command = []string{"/nowhere/holdfast"} }},
		{"watchdog dies", "watchdog has died", &qgatest.Agent{FileSystems: 1}, func(s *site) { s.guard.Command = []string{"/bin/false"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, c.agent)
			c.change(s)
			reached, seen, err := s.around()
			if err != nil || seen != 0 || reached.Unsettled {
				t.Errorf("prefer: %d frozen while pinning, %+v, %v", seen, reached, err)
			}
			s.want(reached, dumpers.ConsistentCrash, c.reason)
			s.order.Policy = freeze.Require
			if _, seen, err = s.around(); !errors.Is(err, freeze.ErrNotFrozen) || !strings.Contains(err.Error(), c.reason) || seen != -1 {
				t.Errorf("require: pin saw %d, %v", seen, err)
			}
			s.wantJournal(0)
		})
	}
}

// A hook that fails may have brought something to rest before: it is called once more, to thaw.
func TestHookUndone(t *testing.T) {
	s := newSite(t, &qgatest.Agent{FileSystems: 1, Hook: func() error { return errors.New("hook has failed") }})
	s.agent.ThawHook = func() error { return errors.New("and fails again") }
	_, _, err := s.around()
	want := []string{"guest-fsfreeze-status", "guest-fsfreeze-freeze", "guest-fsfreeze-status", "guest-fsfreeze-thaw", "guest-fsfreeze-status"}
	if got := s.agent.Calls(); err != nil || !slices.Equal(got, want) {
		t.Errorf("the agent was asked %v, %v; want %v", got, err, want)
	}
	s.wantJournal(0)
}

// A run that is interrupted while the hook is at work pins nothing; the freeze that comes yet is thawed before it ends.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := newSite(t, &qgatest.Agent{FileSystems: 1, Hook: func() error {
		cancel()
		return nil
	}})
	_, err := s.guard.Around(ctx, s.order, func(context.Context) error { return errors.New("pinned") })
	if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "pinned") || s.agent.Frozen() != 0 {
		t.Errorf("%v, %d frozen", err, s.agent.Frozen())
	}
	s.wantJournal(0)
}

// A guest that somebody else has frozen is left as it is.
func TestFrozenBySomebodyElse(t *testing.T) {
	s := newSite(t, &qgatest.Agent{FileSystems: 1})
	agent, err := freeze.OpenQGA(t.Context(), s.order.Guest)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := agent.Freeze(t.Context(), nil); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	agent.Close()
	reached, seen, err := s.around()
	if err != nil || seen != 1 || s.agent.Frozen() != 1 {
		t.Errorf("%d frozen while pinning, %d after, %v", seen, s.agent.Frozen(), err)
	}
	s.want(reached, dumpers.ConsistentCrash, "by somebody else")
	s.wantJournal(0)
}

// A freeze that ends before it should makes the point worth less, and an error where it is required.
func TestNotHeld(t *testing.T) {
	s := newSite(t, &qgatest.Agent{FileSystems: 2})
	early := func(context.Context) error {
		s.agent.ThawAll()
		return nil
	}
	reached, err := s.guard.Around(t.Context(), s.order, early)
	if err != nil {
		t.Error(err)
	}
	s.want(reached, dumpers.ConsistentCrash, "2 file systems were frozen and only 0")
	s.order.Policy = freeze.Require
	if _, err = s.guard.Around(t.Context(), s.order, early); !errors.Is(err, freeze.ErrNotHeld) {
		t.Error(err)
	}
	// A thaw that tells no number proves nothing.
	s.order.Policy, s.agent.ThawHook = freeze.Prefer, func() error { return errors.New("thaw hook: 7") }
	if reached, _, err = s.around(); err != nil || s.agent.Frozen() != 0 {
		t.Errorf("thaw hook fails: %d frozen, %v", s.agent.Frozen(), err)
	}
	s.want(reached, dumpers.ConsistentCrash, "thaw hook: 7")
	s.agent.ThawHook = nil
	// A pin that goes beyond the window: the guest does not wait for it.
	s.order.Window = 20 * time.Millisecond
	var stopped error
	reached, err = s.guard.Around(t.Context(), s.order, func(ctx context.Context) error {
		s.agent.Await(t, 0)
		<-ctx.Done()
		stopped = ctx.Err()
		return nil
	})
	if err != nil || !errors.Is(stopped, context.DeadlineExceeded) {
		t.Errorf("the window ended: %v, pin was told %v", err, stopped)
	}
	s.want(reached, dumpers.ConsistentCrash, "the window has ended")
	s.wantJournal(0)
}

// A pin that fails, or a run that is interrupted, still thaws.
func TestPinFails(t *testing.T) {
	s := newSite(t, &qgatest.Agent{FileSystems: 1})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wrong := errors.New("transaction refused")
	_, err := s.guard.Around(ctx, s.order, func(context.Context) error {
		cancel()
		return wrong
	})
	if !errors.Is(err, wrong) || s.agent.Frozen() != 0 {
		t.Errorf("%v, %d frozen", err, s.agent.Frozen())
	}
}
