package scheduler

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"holdfast/catalog"
)

// fitting brings the choices below every limit of the run. It begins with nothing and lets the dumps in by their claim:
// first the incremental of each image that can have one, then the images that can only have a full (those that were never
// dumped before the others), then fulls by force, then those that are due. So nobody is left without any dump for the sake of
// a full that could have been an incremental.
type fitting struct {
	limits  []*limit
	choices []*choice
	byDLE   map[catalog.DLE]*choice
	gapDays float64
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
	var light, only, forced, due []*choice
	for _, c := range f.choices {
		switch {
		case c.dropped != "":
		case c.entry.Level > 0:
			light = append(light, c)
		case c.degraded == nil:
			only = append(only, c)
		case f.savesNothing(c):
			light = append(light, c) // the full is no larger than the incremental
		case c.forced:
			forced, light = append(forced, c), append(light, c)
		default:
			due, light = append(due, c), append(light, c)
		}
	}
	fulls := make(map[*choice]Entry, len(forced)+len(due))
	for _, c := range slices.Concat(forced, due) {
		fulls[c] = c.entry
		c.entry = *c.degraded
	}
	f.incrementals(light)
	f.fullsOnly(only)
	f.rescue(f.starves)
	f.restore(forced, fulls)
	f.restore(due, fulls)
	f.rescue(f.farOverdue)
}

// savesNothing tells that on no limit the incremental is cheaper than the full.
func (f *fitting) savesNothing(c *choice) bool {
	for _, l := range f.limits {
		if l.cost(c.entry) > l.cost(*c.degraded) {
			return false
		}
	}
	return c.entry.StoredBytes <= c.degraded.StoredBytes
}

// exceeded gives the first limit that has no room for a dump instead of another one (nil: instead of nothing).
func (f *fitting) exceeded(e Entry, instead *Entry) *limit {
	for _, l := range f.limits {
		more := l.cost(e)
		if instead != nil {
			more -= l.cost(*instead)
		}
		if l.room > 0 && more > 0 && more > l.free(e.Level == 0) {
			return l
		}
	}
	return nil
}

// take books a dump, n times: -1 gives it back.
func (f *fitting) take(e Entry, n int64) {
	for _, l := range f.limits {
		l.used += n * l.cost(e)
	}
}

// incrementals lets in as many as fit: the smallest first, each step of priority counting as 32 times smaller. It ends with the
// first that does not fit, so that more room never takes a dump from one image for another.
func (f *fitting) incrementals(light []*choice) {
	for _, c := range light {
		f.take(c.entry, 1)
	}
	if !slices.ContainsFunc(f.limits, func(l *limit) bool { return l.room > 0 && l.used > l.room }) {
		return
	}
	weight, alone := make(map[*choice]float64, len(light)), make(map[*choice]bool, len(light))
	for _, c := range light {
		f.take(c.entry, -1)
		weight[c] = float64(c.entry.StoredBytes) * math.Pow(32, -float64(c.img.Policy.Priority))
	}
	for _, c := range light {
		alone[c] = f.exceeded(c.entry, nil) == nil
	}
	slices.SortFunc(light, func(a, b *choice) int {
		return cmp.Or(cmp.Compare(weight[a], weight[b]), byName(a.img.DLE, b.img.DLE))
	})
	ended := false
	for _, c := range light {
		l := f.exceeded(c.entry, nil)
		if !ended && l == nil {
			f.take(c.entry, 1)
			continue
		}
		ended = ended || alone[c]
		c.drop(cmp.Or(l, f.tightest()))
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

// fullsOnly lets in images with nothing to fall back on: those never dumped first, a base before its clones, the urgent
// first and, among equals, the smallest, so that as many as possible are kept.
func (f *fitting) fullsOnly(only []*choice) {
	known := func(c *choice) int { return min(1, len(c.img.Dumps)) }
	slices.SortFunc(only, func(a, b *choice) int {
		return cmp.Or(cmp.Compare(known(a), known(b)), cmp.Compare(b.urgency, a.urgency), cmp.Compare(a.depth, b.depth),
			cmp.Compare(a.entry.StoredBytes, b.entry.StoredBytes), byName(a.img.DLE, b.img.DLE))
	})
	for _, c := range only {
		if b := f.base(c); b != nil && b.dropped != "" && len(b.img.Dumps) == 0 {
			// Nothing for a full to be a delta to: the clone waits for its base.
			c.dropped = fmt.Sprintf("its base %s is not dumped tonight: %s", b.img.DLE, b.dropped)
			c.why = Why{Kind: KindBase}
			continue
		}
		if l := f.exceeded(c.entry, nil); l != nil {
			c.drop(l)
			continue
		}
		f.take(c.entry, 1)
	}
}

// drop leaves an image out.
func (c *choice) drop(l *limit) {
	full := c.entry.Level == 0
	c.limit = l
	c.dropped = fmt.Sprintf("level %d of %s does not fit: %s", c.entry.Level, human(c.entry.StoredBytes), l.holds(full))
	c.why = Why{Kind: KindNoRoom, NeedBytes: c.entry.StoredBytes, Limit: l.holds(full)}
}

// weigh is what a full takes more than the incremental; each day that it is overdue divides it by four, each step of priority by 32.
func (c *choice) weigh(full Entry) float64 {
	more := float64(full.StoredBytes - c.entry.StoredBytes)
	return more * math.Pow(4, -float64(c.due.overdueDays)) * math.Pow(32, -float64(c.img.Policy.Priority))
}

// restore gives images their full instead of the incremental, in an order that does not depend on how much room there is. It ends with the first that does not fit, so that
// more room never takes a full from one image for another. One that would not fit even alone stands in nobody's way.
func (f *fitting) restore(images []*choice, fulls map[*choice]Entry) {
	weight := make(map[*choice]float64, len(images))
	alone := make(map[*choice]bool, len(images))
	for _, c := range images {
		full := fulls[c]
		weight[c] = c.weigh(full)
		alone[c] = c.dropped == "" && f.exceeded(full, &c.entry) == nil
	}
	slices.SortFunc(images, func(a, b *choice) int {
		return cmp.Or(cmp.Compare(weight[a], weight[b]), byName(a.img.DLE, b.img.DLE))
	})
	ended := false
	for _, c := range images {
		full := fulls[c]
		l := f.exceeded(full, &c.entry)
		if c.dropped == "" && !ended && l == nil {
			f.take(c.entry, -1)
			c.entry = full
			f.take(full, 1)
			continue
		}
		ended = ended || alone[c]
		c.delay(full, cmp.Or(l, f.tightest())) // it may fit by itself, but be behind one that does not
	}
}

// delay notes that an image has its incremental instead of its full.
func (c *choice) delay(full Entry, l *limit) {
	if c.dropped != "" {
		return
	}
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
