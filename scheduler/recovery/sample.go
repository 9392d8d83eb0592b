package recovery

import (
	"cmp"
	"slices"
	"time"

	"holdfast/catalog"
)

// Sample picks dumps to verify of all that are kept: those that were not read for the longest time, until they are that many
// percent of all bytes, but at least one. So calls that note in read when each dump was read last go round all of them, and the
// same call picks the same.
func Sample(all []catalog.Dump, read map[catalog.DumpID]time.Time, percent float64) []catalog.Dump {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b catalog.Dump) int {
		return cmp.Or(read[a.ID].Compare(read[b.ID]), cmp.Compare(a.ID, b.ID))
	})
	var total, sum float64
	for _, d := range all {
		total += sampleBytes(d)
	}
	for i, d := range sorted {
		if i > 0 && sum >= total*percent/100 {
			return sorted[:i]
		}
		sum += sampleBytes(d)
	}
	return sorted
}

// sampleBytes lets a dump without bytes count, too.
func sampleBytes(d catalog.Dump) float64 { return float64(max(d.StoredBytes, 1)) }
