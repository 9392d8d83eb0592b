package scheduler

import (
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
	// overdue counts the days since the full fell due; negative: days until then.
	overdue float64
	forced  bool
	// dropped is why the image gets nothing.
	dropped string
}

// decide chooses the level of one image, leaving the run's capacity aside.
func decide(img Image, now time.Time) choice {
	est := estimate(img)
	c := choice{img: img, forced: img.Force == catalog.ForceFull}
	c.overdue = overdueDays(img, now)
	full := fullEntry(img, est)
	c.entry = full
	switch {
	case est.last < 0:
		c.entry.Reason = "first dump"
		if img.MustFull != "" {
			c.entry.Reason = img.MustFull
		}
		c.entry.Note = "Adding new disk " + img.DLE.String() + "."
	case img.MustFull != "":
		c.entry.Reason = img.MustFull
		c.entry.Note = fmt.Sprintf("Full dump of %s: %s.", img.DLE, img.MustFull)
	case c.forced && img.Policy.Strategy != StrategyNoFull && img.Policy.Strategy != StrategyIncrOnly:
		c.entry.Reason = "full forced by the administrator"
		c.entry.Note = fmt.Sprintf("Forcing full dump of %s as directed.", img.DLE)
		c.degraded = incremental(img, est)
	case wantsFull(img, c.overdue):
		c.entry.Reason = dueReason(img, c.overdue)
		c.degraded = incremental(img, est)
	default:
		if inc := incremental(img, est); inc != nil {
			c.entry = *inc
		} else {
			c.entry.Reason = "no dump of a lower level to build on"
		}
	}
	if c.degraded != nil {
		c.entry.Priority += int(math.Max(0, c.overdue))
	}
	return c
}

// overdueDays is how many days ago the next full fell due, rounded to the nearest day as Amanda does, so that a run
// started some hours early still does the full on the right day.
func overdueDays(img Image, now time.Time) float64 {
	for i := len(img.Dumps) - 1; i >= 0; i-- {
		if d := img.Dumps[i]; d.Level == 0 {
			days := math.Round(now.Sub(d.Stamp.Time(now.Location())).Hours() / 24)
			return days - img.Policy.CycleDays
		}
	}
	return 0
}

func wantsFull(img Image, overdue float64) bool {
	switch img.Policy.Strategy {
	case StrategyNoInc:
		return true
	case StrategyNoFull, StrategyIncrOnly:
		return false
	}
	// Force-level-1 and the bump wishes ask for an incremental, whatever the calendar says.
	return overdue >= 0 && img.Force == ""
}

func dueReason(img Image, overdue float64) string {
	switch {
	case img.Policy.Strategy == StrategyNoInc:
		return "strategy noinc: a full in each run"
	case img.Policy.CycleDays == 0:
		return "dump cycle 0: a full in each run"
	case overdue > 0:
		return fmt.Sprintf("full overdue by %.0f days (dump cycle %g days)", overdue, img.Policy.CycleDays)
	}
	return fmt.Sprintf("full due today (dump cycle %g days)", img.Policy.CycleDays)
}

func fullEntry(img Image, est estimates) Entry {
	return Entry{
		DLE: img.DLE, Level: 0, CloneOf: img.Base, Priority: img.Policy.Priority,
		OrigBytes: est.full.orig, StoredBytes: est.full.stored,
	}
}

// incremental gives the level an incremental would have tonight: 1 after a full, else the current one or the next.
func incremental(img Image, est estimates) *Entry {
	level, want, reason := nextLevel(img, est)
	base, ok := catalog.BaseFor(img.Dumps, level)
	if !ok {
		return nil
	}
	e := Entry{
		DLE: img.DLE, Level: level, Base: base.ID, Priority: img.Policy.Priority,
		OrigBytes: want.orig, StoredBytes: want.stored, Reason: reason,
	}
	if level > est.last && est.last > 0 {
		e.Note = fmt.Sprintf("Incremental of %s bumped to level %d.", img.DLE, level)
	}
	return &e
}

func nextLevel(img Image, est estimates) (catalog.Level, size, string) {
	top := img.Policy.MaxLevel
	if top == 0 {
		top = catalog.MaxLevel
	}
	switch {
	case img.Force == catalog.ForceLevel1:
		return 1, est.stay, "level 1 forced by the administrator"
	case est.last == 0:
		return 1, est.bump, "level 1 after a full"
	case img.Policy.Strategy == StrategyNoFull:
		return 1, est.stay, "strategy nofull: level 1 in each run"
	case est.last >= top:
		return top, est.stay, fmt.Sprintf("level %d is the highest allowed", top)
	case img.Force == catalog.ForceBump:
		return est.last + 1, est.bump, "bump forced by the administrator"
	case img.Force == catalog.ForceNoBump:
		return est.last, est.stay, "bump forbidden by the administrator"
	}
	return bump(img, est)
}

// bump applies Amanda's rule: stay until the level has been used bump-days times and the next one saves enough.
func bump(img Image, est estimates) (catalog.Level, size, string) {
	threshold := bumpThreshold(img.Policy, est)
	saving := est.stay.orig - est.bump.orig
	switch {
	case est.runs < img.Policy.BumpDays:
		return est.last, est.stay, fmt.Sprintf("level %d used %d of %d days before a bump", est.last, est.runs, img.Policy.BumpDays)
	case saving < threshold:
		return est.last, est.stay, fmt.Sprintf("level %d would save %s, less than the threshold of %s", est.last+1, human(saving), human(threshold))
	}
	return est.last + 1, est.bump, fmt.Sprintf("level %d saves %s (threshold %s)", est.last+1, human(saving), human(threshold))
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
	return int64(base * math.Pow(mult, float64(est.last-1)))
}

// human prints bytes for a reason: whole KiB, MiB or GiB with one digit.
func human(bytes int64) string {
	switch b := float64(bytes); {
	case bytes < 1<<20:
		return fmt.Sprintf("%.0f KiB", b/(1<<10))
	case bytes < 1<<30:
		return fmt.Sprintf("%.1f MiB", b/(1<<20))
	default:
		return fmt.Sprintf("%.1f GiB", b/(1<<30))
	}
}
