package scheduler

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"holdfast/catalog"
)

// dateForm is that of a night in a reason.
const dateForm = "2006-01-02"

// Weights of what the outlook minimizes: the sum over the coming runs of the square of a run's deviation from the mean one,
// as a part of it. They were chosen over a dozen made-up sites: more weight on bytes or promotions means less level nights.
const (
	// weightBytes is that of all bytes more than without promotions, as a part of the mean night.
	weightBytes = 0.2
	// weightPromote is that of the fulls that are early, as a part of the mean night, weightNight that of each night by which one is.
	weightPromote, weightNight = 0.03, 0.00001
	// weightRisk is that of a full that is left to the last run in time, as a part of the mean night: a missed night, or an image
	// that cannot be read, makes it late.
	weightRisk = 0.03
	// weightOver is that of what a night is forecast to hold too much, as a part of the mean night.
	weightOver = 2.0
	// margin is by how much less than the mean later nights are to hold. What they lack tonight's choice can fill up when
	// it comes to them; what they have too much it cannot take away.
	// It counts for small deviations only: a night that one large full fills is not made better by moving it.
	margin, marginWithin = 0.01, 0.2
	// leastGain is what a move has to gain.
	leastGain = 1e-9
	// leastRound is what a pass over all images has to gain for another one.
	leastRound = 1e-6
	// rounds bounds the passes over all images.
	rounds = 12
)

// outlook is the coming runs and what each image puts into them.
type outlook struct {
	in    Input
	cal   calendar
	fit   *fitting
	items []*forecast
	// bytes and seconds are the sums of the coming runs, with the mean they should have.
	bytes, seconds         []float64
	meanBytes, meanSeconds float64
	// room and time bound a run; 0: no limit.
	room, time float64
}

func newOutlook(in Input, cal calendar, f *fitting) *outlook {
	o := &outlook{in: in, cal: cal, fit: f}
	n := len(cal.runs) - 1
	o.bytes, o.seconds = make([]float64, n), make([]float64, n)
	day := dayOf(cal.runs[:n])
	for _, c := range f.choices {
		item := newForecast(c, cal, day, in.Capacity.cost)
		if c.dropped != "" {
			item.waiting[0], item.waitingLevels[0] = 0, -1
		}
		o.items = append(o.items, item)
		o.meanBytes += o.long(item)
		o.meanSeconds += o.long(item) * item.seconds
	}
	o.room = float64(f.limits[0].room)
	if in.Window.Length > 0 {
		o.time = in.Window.Length.Seconds() * float64(max(1, in.Window.Parallel))
	}
	o.start()
	return o
}

// long is what an image puts into a run in the long term.
func (o *outlook) long(item *forecast) float64 {
	if item.c.due.never && item.c.est.last >= 0 {
		return item.waiting[len(item.waiting)-1]
	}
	return item.mean
}

// start places each full in the last run that is in time; those that were put off or left out come after.
func (o *outlook) start() {
	var behind []*forecast
	for _, item := range o.items {
		c := item.c
		switch {
		case c.dropped == "" && c.entry.Level == 0:
			item.night, item.first, item.last = 0, 0, 0
		case c.due.never && c.est.last >= 0:
			item.night, item.first, item.last = -1, -1, -1
		case item.last == 0:
			behind = append(behind, item)
			continue
		default:
			item.night = item.last
			if !c.early || c.dropped != "" {
				item.first = min(1, item.last)
			}
			o.bound(item)
		}
		o.put(item, 1)
	}
	slices.SortStableFunc(behind, func(a, b *forecast) int {
		return cmp.Or(cmp.Compare(b.c.urgency, a.c.urgency), cmp.Compare(a.fresh[0], b.fresh[0]), cmp.Compare(a.c.order, b.c.order))
	})
	for _, item := range behind {
		o.place(item)
	}
}

// bound keeps a promotion within what the policy allows.
func (o *outlook) bound(item *forecast) {
	days := item.c.img.Policy.MaxPromoteDays
	switch {
	case days < 0 || item.c.img.Policy.SkipFull:
		item.first = item.last
	case days > 0:
		for item.first < item.last && o.cal.runs[item.last].Sub(o.cal.runs[item.first]).Hours()/24 > days+graceDays {
			item.first++
		}
	}
}

// place puts a full that does not fit tonight into the first later run that has room for it, or can have it when what is
// due there is made earlier.
func (o *outlook) place(item *forecast) {
	n := len(o.bytes)
	item.night = n
	free := o.room - o.bytes[0]
	for run := 1; run < n; run++ {
		free += o.room - o.bytes[run]
		if o.room == 0 || free >= item.fresh[0]-item.waiting[run] {
			item.night = run
			break
		}
		free = max(0, free)
	}
	item.first, item.last = item.night, item.night
	o.put(item, 1)
}

// put books an image's coming runs, n times.
func (o *outlook) put(item *forecast, n float64) {
	for run := range o.bytes {
		bytes := item.in(run, item.night)
		if run == 0 && item.c.dropped != "" {
			bytes = 0
		}
		o.bytes[run] += n * bytes
		o.seconds[run] += n * bytes * item.seconds
	}
}

// level moves fulls between the coming runs as long as that makes them more equal, and makes those tonight that end there.
func (o *outlook) level() {
	free := slices.DeleteFunc(slices.Clone(o.items), func(item *forecast) bool { return item.first >= item.last })
	slices.SortStableFunc(free, func(a, b *forecast) int { return cmp.Compare(b.fresh[0], a.fresh[0]) })
	o.setPrices(free)
	for range rounds {
		gain := 0.0
		for _, item := range free {
			gain += o.move(item)
		}
		if len(free) <= swapImages && o.swap(free) {
			continue
		}
		if gain < leastRound {
			break
		}
	}
	o.promote(free)
	o.relieve()
	o.ease()
	for _, item := range o.items {
		o.promise(item)
	}
}

// promise says when a full comes that does not fit tonight.
func (o *outlook) promise(item *forecast) {
	c := item.c
	if !c.putOff && c.why.Kind != KindNoRoom && c.why.Kind != KindBase || item.night < 1 || item.night >= len(o.bytes) {
		return
	}
	next := o.cal.runs[item.night]
	words := ", planned for " + next.Format(dateForm)
	if c.dropped != "" {
		c.why.Next = next
		c.dropped += words
		return
	}
	c.entry.Why.Next = next
	c.entry.Note = strings.TrimSuffix(c.entry.Note, ".") + words + "."
}

// swapImages is up to how many images pairs are tried: beyond, single moves are fine enough.
const swapImages = 64

// move takes one full to the run where it does most good, and tells how much.
func (o *outlook) move(item *forecast) float64 {
	best, gain := item.night, leastGain
	for run := item.first; run <= item.last; run++ {
		if run == item.night {
			continue
		}
		if less := -o.delta(item, run); less > gain && (run > 0 || o.fitsTonight(item)) {
			best, gain = run, less
		}
	}
	if best == item.night {
		return 0
	}
	o.shift(item, best)
	return gain
}

// swap exchanges the runs of two fulls.
func (o *outlook) swap(free []*forecast) bool {
	moved := false
	for _, a := range free {
		for _, b := range free {
			if a.night == b.night || b.night < a.first || b.night > a.last || a.night < b.first || a.night > b.last {
				continue
			}
			was, other := a.night, b.night
			more := o.delta(a, other)
			o.shift(a, other)
			if more+o.delta(b, was) < -leastGain {
				o.shift(b, was)
				if was > 0 && other > 0 || o.tonightHolds() {
					moved = true
					continue
				}
				o.shift(b, other)
			}
			o.shift(a, was)
		}
	}
	return moved
}

// fitsTonight tells whether a full has room in this run.
func (o *outlook) fitsTonight(item *forecast) bool {
	if o.room == 0 && len(o.fit.limits) == 1 {
		return true
	}
	full := item.c.asFull()
	return o.fit.exceeded(&full, &item.c.entry) == nil && (o.room == 0 || o.bytes[0]+item.fresh[0]-item.waiting[0] <= o.room)
}

// asFull is the entry of a full made early.
func (c *choice) asFull() Entry {
	return Entry{
		DLE: c.img.DLE, CloneOf: c.img.Base, Priority: c.img.Policy.Priority,
		OrigBytes: c.est.full.orig, StoredBytes: c.est.full.stored, Seconds: c.pace.full(c.est.full.orig),
	}
}

// tonightHolds tells whether all that was moved to this run fits it.
func (o *outlook) tonightHolds() bool {
	return !slices.ContainsFunc(o.fit.limits, func(l *limit) bool { return l.room > 0 && l.free(true) < 0 })
}

// shift moves a full, and books it while it is tonight.
func (o *outlook) shift(item *forecast, run int) {
	o.put(item, -1)
	if tonight := item.night == 0; tonight != (run == 0) {
		n := int64(1)
		if tonight {
			n = -1
		}
		full := item.c.asFull()
		o.fit.take(&full, n)
		o.fit.take(&item.c.entry, -n)
	}
	item.night = run
	o.put(item, 1)
}

// delta is by how much the outlook changes when a full moves: how level it is, and the price in bytes and promotions.
func (o *outlook) delta(item *forecast, to int) float64 {
	from := item.night
	sum := item.price[to] - item.price[from]
	for run := max(0, min(from, to)); run < len(o.bytes); run++ {
		more := item.in(run, to) - item.in(run, from)
		if more != 0 {
			sum += o.cost(run, o.bytes[run]+more, o.seconds[run]+more*item.seconds) - o.cost(run, o.bytes[run], o.seconds[run])
		}
	}
	return sum
}

// setPrices reckons what the full of each image costs in each run: the bytes that it costs in the long term, and that it is
// early at all; in the last run in time, that it may become late.
func (o *outlook) setPrices(items []*forecast) {
	n := len(o.bytes) + 1
	all := make([]float64, n*len(items))
	for i, item := range items {
		item.price = all[i*n : (i+1)*n]
		for run := range item.price {
			item.price[run] = weightRisk * item.fresh[0] / o.meanBytes
		}
		extra := 0.0
		for run := min(item.last, n-1) - 1; run >= 0; run-- {
			extra += item.mean - item.waiting[run]
			item.price[run] = (weightBytes*extra+weightPromote*item.fresh[0])/o.meanBytes + weightNight*float64(item.last-run)
		}
	}
}

// cost of a run that holds so much.
func (o *outlook) cost(run int, bytes, seconds float64) float64 {
	off := bytes/o.meanBytes - 1
	sum := off * off
	if run > 0 && math.Abs(off) < marginWithin {
		sum += 2 * margin * off
	}
	if o.room > 0 && bytes > o.room {
		sum += weightOver * (bytes - o.room) / o.meanBytes
	}
	if o.meanSeconds > 0 {
		off := seconds/o.meanSeconds - 1
		sum += off * off
		if o.time > 0 && seconds > o.time {
			sum += weightOver * (seconds - o.time) / o.meanSeconds
		}
	}
	return sum
}

// promote makes tonight the fulls that were moved here.
func (o *outlook) promote(free []*forecast) {
	for _, item := range free {
		c := item.c
		if item.night != 0 {
			continue
		}
		full := c.asFull()
		due := o.cal.runs[item.last]
		nights := item.last
		full.Why = Why{Kind: KindPromoted, Due: c.due.by, PromotedNights: nights}
		full.Reason = fmt.Sprintf("promoted from %s (%s early) to level the nights", due.Format(dateForm), plural(nights, "night"))
		full.Note = fmt.Sprintf("Full dump of %s promoted from %s ahead.", c.img.DLE, days(math.Round(due.Sub(o.in.Now).Hours()/24)))
		inc := c.entry
		c.degraded, c.entry, c.promoted = &inc, full, true
	}
}

// tell writes the outlook into the plan.
func (o *outlook) tell(plan *Plan) {
	for run := range o.bytes {
		plan.Nights = append(plan.Nights, Night{At: o.cal.runs[run], Seconds: o.seconds[run]})
	}
	n := len(o.bytes)
	plan.Schedule = slices.Grow(plan.Schedule, len(o.items))
	coming, levels := make([]int64, n*len(o.items)), make([]catalog.Level, n*len(o.items))
	for i, item := range o.items {
		plan.Schedule = append(plan.Schedule, o.due(item, plan.Nights))
		d := &plan.Schedule[i]
		d.Coming, d.Levels = coming[i*n:(i+1)*n:(i+1)*n], levels[i*n:(i+1)*n:(i+1)*n]
		o.fill(item, d, plan.Nights)
	}
}

// due is one image's line of the schedule.
func (o *outlook) due(item *forecast, nights []Night) Due {
	c := item.c
	d := Due{
		DLE: c.img.DLE, LastFull: c.due.last, DueBy: c.due.by, Overdue: c.due.overdue, Night: item.night,
		FullBytes: int64(item.fresh[0]),
	}
	switch {
	case item.night < 0:
		d.DueBy, d.Overdue = time.Time{}, 0
	case item.night < len(nights):
		d.Planned = nights[item.night].At
	default:
		d.Night = -1
	}
	return d
}

// fill tells what the image puts into each coming run, and adds it to them.
func (o *outlook) fill(item *forecast, d *Due, nights []Night) {
	c := item.c
	for run := range nights {
		bytes, level := int64(item.in(run, item.night)), item.levelIn(run, item.night)
		switch {
		case run == 0 && c.dropped != "":
			bytes, level = 0, -1
		case run == 0:
			bytes, level = o.in.Capacity.cost(c.entry.StoredBytes), c.entry.Level
		}
		d.Coming[run], d.Levels[run] = bytes, level
		if level < 0 {
			continue
		}
		night := &nights[run]
		night.Bytes += bytes
		night.Dumps++
		if level == 0 {
			night.Fulls++
			night.FullBytes += bytes
		}
	}
}
