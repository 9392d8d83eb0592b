package scheduler

import (
	"cmp"
	"fmt"
	"math"

	"holdfast/catalog"
)

// fitting brings the choices below every limit of the run. It begins with nothing and lets dumps in by their claim.
type fitting struct {
	limits  []*limit
	choices []*choice
	byDLE   map[catalog.DLE]*choice
	gapDays float64
	// squeezed are the incrementals that were bumped early, as they were before.
	squeezed []bumpable
}

func newFitting(in Input, cal calendar, choices []*choice) *fitting {
	f := &fitting{choices: choices, byDLE: make(map[catalog.DLE]*choice, len(choices)), gapDays: cal.gapDays, limits: limitsOf(in)}
	for _, c := range choices {
		f.byDLE[c.img.DLE] = c
	}
	f.rank()
	return f
}

// rank reckons the depth of each clone, and makes a base that has no dump yet as urgent as what will be a delta to it.
func (f *fitting) rank() {
	for _, c := range f.choices {
		// The configuration refuses cycles; the bound keeps a wrong one from hanging the night.
		for b := f.base(c); b != nil && c.depth < len(f.choices); b = f.base(b) {
			c.depth++
			if len(b.img.Dumps) == 0 {
				b.urgency = max(b.urgency, c.urgency)
			}
		}
	}
}

// base is the choice for the image that c is a clone of; nil when there is none.
func (f *fitting) base(c *choice) *choice {
	if c.img.Base == nil {
		return nil
	}
	return f.byDLE[*c.img.Base]
}

// fit decides who gets what.
func (f *fitting) fit() {
	f.squeeze()
	some, forced, due := f.claims()
	ended := f.admit(f.starving(some, due), some, false)
	ended = f.admit(nil, forced, ended)
	f.admit(f.oldest(due), due, ended)
}

// savesNothing tells that on no limit the incremental is cheaper than the full. Where a part is kept from fulls, it is.
func (f *fitting) savesNothing(c *choice) bool {
	for _, l := range f.limits {
		if l.reserve > 0 || l.cost(&c.entry) > l.cost(c.degraded) {
			return false
		}
	}
	return c.entry.StoredBytes <= c.degraded.StoredBytes
}

// exceeded gives the first limit that has no room for a dump instead of another one (nil: instead of nothing).
func (f *fitting) exceeded(e, instead *Entry) *limit {
	for _, l := range f.limits {
		if l.room > 0 && l.more(e, instead) > max(0, l.free(e.Level == 0)) {
			return l
		}
	}
	return nil
}

// take books a dump, n times: -1 gives it back.
func (f *fitting) take(e *Entry, n int64) {
	for _, l := range f.limits {
		l.used += n * l.cost(e)
	}
}

// tightest is the limit with the least left of its room: what an image that would fit by itself is left out for.
func (f *fitting) tightest() *limit {
	best, least := f.limits[0], math.Inf(1)
	for _, l := range f.limits {
		if left := float64(l.free(false)) / float64(max(1, l.room)); l.room > 0 && left < least {
			best, least = l, left
		}
	}
	return best
}

// drop leaves an image out.
func (c *choice) drop(l *limit) {
	full := c.entry.Level == 0
	c.limit = l
	c.dropped = fmt.Sprintf("level %d of %s does not fit: %s", c.entry.Level, human(c.entry.StoredBytes), l.holds(full))
	c.why = Why{Kind: KindNoRoom, NeedBytes: c.entry.StoredBytes, Limit: l.holds(full)}
}

// delay notes that an image has its incremental instead of its full.
func (c *choice) delay(full Entry, l *limit) {
	level := c.entry.Why
	c.degraded, c.limit, c.putOff = nil, l, true
	c.entry.Late = c.due.overdue > 0
	c.entry.Why = Why{Kind: KindDelayed, Due: c.due.by, OverdueHours: c.due.overdue.Hours(), NeedBytes: full.StoredBytes, Limit: l.holds(true), Level: &level}
	c.entry.Reason = fmt.Sprintf("full of %s does not fit, incremental instead: %s", human(full.StoredBytes), c.entry.Reason)
	late := ""
	if c.due.overdue > 0 {
		late = ", overdue by " + span(c.due.overdue)
	}
	c.entry.Note = fmt.Sprintf("Full dump of %s (%s) delayed%s: %s.", c.img.DLE, human(full.StoredBytes), late, l.holds(true))
}

func byName(a, b catalog.DLE) int {
	return cmp.Or(cmp.Compare(a.VM, b.VM), cmp.Compare(a.Disk, b.Disk))
}
