package driving

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// settle takes note of the end of an attempt.
func (d *Driver) settle(ctx context.Context, e ended) {
	t := e.task
	t.cancel(nil)
	d.slots[t.dumper] = nil
	d.running = slices.DeleteFunc(d.running, func(other *Task) bool { return other == t })
	d.count()
	if t.Room != nil {
		t.Room.Release()
	}
	d.mu.Lock()
	d.tasks = slices.DeleteFunc(d.tasks, func(other *Task) bool { return other == t })
	if t.direct {
		d.direct--
	}
	d.mu.Unlock()
	defer d.Changed()
	if e.Err != nil && t.cut {
		e.Again, e.Err = true, fmt.Errorf("%w for %v: %w", ErrTimeout, t.Job.Timeout, e.Err)
	}
	if e.Fatal {
		d.must(e.Err)
		return
	}
	d.judge(ctx, t.entry, e.Outcome)
}

// judge decides whether there is another attempt.
func (d *Driver) judge(ctx context.Context, e *entry, o Outcome) {
	end := End{Err: o.Err, Begun: true, Attempts: e.attempts}
	if o.Err != nil && o.Again && e.attempts <= e.Retries && !d.closed() && !d.stopped(ctx) {
		end.Retry, end.RetryAt = true, d.o.Now().Add(e.RetryDelay)
		if errors.Is(o.Err, ErrGiveWay) {
			end.RetryAt = d.o.Now() // it waits for its room, not for better times
		}
		e.notBefore = end.RetryAt
		d.pending = append(d.pending, e)
		e.told = Wait{}
	} else {
		d.close(e.DLE)
	}
	d.must(d.o.Ended(e.Job, end))
	d.noteHost(e, o, end.Retry)
}

// closed tells whether the window is over.
func (d *Driver) closed() bool {
	end := d.o.Limits.End
	return !end.IsZero() && !d.o.Now().Before(end)
}

// noteHost takes note of what an attempt tells of its host. When that is down, one job tries again for all of it; when there is
// none left to try, they fail together rather than wait one by one.
func (d *Driver) noteHost(e *entry, o Outcome, retry bool) {
	probe := d.down[e.Host]
	switch {
	case e.Host == "":
	case !o.HostDown:
		if probe == e || o.Err == nil {
			delete(d.down, e.Host)
		}
	case retry && (probe == nil || probe == e):
		d.down[e.Host] = e
	case probe == nil || probe == e:
		delete(d.down, e.Host)
		for _, other := range slices.Clone(d.pending) {
			if other.Host == e.Host {
				d.refuse(other, fmt.Errorf("%w: %w", ErrHostDown, o.Err))
			}
		}
	}
}
