package sim

import (
	"time"

	"holdfast/catalog"
)

// Night is what one night of a simulation came to.
type Night struct {
	Night int       `json:"night"`
	Date  time.Time `json:"date"`
	Bytes int64     `json:"bytes"`
	// Levels counts the dumps of each level, from 0.
	Levels  [10]int `json:"levels"`
	Late    int     `json:"late"`
	Failed  int     `json:"failed"`
	Skipped int     `json:"skipped"`
	// VolumesFilled is how many volumes the night began, VolumesUsed how many hold anything after it, SpaceBytes what they take.
	VolumesFilled int   `json:"volumes_filled"`
	VolumesUsed   int   `json:"volumes_used"`
	SpaceBytes    int64 `json:"space_bytes"`
	// HoldingBytes is what the holding disk has to hold at most: all dumps of the night, if they are made before the first is
	// written, and what no volume took.
	HoldingBytes int64 `json:"holding_bytes"`
	// LongestChain is how many dumps the longest restore reads after this night.
	LongestChain int `json:"longest_chain"`
	// Fault is why the night could not be written; empty when it could.
	Fault string `json:"fault,omitempty"`
}

// Nights folds the rows of a replay, and puts them into a library.
func Nights(w *Workload, rows []Row, begin time.Time, lib *Library) []Night {
	nights := make([]Night, w.Nights)
	dumps := make([][]catalog.Dump, w.Nights)
	for _, r := range rows {
		n := &nights[r.Night]
		switch {
		case r.Result == ResultSkipped:
			n.Skipped++
		case r.Result == ResultFailed || r.Level < 0:
			n.Failed++
		default:
			n.Bytes += r.Bytes
			n.Levels[min(int(r.Level), len(n.Levels)-1)]++
			dumps[r.Night] = append(dumps[r.Night], dumpOf(r, begin))
			if r.Result == ResultLate {
				n.Late++
			}
		}
	}
	chains := map[string][]catalog.Level{}
	waiting := int64(0)
	for i := range nights {
		n := &nights[i]
		n.Night, n.Date = i, begin.AddDate(0, 0, i)
		n.LongestChain = longest(chains, rows, i)
		n.HoldingBytes = waiting + n.Bytes
		if lib == nil {
			continue
		}
		n.VolumesFilled, n.Fault = lib.Write(n.Date, dumps[i])
		n.SpaceBytes, n.VolumesUsed = lib.used()
		if n.Fault != "" {
			waiting += n.Bytes
		}
	}
	return nights
}

// dumpOf is what a row made, with a name of its own where it was read from a file.
func dumpOf(r Row, begin time.Time) catalog.Dump {
	if r.Dump.ID != "" {
		return r.Dump
	}
	stamp := catalog.NewStamp(begin.AddDate(0, 0, r.Night))
	dle := (&Disk{Name: r.Disk}).DLE()
	return catalog.Dump{
		ID: catalog.NewDumpID(dle, stamp, r.Level), DLE: dle, Stamp: stamp, Level: r.Level,
		Status: catalog.StatusOK, OrigBytes: r.Bytes, StoredBytes: r.Bytes,
	}
}

// longest takes in the rows of one night and gives the longest chain there is then.
func longest(chains map[string][]catalog.Level, rows []Row, night int) int {
	most := 0
	for _, r := range rows {
		if r.Night != night || r.Level < 0 || r.Result == ResultFailed || r.Result == ResultSkipped {
			continue
		}
		chain := chains[r.Disk]
		for len(chain) > 0 && chain[len(chain)-1] >= r.Level {
			chain = chain[:len(chain)-1]
		}
		chains[r.Disk] = append(chain, r.Level)
	}
	for _, chain := range chains {
		most = max(most, len(chain))
	}
	return most
}

// RunsOut gives the first night that could not be written.
func RunsOut(nights []Night) (Night, bool) {
	for _, n := range nights {
		if n.Fault != "" {
			return n, true
		}
	}
	return Night{}, false
}
