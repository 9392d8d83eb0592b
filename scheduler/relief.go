package scheduler

import (
	"cmp"
	"fmt"
	"slices"

	"holdfast/catalog"
)

// earlyBump is the part of the threshold that an early bump has to save. No early bump goes above earlyTop, for each level
// makes a restore longer.
const earlyBump, earlyTop = 0.5, 2

// In a run that cannot hold all that is due any saving of more than urgentBump of the full will do, up to urgentTop.
const urgentBump, urgentTop = 0.005, 6

// bumpable is an incremental of tonight that could go to the next level before that saves as much as it has to.
type bumpable struct {
	c      *choice
	entry  Entry
	saving int64
}

// bumpables gives those of tonight, the one that saves most first.
func (f *fitting) bumpables(urgent bool) []bumpable {
	var can []bumpable
	for _, c := range f.choices {
		if e, ok := c.bumpEarly(urgent); ok {
			can = append(can, bumpable{c, e, f.limits[0].cost(&c.entry) - f.limits[0].cost(&e)})
		}
	}
	slices.SortStableFunc(can, func(a, b bumpable) int { return cmp.Compare(b.saving, a.saving) })
	return can
}

// squeeze takes incrementals to their next level early as long as not all that is due fits: before a full is put off.
func (f *fitting) squeeze() {
	for _, c := range f.choices {
		if c.dropped == "" {
			f.take(&c.entry, 1)
		}
	}
	if f.full() {
		for _, b := range f.bumpables(true) {
			if !f.full() {
				break
			}
			f.take(&b.c.entry, -1)
			f.take(&b.entry, 1)
			f.squeezed = append(f.squeezed, bumpable{b.c, b.c.entry, b.saving})
			b.c.entry = b.entry
		}
	}
	for _, l := range f.limits {
		l.used = 0
	}
}

// ease takes back those of the early bumps for which there is room after all, the largest first: each shortens a restore, and
// what fits tonight need not be saved.
func (o *outlook) ease() {
	for _, b := range o.fit.squeezed {
		c := b.c
		if c.dropped != "" || c.entry.Level != b.entry.Level+1 || c.putOff {
			continue
		}
		o.fit.take(&c.entry, -1)
		o.fit.take(&b.entry, 1)
		if !o.tonightHolds() { // what waits to be flushed keeps its room
			o.fit.take(&b.entry, -1)
			o.fit.take(&c.entry, 1)
			continue
		}
		o.bytes[0] += float64(b.saving)
		o.seconds[0] += b.entry.Seconds - c.entry.Seconds
		c.entry = b.entry
	}
}

// full tells whether a limit is exceeded, what waits to be flushed counted in.
func (f *fitting) full() bool {
	return slices.ContainsFunc(f.limits, func(l *limit) bool { return l.room > 0 && l.free(true) < 0 })
}

// relieve does the same as long as tonight holds more than the mean night: that a forecast was too low shows only tonight,
// when the fulls that are due can no longer be moved. A bump at half its threshold costs nothing but that it might have
// saved more later.
func (o *outlook) relieve() {
	for _, b := range o.fit.bumpables(false) {
		// One that would take more than half too much is passed over for smaller ones.
		if float64(b.saving) > 1.5*(o.bytes[0]-o.meanBytes) {
			continue
		}
		o.fit.take(&b.c.entry, -1)
		o.fit.take(&b.entry, 1)
		o.bytes[0] -= float64(b.saving)
		o.seconds[0] += b.entry.Seconds - b.c.entry.Seconds
		b.c.entry = b.entry
	}
}

// bumpEarly gives the next level of an image's incremental, if that may be used early.
func (c *choice) bumpEarly(urgent bool) (Entry, bool) {
	p, est, e := c.img.Policy, c.est, c.entry
	top := catalog.Level(earlyTop)
	if urgent {
		top = urgentTop
	}
	if c.dropped != "" || c.putOff || c.img.Force != "" || e.Level < 1 || e.Level != est.last || est.last >= min(p.top(), top) ||
		est.runs < p.BumpDays || p.Strategy == StrategyNoFull {
		return Entry{}, false
	}
	base, ok := est.below(e.Level + 1)
	threshold := int64(p.threshold(est.last, float64(est.full.orig)))
	want := est.at(e.Level + 1)
	saves := e.OrigBytes - want.orig
	least := earlyBump * float64(threshold)
	if urgent {
		least = min(least, urgentBump*float64(est.full.orig))
	}
	if !ok || base.Level != e.Level || float64(saves) < least || saves <= 0 {
		return Entry{}, false
	}
	e.Why = Why{Kind: KindBumpedEarly, SavesBytes: saves, ThresholdBytes: threshold}
	e.Reason = fmt.Sprintf("level %d saves %s (threshold %s), used early as the night is full", e.Level+1, human(saves), human(threshold))
	e.Note = fmt.Sprintf("Incremental of %s bumped to level %d.", c.img.DLE, e.Level+1)
	e.Level, e.Base = e.Level+1, base.ID
	e.OrigBytes, e.StoredBytes, e.Seconds = want.orig, want.stored, c.pace.incremental(want.orig)
	return e, true
}
