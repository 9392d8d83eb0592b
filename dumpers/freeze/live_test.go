package freeze_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/dumpers"
	"holdfast/dumpers/dumpertest"
	"holdfast/dumpers/freeze"
	"holdfast/internal/qga"
	"holdfast/internal/qmp"
	"holdfast/internal/testguest"
	"holdfast/internal/testtools"
)

// live is a real guest whose writer never rests, and a guard before it.
type live struct {
	*testguest.Guest
	journal dumpertest.Journal
	guard   *freeze.Guard
	order   freeze.Order
}

func newLive(t *testing.T) *live {
	t.Helper()
	l := &live{Guest: testguest.Start(t, testguest.Options{Disks: []testguest.Disk{{}, {}}})}
	l.guard = guard(&l.journal)
	l.order = freeze.Order{VM: "web", Guest: freeze.Guest{Kind: freeze.KindQGA, Socket: l.Agent}, Policy: freeze.Require, Hooks: true}
	l.AwaitWrites(t, 0)
	l.AwaitWrites(t, 1)
	return l
}

// stands tells that no writer gets on.
func (l *live) stands(t *testing.T) bool {
	t.Helper()
	from := [2]int{l.Written(t, 0), l.Written(t, 1)}
	l.Run(t, "sleep 0.3")
	return from == [2]int{l.Written(t, 0), l.Written(t, 1)}
}

// goesOn fails the test unless both writers do, and nothing says that the guest is frozen.
func (l *live) goesOn(t *testing.T) {
	t.Helper()
	l.AwaitThawed(t)
	l.AwaitWrites(t, 0)
	l.AwaitWrites(t, 1)
}

// generous is far above what a freeze takes on an idle machine (under 0.2 s), for one that is emulated and shared.
const generous = 20 * time.Second

// All file systems stand still at the point of time, for as long as a transaction on the disks takes, and go on after it.
func TestLiveFreeze(t *testing.T) {
	testtools.Live(t)
	l := newLive(t)
	monitor, err := qmp.Dial(t.Context(), l.QMP[0])
	if err != nil {
		t.Fatal(err)
	}
	defer monitor.Close()
	for i := range 3 {
		name := "b" + string(rune('0'+i))
		reached, err := l.guard.Around(t.Context(), l.order, func(ctx context.Context) error {
			return monitor.Transaction(ctx,
				qmp.AddBitmap(qmp.Bitmap{BitmapRef: qmp.BitmapRef{Node: "disk0", Name: name}, Persistent: true}),
				qmp.AddBitmap(qmp.Bitmap{BitmapRef: qmp.BitmapRef{Node: "disk1", Name: name}, Persistent: true}))
		})
		if err != nil || reached.Consistency != dumpers.ConsistentApplication || reached.FileSystems != 2 || reached.Held > generous {
			t.Errorf("%+v, %v", reached, err)
		}
		t.Logf("frozen for %v", reached.Held)
		l.goesOn(t)
	}
	reached, err := l.guard.Around(t.Context(), l.order, func(context.Context) error {
		if !l.stands(t) {
			return errors.New("a writer goes on while frozen")
		}
		return nil
	})
	if err != nil {
		t.Errorf("%+v, %v", reached, err)
	}
	l.goesOn(t)
	if got := l.Run(t, "sort /run/hook-calls | uniq -c | tr -s ' \\n' ' '"); got != "4 freeze 4 thaw" {
		t.Errorf("calls of the hook: %s", got)
	}
}

// The hook fails: nothing is frozen, and the guest's word for it is in the error.
func TestLiveHookFails(t *testing.T) {
	testtools.Live(t)
	l := newLive(t)
	l.Run(t, "touch /run/hook-fails")
	_, err := l.guard.Around(t.Context(), l.order, func(context.Context) error { return errors.New("pinned") })
	if !errors.Is(err, freeze.ErrNotFrozen) || !strings.Contains(err.Error(), "fsfreeze hook has failed with status 3") {
		t.Error(err)
	}
	l.awaitCalls(t, "freeze", "thaw")
	l.goesOn(t)
	l.order.Policy = freeze.Prefer
	pinned := false
	reached, err := l.guard.Around(t.Context(), l.order, func(context.Context) error {
		pinned = true
		return nil
	})
	if err != nil || !pinned || reached.Consistency != dumpers.ConsistentCrash {
		t.Errorf("pinned %v, %+v, %v", pinned, reached, err)
	}
}

// The hook takes longer than the freeze may: nobody waits for it, the freeze happens afterwards, and is thawed.
func TestLiveSlowHook(t *testing.T) {
	testtools.Live(t)
	l := newLive(t)
	l.Run(t, "echo 8 >/run/hook-delay")
	l.order.Policy, l.order.Timeout = freeze.Prefer, 3*time.Second
	reached, err := l.guard.Around(t.Context(), l.order, func(context.Context) error { return nil })
	if err != nil || reached.Consistency != dumpers.ConsistentCrash || !strings.Contains(reached.Reason, "does not answer") {
		t.Errorf("%+v, %v", reached, err)
	}
	l.awaitCalls(t, "freeze", "thaw") // the freeze did come, after its hook
	l.goesOn(t)
}

// awaitCalls waits until the hook has been called like this.
func (l *live) awaitCalls(t *testing.T, want ...string) {
	t.Helper()
	l.Await(t, "the hook was not called as "+strings.Join(want, ", "), func() bool {
		return slices.Equal(strings.Fields(l.Run(t, "cat /run/hook-calls || true")), want)
	})
}

// kill -9 of the run while the guest is frozen, and while its hook is at work.
func TestLiveRunKilled(t *testing.T) {
	testtools.Live(t)
	l := newLive(t)
	run, said := startRun(t, l.order)
	if line, err := said.ReadString('\n'); line != "pinning\n" {
		t.Fatalf("the run says %q, %v", line, err)
	}
	if !l.Frozen(t) {
		t.Error("not frozen")
	}
	kill(t, run, syscall.SIGKILL)
	l.goesOn(t)

	l.Run(t, "rm /run/hook-calls; echo 3 >/run/hook-delay")
	run, _ = startRun(t, l.order)
	l.awaitCalls(t, "freeze")
	kill(t, run, syscall.SIGKILL)
	l.awaitCalls(t, "freeze", "thaw")
	l.goesOn(t)
}

// The agent is killed while the guest is frozen: the file systems stay so. Started anew it knows, and the watchdog thaws.
func TestLiveAgentKilled(t *testing.T) {
	testtools.Live(t)
	l := newLive(t)
	reached, err := l.guard.Around(t.Context(), l.order, func(context.Context) error {
		l.Run(t, "agent kill")
		if !l.stands(t) {
			t.Error("thawed by the death of the agent")
		}
		l.Run(t, "(sleep 2; agent start) >/dev/null 2>&1 &")
		return nil
	})
	if err != nil || reached.Unsettled {
		t.Errorf("%+v, %v", reached, err)
	}
	t.Logf("frozen for %v", reached.Held)
	l.goesOn(t)
}

// Somebody else holds the agent's port, or has frozen the guest: it is left alone, and it is told.
func TestLiveSomebodyElse(t *testing.T) {
	testtools.Live(t)
	l := newLive(t)
	l.order.Timeout = 10 * time.Second
	other := qga.New(l.Agent)
	if n, err := other.Freeze(t.Context()); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	never := func(context.Context) error { return errors.New("pinned") }
	if _, err := l.guard.Around(t.Context(), l.order, never); !errors.Is(err, freeze.ErrNotFrozen) || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("the port in another's hands: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.guard.Around(t.Context(), l.order, never); !errors.Is(err, freeze.ErrNotFrozen) || !strings.Contains(err.Error(), "by somebody else") {
		t.Errorf("frozen twice: %v", err)
	}
	if !l.Frozen(t) {
		t.Error("thawed what somebody else froze")
	}
	other = qga.New(l.Agent)
	defer other.Close()
	if n, err := other.Thaw(t.Context()); n != 2 || err != nil {
		t.Error(n, err)
	}
	l.goesOn(t)
}

// The VM is gone in the middle: nothing is left to thaw, and nobody waits for it.
func TestLiveVMKilled(t *testing.T) {
	testtools.Live(t)
	l := newLive(t)
	reached, err := l.guard.Around(t.Context(), l.order, func(context.Context) error {
		l.Kill()
		return nil
	})
	if !errors.Is(err, freeze.ErrNotHeld) || reached.Unsettled {
		t.Errorf("%+v, %v", reached, err)
	}
}
