package scheduler

import (
	"math"
	"time"

	"holdfast/catalog"
)

// Shares assumed where an image has no history.
const (
	// defaultRatio of stored to original size is Amanda's comprate.
	defaultRatio = 0.5
	// maxRatio bounds what compression may add, as Amanda does.
	maxRatio = 1.1
	// defaultChange is the part of an image that is taken to change between two nights, and the part of a copy of a
	// golden image that is taken to have drifted from it.
	defaultChange = 0.1
)

// size is an estimate: bytes before and after compression.
type size struct{ orig, stored int64 }

// estimates is what the planner expects of one image, from what its source says, else from its history, else from its
// allocation.
type estimates struct {
	// last is the level of the latest dump, -1 for none; runs how many dumps in a row were taken at it.
	last catalog.Level
	runs int
	full size
	// changes is what some nights change; ratio what compression leaves of an incremental.
	changes curve
	ratio   float64
	// chain is the latest dump and its bases of the same image, the latest first; ages how many days ago each was made.
	chain []*catalog.Dump
	ages  []float64
	// known are the bytes that differ tonight from a dump of the chain.
	known []float64
	// growth is how many bytes a full grows by in a day.
	growth float64
}

func estimate(img *Image, now time.Time) estimates {
	e := estimates{last: -1, ratio: ratio(img, false)}
	for i := len(img.Dumps) - 1; i >= 0 && (e.last < 0 || img.Dumps[i].Level == e.last); i-- {
		e.last = img.Dumps[i].Level
		e.runs++
	}
	e.chain = chainOf(img.Dumps)
	obs := observed(img, now.Location())
	e.changes = fitCurve(obs, unknownChange(img))
	for _, d := range e.chain {
		e.ages = append(e.ages, max(1.0/24, daysBetween(d.Stamp.Time(now.Location()), now)))
	}
	e.full = sized(e.fullBytes(img), ratio(img, true))
	for i, d := range e.chain {
		e.known = append(e.known, min(float64(e.full.orig), e.differs(img, d, obs, e.ages[i])))
	}
	e.growth = growth(img, now)
	return e
}

// chainOf gives the latest dump and its bases of the same image, the latest first. A base stands before what builds on it.
func chainOf(dumps []catalog.Dump) []*catalog.Dump {
	var chain []*catalog.Dump
	for i := len(dumps) - 1; i >= 0; i-- {
		if len(chain) == 0 || dumps[i].ID == chain[len(chain)-1].Base {
			chain = append(chain, &dumps[i])
		}
	}
	return chain
}

// differs is how many bytes of the image differ tonight from a dump that was made some days ago: what the source says,
// else what the last dump on it held, grown by the days since, else what so many days change.
func (e *estimates) differs(img *Image, d *catalog.Dump, obs []seen, days float64) float64 {
	if bytes, ok := img.Changed[d.ID]; ok {
		return float64(bytes)
	}
	for _, o := range obs {
		if o.base == d.ID && o.days <= days {
			return o.bytes * math.Pow(days/o.days, e.changes.power)
		}
	}
	return e.changes.after(days)
}

// growth is by how many bytes a day the fulls grow: the slope between the last full and the oldest of the last three, and
// nothing with only one.
func growth(img *Image, now time.Time) float64 {
	var last, first *catalog.Dump
	n := 0
	for i := len(img.Dumps) - 1; i >= 0 && n < 3; i-- {
		if img.Dumps[i].Level == 0 {
			first = &img.Dumps[i]
			if n++; last == nil {
				last = first
			}
		}
	}
	if n < 2 {
		return 0
	}
	days := daysBetween(first.Stamp.Time(now.Location()), last.Stamp.Time(now.Location()))
	return float64(last.OrigBytes-first.OrigBytes) / max(1, days)
}

// fullBytes is how much a full holds: at most what is allocated, and at most what the last full held with all that has
// changed since. The second bound is the lower one for an image that is allocated whole but mostly zeros, and for a copy
// of a golden image, of which a full holds only what differs.
func (e *estimates) fullBytes(img *Image) int64 {
	if img.MustFull != "" || len(e.chain) == 0 || e.chain[len(e.chain)-1].Level != 0 {
		if img.Base != nil && !img.Overlay {
			return share(img.AllocatedBytes)
		}
		return img.AllocatedBytes
	}
	return min(img.AllocatedBytes, e.since())
}

// since is how many bytes at most the image holds beyond nothing: what the dumps of the chain hold, and what changed since.
func (e *estimates) since() int64 {
	total := int64(e.changes.after(e.ages[0]))
	for _, d := range e.chain {
		total += d.OrigBytes
	}
	return total
}

// below is the dump that one at level builds on: the latest of a lower level. It is in the chain, for each dump builds on
// the latest below it.
func (e *estimates) below(level catalog.Level) (*catalog.Dump, bool) {
	for _, d := range e.chain {
		if d.Level < level {
			return d, true
		}
	}
	return nil, false
}

// at is the size of a dump at level.
func (e *estimates) at(level catalog.Level) size {
	for i, d := range e.chain {
		if d.Level < level {
			return sized(int64(e.known[i]), e.ratio)
		}
	}
	return e.full
}

// unknownChange is what a night is taken to change in an image that has no incremental.
func unknownChange(img *Image) float64 {
	for i := len(img.Dumps) - 1; i >= 0; i-- {
		if img.Dumps[i].Level == 0 {
			return float64(img.Dumps[i].OrigBytes) * defaultChange
		}
	}
	return float64(img.AllocatedBytes) * defaultChange
}

// ratio is what compression leaves of fulls or of incrementals, by the last ones of the kind; by the other kind where
// there are none.
func ratio(img *Image, full bool) float64 {
	if !img.Policy.Compressed {
		return 1
	}
	var same, other []float64
	for i := len(img.Dumps) - 1; i >= 0; i-- {
		d := img.Dumps[i]
		switch r := float64(d.StoredBytes) / float64(d.OrigBytes); {
		case d.OrigBytes <= 0:
		case (d.Level == 0) == full:
			same = append(same, r)
		default:
			other = append(other, r)
		}
	}
	mean, ok := recentMean(same)
	if !ok {
		mean, ok = recentMean(other)
	}
	if !ok {
		return defaultRatio
	}
	return min(mean, maxRatio)
}

// recentMean is the mean of the first three values, which are the newest, with Amanda's weights 3, 2, 1.
func recentMean(newestFirst []float64) (float64, bool) {
	var sum, weights float64
	for i, v := range newestFirst[:min(3, len(newestFirst))] {
		sum += v * float64(3-i)
		weights += float64(3 - i)
	}
	return sum / max(weights, 1), weights > 0
}

func share(bytes int64) int64 { return int64(float64(bytes) * defaultChange) }

func sized(orig int64, ratio float64) size {
	return size{orig: orig, stored: max(1, int64(math.Ceil(float64(orig)*ratio)))}
}
