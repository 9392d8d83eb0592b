package driving_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/scheduler/run/driving"
)

// night carries jobs out, and gives the world after it.
func night(t *testing.T, limits driving.Limits, d *disk, jobs ...*job) *world {
	t.Helper()
	w := newWorld(t, t.Name(), limits, jobs...)
	w.disk = d
	if err := w.run(t.Context()); err != nil {
		t.Error(err)
	}
	return w
}

func (w *world) expect(starts string) {
	w.t.Helper()
	if got := w.begins(); got != starts {
		w.t.Errorf("begun: %s\nwant:  %s", got, starts)
	}
}

// A dump that reaches its host tells that it is up again, though another is to try it later.
func TestHostUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := night(t, driving.Limits{Parallel: 2}, &disk{total: 100 * gib},
			vm("a", 1, 10, onHost, retrying, acts(act{down: true}, act{bytes: gib, takes: time.Minute})), vm("b", 1, 1, onHost), vm("c", 1, 1, onHost))
		w.expect("0s a, 0s b, 1m0s c, 5m30s a")
	})
}

// A dump that waits for room is not hung, however long that takes, nor is it when it goes on.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		grows := vm("b", 1, 10, acts(act{bytes: 6 * gib, takes: 10 * time.Minute}), with(func(j *driving.Job) { j.Timeout = short }))
		w := night(t, driving.Limits{Parallel: 2}, &disk{total: 10 * gib, rate: inGiB}, vm("a", 8, 5), grows)
		if e := w.ends[grows.DLE]; e.Err != nil || e.Attempts != 1 || time.Since(w.begun) < time.Hour {
			t.Errorf("after %v: %+v", time.Since(w.begun), e)
		}
	})
}

// A timeout may pass, so it is tried again, whatever the dump itself says of it.
func TestHungAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung := vm("a", 1, 10, retrying, acts(act{hang: true}, act{takes: time.Minute}), with(func(j *driving.Job) { j.Timeout = short }))
		w := night(t, driving.Limits{Parallel: 1}, &disk{total: 100 * gib}, hung)
		w.expect("0s a, 10m0s a")
		if e := w.ends[hung.DLE]; e.Err != nil || e.Attempts != 2 {
			t.Errorf("%+v", e)
		}
	})
}

// The end of the window is noticed when it comes; a failure after it keeps its own reason; a lesser dump that would outlast it as
// well is not asked for.
func TestWindowEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := vm("a", 1, 10, with(func(j *driving.Job) { j.StartAfter = time.Now().Add(3 * time.Hour) }))
		long := vm("b", 1, 90, with(func(j *driving.Job) { j.ShortSeconds = 70 * 60 }), retrying, acts(act{fail: errDown, again: true, takes: 2 * time.Hour}))
		w := night(t, driving.Limits{Parallel: 2, End: time.Now().Add(time.Hour)}, &disk{total: 100 * gib}, late, long)
		if e := w.ends[late.DLE]; !errors.Is(e.Err, driving.ErrWindow) {
			t.Errorf("what never began: %+v", e)
		}
		if e := w.ends[long.DLE]; !errors.Is(e.Err, errDown) || errors.Is(e.Err, driving.ErrWindow) || w.short[long.DLE] {
			t.Errorf("what failed after the window: %+v, short %v", e, w.short[long.DLE])
		}
	})
	synctest.Test(t, func(t *testing.T) {
		late := vm("a", 1, 10, with(func(j *driving.Job) { j.StartAfter = time.Now().Add(3 * time.Hour) }))
		w := night(t, driving.Limits{Parallel: 2, End: time.Now().Add(time.Hour)}, &disk{total: 100 * gib}, late)
		if passed := time.Since(w.begun); passed != time.Hour { // of the bubble's clock
			t.Errorf("the night ended after %v", passed)
		}
	})
}

// What the most important of the jobs waits for is what the driver waits for.
func TestStateOfMostImportant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := night(t, driving.Limits{Parallel: 2}, &disk{total: 100 * gib},
			vm("a", 1, 1, with(func(j *driving.Job) { j.StartAfter = time.Now().Add(time.Hour) })),
			vm("b", 1, 10, shares("host", "h", 1), with(func(j *driving.Job) { j.Priority = 3 })),
			vm("c", 1, 10, shares("host", "h", 1), with(func(j *driving.Job) { j.Priority = 2 })))
		if first := w.states[0]; first.Reason != driving.ClientConstrained {
			t.Errorf("it waited for %+v", first)
		}
	})
}

// A dump that gave way waits for its room alone, not for the time after which a failure is tried again.
func TestGiveWayAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		again := with(func(j *driving.Job) { j.Retries, j.RetryDelay = 1, 5*time.Hour })
		grows := func(name string, expected int) *job {
			j := vm(name, expected, 10, again, acts(act{bytes: 8 * gib, takes: 10 * time.Minute}))
			j.required = true
			return j
		}
		w := night(t, driving.Limits{Parallel: 2}, &disk{total: 10 * gib, rate: 10 * inGiB}, grows("a", 4), grows("b", 6))
		if passed := time.Since(w.begun); len(w.starts) != 3 || passed > time.Hour { // of the bubble's clock
			t.Errorf("after %v: %s", passed, w.begins())
		}
		for dle, e := range w.ends {
			if e.Err != nil {
				t.Errorf("%s: %+v", dle, e)
			}
		}
	})
}

// Dumps that turn to a volume in the midst take turns like those that were begun so.
func TestGoDirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := make(chan struct{}, 1)
		o := driving.Options{
			Limits: driving.Limits{Parallel: 3}, Now: time.Now, Room: &disk{total: 100 * gib, changed: func() {}},
			Waits: func(driving.Job, driving.Wait) error { return nil }, State: func(driving.State) error { return nil },
			Ended: func(driving.Job, driving.End) error { return nil },
			Do: func(ctx context.Context, task *driving.Task) driving.Outcome {
				task.Room.Release()
				if err := task.GoDirect(ctx); err != nil {
					return driving.Outcome{Err: err}
				}
				select {
				case turns <- struct{}{}:
				default:
					t.Error("two dumps go straight to a volume")
				}
				err := pass(ctx, time.Minute)
				<-turns
				return driving.Outcome{Err: err}
			},
		}
		begun := time.Now()
		if err := driving.New(o, []driving.Job{vm("a", 1, 1).Job, vm("b", 1, 1).Job, vm("c", 1, 1).Job}).Run(t.Context()); err != nil {
			t.Error(err)
		}
		if passed := time.Since(begun); passed != 3*time.Minute {
			t.Errorf("three turns of a minute took %v", passed)
		}
	})
}
