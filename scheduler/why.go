package scheduler

import (
	"fmt"
	"math"
	"time"
)

// Kind is the sort of a reason, one word for programs.
type Kind string

// The reasons for a full, for a level, and for nothing at all.
const (
	KindFirst       Kind = "first"        // never dumped
	KindMustFull    Kind = "must-full"    // no incremental can be made
	KindNoInc       Kind = "noinc"        // the strategy, or a chain of one
	KindNoBase      Kind = "no-base"      // no dump of a lower level is left
	KindForced      Kind = "forced"       // as the administrator wished
	KindDue         Kind = "due"          // the cycle ends before the next run
	KindOverdue     Kind = "overdue"      // it ended before this one
	KindPromoted    Kind = "promoted"     // early, to even out the nights
	KindAfterFull   Kind = "after-full"   // level 1 comes after a full
	KindNoFull      Kind = "nofull"       // the strategy
	KindTop         Kind = "top-level"    // no higher level is allowed
	KindBumped      Kind = "bumped"       // the next level saves enough
	KindBumpedEarly Kind = "bumped-early" // it saves less, but the night is full
	KindBumpDays    Kind = "bump-days"    // not long enough at this level
	KindNoSaving    Kind = "no-saving"    // the next level saves too little
	KindNoBump      Kind = "no-bump"      // as the administrator wished
	KindDelayed     Kind = "delayed"      // the full does not fit

	KindNoRoom     Kind = "no-room"
	KindBase       Kind = "waits-for-base"
	KindSkip       Kind = "skip"
	KindSkipFull   Kind = "skip-full"
	KindSkipIncr   Kind = "skip-incr"
	KindUnreadable Kind = "unreadable"
)

// Why is a reason as values; which are set goes by the kind.
type Why struct {
	Kind Kind `json:"kind"`
	// Due is when the full falls or fell due, OverdueHours how long ago, PromotedNights how many runs it is early.
	Due            time.Time `json:"due,omitzero"`
	OverdueHours   float64   `json:"overdue_hours,omitempty"`
	PromotedNights int       `json:"promoted_nights,omitempty"`
	// SavesBytes is what the next level saves, and ThresholdBytes what it has to; Runs of RunsWanted were at this level.
	SavesBytes     int64 `json:"saves_bytes,omitempty"`
	ThresholdBytes int64 `json:"threshold_bytes,omitempty"`
	Runs           int   `json:"runs,omitempty"`
	RunsWanted     int   `json:"runs_wanted,omitempty"`
	// NeedBytes is what does not fit, Limit what it does not fit into.
	NeedBytes int64  `json:"need_bytes,omitempty"`
	Limit     string `json:"limit,omitempty"`
	// Next is the run that it is planned for instead.
	Next time.Time `json:"next,omitzero"`
	// Level is why the incremental that is made instead has its level.
	Level *Why `json:"level,omitempty"`
}

// span says how long in words: whole days, or days and hours.
func span(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	hours := int(math.Round(d.Hours()))
	whole, rest := hours/24, hours%24
	switch {
	case whole == 0:
		return plural(rest, "hour")
	case rest == 0:
		return plural(whole, "day")
	}
	return plural(whole, "day") + " " + plural(rest, "hour")
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func days(n float64) string {
	if n == 1 {
		return "1 day"
	}
	return fmt.Sprintf("%g days", n)
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
