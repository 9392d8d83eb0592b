// Package cronline tells when a line of cron comes round in a time zone, and does not stumble over the clock changes.
//
// Its one invariant: each time of day that a line names comes exactly once. A time that the clock leaps over in spring comes
// at the moment after the leap; one that the clock shows twice in autumn comes the first time. The fields of a line are read by
// github.com/robfig/cron, which by itself leaves such a night out in spring and doubles it in autumn: so it is asked in a zone
// without changes, for times of day, and these are put into the real zone here.
package cronline

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // zones are known on machines without their files, too

	"github.com/robfig/cron/v3"
)

// What is wrong with a line or a zone.
var (
	ErrNever = errors.New("such a day never comes")
	ErrEvery = errors.New("@every counts from the start of a program and not by the clock")
	ErrZone  = errors.New("a zone has no place in it")
	ErrForm  = errors.New("not five fields: minute, hour, day of the month, month, day of the week")
)

// lineMax is the longest line that is read, in bytes: every minute of an hour by number has 169.
const lineMax = 400

// Line is when something comes round: a line of cron in a zone. The zero value never comes.
type Line struct {
	times cron.Schedule
	zone  *time.Location
}

// Parse reads a line of five fields, or one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually.
// Its errors wrap one of the package's where it is not a field's own fault.
func Parse(text string, zone *time.Location) (Line, error) {
	switch {
	case strings.Contains(text, "="): // robfig/cron would take a zone, and panics on TZ= with nothing behind it
		return Line{}, ErrZone
	case strings.HasPrefix(strings.TrimSpace(text), "@every"):
		return Line{}, ErrEvery
	case len(text) > lineMax || !strings.HasPrefix(text, "@") && len(strings.Fields(text)) != 5:
		return Line{}, ErrForm
	}
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	schedule, err := parser.Parse(text)
	if err != nil {
		return Line{}, fmt.Errorf("read cron line: %w", err)
	}
	spec, ok := schedule.(*cron.SpecSchedule)
	if !ok {
		return Line{}, ErrEvery
	}
	spec.Location = time.UTC
	l := Line{times: spec, zone: zone}
	// The schedule looks five years ahead, and 2028 has a 29 February.
	if l.Next(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Line{}, ErrNever
	}
	return l, nil
}

// Next is the first moment after t at which the line comes, in its zone; the zero time if it does not within five years.
func (l Line) Next(t time.Time) time.Time {
	if l.times == nil {
		return time.Time{}
	}
	// Times of day in order come at moments in order, so none up to the one shown at t comes after t. While the clock shows
	// an hour again, all of that hour have come before: the search goes on to the first that comes later.
	wall := onWall(t.In(l.zone))
	for {
		wall = l.times.Next(wall)
		if wall.IsZero() {
			return time.Time{}
		}
		if at := moment(wall, l.zone); at.After(t) {
			return at
		}
	}
}

// Last is the latest moment at which the line came after `after` and not after `now`; the zero time if it did not.
func (l Line) Last(after, now time.Time) time.Time {
	var last time.Time
	for at := l.Next(after); !at.IsZero() && !at.After(now); at = l.Next(at) {
		last = at
	}
	return last
}

// Coming gives the next n moments after t, fewer if the line ends.
func (l Line) Coming(t time.Time, n int) []time.Time {
	var out []time.Time
	for len(out) < n {
		if t = l.Next(t); t.IsZero() {
			break
		}
		out = append(out, t)
	}
	return out
}

// onWall gives what the clock shows at t as a time in UTC, where every time of day is there once.
func onWall(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// No zone is, or ever was, further than this from UTC.
const zoneMax = 16 * time.Hour

// moment gives the first moment at which the clock of a zone shows a time of day, or, if it leaps over it, the one after the leap.
func moment(wall time.Time, zone *time.Location) time.Time {
	at := wall.Add(-zoneMax).In(zone)
	for {
		_, end := at.ZoneBounds()
		_, offset := at.Zone()
		found := wall.Add(-time.Duration(offset) * time.Second).In(zone)
		if end.IsZero() || found.Before(end) {
			// It may lie before this stretch of the zone: then the clock leapt over it at the beginning.
			if found.Before(at) {
				return at
			}
			return found
		}
		at = end.In(zone)
	}
}
