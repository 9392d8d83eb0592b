// Package daemon does the jobs of a schedule at their times: it waits, remembers in a file what was done, and knows so after a
// pause what was missed.
//
// Its one invariant: each time of the schedule is dealt with once, whatever the clock and the machine do meanwhile: begun, made
// up for later, or told as missed. A time is noted in the file before its job is begun, so that a job begun is not begun twice
// by mistake; one that was broken off is, once, and knowingly.
//
// What a job is and how it is done is the caller's; one at a time is done here. Whatever goes wrong in a job or with the file
// is told, and never ends the daemon.
package daemon

import (
	"context"
	"time"

	"holdfast/configs"
	"holdfast/internal/cronline"
	"holdfast/internal/vfs"
)

// Entry is a job with its times.
type Entry struct {
	Job  string
	Line cronline.Line
	// Text is the line and its zone as they were written: a changed schedule counts from when it is first read.
	Text string
	// CatchUp is how long after its time a job that was missed is still done; 0: not at all.
	CatchUp time.Duration
}

// Entries gives the entries of a schedule, in the order in which jobs that are due together are done.
func Entries(s configs.Schedule) []Entry {
	var out []Entry
	for _, j := range s.Jobs() {
		e := Entry{Job: j.Name, Line: j.Line(), Text: string(j.At) + " " + string(j.Zone)}
		if j.CatchUp == configs.CatchUpRun {
			e.CatchUp = time.Duration(j.Within)
		}
		out = append(out, e)
	}
	return out
}

// Runner does jobs. Do is called from one goroutine at a time, once for a job at its time, and shall return soon after ctx is
// cancelled. A panic of it is taken for an error.
type Runner interface {
	Do(ctx context.Context, job string) error
}

// Daemon is what Run needs. Only Notify, Watchdog, Reload and Tell may be left out.
type Daemon struct {
	FS vfs.FS
	// Path is the file that remembers; its directory is there.
	Path string
	// Now is the clock on the wall. It may jump.
	Now func() time.Time
	// Load reads the schedule, at the start and on Reload.
	Load   func() ([]Entry, error)
	Runner Runner
	// Reload has the schedule read anew.
	Reload <-chan struct{}
	// Notify tells the service manager; see package sdnotify.
	Notify func(lines ...string)
	// Watchdog is how often the service manager wants to hear from the daemon at least; 0: it does not.
	Watchdog time.Duration
	// Tell gets all that happens, in order, from the goroutine of Run.
	Tell func(Event)
}

// Kind is what happened.
type Kind string

// The kinds of events.
const (
	Started   Kind = "started"
	Stopping  Kind = "stopping"
	Reloaded  Kind = "reloaded"
	KeptOld   Kind = "kept the old schedule" // Err says why
	Due       Kind = "due"
	CaughtUp  Kind = "missed, made up for"
	Missed    Kind = "missed"
	Resumed   Kind = "was broken off, begun again"
	BrokenOff Kind = "was broken off"
	Begun     Kind = "begun"
	Done      Kind = "done"
	Failed    Kind = "failed" // with Err
	ClockBack Kind = "the clock went back"
	NoMemory  Kind = "cannot remember" // Err says why
)

// Event is something that happened. At is the time of the schedule that it is about; zero where there is none.
type Event struct {
	Kind Kind
	Job  string
	At   time.Time
	Err  error
}
