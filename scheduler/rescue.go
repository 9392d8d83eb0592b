package scheduler

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// rescuePart of the incrementals may be left out for one night to save an image that would else wait for ever.
const rescuePart = 0.25

// rescueTries is how many of the images that wait are looked at.
const rescueTries = 3

// rescue gives one image a run its dump where the incrementals of the others leave no room for it, and would leave none
// in the next runs: one that has no dump at all, or missed the last run, or whose full is overdue by a whole cycle. The largest incrementals make room,
// as few as can be, and only of images that were dumped in the last run, so that none goes without twice in a row.
func (f *fitting) rescue(starves func(c *choice) bool) {
	var waiting []*choice
	for _, c := range f.choices {
		if starves(c) {
			waiting = append(waiting, c)
		}
	}
	slices.SortFunc(waiting, func(a, b *choice) int {
		return cmp.Or(cmp.Compare(b.without(), a.without()), cmp.Compare(b.urgency, a.urgency),
			cmp.Compare(a.est.full.stored, b.est.full.stored), byName(a.img.DLE, b.img.DLE))
	})
	for _, c := range waiting[:min(len(waiting), rescueTries)] {
		if f.makeRoom(c) {
			return
		}
	}
}

// without is for how many days an image has had no dump, more than any number for one that never had any.
func (c *choice) without() float64 {
	if len(c.est.ages) == 0 {
		return math.Inf(1)
	}
	return math.Round(c.est.ages[0])
}

// starves tells whether an image is left out that has no dump, or none of the last run either.
func (f *fitting) starves(c *choice) bool {
	return c.why.Kind == KindNoRoom && (len(c.img.Dumps) == 0 || c.est.ages[0] > 1.5*f.gapDays)
}

// farOverdue tells whether a full is put off that is overdue by a whole cycle.
func (f *fitting) farOverdue(c *choice) bool {
	return c.putOff && c.dropped == "" && float64(c.due.overdueDays) >= max(1, c.img.Policy.CycleDays)
}

// makeRoom leaves out incrementals until the full of an image fits; when that takes too many it changes nothing.
func (f *fitting) makeRoom(c *choice) bool {
	full, was := c.asFull(), c.entry
	if c.entry.Level > 0 && !c.putOff {
		full = c.entry // an incremental is what it waits for
	}
	if c.dropped == "" {
		f.take(was, -1)
	}
	var out []*choice
	for _, other := range f.givers(c) {
		if f.exceeded(full, nil) == nil {
			break
		}
		f.take(other.entry, -1)
		out = append(out, other)
	}
	if len(out) > f.mayLeaveOut() || f.exceeded(full, nil) != nil {
		for _, other := range out {
			f.take(other.entry, 1)
		}
		if c.dropped == "" {
			f.take(was, 1)
		}
		return false
	}
	for _, other := range out {
		other.dropped = fmt.Sprintf("level %d left out for one run, so that %s gets the dump it has waited for", other.entry.Level, c.img.DLE)
		other.why = Why{Kind: KindYields, NeedBytes: full.StoredBytes}
	}
	if full.Level == 0 {
		c.explain(&full)
	}
	c.entry, c.dropped, c.why, c.putOff, c.limit = full, "", Why{}, false, nil
	f.take(full, 1)
	return true
}

// explain gives a full that was to wait its reason again.
func (c *choice) explain(full *Entry) {
	why, words, note := c.onlyFull(true)
	if why.Kind == "" {
		why, words = c.due.reason(c.img)
	}
	full.Why, full.Reason, full.Note = why, words, note
}

// mayLeaveOut is how many incrementals may be left out.
func (f *fitting) mayLeaveOut() int {
	n := 0
	for _, c := range f.choices {
		if c.dropped == "" && c.entry.Level > 0 {
			n++
		}
	}
	return int(math.Ceil(float64(n) * rescuePart))
}

// givers are the images whose incremental may make room for another image: the largest first.
func (f *fitting) givers(c *choice) []*choice {
	var out []*choice
	for _, other := range f.choices {
		fresh := len(other.est.ages) > 0 && other.est.ages[0] < 1.5*f.gapDays
		if other != c && other.dropped == "" && other.entry.Level > 0 && fresh && other.img.Policy.Priority <= c.urgency {
			out = append(out, other)
		}
	}
	slices.SortFunc(out, func(a, b *choice) int {
		return cmp.Or(cmp.Compare(b.entry.StoredBytes, a.entry.StoredBytes), byName(a.img.DLE, b.img.DLE))
	})
	return out
}
