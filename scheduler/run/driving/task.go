package driving

import (
	"context"
	"sync/atomic"
	"time"
)

// Task is an attempt at a job. Its methods are for the goroutines of that attempt.
type Task struct {
	Job Job
	// Attempt counts from 1.
	Attempt int
	// Room is what was reserved; nil for an attempt that goes straight to a volume. The driver releases it after the attempt.
	Room Reservation
	// Short asks for the lesser dump, for the job itself would outlast the window.
	Short bool

	d      *Driver
	entry  *entry
	dumper int
	cancel context.CancelCauseFunc
	cut    bool         // by its timeout; of the goroutine of Run
	alive  atomic.Int64 // the time of its last progress, in nanoseconds
	nudged chan struct{}

	// Driver.mu guards the fields below.
	direct bool
	// waiting tells that it waits for room, in vain at the count of changes tried.
	waiting bool
	tried   int
	yield   bool
	patient int
}

// Alive tells that the attempt makes progress.
func (t *Task) Alive() { t.alive.Store(t.d.o.Now().UnixNano()) }

// Patient tells that the attempt waits for something that is not its source: no time counts until done is called.
func (t *Task) Patient() (done func()) {
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	t.patient++
	return func() {
		t.Alive()
		t.d.mu.Lock()
		t.patient--
		t.d.mu.Unlock()
		t.d.poke() // its deadline counts again
	}
}

// deadline is when the attempt is cut unless it makes progress; zero for never.
func (t *Task) deadline(now time.Time) time.Time {
	if t.Job.Timeout <= 0 || t.cut {
		return time.Time{}
	}
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	if t.patient > 0 {
		return time.Time{}
	}
	since := now.Sub(time.Unix(0, t.alive.Load()))
	return now.Add(t.Job.Timeout - since)
}

// Await calls try until it succeeds or gives an error, again after each change of the room. ErrGiveWay tells that the attempt
// must let go of what it holds, for all wait for one another: it goes straight to a volume, or ends with Again.
func (t *Task) Await(ctx context.Context, try func() (bool, error)) error {
	defer t.Patient()()
	defer t.awake()
	for {
		t.d.mu.Lock()
		seen := t.d.changes
		t.d.mu.Unlock()
		if ok, err := try(); ok || err != nil {
			return err
		}
		if err := t.wait(ctx, seen); err != nil {
			return err
		}
	}
}

// wait waits for a change since the one seen.
func (t *Task) wait(ctx context.Context, seen int) error {
	d := t.d
	for {
		d.mu.Lock()
		changed, yield := d.changes != seen, t.yield
		t.waiting, t.tried = !changed, seen
		if yield {
			t.yield, t.waiting = false, false
		}
		d.mu.Unlock()
		switch {
		case yield:
			return ErrGiveWay
		case changed:
			return nil
		}
		d.poke() // all may be waiting now
		select {
		case <-t.nudged:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (t *Task) awake() {
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	t.waiting = false
}

// stuckLocked tells whether the task waits for room in vain, and was not chosen to give way yet. Driver.mu is held.
func (t *Task) stuckLocked() bool {
	return t.waiting && t.tried == t.d.changes && !t.yield
}

// nudge wakes the task if it waits. Driver.mu may be held.
func (t *Task) nudge() {
	select {
	case t.nudged <- struct{}{}:
	default: // it will look anyway
	}
}

// GoDirect waits until the attempt may go straight to a volume though it was begun to go to the holding disk. It must not hold
// any room then.
func (t *Task) GoDirect(ctx context.Context) error {
	defer t.Patient()()
	for {
		t.d.mu.Lock()
		free := t.direct || t.d.direct < max(1, t.d.o.Limits.Direct)
		if free && !t.direct {
			t.direct = true
			t.d.direct++
		}
		t.d.mu.Unlock()
		if free {
			return nil
		}
		select {
		case <-t.nudged:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
