package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"holdfast/internal/vfs"
)

// Record is what is remembered of a job.
type Record struct {
	// Text is the schedule that Last is a time of.
	Text string `json:"schedule"`
	// Last is the latest time of the schedule that was dealt with; before there was one, when the schedule was first read.
	Last time.Time `json:"last"`
	// Begun is when the job was begun last, Ended when that ended: zero while it runs, and after a power cut.
	Begun time.Time `json:"begun,omitzero"`
	Ended time.Time `json:"ended,omitzero"`
	// Tries is how often the job was begun for Last.
	Tries int `json:"tries,omitempty"`
	// Result is the error that it ended with; empty if all was well.
	Result string `json:"result,omitempty"`
	// BrokenOff: it was ended before it was done, with the daemon.
	BrokenOff bool `json:"broken_off,omitempty"`
}

// memory is all that is remembered, by job.
type memory map[string]Record

// readMemory gives an empty memory when there is no file.
func readMemory(fsys vfs.FS, path string) (memory, error) {
	m := memory{}
	text, err := vfs.ReadFile(fsys, path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, fmt.Errorf("remembered times: %w", err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return memory{}, fmt.Errorf("remembered times: %s: %w", path, err)
	}
	if m == nil { // the file says null
		m = memory{}
	}
	return m, nil
}

func (m memory) write(fsys vfs.FS, path string) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		err = vfs.WriteFileDurable(fsys, path, append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("remember times: %w", err)
	}
	return nil
}

const (
	// onTime is how late a job may be noticed and still be no missed one.
	onTime = 5 * time.Minute
	// lookBack is how long ago a missed time is still told; no catch-up reaches further.
	lookBack = 32 * 24 * time.Hour
	// triesMax: what was broken off is begun once again, so that a job that brings the machine down does not for ever.
	triesMax = 2
)

// agree brings a record in line with the schedule and the clock, and tells whether the clock went back too far for what was
// remembered to mean anything.
//
// A clock that goes back shows times again that were dealt with. Those are not due again: of a nightly job, a night within half a
// day is the same night. If the clock goes back by more than half the way to the next time, it was wrong before: then a time on
// it says nothing of the nights to come.
func (r *Record) agree(e Entry, now time.Time) (wentBack bool) {
	if r.Text != e.Text {
		r.Text, r.Last = e.Text, now
		return false
	}
	if !r.Last.After(now) {
		return false
	}
	next := e.Line.Next(r.Last)
	if next.IsZero() || r.Last.Sub(now) <= next.Sub(r.Last)/2 {
		return false
	}
	r.Last = now
	return true
}

// due gives the latest time of the schedule that is past and was not dealt with, and what it is: Due, CaughtUp, Missed, or
// nothing.
func (r Record) due(e Entry, now time.Time) (time.Time, Kind) {
	from := r.Last
	if oldest := now.Add(-lookBack); from.Before(oldest) {
		from = oldest
	}
	at := e.Line.Last(from, now)
	switch late := now.Sub(at); {
	case at.IsZero():
		return at, ""
	case late <= onTime:
		return at, Due
	case late <= e.CatchUp:
		return at, CaughtUp
	}
	return at, Missed
}

// next is when the job comes next.
func (r Record) next(e Entry, now time.Time) time.Time {
	if r.Text == e.Text && r.Last.After(now) {
		return e.Line.Next(r.Last)
	}
	return e.Line.Next(now)
}

// open tells whether the job was begun and did not come to its end.
func (r Record) open() bool { return !r.Begun.IsZero() && (r.Ended.IsZero() || r.BrokenOff) }

// Outlook is how a job stands.
type Outlook struct {
	Job string `json:"job"`
	// Next is when it comes next.
	Next time.Time `json:"next,omitzero"`
	// Due is a time of it that is past and was not dealt with: if there is a daemon, the job waits for another's end.
	Due time.Time `json:"due,omitzero"`
	// Begun and Ended are of the last time it was done; Ended is zero while it runs, and after a power cut.
	Begun time.Time `json:"begun,omitzero"`
	Ended time.Time `json:"ended,omitzero"`
	// Result is the error it ended with last.
	Result string `json:"result,omitempty"`
}

// Look tells how the jobs of a schedule stand, from the file that a daemon remembers in. It only reads.
func Look(fsys vfs.FS, path string, entries []Entry, now time.Time) ([]Outlook, error) {
	m, err := readMemory(fsys, path)
	if err != nil {
		return nil, err
	}
	var out []Outlook
	for _, e := range entries {
		r := m[e.Job]
		o := Outlook{Job: e.Job, Next: r.next(e, now), Begun: r.Begun, Ended: r.Ended, Result: r.Result}
		if r.Text == e.Text {
			o.Due, _ = r.due(e, now)
		}
		out = append(out, o)
	}
	return out, nil
}
