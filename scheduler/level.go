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
	img   Image
	entry Entry
	// degraded is the incremental it gets when the full does not fit; nil when there is none.
	degraded *Entry
	// overdue counts the whole days since the full fell due.
	overdue int
	forced  bool
	// urgency decides who goes first when not all fit; depth counts the images below a clone.
	urgency, depth int
	// dropped is why the image gets nothing.
	dropped string
}

// decide chooses the level of one image, leaving the run's capacity aside.
func decide(img Image, now time.Time) choice {
	est := estimate(img)
	due, overdue := dueSince(img, now)
	c := choice{img: img, overdue: overdue, urgency: img.Policy.Priority}
	c.entry = Entry{
		DLE: img.DLE, CloneOf: img.Base, Priority: img.Policy.Priority,
		OrigBytes: est.full.orig, StoredBytes: est.full.stored,
	}
	neverFull := img.Policy.Strategy == StrategyNoFull || img.Policy.Strategy == StrategyIncrOnly
	inc, possible := incremental(img, est)
	switch {
	case est.last < 0:
		c.entry.Reason = cmp.Or(img.MustFull, "first dump")
		c.entry.Note = fmt.Sprintf("Adding new disk %s.", img.DLE)
	case img.MustFull != "":
		c.entry.Reason = img.MustFull
		c.entry.Note = fmt.Sprintf("Full dump of %s: %s.", img.DLE, img.MustFull)
	case img.Policy.Strategy == StrategyNoInc:
		c.entry.Reason = "strategy noinc: a full in each run"
	case !possible:
		c.entry.Reason = "no dump of a lower level to build on"
	case img.Force == catalog.ForceFull && !neverFull:
		c.forced = true
		c.entry.Reason = "full forced by the administrator"
		c.entry.Note = fmt.Sprintf("Forcing full dump of %s as directed.", img.DLE)
		c.fallBack(inc)
	case due && !neverFull && img.Force != catalog.ForceLevel1 && img.Force != catalog.ForceBump:
		c.entry.Reason = dueReason(img, overdue)
		c.fallBack(inc)
	default:
		c.entry = inc
		c.remark(due && !neverFull, neverFull)
	}
	return c
}

// fallBack gives the full an incremental to fall back to, and makes it the more urgent the longer it is overdue.
func (c *choice) fallBack(inc Entry) {
	c.degraded = &inc
	c.urgency += c.overdue
	c.entry.Priority = c.urgency
}

// remark says where the administrator's wish and the rules were at odds.
func (c *choice) remark(due, neverFull bool) {
	switch {
	case neverFull && c.img.Force == catalog.ForceFull:
		c.entry.Note = fmt.Sprintf("Forced full dump of %s not made: strategy %s.", c.img.DLE, c.img.Policy.Strategy)
	case due:
		c.entry.Note = fmt.Sprintf("Full dump of %s is due, level %d made instead as directed.", c.img.DLE, c.entry.Level)
	}
}

// dueSince tells whether the next full is due, and how many days ago it fell due. Days are taken to the nearest one, as
// Amanda does, so that a run that starts some hours early still does the full on the right day, and one in the week
// when the clocks change does, too. For a cycle below a day the grace is half the cycle.
func dueSince(img Image, now time.Time) (due bool, overdueDays int) {
	for i := len(img.Dumps) - 1; i >= 0; i-- {
		if d := img.Dumps[i]; d.Level == 0 {
			late := now.Sub(d.Stamp.Time(now.Location())).Hours()/24 - img.Policy.CycleDays
			return late >= -min(1, img.Policy.CycleDays)/2, int(math.Max(0, math.Round(late)))
		}
	}
	return true, 0
}

func dueReason(img Image, overdue int) string {
	switch {
	case img.Policy.CycleDays == 0:
		return "dump cycle 0: a full in each run"
	case overdue > 0:
		return fmt.Sprintf("full overdue by %s (dump cycle %s)", days(float64(overdue)), days(img.Policy.CycleDays))
	}
	return fmt.Sprintf("full due today (dump cycle %s)", days(img.Policy.CycleDays))
}

func days(n float64) string {
	if n == 1 {
		return "1 day"
	}
	return fmt.Sprintf("%g days", n)
}

// incremental gives the dump that an incremental would be tonight: level 1 after a full, else the current level or the
// next. There is none when no dump of a lower level is left.
func incremental(img Image, est estimates) (Entry, bool) {
	if est.last < 0 {
		return Entry{}, false
	}
	level, reason := nextLevel(img, est)
	base, ok := est.below(level)
	if !ok {
		return Entry{}, false
	}
	want := est.incremental(base.ID)
	e := Entry{
		DLE: img.DLE, Level: level, Base: base.ID, CloneOf: img.Base, Priority: img.Policy.Priority,
		OrigBytes: want.orig, StoredBytes: want.stored, Reason: reason,
	}
	if level > est.last && est.last > 0 {
		e.Note = fmt.Sprintf("Incremental of %s bumped to level %d.", img.DLE, level)
	}
	return e, true
}

func nextLevel(img Image, est estimates) (catalog.Level, string) {
	top := img.Policy.MaxLevel
	if top == 0 {
		top = catalog.MaxLevel
	}
	switch {
	case img.Force == catalog.ForceLevel1:
		return 1, "level 1 forced by the administrator"
	case est.last == 0:
		return 1, "level 1 after a full"
	case img.Policy.Strategy == StrategyNoFull:
		return 1, "strategy nofull: level 1 in each run"
	case est.last >= top:
		return top, fmt.Sprintf("level %d is the highest allowed", top)
	case img.Force == catalog.ForceBump:
		return est.last + 1, "bump forced by the administrator"
	case img.Force == catalog.ForceNoBump:
		return est.last, "bump forbidden by the administrator"
	}
	return bump(img, est)
}

// bump applies Amanda's rule: stay until the level has been used bump-days times and the next one saves enough.
func bump(img Image, est estimates) (catalog.Level, string) {
	if est.runs < img.Policy.BumpDays {
		return est.last, fmt.Sprintf("level %d used %d of %d times before a bump", est.last, est.runs, img.Policy.BumpDays)
	}
	threshold := bumpThreshold(img.Policy, est)
	saving := est.at(est.last) - est.at(est.last+1)
	if saving < threshold {
		return est.last, fmt.Sprintf("level %d would save %s, less than the threshold of %s", est.last+1, human(saving), human(threshold))
	}
	return est.last + 1, fmt.Sprintf("level %d saves %s (threshold %s)", est.last+1, human(saving), human(threshold))
}

func bumpThreshold(p Policy, est estimates) int64 {
	base := float64(p.BumpSizeBytes)
	if p.BumpPercent > 0 {
		base = float64(est.full.orig) * p.BumpPercent / 100
	}
	mult := p.BumpMult
	if mult <= 0 {
		mult = 1
	}
	// The bound keeps a huge multiple from overflowing into a negative threshold.
	return int64(min(base*math.Pow(mult, float64(est.last-1)), 1<<62))
}

// human prints bytes for a reason: whole KiB, else MiB, GiB or TiB with one digit.
func human(bytes int64) string {
	switch b := float64(bytes); {
	case bytes < 1<<20:
		return fmt.Sprintf("%.0f KiB", b/(1<<10))
	case bytes < 1<<30:
		return fmt.Sprintf("%.1f MiB", b/(1<<20))
	case bytes < 1<<40:
		return fmt.Sprintf("%.1f GiB", b/(1<<30))
	default:
		return fmt.Sprintf("%.1f TiB", b/(1<<40))
	}
}
