package scheduler

import (
	"math"

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

// estimates is what the planner expects of one image, from its history where it has one, else from its allocation.
type estimates struct {
	// last is the level of the latest dump, -1 for none; runs how many dumps in a row were taken at it.
	last catalog.Level
	runs int
	full size
	// daily is what one night changes; ratio what compression leaves of an incremental.
	daily int64
	ratio float64
	// chain is the latest dump and its bases of the same image, the latest first.
	chain []catalog.Dump
}

func estimate(img Image) estimates {
	e := estimates{last: -1, ratio: ratio(img, false)}
	byID := make(map[catalog.DumpID]catalog.Dump, len(img.Dumps))
	for _, d := range img.Dumps {
		if d.Level != e.last {
			e.last, e.runs = d.Level, 0
		}
		e.runs++
		byID[d.ID] = d
	}
	if len(img.Dumps) > 0 {
		for d, ok := img.Dumps[len(img.Dumps)-1], true; ok && len(e.chain) < len(img.Dumps); d, ok = byID[d.Base] {
			e.chain = append(e.chain, d)
		}
	}
	e.daily = dailyChange(img)
	e.full = sized(e.fullBytes(img), ratio(img, true))
	return e
}

// fullBytes is how much a full holds: at most what is allocated, and at most what the last full held with all that has
// changed since. The second bound is the lower one for an image that is allocated whole but mostly zeros, and for a copy
// of a golden image, of which a full holds only what differs.
func (e estimates) fullBytes(img Image) int64 {
	if img.MustFull != "" || len(e.chain) == 0 || e.chain[len(e.chain)-1].Level != 0 {
		if img.Base != nil && !img.Overlay {
			return share(img.AllocatedBytes)
		}
		return img.AllocatedBytes
	}
	return min(img.AllocatedBytes, e.since(""))
}

// since is how many bytes at most differ tonight from the state in a dump of the chain: what the later dumps of the
// chain hold, and one night's change. The empty id stands for the state before the chain.
func (e estimates) since(base catalog.DumpID) int64 {
	total := e.daily
	for _, d := range e.chain {
		if d.ID == base {
			break
		}
		total += d.OrigBytes
	}
	return total
}

// below is the dump that one at level builds on: the latest of a lower level. It is in the chain, for each dump builds on
// the latest below it.
func (e estimates) below(level catalog.Level) (catalog.Dump, bool) {
	for _, d := range e.chain {
		if d.Level < level {
			return d, true
		}
	}
	return catalog.Dump{}, false
}

// at is the size before compression of a dump at level.
func (e estimates) at(level catalog.Level) int64 {
	base, _ := e.below(level)
	return e.incremental(base.ID).orig
}

// incremental is the size of a dump that builds on base.
func (e estimates) incremental(base catalog.DumpID) size {
	return sized(min(e.since(base), e.full.orig), e.ratio)
}

// dailyChange is the mean size of the last dumps that were the first at their level: what one night changed.
func dailyChange(img Image) int64 {
	var changes []float64
	for i := len(img.Dumps) - 1; i > 0; i-- {
		if img.Dumps[i].Level > img.Dumps[i-1].Level {
			changes = append(changes, float64(img.Dumps[i].OrigBytes))
		}
	}
	if mean, ok := recentMean(changes); ok {
		return int64(mean)
	}
	for i := len(img.Dumps) - 1; i >= 0; i-- {
		if img.Dumps[i].Level == 0 {
			return share(img.Dumps[i].OrigBytes)
		}
	}
	return share(img.AllocatedBytes)
}

// ratio is what compression leaves of fulls or of incrementals, by the last ones of the kind; by the other kind where
// there are none.
func ratio(img Image, full bool) float64 {
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
	return sum / weights, weights > 0
}

func share(bytes int64) int64 { return int64(float64(bytes) * defaultChange) }

func sized(orig int64, ratio float64) size {
	return size{orig: orig, stored: max(1, int64(math.Ceil(float64(orig)*ratio)))}
}
