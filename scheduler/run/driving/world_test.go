package driving_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/scheduler/run/driving"
)

// act is what becomes of an attempt at a simulated dump.
type act struct {
	// bytes are what it really holds, for so long.
	bytes int64
	takes time.Duration
	// fail ends it in the midst; hang makes no progress until it is cut; down is a host that is not reached.
	fail       error
	again      bool
	hang, down bool
}

// job is a simulated dump: what the driver is told of it, and what becomes of each attempt, the last for all that follow.
type job struct {
	driving.Job
	required bool
	acts     []act
}

// world is a simulated night. It holds every limit against what really runs.
type world struct {
	t      testing.TB
	name   string // in messages
	limits driving.Limits
	jobs   map[catalog.DLE]*job
	order  []driving.Job
	disk   *disk // nil for none
	pause  func(time.Time) bool
	driver *driving.Driver
	begun  time.Time

	mu      sync.Mutex
	running map[catalog.DLE]*driving.Task
	direct  map[catalog.DLE]bool
	short   map[catalog.DLE]bool
	starts  []start
	ends    map[catalog.DLE]driving.End
	open    map[catalog.DLE]bool
	waits   map[catalog.DLE]driving.Wait
	states  []driving.State
}

// start is a dump that was begun.
type start struct {
	at time.Duration
	vm string
}

func newWorld(t testing.TB, name string, limits driving.Limits, jobs ...*job) *world {
	w := &world{
		t: t, name: name, limits: limits, jobs: map[catalog.DLE]*job{}, begun: time.Now(), running: map[catalog.DLE]*driving.Task{},
		direct: map[catalog.DLE]bool{}, short: map[catalog.DLE]bool{}, ends: map[catalog.DLE]driving.End{}, open: map[catalog.DLE]bool{},
		waits: map[catalog.DLE]driving.Wait{},
	}
	for _, j := range jobs {
		w.jobs[j.DLE] = j
		w.order = append(w.order, j.Job)
		w.open[j.DLE] = true
	}
	return w
}

// prepare makes the driver; run carries the night out.
func (w *world) prepare() *driving.Driver {
	o := driving.Options{
		Limits: w.limits, Now: time.Now, Do: w.do,
		Waits: w.waited,
		State: func(s driving.State) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.states = append(w.states, s)
			return nil
		},
		Ended: w.ended,
	}
	if w.disk != nil {
		o.Room = w.disk
	}
	if w.pause != nil {
		o.Paused = func() string {
			if w.pause(time.Now()) {
				return "held by a file"
			}
			return ""
		}
	}
	w.driver = driving.New(o, w.order)
	if w.disk != nil {
		w.disk.changed = w.driver.Changed
	}
	return w.driver
}

func (w *world) run(ctx context.Context) error {
	err := w.prepare().Run(ctx)
	if w.disk != nil {
		w.disk.empty(w)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.running) > 0 {
		w.fail("%d dumps are running after the end", len(w.running))
	}
	for dle := range w.jobs {
		if _, ok := w.ends[dle]; !ok && err == nil {
			w.fail("%s never ended", dle)
		}
	}
	return err
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Errorf("%s, %v: %s", w.name, time.Since(w.begun), fmt.Sprintf(format, args...))
}

func (w *world) waited(j driving.Job, wait driving.Wait) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if wait.Reason == "" || wait.Text == "" {
		w.fail("%s waits without a reason", j.DLE)
	}
	w.waits[j.DLE] = wait
	return nil
}

func (w *world) ended(j driving.Job, e driving.End) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if last, ok := w.ends[j.DLE]; ok && !last.Retry {
		w.fail("%s ended twice: %v, %v", j.DLE, last, e)
	}
	w.ends[j.DLE] = e
	if !e.Retry {
		delete(w.open, j.DLE)
	}
	return nil
}

// enter holds a dump that begins against the limits.
func (w *world) enter(t *driving.Task) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, j := time.Now(), t.Job
	w.starts = append(w.starts, start{now.Sub(w.begun).Round(time.Second), j.DLE.VM})
	delete(w.waits, j.DLE)
	w.running[j.DLE] = t
	w.short[j.DLE] = t.Short
	if t.Room == nil {
		w.direct[j.DLE] = true
	}
	if w.limits.End.After(time.Time{}) && !now.Before(w.limits.End) {
		w.fail("%s begun after the window", j.DLE)
	}
	if now.Before(j.StartAfter) {
		w.fail("%s begun before its time", j.DLE)
	}
	if j.After != nil && w.open[*j.After] {
		w.fail("%s begun before its base", j.DLE)
	}
	if last, ok := w.ends[j.DLE]; ok && now.Before(last.RetryAt) {
		w.fail("%s tried again too early", j.DLE)
	}
	if w.pause != nil && w.pause(now) && w.pause(now.Add(-driving.PausePoll)) {
		w.fail("%s begun in a pause", j.DLE)
	}
	w.check()
}

// check holds all that runs against the limits.
func (w *world) check() {
	if n := len(w.running); n > max(1, w.limits.Parallel) {
		w.fail("%d dumps run", n)
	}
	if n := len(w.direct); n > max(1, w.limits.Direct) {
		w.fail("%d dumps go straight to a volume", n)
	}
	for _, t := range w.running {
		for _, s := range t.Job.Shares {
			if n := w.sharing(s); n > max(1, s.Max) {
				w.fail("%d dumps on %s %s", n, s.Kind, s.Name)
			}
		}
	}
	for name, rate := range w.limits.Interfaces {
		if dumps, sum := w.line(name); dumps > 1 && sum > rate {
			w.fail("%d dumps take %d of %d on %s", dumps, sum, rate, name)
		}
	}
}

func (w *world) sharing(s driving.Share) int {
	n := 0
	for _, t := range w.running {
		for _, other := range t.Job.Shares {
			if other.Kind == s.Kind && other.Name == s.Name {
				n++
			}
		}
	}
	return n
}

func (w *world) line(name string) (dumps int, sum int64) {
	for _, t := range w.running {
		if t.Job.Interface == name {
			dumps++
			sum += rateOf(t.Job)
		}
	}
	return dumps, sum
}

func rateOf(j driving.Job) int64 {
	if j.Seconds == 0 {
		return 0
	}
	return int64(float64(j.Bytes) / j.Seconds)
}

func (w *world) leave(t *driving.Task) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.check()
	delete(w.running, t.Job.DLE)
	delete(w.direct, t.Job.DLE)
}

// do is a simulated attempt.
func (w *world) do(ctx context.Context, t *driving.Task) driving.Outcome {
	w.enter(t)
	defer w.leave(t)
	j := w.jobs[t.Job.DLE]
	a := act{bytes: t.Job.Bytes, takes: time.Duration(t.Job.Seconds * float64(time.Second))}
	if len(j.acts) > 0 {
		a = j.acts[min(t.Attempt, len(j.acts))-1]
	}
	switch {
	case a.down:
		_ = pass(ctx, 30*time.Second)
		return driving.Outcome{Err: errDown, Again: true, HostDown: true}
	case a.hang:
		<-ctx.Done()
		return driving.Outcome{Err: context.Cause(ctx)}
	}
	err := w.write(ctx, t, a)
	if errors.Is(err, driving.ErrGiveWay) {
		t.Room.Release()
		w.driver.Changed()
		if j.required {
			return driving.Outcome{Err: err, Again: true}
		}
		if err = t.GoDirect(ctx); err == nil {
			w.mu.Lock()
			w.direct[t.Job.DLE] = true
			w.check()
			w.mu.Unlock()
			err = w.steps(ctx, t, a, func(int64) error { return nil })
		}
	}
	if err == nil && a.fail == nil && j.required && w.isDirect(t.Job.DLE) {
		err = errNoRoom
	}
	return driving.Outcome{Err: err, Again: err != nil && errors.Is(err, a.fail) && a.again}
}

func (w *world) isDirect(dle catalog.DLE) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.direct[dle]
}

var (
	errDown   = errors.New("connection refused")
	errNoRoom = errors.New("no room")
)

// write dumps to where the task goes.
func (w *world) write(ctx context.Context, t *driving.Task, a act) error {
	r, ok := t.Room.(*promise)
	if !ok {
		return w.steps(ctx, t, a, func(int64) error { return nil })
	}
	err := w.steps(ctx, t, a, func(written int64) error {
		return t.Await(ctx, func() (bool, error) { return r.grow(written), nil })
	})
	if err == nil {
		r.keep(a.bytes)
	}
	return err
}

// steps passes the time of a dump, and tells how much is written.
func (w *world) steps(ctx context.Context, t *driving.Task, a act, written func(int64) error) error {
	const steps = 10
	for i := range int64(steps) {
		if err := pass(ctx, a.takes/steps); err != nil {
			return err
		}
		t.Alive()
		if a.fail != nil && i == steps/2 {
			return a.fail
		}
		if err := written(a.bytes * (i + 1) / steps); err != nil {
			return err
		}
	}
	return nil
}

func pass(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// disk is a simulated holding disk: what is kept on it is written to a volume, one after another, and removed.
type disk struct {
	total   int64
	rate    int64 // bytes a second to volumes; 0: nothing is written
	changed func()

	mu             sync.Mutex
	promised, held int64
	queue          []int64
	flushing       bool
	done           sync.WaitGroup
}

func (d *disk) free() int64 { return d.total - d.promised - d.held }

// room is free, with the lock.
func (d *disk) room() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.free()
}

// Reserve promises room as a holding disk does.
func (d *disk) Reserve(_ context.Context, bytes int64) (driving.Reservation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if bytes > d.free() {
		return nil, nil
	}
	d.promised += bytes
	return &promise{d, bytes}, nil
}

// Holds tells whether so much would ever fit.
func (d *disk) Holds(bytes int64) bool { return bytes <= d.total }

// Coming tells whether something is being written to volumes.
func (d *disk) Coming() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.flushing
}

// empty looks whether all that was promised came back.
func (d *disk) empty(w *world) {
	d.done.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.promised != 0 {
		w.fail("%d bytes are still promised", d.promised)
	}
}

// flush writes what is held to volumes.
func (d *disk) flush() {
	for {
		d.mu.Lock()
		if len(d.queue) == 0 {
			d.flushing = false
			d.mu.Unlock()
			d.changed()
			return
		}
		bytes := d.queue[0]
		d.queue = d.queue[1:]
		d.mu.Unlock()
		time.Sleep(time.Duration(float64(bytes) / float64(d.rate) * float64(time.Second)))
		d.mu.Lock()
		d.held -= bytes
		d.mu.Unlock()
		d.changed()
	}
}

// promise is room on it.
type promise struct {
	d     *disk
	bytes int64
}

// Release gives it back.
func (p *promise) Release() {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	p.d.promised -= p.bytes
	p.bytes = 0
}

func (p *promise) grow(to int64) bool {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	more := max(0, to-p.bytes)
	if more > p.d.free() {
		return false
	}
	p.bytes += more
	p.d.promised += more
	return true
}

// keep is the end of a dump: so much stays, the rest of what was promised is free.
func (p *promise) keep(bytes int64) {
	p.Release()
	d := p.d
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held += bytes
	if d.rate == 0 {
		return
	}
	d.queue = append(d.queue, bytes)
	if !d.flushing {
		d.flushing = true
		d.done.Go(d.flush)
	}
}
