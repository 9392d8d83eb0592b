package scheduler

import (
	"math"
	"time"

	"holdfast/catalog"
)

// bumpFrom and bumpTo are the parts of the threshold between which a forecast saving makes a bump more and more likely.
const bumpFrom, bumpTo = 0.8, 1.2

// forecast is what one image is expected to put on the media in the coming runs.
type forecast struct {
	c *choice
	// waiting is the bytes in each coming run as long as the next full has not been made; fresh is the bytes so many runs after a
	// full, the first being the full itself. Their levels stand beside them.
	waiting, fresh             []float64
	waitingLevels, freshLevels []catalog.Level
	// growth is what a full grows by from run to run.
	growth float64
	// period is how many runs the cycle has; mean the bytes a run over a whole cycle.
	period int
	mean   float64
	// seconds a byte on the media takes.
	seconds float64
	// night is the run the next full is planned for: len(waiting) when it is beyond those looked at, -1 for never. It is
	// between first and last.
	night, first, last int
	// price is what the full costs in each run beyond what all runs hold: each run that it is earlier costs the mean of a cycle's
	// run, for all later fulls come earlier by it, and saves the incremental that the run would have had. It is negative
	// where incrementals have grown above the mean.
	price []float64
}

// layer is a dump that later ones may build on: its level, the day it was made (tonight is 0), and how many bytes differ from
// it tonight, negative when the curve tells.
type layer struct {
	level catalog.Level
	day   float64
	known float64
}

// walker takes one image through coming runs.
type walker struct {
	policy Policy
	est    *estimates
	layers []layer
	last   catalog.Level
	runs   int
}

// changed is how many bytes differ on a day from a layer.
func (w *walker) changed(l layer, day float64) float64 {
	var bytes float64
	if l.known < 0 {
		bytes = w.est.changes.after(day - l.day)
	} else {
		bytes = l.known
		if day > 0 {
			bytes *= math.Pow((day-l.day)/-l.day, w.est.changes.power)
		}
	}
	return min(bytes, float64(w.est.full.orig))
}

// size is the bytes of a dump at a level on a day.
func (w *walker) size(level catalog.Level, day float64) float64 {
	for i := len(w.layers) - 1; i >= 0; i-- {
		if w.layers[i].level < level {
			return w.changed(w.layers[i], day)
		}
	}
	return float64(w.est.full.orig)
}

// next is the level of an incremental on a day, by the rules of nextLevel, and its size.
func (w *walker) next(day float64) (catalog.Level, float64) {
	level := w.last
	switch top := w.policy.top(); {
	case w.last == 0 || w.policy.Strategy == StrategyNoFull:
		level = 1
	case w.last >= top:
		level = top
	case w.runs >= w.policy.BumpDays:
		stay, up := w.size(w.last, day), w.size(w.last+1, day)
		likely := bumpLikely((stay - up) / max(1, w.policy.threshold(w.last, float64(w.est.full.orig))))
		bytes := likely*up + (1-likely)*stay
		if likely > 0.5 {
			return w.last + 1, bytes
		}
		return w.last, bytes
	}
	return level, w.size(level, day)
}

// bumpLikely is how likely the next level is used that is forecast to save so many times the threshold: a forecast near to it
// says little, and to take it at its word would plan for too small a night.
func bumpLikely(saving float64) float64 {
	return min(1, max(0, (saving-bumpFrom)/(bumpTo-bumpFrom)))
}

// made puts a dump of this level on top.
func (w *walker) made(level catalog.Level, day float64) {
	n := len(w.layers)
	for n > 0 && w.layers[n-1].level >= level {
		n--
	}
	w.layers = append(w.layers[:n], layer{level, day, -1})
	if level != w.last {
		w.runs = 0
	}
	w.last = level
	w.runs++
}

// newForecast reckons an image's coming runs; day is how many days from now each is, cost what bytes take on the media.
func newForecast(c *choice, cal calendar, day []float64, cost func(int64) int64) *forecast {
	n := len(day)
	f := &forecast{c: c, period: cal.period(c.img.Policy.CycleDays), night: -1}
	bytes, levels := make([]float64, 2*n), make([]catalog.Level, 2*n)
	f.waiting, f.fresh, f.waitingLevels, f.freshLevels = bytes[:n:n], bytes[n:], levels[:n:n], levels[n:]
	f.first, f.last = 0, min(c.due.night, n)
	if c.img.Policy.CycleDays == 0 || c.img.Policy.Strategy == StrategyNoInc || c.img.Policy.MaxChain == 1 {
		f.period = 1
	}
	stored := func(orig float64) float64 {
		if orig <= 0 {
			return float64(cost(1))
		}
		return float64(cost(int64(orig*c.est.ratio) + 1))
	}
	f.wait(day, stored)
	f.start(day[:min(n, f.period)], stored, cost)
	f.growth = c.est.growth * cal.gapDays * float64(c.est.full.stored) / float64(max(1, c.est.full.orig))
	f.seconds = c.pace.full(c.est.full.orig) / float64(max(1, c.est.full.stored))
	return f
}

// wait reckons the runs without a full; nothing in those of an image that has none yet or gets incrementals never.
func (f *forecast) wait(day []float64, stored func(float64) float64) {
	est := &f.c.est
	w := walker{policy: f.c.img.Policy, est: est, last: est.last, runs: est.runs}
	for i := len(est.chain) - 1; i >= 0; i-- {
		w.layers = append(w.layers, layer{est.chain[i].Level, -est.ages[i], est.known[i]})
	}
	for n := range day {
		f.waitingLevels[n] = -1
		if est.last < 0 || f.c.img.Policy.SkipIncr || f.c.img.MustFull != "" {
			continue
		}
		level, bytes := w.next(day[n])
		if tonight := f.c.tonight(); n == 0 && tonight != nil {
			level, bytes = tonight.Level, float64(tonight.OrigBytes)
		}
		f.waiting[n], f.waitingLevels[n] = stored(bytes), level
		w.made(level, day[n])
	}
}

// tonight is the incremental of this run, nil when there is none.
func (c *choice) tonight() *Entry {
	switch {
	case c.dropped == "" && c.entry.Level > 0:
		return &c.entry
	case c.degraded != nil:
		return c.degraded
	}
	return nil
}

// start reckons the runs from a full on.
func (f *forecast) start(day []float64, stored func(float64) float64, cost func(int64) int64) {
	f.fresh, f.freshLevels = f.fresh[:len(day)], f.freshLevels[:len(day)]
	w := walker{policy: f.c.img.Policy, est: &f.c.est, layers: []layer{{0, 0, -1}}, runs: 1}
	f.fresh[0] = float64(cost(f.c.est.full.stored))
	total := f.fresh[0]
	for n := 1; n < len(day); n++ {
		if f.c.img.Policy.SkipIncr {
			f.freshLevels[n] = -1
			continue
		}
		level, bytes := w.next(day[n])
		f.fresh[n], f.freshLevels[n] = stored(bytes), level
		w.made(level, day[n])
		total += f.fresh[n]
	}
	beyond := f.period - len(day)
	f.mean = (total + float64(beyond)*f.fresh[len(f.fresh)-1]) / float64(f.period)
}

// in gives the bytes of a coming run if the next full is made in the given one.
func (f *forecast) in(run, full int) float64 {
	if run < full || full < 0 {
		return f.waiting[run]
	}
	since := (run - full) % f.period
	if since >= len(f.fresh) {
		since = len(f.fresh) - 1
	}
	if since == 0 {
		return max(0, f.fresh[0]+f.growth*float64(run))
	}
	return f.fresh[since]
}

// levelIn is the level that goes with in.
func (f *forecast) levelIn(run, full int) catalog.Level {
	if run < full || full < 0 {
		return f.waitingLevels[run]
	}
	return f.freshLevels[min((run-full)%f.period, len(f.freshLevels)-1)]
}

// dayOf gives how many days from now a run is.
func dayOf(runs []time.Time) []float64 {
	day := make([]float64, len(runs))
	for i, at := range runs {
		day[i] = at.Sub(runs[0]).Hours() / 24
	}
	return day
}
