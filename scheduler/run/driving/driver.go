package driving

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"holdfast/catalog"
)

// Driver carries out the jobs of a night. It is used for one Run.
type Driver struct {
	o Options

	// The fields up to mu belong to the goroutine of Run.
	now     time.Time // of this step
	pending []*entry
	running []*Task
	slots   []*Task // by dumper; nil is idle
	open    map[catalog.DLE]bool
	down    map[string]*entry // hosts that were not reached, with the job that tries them again
	shares  map[shareKey]share
	lines   map[string]line
	state   State
	told    bool // state was told once
	paused  string
	asked   time.Time // when Paused was asked last
	// noRoom is the least that did not fit, at the count of changes noRoomAt.
	noRoom   int64
	noRoomAt int
	fatal    error

	ended chan ended
	wake  chan struct{}

	// mu guards what tasks and Changed touch: the fields below, and those that Task names.
	mu sync.Mutex
	// changes counts what may have made room; direct are the tasks going straight to a volume.
	changes, direct int
	tasks           []*Task // as running
}

// entry is a job that waits.
type entry struct {
	Job
	attempts int
	// notBefore is the time of the next attempt.
	notBefore time.Time
	told      Wait
}

type shareKey struct{ kind, name string }

func (s Share) key() shareKey { return shareKey{s.Kind, s.Name} }

// share is how much of a Share is in use; max is the least that one of its dumps allows.
type share struct{ dumps, max int }

// line is how much of an interface is in use.
type line struct {
	dumps int
	rate  int64
}

type ended struct {
	task *Task
	Outcome
}

// New gives a driver for these jobs, which are begun in their order where nothing else decides.
func New(o Options, jobs []Job) *Driver {
	d := &Driver{
		o: o, open: map[catalog.DLE]bool{}, down: map[string]*entry{}, shares: map[shareKey]share{}, lines: map[string]line{},
		slots: make([]*Task, max(1, o.Limits.Parallel)), ended: make(chan ended), wake: make(chan struct{}, 1), noRoomAt: -1,
	}
	for _, j := range jobs {
		d.pending = append(d.pending, &entry{Job: j})
		d.open[j.DLE] = true
	}
	return d
}

// Changed tells the driver that there may be more room, or that none is coming any more. It may be called at any time from any
// goroutine.
func (d *Driver) Changed() {
	d.mu.Lock()
	d.changes++
	for _, t := range d.tasks {
		t.nudge()
	}
	d.mu.Unlock()
	d.poke()
}

// poke wakes the loop.
func (d *Driver) poke() {
	select {
	case d.wake <- struct{}{}:
	default: // it is awake
	}
}

// Run carries out all jobs, and returns when nothing is running any more. The error is that of ctx, which stops what is
// running; a fatal outcome lets it end. What was not begun then is not told of.
func (d *Driver) Run(ctx context.Context) error {
	for {
		d.step(ctx)
		if len(d.running) == 0 && (len(d.pending) == 0 || d.stopped(ctx)) {
			return d.errors(ctx)
		}
		d.sleep(ctx)
	}
}

func (d *Driver) stopped(ctx context.Context) bool { return ctx.Err() != nil || d.fatal != nil }

func (d *Driver) errors(ctx context.Context) error { return errors.Join(ctx.Err(), d.fatal) }

// must keeps an error that ends the night.
func (d *Driver) must(err error) {
	if err != nil {
		d.fatal = errors.Join(d.fatal, err)
	}
}

// step does all that can be done now.
func (d *Driver) step(ctx context.Context) {
	d.now = d.o.Now()
	d.cutHung()
	if d.stopped(ctx) {
		return
	}
	d.closeWindow()
	d.askPause()
	for d.beginOne(ctx) || d.breakTie(ctx) {
		if d.stopped(ctx) {
			return
		}
	}
	d.tell()
}

// sleep waits until something has changed.
func (d *Driver) sleep(ctx context.Context) {
	var timer <-chan time.Time
	if wait, ok := d.nextTime(d.stopped(ctx)); ok {
		t := time.NewTimer(wait)
		defer t.Stop()
		timer = t.C
	}
	done := ctx.Done()
	if d.stopped(ctx) {
		done = nil // known already
	}
	select {
	case e := <-d.ended:
		d.settle(ctx, e)
	case <-d.wake:
	case <-timer:
	case <-done:
	}
}

// nextTime is how long it is until a time that something depends on.
func (d *Driver) nextTime(stopped bool) (time.Duration, bool) {
	var next time.Time
	at := func(t time.Time) {
		if t.After(d.now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, t := range d.running {
		at(t.deadline(d.now))
	}
	if !stopped && len(d.pending) > 0 {
		at(d.o.Limits.End)
		for _, e := range d.pending {
			at(e.StartAfter)
			at(e.notBefore)
		}
		if d.o.Paused != nil {
			at(d.asked.Add(PausePoll))
		}
	}
	return next.Sub(d.now), !next.IsZero()
}

// cutHung stops the attempts that made no progress for too long.
func (d *Driver) cutHung() {
	for _, t := range d.running {
		if at := t.deadline(d.now); !at.IsZero() && !at.After(d.now) {
			t.cut = true
			t.cancel(ErrTimeout)
		}
	}
}

// closeWindow fails what was not begun when the window closes. What waits for another attempt has had its chance, too.
func (d *Driver) closeWindow() {
	if end := d.o.Limits.End; end.IsZero() || d.now.Before(end) {
		return
	}
	for _, e := range slices.Clone(d.pending) {
		d.refuse(e, ErrWindow)
	}
}

// refuse fails a job without an attempt.
func (d *Driver) refuse(e *entry, err error) {
	d.remove(e)
	d.close(e.DLE)
	d.must(d.o.Ended(e.Job, End{Err: err, Attempts: e.attempts}))
}

func (d *Driver) remove(e *entry) {
	d.pending = slices.DeleteFunc(d.pending, func(other *entry) bool { return other == e })
	if d.down[e.Host] == e {
		delete(d.down, e.Host)
	}
}

func (d *Driver) close(dle catalog.DLE) { delete(d.open, dle) }

// askPause looks whether the administrator holds all up.
func (d *Driver) askPause() {
	if d.o.Paused == nil || len(d.pending) == 0 || !d.asked.IsZero() && d.now.Before(d.asked.Add(PausePoll)) {
		return
	}
	d.paused, d.asked = d.o.Paused(), d.now
}
