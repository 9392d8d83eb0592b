package scheduler

import "holdfast/catalog"

// Shares assumed where an image has no history.
const (
	// defaultRatio of stored to original size is Amanda's comprate.
	defaultRatio = 0.5
	// defaultChange is the part of an image that is taken to change between two nights.
	defaultChange = 0.1
)

// size is an estimate: bytes before and after compression.
type size struct{ orig, stored int64 }

// estimates holds what tonight's candidates would cost: the full, the current level, the next one.
type estimates struct {
	full, stay, bump size
	// last is the level of the latest dump, -1 for none; runs how many dumps in a row were taken at it.
	last catalog.Level
	runs int
}

// estimate gives the sizes from history where there is one, else from allocation.
func estimate(img Image) estimates {
	e := estimates{last: -1}
	for _, d := range img.Dumps {
		if d.Level == e.last {
			e.runs++
		} else {
			e.last, e.runs = d.Level, 1
		}
	}
	e.full = fullSize(img)
	daily := dailyChange(img, e.full)
	ratio := compression(img, false)
	e.bump = sized(daily, ratio)
	e.stay = e.bump
	if e.last > 0 {
		latest := img.Dumps[len(img.Dumps)-1]
		e.stay = sized(min(latest.OrigBytes+daily, e.full.orig), ratio)
		e.bump = sized(min(daily, e.stay.orig), ratio)
	}
	return e
}

// fullSize is the allocation, or for a clone what its last full needed: most of a clone lies in its base.
func fullSize(img Image) size {
	orig := img.AllocatedBytes
	if img.Base != nil {
		orig = int64(float64(orig) * defaultChange)
		for _, d := range img.Dumps {
			if d.Level == 0 {
				orig = d.OrigBytes
			}
		}
	}
	return sized(orig, compression(img, true))
}

// dailyChange is the mean size of the dumps that were the first at their level: what one night changes.
func dailyChange(img Image, full size) int64 {
	var sum, n int64
	for i := 1; i < len(img.Dumps); i++ {
		if img.Dumps[i].Level > img.Dumps[i-1].Level {
			sum += img.Dumps[i].OrigBytes
			n++
		}
	}
	if n == 0 {
		return int64(float64(max(full.orig, img.AllocatedBytes)) * defaultChange)
	}
	return sum / n
}

// compression is the ratio of stored to original bytes of the last three dumps of the kind, the newest counting most
// (weights 3-2-1, as Amanda's).
func compression(img Image, full bool) float64 {
	if !img.Policy.Compressed {
		return 1
	}
	weight, sum, weights := 3.0, 0.0, 0.0
	for i := len(img.Dumps) - 1; i >= 0 && weight > 0; i-- {
		d := img.Dumps[i]
		if (d.Level == 0) != full || d.OrigBytes == 0 {
			continue
		}
		sum += weight * float64(d.StoredBytes) / float64(d.OrigBytes)
		weights += weight
		weight--
	}
	if weights == 0 {
		return defaultRatio
	}
	return min(sum/weights, 1.1)
}

func sized(orig int64, ratio float64) size {
	return size{orig: orig, stored: max(1, int64(float64(orig)*ratio))}
}
