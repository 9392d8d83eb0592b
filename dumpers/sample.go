package dumpers

import (
	"math"
	"math/rand/v2"
)

// sampler picks clusters out of runs that are offered one after the other, each cluster with the same chance, without
// knowing how many there will be. Clusters that are not picked cost nothing: it draws how many to leave out (Li's
// algorithm L, ACM TOMS 20/4, 1994), because an image may have a hundred million of them.
type sampler struct {
	rand  *rand.Rand
	size  int
	picks []run // of one cluster each
	seen  int64 // clusters offered so far
	next  int64 // the cluster to pick next, counted like seen; valid once there are size picks
	w     float64
}

// newSampler makes a sampler of up to size picks.
func newSampler(size int, seed uint64) *sampler {
	return &sampler{rand: rand.New(rand.NewPCG(seed, 0)), size: max(size, 0), w: 1}
}

// offer makes the clusters of a run candidates.
func (s *sampler) offer(r run) {
	for ; r.first < r.end && len(s.picks) < s.size; r.first++ {
		s.picks = append(s.picks, run{r.first, r.first + 1, r.kind})
		s.next = s.seen
		s.seen++
		if len(s.picks) == s.size {
			s.leap()
		}
	}
	if s.size == 0 || r.first >= r.end {
		return
	}
	end := s.seen + r.end - r.first
	for s.next < end {
		cluster := r.first + s.next - s.seen
		s.picks[s.rand.IntN(s.size)] = run{cluster, cluster + 1, r.kind}
		s.leap()
	}
	s.seen = end
}

// leap draws the next cluster to pick.
func (s *sampler) leap() {
	s.w *= math.Exp(math.Log(s.draw()) / float64(s.size))
	gap := math.Floor(math.Log(s.draw())/math.Log1p(-s.w)) + 1
	s.next += int64(min(gap, 1<<40)) // more clusters than any image has, and no overflow
}

// draw gives a number above 0, at most 1.
func (s *sampler) draw() float64 { return 1 - s.rand.Float64() }
