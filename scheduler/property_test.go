package scheduler_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
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
	var total int64
	waits := false
	for _, e := range plan.Entries {
		total += cost(c, e.StoredBytes)
		waits = waits || slices.ContainsFunc(in.Images, func(img scheduler.Image) bool { return img.DLE == e.DLE && !fallsBack(img) })
	}
	if c.BacklogBytes > 0 {
		if !waits && total <= plan.CapacityBytes {
			return
		}
		total += cost(c, c.BacklogBytes)
	}
	if total != plan.TotalBytes {
		t.Errorf("plan says %d bytes, its entries take %d\n%s", plan.TotalBytes, total, text(plan))
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

// TestMoreRoom: adding capacity never makes an image later: whatever the site, who has a dump, or a full that is not early,
// has it with more room, too. It cannot hold without exception: where a dump has no place at all in the smaller room, even as the
// only one beside the incrementals, the others must not wait for it there; and in the larger room, where it has, it must get
// its turn at some time, which is at the cost of others (TestMoreRoomException).
func TestMoreRoom(t *testing.T) {
	held, excepted := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		in := site(t)
		for i := range in.Images {
			in.Images[i].Base = nil // a clone waits for its base besides
			in.Images[i].Waited = rapid.IntRange(0, 3).Draw(t, "waited")
			in.Images[i] = timed(1, in.Images[i])
		}
		in.Capacity.Volumes = 1
		if rapid.Bool().Draw(t, "window") {
			in.Window = scheduler.Window{Length: time.Duration(rapid.IntRange(1, 60).Draw(t, "minutes")) * time.Minute}
		}
		less, small := scheduler.Make(in), in
		in.Capacity.VolumeBytes += rapid.Int64Range(1, 2000).Draw(t, "more MiB") * mib
		in.Window.Length *= time.Duration(rapid.IntRange(1, 3).Draw(t, "times"))
		more := scheduler.Make(in)
		for _, e := range less.Entries {
			if !isLater(e, more) {
				continue
			}
			if !hadNoPlace(small, in, less) && !gotTurn(in, less, more) {
				t.Errorf("%s is later with more room than %d MiB\n%s\n%s", e.DLE, small.Capacity.VolumeBytes/mib, text(less), text(more))
			}
			excepted++
			return
		}
		held++
	})
	if excepted*10 > held {
		t.Errorf("the exception was made %d times, the rule held %d times", excepted, held)
	}
}

// isLater tells whether an image has less in another plan: no dump, or an incremental where it had a full that was not early.
func isLater(e scheduler.Entry, plan scheduler.Plan) bool {
	i := slices.IndexFunc(plan.Entries, func(m scheduler.Entry) bool { return m.DLE == e.DLE })
	return i < 0 && e.Why.Kind != scheduler.KindPromoted || i >= 0 && e.Level == 0 && e.Why.Kind != scheduler.KindPromoted && plan.Entries[i].Level > 0
}

// hadNoPlace tells whether there is a dump that has a place in the larger room, but none in the smaller one: an incremental even as
// the only dump of the run, a full that is all an image can have even with nothing but incrementals before it, one that is
// due even as the only one of these.
func hadNoPlace(small, large scheduler.Input, less scheduler.Plan) bool {
	free := large
	free.Capacity.Volumes, free.Window.Length = 0, 0
	for _, want := range scheduler.Make(free).Entries { // what each gets where there is no limit
		for e := &want; e != nil; e = e.Degraded {
			if !hasPlace(small, less, *e) && hasPlace(large, less, *e) {
				return true
			}
		}
	}
	return false
}

// gotTurn tells whether an image that was left out before, or whose full is far overdue, is dumped in the larger room and not in the
// smaller one: it goes before all others where it fits beside those that have waited longer.
func gotTurn(in scheduler.Input, less, more scheduler.Plan) bool {
	return slices.ContainsFunc(more.Entries, func(e scheduler.Entry) bool {
		img := in.Images[slices.IndexFunc(in.Images, func(img scheduler.Image) bool { return img.DLE == e.DLE })]
		left := img.Waited > 0 && len(img.Dumps) == 0 || len(img.Dumps) > 0 && in.Now.Sub(img.Dumps[len(img.Dumps)-1].Stamp.Time(in.Now.Location())) >= 36*time.Hour
		i := slices.IndexFunc(less.Entries, func(l scheduler.Entry) bool { return l.DLE == e.DLE })
		return left && i < 0 || e.Why.OverdueHours >= 24*1.5*max(1, img.Policy.CycleDays) && (i < 0 || less.Entries[i].Level > 0)
	})
}

func hasPlace(in scheduler.Input, plan scheduler.Plan, want scheduler.Entry) bool {
	c := in.Capacity
	room, seconds := c.VolumeBytes-c.HeaderBytes, in.Window.Length.Seconds()
	if c.BacklogBytes > 0 && want.Level == 0 {
		room -= cost(c, c.BacklogBytes)
	}
	for _, e := range plan.Entries {
		only := e.Level == 0 && e.Degraded == nil
		if e.Degraded != nil && e.Degraded.StoredBytes < e.StoredBytes {
			e = *e.Degraded
		}
		if want.Level == 0 && (!only || want.Degraded != nil) && e.DLE != want.DLE {
			room, seconds = room-cost(c, e.StoredBytes), seconds-e.Seconds
		}
	}
	return cost(c, want.StoredBytes) <= room && (in.Window.Length == 0 || want.Seconds <= seconds)
}

// cost is what a dump takes on the media.
func cost(c scheduler.Capacity, stored int64) int64 {
	n := int64(1)
	if c.PartBytes > 0 {
		n = max(1, (stored+c.PartBytes-1)/c.PartBytes)
	}
	return stored + n*(c.HeaderBytes+c.MarkBytes)
}

// TestMoreRoomException is the one case in which more room makes an image later, and why it must: an image of 150 MiB has waited
// for its first dump. A run of 100 MiB cannot hold it, so a full of 80 MiB that is due is made. In a run of 160 MiB it is
// made, and the full waits a night. Were it not made there for the sake of the 80 MiB, it would wait for ever wherever
// something is due every night; and were the 80 MiB not made in 100 MiB, they would wait for ever for what never fits.
func TestMoreRoomException(t *testing.T) {
	images := []scheduler.Image{sized(150, image("waits")), sized(80, image("due", "1:0:80", "7:1:1"))}
	less := scheduler.Make(scheduler.Input{Now: night(8), Capacity: volumes(1, 100), Images: images})
	more := scheduler.Make(scheduler.Input{Now: night(8), Capacity: volumes(1, 160), Images: images})
	both := scheduler.Make(scheduler.Input{Now: night(8), Capacity: volumes(1, 240), Images: images})
	for _, c := range []struct {
		plan scheduler.Plan
		want string
	}{{less, "due:0"}, {more, "waits:0 due:1"}, {both, "waits:0 due:0"}} {
		var got []string
		for _, e := range c.plan.Entries {
			got = append(got, fmt.Sprintf("%s:%d", e.DLE.VM, e.Level))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v, want %s\n%s", got, c.want, text(c.plan))
		}
	}
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
