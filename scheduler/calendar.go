package scheduler

import (
	"math"
	"slices"
	"time"

	"holdfast/catalog"
)

const (
	// maxHorizon bounds how many runs are looked at: a cycle of a month.
	maxHorizon = 32
	// defaultGap is the time between two runs where nothing else is known, in days.
	defaultGap = 1.0
	// pastRuns is how many of the last runs the gap is guessed from, minPast how many it takes at least.
	pastRuns, minPast = 15, 4
	// pastImages is how many images are asked for their runs: each is in nearly all of them.
	pastImages = 200
	// graceDays is how far from its time a full may be and still be on time, as long as runs are at least twice that apart.
	graceDays = 0.5
)

// calendar is the coming runs, this one first.
type calendar struct {
	runs []time.Time
	// gapDays is the usual time between two runs.
	gapDays float64
	past    []time.Time // of the runs known, oldest first
}

// newCalendar looks as many runs ahead as the longest cycle has, and one more.
func newCalendar(in Input, images []*Image) calendar {
	cal := calendar{past: pastOf(in.Now, images)}
	longest, shortest := 0.0, math.Inf(1)
	for _, img := range images {
		longest = max(longest, img.Policy.CycleDays)
		if img.Policy.CycleDays > 0 {
			shortest = min(shortest, img.Policy.CycleDays)
		}
	}
	cal.gapDays = cal.gap(in, shortest)
	horizon := min(maxHorizon, max(1, int(math.Round(longest/cal.gapDays))))
	cal.runs = append(cal.runs, in.Now)
	for _, at := range in.Coming {
		if at.After(cal.runs[len(cal.runs)-1]) {
			cal.runs = append(cal.runs, at)
		}
	}
	idle := cal.idleWeekdays()
	for len(cal.runs) < horizon+1 {
		next := addDays(cal.runs[len(cal.runs)-1], cal.gapDays)
		for len(in.Coming) == 0 && idle[next.Weekday()] {
			next = addDays(next, cal.gapDays)
		}
		cal.runs = append(cal.runs, next)
	}
	cal.runs = cal.runs[:horizon+1]
	return cal
}

// gap is the usual time between two runs, in days: by the schedule, by the configuration, by the last runs, or a day.
func (cal calendar) gap(in Input, shortestCycle float64) float64 {
	gap := defaultGap
	switch {
	case len(in.Coming) > 1:
		gap = in.Coming[len(in.Coming)-1].Sub(in.Coming[0]).Hours() / 24 / float64(len(in.Coming)-1)
	case in.RunsPerCycle > 0 && in.CycleDays > 0:
		gap = in.CycleDays / float64(in.RunsPerCycle)
	case len(cal.past) >= minPast:
		gap = median(cal.past)
	}
	return max(min(round(gap), shortestCycle), 1.0/24/60)
}

// median of the gaps between the last runs, which some missed nights or runs by hand do not change.
func median(past []time.Time) float64 {
	past = past[max(0, len(past)-pastRuns):]
	var gaps []float64
	for i := 1; i < len(past); i++ {
		gaps = append(gaps, past[i].Sub(past[i-1]).Hours()/24)
	}
	slices.Sort(gaps)
	return gaps[len(gaps)/2]
}

// round gives whole days, or a whole part of a day: runs do not begin to the second.
func round(days float64) float64 {
	if days >= 0.75 {
		return math.Round(days)
	}
	return 1 / math.Max(1, math.Round(1/days))
}

// idleWeekdays are the days of the week that have been without a run for as long as the last weeks are known, where runs
// are nightly otherwise.
func (cal calendar) idleWeekdays() [7]bool {
	const weeks = 3
	var idle, ran [7]bool
	n := len(cal.past)
	if cal.gapDays != 1 || n == 0 {
		return idle
	}
	last := cal.past[n-1]
	if last.Sub(cal.past[0]) < weeks*7*24*time.Hour {
		return idle
	}
	count := 0
	for _, at := range slices.Backward(cal.past) {
		if last.Sub(at) >= weeks*7*24*time.Hour {
			break
		}
		if !ran[at.Weekday()] {
			ran[at.Weekday()] = true
			count++
		}
	}
	for day := range idle {
		idle[day] = !ran[day] && count >= 4
	}
	return idle
}

// pastOf gives the times of the runs that left dumps.
func pastOf(now time.Time, images []*Image) []time.Time {
	seen := map[catalog.Stamp]bool{}
	var past []time.Time
	for _, img := range images[:min(len(images), pastImages)] {
		for _, d := range img.Dumps[max(0, len(img.Dumps)-4*pastRuns):] {
			if !seen[d.Stamp] {
				seen[d.Stamp] = true
				past = append(past, d.Stamp.Time(now.Location()))
			}
		}
	}
	slices.SortFunc(past, time.Time.Compare)
	return past
}

// addDays goes by the calendar for whole days, so that a run stays at its hour when the clocks change.
func addDays(t time.Time, days float64) time.Time {
	whole, part := math.Modf(days)
	return t.AddDate(0, 0, int(whole)).Add(time.Duration(part * 24 * float64(time.Hour)))
}

// grace is how much later than its time a full is still on time: half the time between two runs, at most half a day and
// half the cycle.
func (cal calendar) grace(cycleDays float64) time.Duration {
	return time.Duration(min(graceDays, cal.gapDays/2, cycleDays/2) * 24 * float64(time.Hour))
}

// lastInTime is the place of the last coming run that is not late for something due at the given time: 0 when even this
// run is late, len(runs)-1 when all but the last are known to be in time.
func (cal calendar) lastInTime(due time.Time, grace time.Duration) int {
	n, _ := slices.BinarySearchFunc(cal.runs, due.Add(grace), time.Time.Compare)
	return max(0, n-1)
}

// period is how many runs there are in a cycle.
func (cal calendar) period(cycleDays float64) int {
	n := cal.lastInTime(addDays(cal.runs[0], cycleDays), cal.grace(cycleDays))
	if n < len(cal.runs)-1 {
		return max(1, n)
	}
	return max(1, n, int(math.Round(cycleDays/cal.gapDays)))
}

// days between two runs.
func daysBetween(from, to time.Time) float64 { return max(0, to.Sub(from).Hours()/24) }
