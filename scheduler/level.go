package scheduler

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"holdfast/catalog"
)

// choice is one image's decision while the plan is made: what it gets, and what it falls back to.
type choice struct {
	img   *Image
	est   estimates
	pace  pace
	entry Entry
	// degraded is the incremental it gets when the full does not fit; nil when there is none.
	degraded *Entry
	due      dueDate
	forced   bool
	// early tells that the full may be made tonight though it is not due; promoted that it is.
	early, promoted bool
	// order is the place by name among all.
	order int
	// urgency decides who goes first when not all fit; depth counts the images below a clone.
	urgency, depth int
	// limit is what the image did not fit into, nil while it does; putOff tells that its full was put off for that.
	limit  *limit
	putOff bool
	// starved tells that it goes before all others.
	starved bool
	// dropped is why the image gets nothing.
	dropped string
	why     Why
}

// dueDate is when an image's full is to be made.
type dueDate struct {
	last catalog.Stamp
	by   time.Time
	// night is the last of the coming runs that is in time, 0 when none is.
	night int
	// overdue is how long ago the time was, 0 within the grace; overdueDays the same in days to the nearest, at least 1.
	overdue     time.Duration
	overdueDays int
	// never is set for an image that gets no more fulls.
	never bool
}

// decide chooses the level of one image, leaving the run's capacity aside.
func (c *choice) decide(img *Image, cal calendar, siteRate float64) {
	now := cal.runs[0]
	c.img, c.est, c.due, c.urgency = img, estimate(img, now), dueOf(img, cal), img.Policy.Priority
	c.pace = newPace(img, siteRate)
	c.entry = Entry{
		DLE: img.DLE, CloneOf: img.Base, Priority: img.Policy.Priority,
		OrigBytes: c.est.full.orig, StoredBytes: c.est.full.stored, Seconds: c.pace.full(c.est.full.orig),
	}
	c.due.never = img.Policy.Strategy == StrategyNoFull || img.Policy.Strategy == StrategyIncrOnly || img.Policy.SkipFull
	inc, possible := c.incremental()
	if why, words, note := c.onlyFull(possible); why.Kind != "" {
		c.full(why, words, note)
		return
	}
	due := c.due.night == 0 && !c.due.never
	switch {
	case img.Force == catalog.ForceFull && !c.due.never:
		c.forced = true
		c.full(Why{Kind: KindForced}, "full forced by the administrator", fmt.Sprintf("Forcing full dump of %s as directed.", img.DLE))
		c.fallBack(inc)
	case due && img.Force != catalog.ForceLevel1 && img.Force != catalog.ForceBump:
		why, words := c.due.reason(img)
		c.full(why, words, "")
		c.fallBack(inc)
	default:
		c.entry = inc
		c.remark(due)
		c.early = !c.due.never && img.Force == ""
	}
}

// onlyFull tells why the image cannot get an incremental, if it cannot, with the note for the report.
func (c *choice) onlyFull(incremental bool) (why Why, words, note string) {
	img := c.img
	switch {
	case c.est.last < 0:
		return Why{Kind: KindFirst}, cmp.Or(img.MustFull, "first dump"), fmt.Sprintf("Adding new disk %s.", img.DLE)
	case img.MustFull != "":
		return Why{Kind: KindMustFull}, img.MustFull, fmt.Sprintf("Full dump of %s: %s.", img.DLE, img.MustFull)
	case img.Policy.Strategy == StrategyNoInc:
		return Why{Kind: KindNoInc}, "strategy noinc: a full in each run", ""
	case img.Policy.MaxChain == 1:
		return Why{Kind: KindNoInc}, "a chain of 1 dump allows fulls only", ""
	case !incremental:
		return Why{Kind: KindNoBase}, "no dump of a lower level to build on", ""
	}
	return Why{}, "", ""
}

func (c *choice) full(why Why, words, note string) {
	c.entry.Why, c.entry.Reason, c.entry.Note = why, words, note
}

// fallBack gives the full an incremental to fall back to, and makes it the more urgent the longer it is overdue.
func (c *choice) fallBack(inc Entry) {
	c.degraded = &inc
	c.urgency += c.due.overdueDays
	c.entry.Priority = c.urgency
}

// remark says where the administrator's wish and the rules were at odds.
func (c *choice) remark(due bool) {
	switch {
	case c.due.never && c.img.Force == catalog.ForceFull:
		strategy := "strategy " + string(c.img.Policy.Strategy)
		if c.img.Policy.SkipFull {
			strategy = "skip-full"
		}
		c.entry.Note = fmt.Sprintf("Forced full dump of %s not made: %s.", c.img.DLE, strategy)
	case due:
		c.entry.Note = fmt.Sprintf("Full dump of %s is due, level %d made instead as directed.", c.img.DLE, c.entry.Level)
	}
}

// dueOf gives the time of the next full. It is counted from the run of the last one, in calendar days and hours; made in
// the run nearest to it, it is neither early nor late, so that a run that starts some hours early still does the full on
// the right day, and one in the week when the clocks change does, too.
func dueOf(img *Image, cal calendar) dueDate {
	now := cal.runs[0]
	for i := len(img.Dumps) - 1; i >= 0; i-- {
		if img.Dumps[i].Level != 0 {
			continue
		}
		d := dueDate{last: img.Dumps[i].Stamp}
		d.by = addDays(d.last.Time(now.Location()), img.Policy.CycleDays)
		if img.Policy.SkipFull {
			d.by = nextDue(d.by, img.Policy.CycleDays, now.Add(-cal.grace(img.Policy.CycleDays)))
		}
		grace := cal.grace(img.Policy.CycleDays)
		d.night = cal.lastInTime(d.by, grace)
		if late := now.Sub(d.by); late >= max(grace, 1) && img.Policy.CycleDays > 0 {
			d.overdue, d.overdueDays = late, max(1, int(math.Round(late.Hours()/24)))
		}
		return d
	}
	return dueDate{by: now}
}

// nextDue counts on from a due date in whole cycles, as fulls that are made elsewhere do.
func nextDue(by time.Time, cycleDays float64, notBefore time.Time) time.Time {
	if cycleDays > 0 && by.Before(notBefore) {
		cycles := math.Floor(daysBetween(by, notBefore) / cycleDays)
		by = addDays(by, cycles*cycleDays)
		for by.Before(notBefore) {
			by = addDays(by, cycleDays)
		}
	}
	return by
}

func (d dueDate) reason(img *Image) (Why, string) {
	why := Why{Kind: KindDue, Due: d.by}
	switch {
	case img.Policy.CycleDays == 0:
		return why, "dump cycle 0: a full in each run"
	case d.overdue > 0:
		why.Kind, why.OverdueHours = KindOverdue, d.overdue.Hours()
		return why, fmt.Sprintf("full overdue by %s (dump cycle %s)", span(d.overdue), days(img.Policy.CycleDays))
	}
	return why, fmt.Sprintf("full due today (dump cycle %s)", days(img.Policy.CycleDays))
}

// incremental gives the dump that an incremental would be tonight: level 1 after a full, else the current level or the
// next. There is none when no dump of a lower level is left.
func (c *choice) incremental() (Entry, bool) {
	if c.est.last < 0 {
		return Entry{}, false
	}
	level, why, reason := nextLevel(c.img, &c.est)
	base, ok := c.est.below(level)
	if !ok {
		return Entry{}, false
	}
	want := c.est.at(level)
	e := Entry{
		DLE: c.img.DLE, Level: level, Base: base.ID, CloneOf: c.img.Base, Priority: c.img.Policy.Priority,
		OrigBytes: want.orig, StoredBytes: want.stored, Seconds: c.pace.incremental(want.orig), Why: why, Reason: reason,
	}
	if level > c.est.last && c.est.last > 0 {
		e.Note = fmt.Sprintf("Incremental of %s bumped to level %d.", c.img.DLE, level)
	}
	return e, true
}

func nextLevel(img *Image, est *estimates) (catalog.Level, Why, string) {
	top := img.Policy.top()
	switch {
	case img.Force == catalog.ForceLevel1:
		return 1, Why{Kind: KindForced}, "level 1 forced by the administrator"
	case est.last == 0:
		return 1, Why{Kind: KindAfterFull}, "level 1 after a full"
	case img.Policy.Strategy == StrategyNoFull:
		return 1, Why{Kind: KindNoFull}, "strategy nofull: level 1 in each run"
	case est.last >= top:
		return top, Why{Kind: KindTop}, fmt.Sprintf("level %d is the highest allowed", top)
	case img.Force == catalog.ForceBump:
		return est.last + 1, Why{Kind: KindForced}, "bump forced by the administrator"
	case img.Force == catalog.ForceNoBump:
		return est.last, Why{Kind: KindNoBump}, "bump forbidden by the administrator"
	}
	return bump(img, est)
}

// top is the highest level allowed: each level of a chain is at least one above the one below it.
func (p Policy) top() catalog.Level {
	top := p.MaxLevel
	if top == 0 {
		top = catalog.MaxLevel
	}
	if p.MaxChain > 0 {
		top = min(top, catalog.Level(max(1, p.MaxChain-1)))
	}
	return top
}

// bump applies Amanda's rule: stay until the level has been used bump-days times and the next one saves enough.
func bump(img *Image, est *estimates) (catalog.Level, Why, string) {
	if est.runs < img.Policy.BumpDays {
		why := Why{Kind: KindBumpDays, Runs: est.runs, RunsWanted: img.Policy.BumpDays}
		return est.last, why, fmt.Sprintf("level %d used %d of %d times before a bump", est.last, est.runs, img.Policy.BumpDays)
	}
	why := Why{Kind: KindNoSaving, ThresholdBytes: int64(img.Policy.threshold(est.last, float64(est.full.orig)))}
	why.SavesBytes = est.at(est.last).orig - est.at(est.last+1).orig
	if why.SavesBytes < why.ThresholdBytes {
		return est.last, why, fmt.Sprintf("level %d would save %s, less than the threshold of %s", est.last+1, human(why.SavesBytes), human(why.ThresholdBytes))
	}
	why.Kind = KindBumped
	return est.last + 1, why, fmt.Sprintf("level %d saves %s (threshold %s)", est.last+1, human(why.SavesBytes), human(why.ThresholdBytes))
}

// threshold is what the level above the given one has to save.
func (p Policy) threshold(level catalog.Level, fullBytes float64) float64 {
	base := float64(p.BumpSizeBytes)
	if p.BumpPercent > 0 {
		base = fullBytes * p.BumpPercent / 100
	}
	mult := p.BumpMult
	if mult <= 0 {
		mult = 1
	}
	// The bound keeps a huge multiple from overflowing into a negative threshold.
	return min(base*math.Pow(mult, float64(level-1)), 1<<62)
}
