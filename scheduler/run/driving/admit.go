package driving

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// beginOne begins the job that is next for the first idle dumper that can have one.
func (d *Driver) beginOne(ctx context.Context) bool {
	for dumper, busy := range d.slots {
		if busy != nil {
			continue
		}
		for _, e := range d.startable(dumper) {
			if d.beginJob(ctx, e, dumper) {
				return true
			}
			if d.fatal != nil {
				return false
			}
		}
	}
	return false
}

// startable are the jobs that every limit but the room allows, the first choice of the dumper first.
func (d *Driver) startable(dumper int) []*entry {
	var able []*entry
	for _, e := range d.pending {
		if d.constraint(e) == (Wait{}) {
			able = append(able, e)
		}
	}
	letter := d.o.Limits.letter(dumper)
	slices.SortStableFunc(able, func(a, b *entry) int { return before(letter, a.Job, b.Job) })
	return able
}

// constraint is why a job may not be begun now even if a dumper is idle and there is room; empty when it may.
func (d *Driver) constraint(e *entry) Wait {
	switch {
	case d.paused != "":
		return Wait{Paused, d.paused}
	case e.After != nil && d.open[*e.After]:
		return Wait{BaseWait, fmt.Sprintf("%s, which it builds on, goes first", *e.After)}
	case d.now.Before(e.StartAfter):
		return Wait{StartWait, "not before " + clock(e.StartAfter)}
	case d.now.Before(e.notBefore):
		return Wait{RetryWait, "tried again at " + clock(e.notBefore)}
	}
	if probe := d.down[e.Host]; probe != nil && probe != e {
		return Wait{ClientConstrained, fmt.Sprintf("host %s cannot be reached; %s tries it first", e.Host, probe.DLE)}
	}
	for _, s := range e.Shares {
		if used := d.shares[s.key()]; used.dumps >= min(s.max(), used.max) && used.dumps > 0 {
			return Wait{ClientConstrained, fmt.Sprintf("%s %s has %d at a time", s.Kind, s.Name, min(s.max(), used.max))}
		}
	}
	if rate := d.o.Limits.Interfaces[e.Interface]; rate > 0 {
		if l := d.lines[e.Interface]; l.dumps > 0 && l.rate+e.rate() > rate {
			return Wait{NoBandwidth, fmt.Sprintf("interface %s is taken by other dumps", e.Interface)}
		}
	}
	if d.isDirect(e.Job) && !d.directFree() {
		return Wait{NoHold, "waits for a volume, which another dump goes straight to"}
	}
	return Wait{}
}

func clock(t time.Time) string { return t.Format("15:04:05") }

// isDirect tells whether a job can only go straight to a volume.
func (d *Driver) isDirect(j Job) bool {
	return j.Direct || d.o.Room == nil || !d.o.Room.Holds(j.Bytes)
}

// directFree tells whether one more dump may go straight to a volume.
func (d *Driver) directFree() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.direct < max(1, d.o.Limits.Direct)
}

// beginJob begins a job if there is room for it.
func (d *Driver) beginJob(ctx context.Context, e *entry, dumper int) bool {
	if d.isDirect(e.Job) {
		d.start(ctx, e, dumper, nil)
		return true
	}
	r, err := d.reserve(ctx, e.Bytes)
	if err != nil {
		d.must(err)
		return false
	}
	if r == nil {
		return false
	}
	d.start(ctx, e, dumper, r)
	return true
}

// reserve asks for room, unless less than that was refused and nothing has changed since.
func (d *Driver) reserve(ctx context.Context, bytes int64) (Reservation, error) {
	d.mu.Lock()
	changes := d.changes
	d.mu.Unlock()
	if d.noRoomAt == changes && bytes >= d.noRoom {
		return nil, nil
	}
	r, err := d.o.Room.Reserve(ctx, bytes)
	if r == nil && err == nil {
		d.noRoom, d.noRoomAt = bytes, changes
	}
	return r, err
}

// refusedNow tells whether the latest refusal of room still counts.
func (d *Driver) refusedNow() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.noRoomAt == d.changes
}

// start begins an attempt; without a reservation it goes straight to a volume.
func (d *Driver) start(ctx context.Context, e *entry, dumper int, r Reservation) {
	d.pending = slices.DeleteFunc(d.pending, func(other *entry) bool { return other == e })
	e.attempts++
	t := &Task{Job: e.Job, Attempt: e.attempts, Room: r, Short: d.tooLong(e.Job), d: d, entry: e, dumper: dumper, nudged: make(chan struct{}, 1)}
	t.alive.Store(d.o.Now().UnixNano())
	ctx, t.cancel = context.WithCancelCause(ctx)
	d.slots[dumper] = t
	d.running = append(d.running, t)
	d.count()
	d.mu.Lock()
	d.tasks = append(d.tasks, t)
	if r == nil {
		t.direct = true
		d.direct++
	}
	d.mu.Unlock()
	go func() { d.ended <- ended{t, d.o.Do(ctx, t)} }()
}

// tooLong tells whether a job would outlast the window, and its lesser form would not.
func (d *Driver) tooLong(j Job) bool {
	end := d.o.Limits.End
	if end.IsZero() || j.ShortSeconds <= 0 {
		return false
	}
	left := end.Sub(d.now).Seconds()
	return j.Seconds > left && j.ShortSeconds <= left
}

// count counts what the running dumps use.
func (d *Driver) count() {
	clear(d.shares)
	clear(d.lines)
	for _, t := range d.running {
		for _, s := range t.Job.Shares {
			used, ok := d.shares[s.key()]
			if !ok || s.max() < used.max {
				used.max = s.max()
			}
			used.dumps++
			d.shares[s.key()] = used
		}
		l := d.lines[t.Job.Interface]
		d.lines[t.Job.Interface] = line{l.dumps + 1, l.rate + t.Job.rate()}
	}
}

// breakTie finds a way on when all that is left waits for room. It tells whether it began a job.
func (d *Driver) breakTie(ctx context.Context) bool {
	if d.o.Room == nil || d.o.Room.Coming() {
		return false
	}
	if len(d.running) > 0 {
		d.giveWay()
		return false
	}
	able := d.startable(0)
	if len(able) == 0 {
		return false
	}
	// Nothing is running and no room is coming: by Amanda's rule the first choice goes straight to a volume.
	if d.refusedNow() {
		d.start(ctx, able[0], 0, nil)
	}
	return true // else there is another chance of room
}

// giveWay chooses one of the tasks if all of them wait for room in vain: the smallest, as Amanda does.
func (d *Driver) giveWay() {
	d.mu.Lock()
	defer d.mu.Unlock()
	var smallest *Task
	for _, t := range d.tasks {
		if !t.stuckLocked() {
			return
		}
		if smallest == nil || t.Job.Bytes < smallest.Job.Bytes {
			smallest = t
		}
	}
	if smallest != nil {
		smallest.yield = true
		smallest.nudge()
	}
}

// tell records why jobs wait, where that has changed.
func (d *Driver) tell() {
	idle := 0
	for _, t := range d.slots {
		if t == nil {
			idle++
		}
	}
	for _, e := range d.pending {
		w := d.constraint(e)
		switch {
		case w != Wait{}:
		case idle == 0:
			w = Wait{NoDumpers, fmt.Sprintf("%d dumps at a time", len(d.slots))}
		default:
			w = Wait{NoDiskspace, "no room on the holding disk"}
		}
		if w != e.told {
			e.told = w
			d.must(d.o.Waits(e.Job, w))
		}
	}
	s := State{Wait: Wait{Reason: NotIdle}, Running: len(d.running), Waiting: len(d.pending), Idle: idle}
	if next := d.next(); next != nil {
		s.Wait = next.told
	}
	if !d.told || s.Wait != d.state.Wait {
		d.must(d.o.State(s))
	}
	d.state, d.told = s, true
}

// next is the job whose reason stands for all: the most important one.
func (d *Driver) next() *entry {
	var first *entry
	for _, e := range d.pending {
		if first == nil || e.Priority > first.Priority {
			first = e
		}
	}
	return first
}
