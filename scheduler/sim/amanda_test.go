package sim_test

import (
	"cmp"
	"math"
	"slices"

	"holdfast/catalog"
	"holdfast/scheduler/sim"
)

// amanda is the planner of Amanda 3.5, re-created from its rules as a pure model: exact estimates, one host, no compression,
// one storage. It is what ours is measured against where no run of the real one is at hand; on the recorded workload the
// two are compared (TestAmandaModel).
type amanda struct {
	cycle              int
	capacity           int64
	bumpPercent        float64
	bumpMult           float64
	bumpDays           int
	blockBytes, marks  int64
	disks              []*amandaDisk
	night              int
	total, full, limit int64
}

type amandaDisk struct {
	d            *sim.Disk
	full         int // night of the last full, -1: never
	last, runs   int
	at           map[int]int // night of the latest dump at each level
	next         int         // nights until the full is due
	level, below int         // chosen, and the degraded level (-1: none)
	size, small  int64
	dropped      bool
}

const overhead = 32<<10 + 1<<10

// inc is the size of a dump at a level.
func (a *amanda) inc(d *amandaDisk, level int) int64 {
	base := -1
	for l, night := range d.at {
		if l < level {
			base = max(base, night)
		}
	}
	return d.d.Changed(base, a.night)
}

// incremental is Amanda's rule for the level.
func (a *amanda) incremental(d *amandaDisk) int {
	if d.last == 0 {
		return 1
	}
	l := d.last
	t := float64(d.d.Bytes(0)) * a.bumpPercent / 100 * math.Pow(a.bumpMult, float64(l-1))
	here := float64(a.inc(d, l))
	if d.runs < a.bumpDays || here <= t || here-float64(a.inc(d, l+1)) < t {
		return l
	}
	return l + 1
}

// run plans and makes one night.
func (a *amanda) run(list []*amandaDisk) []sim.Row {
	a.total, a.full = 2*overhead, 0
	var balanced int64
	for _, d := range list {
		d.next, d.dropped, d.below = a.cycle-(a.night-d.full), false, -1
		balanced += d.d.Bytes(0) / int64(a.cycle)
		switch {
		case d.full < 0:
			d.next, d.level, d.size = -20_000, 0, d.d.Bytes(0)
		case d.next <= 0:
			d.level, d.size = 0, d.d.Bytes(0)
			d.below = a.incremental(d)
			d.small = a.inc(d, d.below)
		default:
			d.level = a.incremental(d)
			d.size = a.inc(d, d.level)
		}
		a.add(d, 1)
	}
	// Priority first (days overdue), then the large ones.
	queue := slices.Clone(list)
	slices.SortStableFunc(queue, func(x, y *amandaDisk) int {
		return cmp.Or(cmp.Compare(min(0, x.next), min(0, y.next)), cmp.Compare(y.size, x.size))
	})
	a.delay(queue)
	a.promote(queue, balanced)
	return a.make(queue)
}

func (a *amanda) add(d *amandaDisk, n int64) {
	a.total += n * (d.size + overhead)
	if d.level == 0 {
		a.full += n * d.size
	}
}

// delay makes the plan fit, as the reference tells it: new disks are passed over, the most recent full goes first.
func (a *amanda) delay(queue []*amandaDisk) {
	if a.total <= a.capacity {
		return
	}
	type change struct {
		d     *amandaDisk
		size  int64
		level int
	}
	var undo []change
	set := func(d *amandaDisk) {
		undo = append(undo, change{d, d.size, d.level})
		a.add(d, -1)
		if d.level == 0 && d.below >= 0 {
			d.level, d.size = d.below, d.small
			a.add(d, 1)
			return
		}
		d.dropped = true
	}
	for _, d := range queue {
		if d.size > a.capacity {
			set(d)
		}
	}
	preserved := queue[slices.IndexFunc(queue, func(d *amandaDisk) bool { return true })]
	for _, d := range queue {
		if d.level == 0 {
			preserved = d
			break
		}
	}
	for a.total > a.capacity {
		var pick *amandaDisk
		for _, d := range slices.Backward(queue) {
			if d.level == 0 && !d.dropped && d != preserved && d.full >= 0 && (pick == nil || d.full > pick.full) {
				pick = d
			}
		}
		if pick == nil {
			break
		}
		set(pick)
	}
	incs := slices.Clone(queue)
	slices.SortStableFunc(incs, func(x, y *amandaDisk) int { return cmp.Compare(x.size, y.size) })
	for _, d := range incs {
		if a.total <= a.capacity {
			break
		}
		if d.level > 0 && !d.dropped {
			set(d)
		}
	}
	for _, c := range slices.Backward(undo) {
		more := c.size + overhead
		if !c.d.dropped {
			more -= c.d.size + overhead
		}
		if a.total+more > a.capacity {
			continue
		}
		if !c.d.dropped {
			a.add(c.d, -1)
		}
		c.d.level, c.d.size, c.d.dropped = c.level, c.size, false
		a.add(c.d, 1)
	}
}

// promote makes fulls early while they are below the balance: the scores of one host.
func (a *amanda) promote(queue []*amandaDisk, balanced int64) {
	slack := balanced / 20
	for balanced-a.full > slack {
		var pick *amandaDisk
		best := math.MinInt
		for _, d := range queue {
			if d.level == 0 || d.dropped || d.next <= 0 || a.total-d.size+d.d.Bytes(0) > a.capacity {
				continue
			}
			today, same := 0, 0
			for _, o := range queue {
				if o.level == 0 {
					today++
				} else if o.next == d.next {
					same++
				}
			}
			if today > 0 && a.full+d.d.Bytes(0) > balanced+slack || today == 0 && same == 1 {
				continue
			}
			if today == 0 && same > 1 {
				same++
			}
			score := same - today*today
			if score >= 0 {
				score *= score
			} else {
				score = -today * today
			}
			if score += a.cycle - d.next; score > best {
				best, pick = score, d
			}
		}
		if pick == nil {
			return
		}
		a.add(pick, -1)
		pick.level, pick.size = 0, pick.d.Bytes(0)
		a.add(pick, 1)
	}
}

// make writes what is planned, in the order of the queue, as far as the volume goes: what does not fit fails.
func (a *amanda) make(queue []*amandaDisk) []sim.Row {
	var rows []sim.Row
	room := a.capacity - 2*overhead
	for _, d := range queue {
		row := sim.Row{Night: a.night, Disk: d.d.Name, Level: catalog.Level(d.level), Bytes: d.size, Result: sim.ResultOK}
		if d.dropped || d.size+overhead > room {
			row.Level, row.Bytes, row.Result = -1, 0, sim.ResultFailed
			rows = append(rows, row)
			continue
		}
		room -= d.size + overhead
		if d.level == 0 {
			row.Promoted = max(0, d.next)
			d.full = a.night
			clear(d.at)
		}
		if d.level != d.last {
			d.runs = 0
		}
		for l := range d.at {
			if l >= d.level {
				delete(d.at, l)
			}
		}
		d.last, d.at[d.level] = d.level, a.night
		d.runs++
		rows = append(rows, row)
	}
	return rows
}

// amandaRuns takes Amanda's rules through a workload.
func amandaRuns(w *sim.Workload, capacity int64) []sim.Row {
	a := &amanda{cycle: 7, capacity: capacity, bumpPercent: 20, bumpMult: 4, bumpDays: 1}
	disks := make([]*amandaDisk, len(w.Disks))
	for i, d := range w.Disks {
		disks[i] = &amandaDisk{d: d, full: -1, last: -1, at: map[int]int{}}
	}
	var rows []sim.Row
	for night := range w.Nights {
		if !w.Runs(night) {
			continue
		}
		a.night = night
		var list []*amandaDisk
		for i, d := range w.Disks {
			switch {
			case !d.Listed(night):
			case !d.Reachable(night):
				rows = append(rows, sim.Row{Night: night, Disk: d.Name, Level: -1, Result: sim.ResultFailed})
			default:
				list = append(list, disks[i])
			}
		}
		if len(list) > 0 {
			rows = append(rows, a.run(list)...)
		}
	}
	return rows
}
