package daemon

import (
	"context"
	"fmt"
	"strings"
	"time"

	"holdfast/internal/sdnotify"
)

// pollEvery is how soon a jump of the clock, or a machine that woke up, is noticed.
const pollEvery = time.Minute

// loop is a daemon at work. All of it belongs to the goroutine of Run but the job, which answers on done.
type loop struct {
	*Daemon
	book *book
	// running is the job that is done now; empty: none.
	running string
	done    chan error
	// status is what the service manager was told last: the job that is running, the next one and its time.
	status struct {
		running, next string
		at            time.Time
	}
	// deaf: that the memory cannot be written was told.
	deaf bool
}

// Run works until ctx is done, and then ends the job that is running in good order. It fails only when the first schedule
// cannot be read.
func (d *Daemon) Run(ctx context.Context) error {
	entries, err := d.Load()
	if err != nil {
		return err
	}
	l := &loop{Daemon: d, done: make(chan error, 1)}
	m, err := readMemory(d.FS, d.Path)
	if err != nil { // what was missed is not known; the nights to come matter more
		l.tell(Event{Kind: NoMemory, Err: err})
	}
	l.book = newBook(m, l.tell)
	l.book.use(entries)
	l.tell(Event{Kind: Started})
	l.book.resume(l.now())
	l.notify(sdnotify.Ready)
	for ctx.Err() == nil {
		now := l.now()
		l.work(ctx, now)
		l.wait(ctx, now)
	}
	l.stop()
	return nil
}

// work does what the time asks for.
func (l *loop) work(ctx context.Context, now time.Time) {
	l.book.settle(now)
	if l.running == "" {
		l.begin(ctx, now)
	}
	l.remember()
	l.notify(l.says(now)...)
}

// begin begins the next job that waits.
func (l *loop) begin(ctx context.Context, now time.Time) {
	job, ok := l.book.take(now)
	if !ok {
		return
	}
	l.remember() // before it is begun: a power cut while it runs shall not make it two
	l.running = job
	go func() { l.done <- l.do(ctx, job) }()
}

// do does a job, and survives it.
func (l *loop) do(ctx context.Context, job string) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("panic: %v", fault)
		}
	}()
	return l.Runner.Do(ctx, job)
}

// wait waits until there may be something to do that was not at the time now.
func (l *loop) wait(ctx context.Context, now time.Time) {
	pause := pollEvery
	if l.Watchdog > 0 {
		pause = min(pause, l.Watchdog/2)
	}
	if _, at := l.book.next(now); !at.IsZero() {
		pause = min(pause, at.Sub(now))
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case err := <-l.done:
		l.finish(err, ctx.Err() != nil)
	case <-l.Reload:
		l.reload()
	}
}

// now is the time of the clock on the wall, without the monotonic reading: a clock that was put right must be seen.
func (l *loop) now() time.Time { return l.Now().Round(0) }

func (l *loop) finish(err error, stopped bool) {
	l.book.ended(l.running, l.now(), err, stopped)
	l.running = ""
}

// reload takes a new schedule; the old one goes on where the new one is bad.
func (l *loop) reload() {
	l.notify(sdnotify.Reloading())
	entries, err := l.Load()
	if err != nil {
		l.tell(Event{Kind: KeptOld, Err: err})
	} else {
		l.book.use(entries)
		l.tell(Event{Kind: Reloaded})
	}
	l.notify(sdnotify.Ready)
}

// stop waits for the job that is running, which knows that it shall end.
func (l *loop) stop() {
	l.tell(Event{Kind: Stopping})
	l.notify(sdnotify.Stopping)
	for l.running != "" {
		timer := time.NewTimer(l.patience())
		select {
		case err := <-l.done:
			l.finish(err, true)
		case <-timer.C:
			l.notify()
		}
		timer.Stop()
	}
	l.remember()
}

// patience is how long may be waited without a word to the service manager.
func (l *loop) patience() time.Duration {
	if l.Watchdog > 0 {
		return l.Watchdog / 2
	}
	return pollEvery
}

// remember writes what changed. What cannot be written is tried again each time, and told once.
func (l *loop) remember() {
	if !l.book.changed {
		return
	}
	if err := l.book.records.write(l.FS, l.Path); err != nil {
		if !l.deaf {
			l.tell(Event{Kind: NoMemory, Err: err})
		}
		l.deaf = true
		return
	}
	l.book.changed, l.deaf = false, false
}

// says gives the status for people, if it is another than before.
func (l *loop) says(now time.Time) []string {
	next, at := l.book.next(now)
	if s := &l.status; s.running == l.running && s.next == next && s.at.Equal(at) {
		return nil
	}
	l.status.running, l.status.next, l.status.at = l.running, next, at
	var parts []string
	if l.running != "" {
		parts = append(parts, l.running+" is running")
	}
	if !at.IsZero() {
		parts = append(parts, "next "+next+" "+at.Format("Mon 2006-01-02 15:04 MST"))
	}
	return []string{sdnotify.Status(strings.Join(parts, "; "))}
}

// notify tells the service manager, and that the daemon is alive.
func (l *loop) notify(lines ...string) {
	if l.Watchdog > 0 {
		lines = append(lines, sdnotify.Alive)
	}
	if l.Notify != nil && len(lines) > 0 {
		l.Notify(lines...)
	}
}

func (l *loop) tell(e Event) {
	if l.Tell != nil {
		l.Tell(e)
	}
}
