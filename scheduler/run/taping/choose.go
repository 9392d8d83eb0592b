package taping

import (
	"cmp"
	"slices"

	"holdfast/catalog"
	"holdfast/configs"
)

// Waiting is a finished dump that waits for a volume, as the taper algorithms see it.
type Waiting struct {
	// Run is the run that made the dump.
	Run   catalog.Stamp
	Bytes int64
}

// Choose gives the place in the queue of the dump to be written next, by Amanda's taper algorithms; -1 for none.
//
// Only dumps of the same or an older run than the first of the queue compete. One fits when it is not larger than
// roomBytes: what is left on the volume begun and on those the run may still begin, for every dump may be split. When
// nothing fits, the smallest is taken: it wastes least. While another worker writes, though, each algorithm takes only what
// fits, and nothing when nothing does: the other one's volume may have the room.
func Choose(algorithm configs.TaperAlgorithm, queue []Waiting, roomBytes int64, another bool) int {
	var all, fitting []int
	for i, w := range queue {
		if w.Run > queue[0].Run {
			continue
		}
		all = append(all, i)
		if w.Bytes <= roomBytes {
			fitting = append(fitting, i)
		}
	}
	among := all
	if another || algorithm == configs.TaperFirstFit || algorithm == configs.TaperLargestFit {
		among = fitting
	}
	switch {
	case len(among) == 0 && (another || len(all) == 0):
		return -1
	case len(among) == 0:
		return smallest(queue, all)
	}
	switch algorithm {
	case configs.TaperLargest, configs.TaperLargestFit:
		return slices.MaxFunc(among, func(a, b int) int { return cmp.Compare(queue[a].Bytes, queue[b].Bytes) })
	case configs.TaperSmallest:
		return smallest(queue, among)
	case configs.TaperLast:
		return among[len(among)-1]
	}
	return among[0]
}

// smallest gives the first of the smallest.
func smallest(queue []Waiting, among []int) int {
	return slices.MinFunc(among, func(a, b int) int { return cmp.Compare(queue[a].Bytes, queue[b].Bytes) })
}
