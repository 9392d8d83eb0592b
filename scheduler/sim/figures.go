package sim

import (
	"math"
	"slices"

	"holdfast/catalog"
)

// Figures sum up what the nights of a replay came to.
type Figures struct {
	// MaxToMean is the largest night over the mean one, Variation the coefficient of variation (standard deviation over
	// mean), both after the first cycle; Variation2 after the second.
	MaxToMean  float64 `json:"max_to_mean"`
	Variation  float64 `json:"variation"`
	Variation2 float64 `json:"variation_after_two_cycles"`
	// CycleBytes is the mean of a cycle after the first; TotalBytes the sum of all nights.
	CycleBytes int64 `json:"cycle_bytes"`
	TotalBytes int64 `json:"total_bytes"`
	// LateFulls counts the fulls made more than a cycle after the one before, LateNights the nights by which all disks were beyond
	// their cycle, or without any full since they were added.
	LateFulls  int `json:"late_fulls"`
	LateNights int `json:"late_nights"`
	// LongestLate is the longest time in nights that a disk was beyond its cycle.
	LongestLate int `json:"longest_late"`
	Fulls       int `json:"fulls"`
	Promotions  int `json:"promotions"`
	// LongestChain is how many dumps the longest restore reads.
	LongestChain int `json:"longest_chain"`
	// NotDumped counts each disk in each night that it was on the list and got no dump, though there was a run.
	NotDumped int `json:"not_dumped"`
}

// Measure gives the figures of a replay's rows. Nights of the workload without a run count as nights for due dates, but
// not for the load.
func Measure(w *Workload, rows []Row, cycle int) Figures {
	var f Figures
	bytes := make([]float64, w.Nights)
	levels := make([]map[string]catalog.Level, w.Nights)
	for _, r := range rows {
		if r.Night >= w.Nights || r.Level < 0 || r.Result == ResultFailed || r.Result == ResultSkipped {
			continue
		}
		bytes[r.Night] += float64(r.Bytes)
		f.TotalBytes += r.Bytes
		if levels[r.Night] == nil {
			levels[r.Night] = map[string]catalog.Level{}
		}
		levels[r.Night][r.Disk] = r.Level
		if r.Level == 0 {
			f.Fulls++
		}
		if r.Promoted > 0 {
			f.Promotions++
		}
	}
	f.MaxToMean, f.Variation, f.CycleBytes = w.spread(bytes, cycle, cycle)
	_, f.Variation2, _ = w.spread(bytes, 2*cycle, cycle)
	for _, d := range w.Disks {
		f.disk(w, d, levels, cycle)
	}
	return f
}

// spread gives maximum to mean, coefficient of variation and bytes a cycle of the nights with a run from one on.
func (w *Workload) spread(bytes []float64, from, cycle int) (maxToMean, variation float64, cycleBytes int64) {
	var nights []float64
	for n := from; n < len(bytes); n++ {
		if !w.norun[n] {
			nights = append(nights, bytes[n])
		}
	}
	if len(nights) == 0 {
		return 0, 0, 0
	}
	var sum, squares float64
	for _, b := range nights {
		sum += b
	}
	mean := sum / float64(len(nights))
	for _, b := range nights {
		squares += (b - mean) * (b - mean)
	}
	if mean == 0 {
		return 0, 0, 0
	}
	return slices.Max(nights) / mean, math.Sqrt(squares/float64(len(nights))) / mean, int64(mean * float64(cycle))
}

// disk counts for one disk.
func (f *Figures) disk(w *Workload, d *Disk, levels []map[string]catalog.Level, cycle int) {
	full := d.From - 1 // the night of the last one; a new disk is to have its first in its first night
	due := d.From
	var chain []catalog.Level
	for night := d.From; night < w.Nights && d.Listed(night); night++ {
		if !w.Runs(night) {
			continue
		}
		level, ok := levels[night][d.Name]
		switch {
		case !ok:
			f.NotDumped++
		case level == 0:
			if full >= d.From && night > due {
				f.LateFulls++
			}
			full, due, chain = night, night+cycle, []catalog.Level{0}
		default:
			for len(chain) > 0 && chain[len(chain)-1] >= level {
				chain = chain[:len(chain)-1]
			}
			chain = append(chain, level)
		}
		f.LongestChain = max(f.LongestChain, len(chain))
		if level != 0 || !ok {
			if night >= due {
				f.LateNights++
				f.LongestLate = max(f.LongestLate, night-due+1)
			}
		}
	}
}
