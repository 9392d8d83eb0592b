package reports

import (
	"cmp"
	"slices"

	"holdfast/catalog"
)

func (n *night) statistics() Statistics {
	s := Statistics{EstimateSeconds: n.planSeconds, RunSeconds: max(0, n.lastEvent.Sub(n.run.Started).Seconds())}
	if n.finished != nil {
		s.RunSeconds = n.finished.Seconds
	}
	s.Dumped, s.Taped = newSplit(), newSplit()
	for _, t := range n.sorted() { // in order, so that the sums of seconds are the same each time
		if f := t.finished; f != nil {
			s.Dumped.add(f.Level, Tally{Count: 1, OriginalBytes: f.OrigBytes, OutputBytes: f.StoredBytes, Seconds: f.Seconds})
		}
		for _, c := range t.copies {
			for _, p := range c.parts {
				s.Taped.add(t.Level, Tally{Parts: 1, OutputBytes: p.Bytes, Seconds: p.Seconds})
			}
			if f := c.finished; f != nil {
				s.Taped.add(t.Level, Tally{Count: 1, OriginalBytes: f.OrigBytes})
			}
		}
	}
	for _, v := range n.volumes {
		s.CapacityBytes += v.CapacityBytes
	}
	return s
}

func newSplit() Split { return Split{Levels: []LevelCount{}, PartLevels: []LevelCount{}} }

func (s *Split) add(l catalog.Level, t Tally) {
	s.Total.add(t)
	if l == 0 {
		s.Full.add(t)
		return
	}
	s.Incr.add(t)
	s.Levels = countLevel(s.Levels, l, t.Count)
	s.PartLevels = countLevel(s.PartLevels, l, t.Parts)
}

func (t *Tally) add(o Tally) {
	t.Count += o.Count
	t.Parts += o.Parts
	t.OriginalBytes += o.OriginalBytes
	t.OutputBytes += o.OutputBytes
	t.Seconds += o.Seconds
}

// countLevel adds to the count of a level, keeping the levels in order.
func countLevel(counts []LevelCount, l catalog.Level, n int) []LevelCount {
	if n == 0 {
		return counts
	}
	at, found := slices.BinarySearchFunc(counts, l, func(c LevelCount, l catalog.Level) int { return cmp.Compare(c.Level, l) })
	if !found {
		counts = slices.Insert(counts, at, LevelCount{Level: l})
	}
	counts[at].Count += n
	return counts
}
