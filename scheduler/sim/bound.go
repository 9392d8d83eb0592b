package sim

import "math"

// LeastBytes is what the nights of a workload take at least, however they are planned: for each disk alone, the cheapest
// sequence of levels with a full within each cycle and levels up to the highest, known beforehand and without a thought for how
// even the nights are. No plan can take less.
func LeastBytes(w *Workload, cycle, maxLevel int) int64 {
	var sum int64
	for _, d := range w.Disks {
		sum += d.least(w, cycle, maxLevel)
	}
	return sum
}

// least goes through all states after a night: the night of the full, and of the latest level 1. With levels above 2 it is
// a bound all the same, as a level 2 is then taken to hold one night's changes only.
func (d *Disk) least(w *Workload, cycle, maxLevel int) int64 {
	type state struct{ full, first int } // first: the night of the latest level 1, or of the full
	costs := map[state]int64{}
	began := false
	for night := d.From; night < w.Nights && d.Listed(night); night++ {
		if !w.Runs(night) || !d.Reachable(night) {
			continue
		}
		next := map[state]int64{}
		put := func(s state, bytes int64) {
			if have, ok := next[s]; !ok || bytes < have {
				next[s] = bytes
			}
		}
		cheapest := int64(math.MaxInt64)
		for s, bytes := range costs {
			cheapest = min(cheapest, bytes)
			if night-s.full >= cycle {
				continue
			}
			put(state{s.full, night}, bytes+d.Changed(s.full, night))
			if maxLevel >= 2 && s.first > s.full {
				base := s.first
				if maxLevel > 2 {
					base = night - 1
				}
				put(s, bytes+d.Changed(base, night))
			}
		}
		if !began {
			cheapest, began = 0, true
		}
		put(state{night, night}, cheapest+d.Bytes(night))
		costs = next
	}
	least := int64(math.MaxInt64)
	for _, bytes := range costs {
		least = min(least, bytes)
	}
	if !began {
		return 0
	}
	return least
}
