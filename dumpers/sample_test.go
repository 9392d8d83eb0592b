package dumpers

import "testing"

// TestSamplerIsFair: clusters are picked with the same chance wherever they lie and however they are offered.
func TestSamplerIsFair(t *testing.T) {
	const size, clusters, rounds = 8, 100, 5000
	var picked [clusters]int
	for seed := range uint64(rounds) {
		s := newSampler(size, seed)
		for _, r := range []run{{0, 1, Unchanged}, {1, 4, Unchanged}, {4, 4, Inherited}, {4, 60, Inherited}, {60, 100, Unchanged}} {
			s.offer(r)
		}
		own := map[int64]bool{}
		for _, p := range s.picks {
			if p.end != p.first+1 || own[p.first] || (p.kind == Inherited) != (p.first >= 4 && p.first < 60) {
				t.Fatalf("seed %d: picks %v", seed, s.picks)
			}
			own[p.first] = true
			picked[p.first]++
		}
		if len(s.picks) != size {
			t.Fatalf("seed %d: %d picks", seed, len(s.picks))
		}
	}
	// 400 are expected of each, with a deviation of 19.
	for c, n := range picked {
		if n < 300 || n > 500 {
			t.Errorf("cluster %d: picked %d times in %d rounds", c, n, rounds)
		}
	}
}

// TestSamplerEnds: few clusters are all picked, a hundred million cost nothing, and none are picked when none are wanted.
func TestSamplerEnds(t *testing.T) {
	few := newSampler(32, 1)
	few.offer(run{5, 10, Unchanged})
	if len(few.picks) != 5 {
		t.Errorf("picks of five clusters: %v", few.picks)
	}
	many := newSampler(32, 1)
	for i := range int64(1000) {
		many.offer(run{i << 24, (i + 1) << 24, Unchanged})
	}
	late := 0
	for _, p := range many.picks {
		if p.first >= 500<<24 {
			late++
		}
	}
	if late < 6 || late > 26 {
		t.Errorf("%d of 32 picks are in the second half", late)
	}
	for _, size := range []int{0, -1} {
		none := newSampler(size, 1)
		none.offer(run{0, 10, Unchanged})
		if len(none.picks) != 0 {
			t.Errorf("picks of a sample of %d: %v", size, none.picks)
		}
	}
}
