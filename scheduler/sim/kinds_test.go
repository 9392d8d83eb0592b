package sim_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"holdfast/scheduler/sim"
)

// kind is a sort of workload made by chance: a site of disks with log-normal sizes, each with its own change rate and skew,
// and what happens to it.
type kind struct {
	name string
	// ratio is the capacity of a run over the mean night that Amanda makes of the site without a limit; 0: four times.
	ratio float64
	// events are told to happen.
	events func(r *rand.Rand, site *site)
}

// site is a workload in the making.
type site struct {
	disks, nights int
	events        strings.Builder
}

func (s *site) event(night int, what string, disk int) {
	name := ""
	if disk >= 0 {
		name = fmt.Sprintf("d%02d", disk)
	}
	fmt.Fprintf(&s.events, "%d,%s,%s\n", night, what, name)
}

// kinds are those that no quiet week has.
func kinds() []kind {
	added := func(r *rand.Rand, s *site) {
		for range 1 + r.IntN(3) {
			night := 3 + r.IntN(s.nights-8)
			for _, d := range r.Perm(s.disks)[:1+r.IntN(4)] {
				s.event(night, "add", d)
			}
		}
	}
	missed := func(r *rand.Rand, s *site) {
		for _, n := range []int{1, 1 + r.IntN(3)} {
			night := 4 + r.IntN(s.nights-8)
			for i := range n {
				s.event(night+i, "norun", -1)
			}
		}
	}
	unreachable := func(r *rand.Rand, s *site) {
		for _, d := range r.Perm(s.disks)[:3] {
			night := 2 + r.IntN(s.nights-8)
			for i := range 1 + r.IntN(6) {
				s.event(night+i, "offline", d)
			}
		}
	}
	several := func(r *rand.Rand, s *site) {
		added(r, s)
		missed(r, s)
		unreachable(r, s)
	}
	none := func(*rand.Rand, *site) {}
	return []kind{
		{"quiet", 0, none}, {"added", 0, added}, {"missed", 0, missed}, {"unreachable", 0, unreachable}, {"several", 0, several},
		{"small 1.0", 1.0, none}, {"small 0.9", 0.9, none}, {"small 0.85", 0.85, none}, {"small 0.8", 0.8, none}, {"small 0.7", 0.7, none},
		{"small added 0.9", 0.9, added}, {"small several 0.85", 0.85, several}, {"small several 1.1", 1.1, several},
	}
}

// workload makes one of the kind.
func (k kind) workload(t testing.TB, seed uint64) *sim.Workload {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, uint64(len(k.name))))
	s := &site{disks: 12 + r.IntN(24), nights: 28}
	var disks, changes strings.Builder
	disks.WriteString("disk,blocks\n")
	changes.WriteString("day,disk,blocks\n")
	for d := range s.disks {
		blocks := min(400, max(10, int(math.Exp(r.NormFloat64()*0.9+math.Log(130)))))
		fmt.Fprintf(&disks, "d%02d,%d\n", d, blocks)
		rate, skew := 0.01*math.Exp(r.Float64()*math.Log(30)), 1+2*r.Float64()
		for day := 1; day < s.nights; day++ {
			var list []int
			for range int(float64(blocks)*rate*(0.6+0.8*r.Float64()) + 1) {
				list = append(list, int(float64(blocks)*math.Pow(r.Float64(), skew)))
			}
			slices.Sort(list)
			fmt.Fprintf(&changes, "%d,d%02d,%s\n", day, d, strings.Trim(fmt.Sprint(slices.Compact(list)), "[]"))
		}
	}
	s.events.WriteString("night,event,disk\n")
	k.events(r, s)
	w, err := sim.ReadWorkload(sim.Files{Disks: strings.NewReader(disks.String()), Changes: strings.NewReader(changes.String()), Events: strings.NewReader(s.events.String())})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// capacity of a run.
func (k kind) capacity(w *sim.Workload) int64 {
	free := sim.Measure(w, amandaRuns(w, 1<<40), 7)
	ratio := k.ratio
	if ratio == 0 {
		ratio = 4
	}
	return int64(ratio * float64(free.CycleBytes) / 7)
}

// seeds is how many workloads of each kind are made. Which disks cannot be reached when their full is due is chance: that much is
// left to it in the nights by which fulls are late.
const seeds, chance = 20, 1.05

// TestKinds: over many workloads of each kind, made by chance, holdfast does better than Amanda's rules on each measure: fewer
// late fulls, fewer nights by which disks are late, fewer disks left without a dump, less uneven nights, no more bytes.
func TestKinds(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			var theirs, ours sum
			for seed := range uint64(seeds) {
				w := k.workload(t, seed)
				capacity := k.capacity(w)
				theirs.add(sim.Measure(w, amandaRuns(w, capacity), 7))
				ours.add(sim.Measure(w, sim.Replay(w, asAmanda(capacity)), 7))
			}
			t.Logf("\nAmanda   %s\nholdfast %s", theirs, ours)
			if ours.late > theirs.late || ours.lateNights > chance*theirs.lateNights {
				t.Errorf("late fulls %.2f in %.2f nights, Amanda's %.2f in %.2f", ours.late, ours.lateNights, theirs.late, theirs.lateNights)
			}
			if ours.notDumped > theirs.notDumped || ours.bytes > theirs.bytes {
				t.Errorf("not dumped %.2f with %.1f MiB a cycle, Amanda's %.2f with %.1f", ours.notDumped, ours.bytes, theirs.notDumped, theirs.bytes)
			}
			// Where nights are full to the brim, none is more even than another: so much is left to chance.
			if ours.variation > max(theirs.variation, 0.03) {
				t.Errorf("coefficient of variation %.4f, Amanda's %.4f", ours.variation, theirs.variation)
			}
		})
	}
}

// sum is the mean of the figures of all seeds.
type sum struct{ late, lateNights, longest, notDumped, variation, variation2, bytes, chain float64 }

func (s *sum) add(f sim.Figures) {
	s.late += float64(f.LateFulls) / seeds
	s.lateNights += float64(f.LateNights) / seeds
	s.longest += float64(f.LongestLate) / seeds
	s.notDumped += float64(f.NotDumped) / seeds
	s.variation += f.Variation / seeds
	s.variation2 += f.Variation2 / seeds
	s.bytes += float64(f.CycleBytes) / mib / seeds
	s.chain += float64(f.LongestChain) / seeds
}

func (s sum) String() string {
	return fmt.Sprintf("late %5.2f, nights %6.2f, longest %5.2f; not dumped %6.2f; variation %.4f and %.4f; %.1f MiB a cycle; chain %.2f",
		s.late, s.lateNights, s.longest, s.notDumped, s.variation, s.variation2, s.bytes, s.chain)
}
