package daemon

import (
	"time"
)

// book is the schedule, what is remembered of it, and what waits. It is the deciding half of the daemon: it has no clock and no
// goroutine, and does nothing but tell.
type book struct {
	entries []Entry
	records memory
	// waiting are the times of the jobs that are due and not begun, each job once.
	waiting map[string]time.Time
	tell    func(Event)
	// changed: the records are not in the file yet.
	changed bool
	// ahead is what next found last, for as long as nothing changes.
	ahead
}

// ahead is a stretch of time in which nothing becomes due, and the job that ends it; without one, from is zero.
type ahead struct {
	from, at time.Time
	job      string
}

// covers tells whether a time is in the stretch.
func (a ahead) covers(now time.Time) bool {
	return !a.from.IsZero() && !now.Before(a.from) && now.Before(a.at)
}

func newBook(m memory, tell func(Event)) *book {
	return &book{records: m, waiting: map[string]time.Time{}, tell: tell}
}

// use takes a schedule. What waits and is in it no more, waits no more; what has no place in it is forgotten.
func (b *book) use(entries []Entry) {
	b.entries, b.ahead = entries, ahead{}
	known := map[string]bool{}
	for _, e := range entries {
		known[e.Job] = true
	}
	for job := range b.waiting {
		if !known[job] {
			delete(b.waiting, job)
		}
	}
	for job := range b.records {
		if !known[job] {
			delete(b.records, job)
			b.changed = true
		}
	}
}

// resume looks, once at the start, for jobs that were broken off: they are begun again if their time is not too long ago.
func (b *book) resume(now time.Time) {
	for _, e := range b.entries {
		r := b.records[e.Job]
		if !r.open() {
			continue
		}
		late := now.Sub(r.Last)
		if r.Text == e.Text && r.Tries < triesMax && late >= 0 && late <= e.CatchUp {
			b.waiting[e.Job] = r.Last
			b.tell(Event{Kind: Resumed, Job: e.Job, At: r.Last})
			continue
		}
		b.tell(Event{Kind: BrokenOff, Job: e.Job, At: r.Last})
		if r.Ended.IsZero() {
			r.Ended = now
		}
		r.BrokenOff = false // it is told once
		if r.Result == "" {
			r.Result = string(BrokenOff)
		}
		b.set(e.Job, r)
	}
}

// settle finds what is due at the time now.
func (b *book) settle(now time.Time) {
	if b.ahead.covers(now) {
		return
	}
	for _, e := range b.entries {
		r := b.records[e.Job]
		before := r
		if r.agree(e, now) {
			b.tell(Event{Kind: ClockBack, Job: e.Job, At: before.Last})
		}
		at, kind := r.due(e, now)
		since, waits := b.waiting[e.Job]
		switch {
		case kind == "":
		case waits: // once is enough, whatever became due while it waits
			if at.After(since) {
				b.waiting[e.Job] = at
			}
		case kind == Missed:
			r.Last = at
			b.tell(Event{Kind: Missed, Job: e.Job, At: at})
		default:
			b.waiting[e.Job] = at
			b.tell(Event{Kind: kind, Job: e.Job, At: at})
		}
		if r != before {
			b.set(e.Job, r)
		}
	}
}

// take begins the job that waits for the longest time, in the order of the schedule among those of one time.
func (b *book) take(now time.Time) (job string, ok bool) {
	for _, e := range b.entries {
		at, waits := b.waiting[e.Job]
		if waits && (!ok || at.Before(b.waiting[job])) {
			job, ok = e.Job, true
		}
	}
	if !ok {
		return "", false
	}
	at, r := b.waiting[job], b.records[job]
	delete(b.waiting, job)
	if !at.Equal(r.Last) {
		r.Tries = 0
	}
	if at.After(r.Last) { // a schedule that changed while the job waited counts from then
		r.Last = at
	}
	r.Begun, r.Ended, r.Result, r.BrokenOff = now, time.Time{}, "", false
	r.Tries++
	b.set(job, r)
	b.tell(Event{Kind: Begun, Job: job, At: at})
	return job, true
}

// ended notes how a job ended. One that was broken off with the daemon may have to be begun again.
func (b *book) ended(job string, now time.Time, err error, brokenOff bool) {
	r, known := b.records[job]
	kind := Done
	r.Ended, r.Result, r.BrokenOff = now, "", false
	if err != nil {
		kind, r.Result, r.BrokenOff = Failed, err.Error(), brokenOff
	}
	if known { // the schedule may have lost it meanwhile
		b.set(job, r)
	}
	b.tell(Event{Kind: kind, Job: job, At: r.Last, Err: err})
}

func (b *book) set(job string, r Record) {
	b.records[job] = r
	b.changed, b.ahead = true, ahead{}
}

// next gives the job that comes next, and when; the zero time if none does. It is asked after settle, at the same time.
func (b *book) next(now time.Time) (job string, at time.Time) {
	if b.ahead.covers(now) {
		return b.ahead.job, b.ahead.at
	}
	for _, e := range b.entries {
		next := b.records[e.Job].next(e, now)
		if !next.IsZero() && (at.IsZero() || next.Before(at)) {
			job, at = e.Job, next
		}
	}
	b.ahead = ahead{from: now, at: at, job: job}
	return job, at
}
