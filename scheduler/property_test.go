package scheduler_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"holdfast/catalog"
	"holdfast/scheduler"
)

// site draws a site of images in all states, bases and clones among them.
func site(t *rapid.T) scheduler.Input {
	in := scheduler.Input{Now: night(rapid.IntRange(12, 20).Draw(t, "night"))}
	for i := range rapid.IntRange(1, 12).Draw(t, "images") {
		in.Images = append(in.Images, anyImage(t, i))
	}
	in.Capacity = scheduler.Capacity{
		Volumes: rapid.IntRange(0, 3).Draw(t, "volumes"), VolumeBytes: rapid.Int64Range(100, 3000).Draw(t, "volume MiB") * mib,
		HeaderBytes: 32 * kib, PartBytes: rapid.SampledFrom([]int64{0, mib, 64 * mib}).Draw(t, "part"),
		BacklogBytes: rapid.SampledFrom([]int64{0, 0, mib, 500 * mib, 9 * gib}).Draw(t, "backlog"),
	}
	return in
}

func anyImage(t *rapid.T, i int) scheduler.Image {
	img := sized(rapid.Int64Range(0, 1200).Draw(t, "MiB"), image(fmt.Sprintf("vm%02d", i)))
	p := &img.Policy
	p.CycleDays = rapid.SampledFrom([]float64{0, 0.5, 1, 3, 7, 14}).Draw(t, "cycle")
	p.Priority = rapid.IntRange(0, 3).Draw(t, "priority")
	p.Compressed = rapid.Bool().Draw(t, "compressed")
	p.BumpDays = rapid.IntRange(0, 3).Draw(t, "bump days")
	p.MaxLevel = catalog.Level(rapid.IntRange(0, 9).Draw(t, "max level"))
	p.Strategy = rapid.SampledFrom([]scheduler.Strategy{
		"", scheduler.StrategyStandard, scheduler.StrategyStandard, scheduler.StrategyStandard,
		scheduler.StrategyNoInc, scheduler.StrategyNoFull, scheduler.StrategyIncrOnly, scheduler.StrategySkip,
	}).Draw(t, "strategy")
	img.Force = rapid.SampledFrom([]catalog.ForceKind{
		"", "", "", catalog.ForceFull, catalog.ForceLevel1, catalog.ForceBump, catalog.ForceNoBump,
	}).Draw(t, "force")
	img.MustFull = rapid.SampledFrom([]string{"", "", "", "resized"}).Draw(t, "must full")
	img.Unreadable = rapid.SampledFrom([]string{"", "", "", "", "unreadable"}).Draw(t, "unreadable")
	if i > 0 && rapid.IntRange(0, 2).Draw(t, "clone") == 0 {
		base := dle(fmt.Sprintf("vm%02d", rapid.IntRange(0, i-1).Draw(t, "base")))
		img.Base, img.Overlay = &base, rapid.Bool().Draw(t, "overlay")
	}
	on, last := rapid.IntRange(1, 12).Draw(t, "first night"), catalog.Level(0)
	for range rapid.IntRange(0, 6).Draw(t, "dumps") {
		add(&img, night(on), last, rapid.Int64Range(0, 400).Draw(t, "dump MiB")*mib)
		on++
		last = catalog.Level(rapid.IntRange(0, int(min(last+1, 9))).Draw(t, "level"))
	}
	return img
}

// TestPlanHolds: whatever the site, the plan keeps its promises.
func TestPlanHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := site(t)
		plan := scheduler.Make(in)
		checkEachOnce(t, in, plan)
		checkEntries(t, in, plan)
		checkRoom(t, in, plan)
		for range 3 {
			shuffled := in
			shuffled.Images = slices.Clone(in.Images)
			r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
			r.Shuffle(len(in.Images), func(i, j int) {
				shuffled.Images[i], shuffled.Images[j] = shuffled.Images[j], shuffled.Images[i]
			})
			if diff := cmp.Diff(plan, scheduler.Make(shuffled)); diff != "" {
				t.Fatalf("another plan for the same images in another order:\n%s", diff)
			}
		}
	})
}

func checkEachOnce(t *rapid.T, in scheduler.Input, plan scheduler.Plan) {
	seen := map[catalog.DLE]int{}
	for _, e := range plan.Entries {
		seen[e.DLE]++
	}
	for _, s := range plan.Skipped {
		seen[s.DLE]++
		if s.Reason == "" {
			t.Errorf("%s is left out without a reason", s.DLE)
		}
	}
	for _, img := range in.Images {
		if seen[img.DLE] != 1 {
			t.Errorf("%s is in the plan %d times", img.DLE, seen[img.DLE])
		}
	}
	if len(seen) != len(in.Images) {
		t.Errorf("%d images in the plan of %d", len(seen), len(in.Images))
	}
}

func checkEntries(t *rapid.T, in scheduler.Input, plan scheduler.Plan) {
	place := map[catalog.DLE]int{}
	for i, e := range plan.Entries {
		place[e.DLE] = i
	}
	for i, e := range plan.Entries {
		img := in.Images[slices.IndexFunc(in.Images, func(img scheduler.Image) bool { return img.DLE == e.DLE })]
		if e.Reason == "" || e.StoredBytes < 1 || e.OrigBytes < 0 || e.OrigBytes > img.AllocatedBytes {
			t.Errorf("%s: reason %q, sizes %d and %d of %d", e.DLE, e.Reason, e.OrigBytes, e.StoredBytes, img.AllocatedBytes)
		}
		if e.Late && (e.Level == 0 || e.Note == "") {
			t.Errorf("%s: late at level %d with note %q", e.DLE, e.Level, e.Note)
		}
		checkBase(t, e, img)
		if e.CloneOf == nil {
			continue
		}
		if at, ok := place[*e.CloneOf]; ok && at > i {
			t.Errorf("%s comes before its base %s", e.DLE, e.CloneOf)
		}
		if e.Level == 0 && len(img.Dumps) == 0 {
			checkNoOrphan(t, in, plan, e)
		}
	}
}

// checkBase: an incremental builds on a restorable dump of a lower level.
func checkBase(t *rapid.T, e scheduler.Entry, img scheduler.Image) {
	if e.Level == 0 {
		if e.Base != "" {
			t.Errorf("%s: a full on %s", e.DLE, e.Base)
		}
		return
	}
	i := slices.IndexFunc(img.Dumps, func(d catalog.Dump) bool { return d.ID == e.Base })
	if i < 0 || img.Dumps[i].Level >= e.Level || e.Level > catalog.MaxLevel {
		t.Errorf("%s: level %d on %q", e.DLE, e.Level, e.Base)
	}
	if img.MustFull != "" || img.Policy.Strategy == scheduler.StrategyNoInc {
		t.Errorf("%s: level %d, but %q, strategy %s", e.DLE, e.Level, img.MustFull, img.Policy.Strategy)
	}
}

// checkNoOrphan: a clone's first dump needs its base to have one or to get one.
func checkNoOrphan(t *rapid.T, in scheduler.Input, plan scheduler.Plan, e scheduler.Entry) {
	base := in.Images[slices.IndexFunc(in.Images, func(img scheduler.Image) bool { return img.DLE == *e.CloneOf })]
	planned := slices.ContainsFunc(plan.Entries, func(b scheduler.Entry) bool { return b.DLE == *e.CloneOf })
	if !planned && len(base.Dumps) == 0 {
		t.Errorf("%s is to be a delta to %s, which has no dump and gets none", e.DLE, base.DLE)
	}
}

// checkRoom: what is planned fits, with the backlog as long as there is any image that could wait for it.
func checkRoom(t *rapid.T, in scheduler.Input, plan scheduler.Plan) {
	c := in.Capacity
	cost := func(stored int64) int64 {
		n := int64(1)
		if c.PartBytes > 0 {
			n = max(1, (stored+c.PartBytes-1)/c.PartBytes)
		}
		return stored + n*c.HeaderBytes
	}
	var total int64
	waits := false
	for _, e := range plan.Entries {
		total += cost(e.StoredBytes)
		waits = waits || slices.ContainsFunc(in.Images, func(img scheduler.Image) bool { return img.DLE == e.DLE && !fallsBack(img) })
	}
	if c.BacklogBytes > 0 {
		if !waits && total <= plan.CapacityBytes {
			return
		}
		total += cost(c.BacklogBytes)
	}
	if total != plan.TotalBytes {
		t.Errorf("plan says %d bytes, its entries take %d", plan.TotalBytes, total)
	}
	if c.Volumes > 0 && total > plan.CapacityBytes {
		t.Errorf("%d bytes planned for %d\n%s", total, plan.CapacityBytes, text(plan))
	}
	if limit := int64(c.Volumes) * (c.VolumeBytes - c.HeaderBytes); plan.CapacityBytes > limit {
		t.Errorf("capacity %d of %d", plan.CapacityBytes, limit)
	}
}

// fallsBack tells whether an image could have an incremental instead of a full.
func fallsBack(img scheduler.Image) bool {
	return len(img.Dumps) > 0 && img.MustFull == "" && img.Policy.Strategy != scheduler.StrategyNoInc
}

// TestMoreRoom: more room takes nothing from an image, unless one that goes before it is dumped instead: one with an
// incremental goes before those that need a full, and of these one that was never dumped before the others.
func TestMoreRoom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := site(t)
		for i := range in.Images {
			in.Images[i].Policy.Priority, in.Images[i].Policy.CycleDays, in.Images[i].Base = 1, 100, nil
		}
		in.Capacity.Volumes = 1
		less := scheduler.Make(in)
		in.Capacity.VolumeBytes += rapid.Int64Range(1, 2000).Draw(t, "more MiB") * mib
		more := scheduler.Make(in)
		has := func(p scheduler.Plan, img scheduler.Image) bool {
			return slices.ContainsFunc(p.Entries, func(e scheduler.Entry) bool { return e.DLE == img.DLE })
		}
		instead := slices.ContainsFunc(in.Images, func(img scheduler.Image) bool { return fallsBack(img) && has(more, img) && !has(less, img) })
		for _, img := range in.Images {
			yields := slices.ContainsFunc(more.Skipped, func(s scheduler.Skip) bool { return s.DLE == img.DLE && s.Why.Kind == scheduler.KindYields })
			first := len(img.Dumps) > 0 && slices.ContainsFunc(in.Images, func(other scheduler.Image) bool {
				return len(other.Dumps) == 0 && has(more, other) && !has(less, other)
			})
			if has(less, img) && !has(more, img) && !yields && (fallsBack(img) || !instead && !first) {
				t.Errorf("%s gets nothing with more room\n%s\n%s", img.DLE, text(less), text(more))
			}
		}
	})
}

// TestLarge: ten thousand images, of which most have to be put off, are planned without anything quadratic: a scan of all
// images for each that is put off would show in the time the test takes.
func TestLarge(t *testing.T) {
	in := large(10_000)
	begun := time.Now()
	plan := scheduler.Make(in)
	if n := len(plan.Entries) + len(plan.Skipped); n != 10_000 || plan.TotalBytes > plan.CapacityBytes {
		t.Errorf("%d images planned, %d of %d bytes", n, plan.TotalBytes, plan.CapacityBytes)
	}
	t.Logf("%v", time.Since(begun))
}

func large(n int) scheduler.Input {
	in := scheduler.Input{Now: night(8), Capacity: volumes(1, int64(n)*90)}
	for i := range n {
		img := free(sized(int64(100+i*37%900), image(fmt.Sprintf("vm%05d", i))))
		img.Policy.Priority = i % 3
		if i%4 != 0 {
			first := 1 + i%6
			add(&img, night(first), 0, img.AllocatedBytes)
			for n := first + 1; n < 8; n++ {
				add(&img, night(n), 1, int64(n-first)*mib*int64(1+i%12))
			}
		}
		if i%10 == 1 {
			base := dle(fmt.Sprintf("vm%05d", i-1))
			img.Base = &base
		}
		in.Images = append(in.Images, img)
	}
	return in
}

func BenchmarkMake(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := large(n)
			for b.Loop() {
				scheduler.Make(in)
			}
		})
	}
}
