package scheduler_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/catalog"
	"holdfast/scheduler"
)

var update = flag.Bool("update", false, "write the golden files anew")

// with changes an image.
func with(img scheduler.Image, change func(img *scheduler.Image)) scheduler.Image {
	change(&img)
	return img
}

func forced(kind catalog.ForceKind, img scheduler.Image) scheduler.Image {
	img.Force = kind
	return img
}

func strategy(s scheduler.Strategy, img scheduler.Image) scheduler.Image {
	img.Policy.Strategy = s
	return img
}

func priority(p int, img scheduler.Image) scheduler.Image {
	img.Policy.Priority = p
	return img
}

func sized(megabytes int64, img scheduler.Image) scheduler.Image {
	img.AllocatedBytes = megabytes * mib
	return img
}

func cloneOf(base string, img scheduler.Image) scheduler.Image {
	d := dle(base)
	img.Base = &d
	return img
}

func volumes(n int, megabytes int64) scheduler.Capacity {
	return scheduler.Capacity{Volumes: n, VolumeBytes: megabytes * mib, HeaderBytes: 32 * kib}
}

// input is what the planner gets in a case beside images and main storage.
func (c planCase) input() scheduler.Input {
	in := scheduler.Input{Now: night(c.night), Images: c.images, Capacity: c.cap}
	if c.more != nil {
		c.more(&in)
	}
	return in
}

// planCase is a night; night 8 where it names none: a week after the fulls of night 1.
type planCase struct {
	name   string
	night  int
	cap    scheduler.Capacity
	images []scheduler.Image
	more   func(in *scheduler.Input)
}

func levelCases() []planCase {
	compressed := func(img *scheduler.Image) { img.Policy.Compressed = true }
	maxLevel := func(img *scheduler.Image) { img.Policy.MaxLevel = 2 }
	return []planCase{
		{name: "new", images: []scheduler.Image{image("a"), with(image("b"), compressed)}},
		{name: "due", images: []scheduler.Image{image("today", "1:0"), image("tomorrow", "2:0"), image("overdue", "1:0", "2:1")}, night: 8},
		{name: "overdue", images: []scheduler.Image{image("a", "1:0", "2:1"), image("b", "2:0"), image("c", "3:0")}, night: 10},
		{name: "bump", images: []scheduler.Image{
			image("after-a-full", "5:0"),
			image("used-once", "5:0", "6:1:50"),
			image("saves-enough", "4:0", "5:1:50", "6:1:70"),
			with(image("saves-just-enough", "4:0", "5:1:5", "6:1:10"), func(img *scheduler.Image) {
				img.Changed = map[catalog.DumpID]int64{img.Dumps[0].ID: 15 * mib, img.Dumps[2].ID: 5 * mib}
			}),
			image("saves-too-little", "4:0", "5:1:4", "6:1:6"),
			image("second-threshold", "2:0", "3:1:8", "4:1:16", "5:2:8", "6:2:16"),
			with(image("percent", "4:0", "5:1:50", "6:1:70"), func(img *scheduler.Image) { img.Policy.BumpPercent = 8 }),
			with(image("huge-multiple", "2:0", "3:1:50", "4:2:50", "5:3:50", "6:3:100"), func(img *scheduler.Image) { img.Policy.BumpMult = 1e12 }),
		}, night: 7},
		{name: "max-level", images: []scheduler.Image{
			with(image("at-the-top", "3:0", "4:1:50", "5:2:50", "6:2:100"), maxLevel),
			with(image("lowered", "2:0", "3:1:50", "4:2:50", "5:3:50", "6:4:50"), maxLevel),
			with(image("unset", "2:0", "3:1:50", "4:9:50", "5:9:90"), func(img *scheduler.Image) { img.Policy.MaxLevel = 0 }),
		}, night: 7},
		{name: "strategies", images: []scheduler.Image{
			strategy(scheduler.StrategyNoInc, image("noinc", "7:0")),
			strategy(scheduler.StrategyNoFull, image("nofull-new")),
			strategy(scheduler.StrategyNoFull, image("nofull-after-full", "1:0")),
			strategy(scheduler.StrategyNoFull, image("nofull", "1:0", "2:1:50", "3:1:70")),
			strategy(scheduler.StrategyIncrOnly, image("incronly", "1:0", "2:1:50", "3:1:70")),
			strategy(scheduler.StrategySkip, with(image("skip"), func(img *scheduler.Image) { img.Unreadable = "not looked at" })),
			with(image("cycle-0", "7:0"), func(img *scheduler.Image) { img.Policy.CycleDays = 0 }),
		}},
		{name: "forced", images: []scheduler.Image{
			forced(catalog.ForceFull, image("full", "6:0", "7:1")),
			forced(catalog.ForceFull, image("full-new")),
			forced(catalog.ForceFull, strategy(scheduler.StrategyNoFull, image("full-of-nofull", "6:0", "7:1"))),
			forced(catalog.ForceFull, strategy(scheduler.StrategyIncrOnly, image("full-of-incronly", "6:0", "7:1"))),
			forced(catalog.ForceLevel1, image("level-1", "4:0", "5:1:50", "6:2:60", "7:3:70")),
			forced(catalog.ForceLevel1, image("level-1-due", "1:0", "2:1:50")),
			forced(catalog.ForceBump, image("bump", "6:0", "7:1:1")),
			forced(catalog.ForceBump, image("bump-after-a-full", "7:0")),
			forced(catalog.ForceBump, image("bump-due", "1:0", "2:1:50")),
			forced(catalog.ForceNoBump, image("no-bump", "4:0", "5:1:50", "6:1:70")),
			forced(catalog.ForceNoBump, image("no-bump-due", "1:0", "2:1:50")),
		}},
		{name: "must-full", images: []scheduler.Image{
			with(image("resized", "7:0"), func(img *scheduler.Image) { img.MustFull = "image was resized from 1 to 2 bytes" }),
			forced(catalog.ForceLevel1, with(image("map-gone", "7:0"), func(img *scheduler.Image) { img.MustFull = "no block map of an earlier dump is left" })),
			with(image("unreadable", "7:0"), func(img *scheduler.Image) { img.Unreadable = "open /images/u: permission denied" }),
			with(image("rootless", "7:1"), func(img *scheduler.Image) {}),
		}},
		{name: "estimates", images: []scheduler.Image{
			with(image("no-history-but-a-full", "7:0:500"), compressed),
			with(image("grows-when-compressed", "7:0:500"), func(img *scheduler.Image) {
				img.Policy.Compressed, img.Dumps[0].StoredBytes = true, 900*mib
			}),
			image("mostly-zero", "1:0:100", "2:1:10", "3:1:15", "4:2:8"),
			image("grows", "2:0:900", "3:1:10", "4:1:25", "5:1:60", "6:1:100"),
			image("newest-count-most", "1:0", "2:1:100", "3:2:10", "4:3:10", "5:4:40"),
			cloneOf("grows", image("copy")),
			cloneOf("grows", with(sized(80, image("overlay")), func(img *scheduler.Image) { img.Overlay = true })),
			cloneOf("grows", image("copy-with-history", "1:0:60", "2:1:5")),
		}, night: 8},
	}
}

func capacityCases() []planCase {
	overdue := func(vm string, n int64) scheduler.Image {
		return sized(n, image(vm, fmt.Sprintf("1:0:%d", n), "2:1:10", "3:1:15"))
	}
	return []planCase{
		{name: "delay-the-largest", cap: volumes(1, 1000), night: 8, images: []scheduler.Image{
			// 50 MiB too much: one full is put off and not more. Were it the one that fits best, more room might put off another.
			overdue("a", 500), overdue("b", 400), overdue("c", 130),
		}},
		{name: "delay-the-least-urgent", cap: volumes(1, 1000), night: 10, images: []scheduler.Image{
			priority(3, overdue("high", 130)), priority(1, overdue("low", 400)), priority(2, overdue("medium", 500)),
		}},
		{name: "overdue-before-due", cap: volumes(1, 600), night: 10, images: []scheduler.Image{
			sized(400, image("late", "1:0:400", "2:1:10")), sized(400, image("today", "3:0:400", "4:1:10")),
		}},
		{name: "late-and-late-again", cap: volumes(1, 300), night: 10, images: []scheduler.Image{overdue("a", 500)}},
		{name: "new-are-delayed-too", cap: volumes(1, 1000), images: []scheduler.Image{
			sized(600, image("a")), sized(300, image("b")), sized(500, image("c")), image("old", "1:0", "2:1:10"),
		}},
		{name: "forced-does-not-fit", cap: volumes(1, 500), night: 4, images: []scheduler.Image{
			forced(catalog.ForceFull, image("forced", "1:0", "2:1:10")), image("other", "1:0", "2:1:10"),
		}},
		{name: "forced-after-due", cap: volumes(1, 1500), night: 8, images: []scheduler.Image{
			forced(catalog.ForceFull, image("forced", "1:0", "2:1:10")), image("due", "1:0", "2:1:10"),
		}},
		{name: "incrementals-last", cap: volumes(1, 60), night: 4, images: []scheduler.Image{
			sized(5, image("new")), image("a", "1:0", "2:1:40", "3:1:50"), image("b", "1:0", "2:1:20", "3:1:25"),
			priority(2, image("c", "1:0", "2:1:25", "3:1:30")),
		}},
		{name: "reinstated", cap: volumes(1, 1000), night: 8, images: []scheduler.Image{
			// The low one alone is not enough; when the other is put off, too, the low one fits again.
			priority(1, overdue("low", 200)), priority(2, overdue("high", 950)),
		}},
		{name: "backlog", cap: with2(volumes(1, 1000), func(c *scheduler.Capacity) { c.BacklogBytes = 970 * mib }), night: 8, images: []scheduler.Image{
			overdue("due", 500), sized(200, image("new")), image("inc", "5:0", "6:1:40"),
		}},
		{name: "part-headers", cap: with2(volumes(2, 100), func(c *scheduler.Capacity) { c.PartBytes = mib }), images: []scheduler.Image{
			// 193 parts with a header of 32 KiB each are 199 MiB; two labels, and a cut at the end of the first volume.
			sized(193, image("large")), sized(2, image("small")),
		}},
		{name: "no-saving", cap: volumes(1, 100), night: 8, images: []scheduler.Image{
			// The full is no larger than the incremental would be: there is nothing to put off to.
			sized(60, image("a", "1:0:60", "2:1:60")), sized(60, image("b", "1:0:60", "2:1:60")),
		}},
		{name: "noinc-does-not-fit", cap: volumes(1, 500), night: 8, images: []scheduler.Image{
			strategy(scheduler.StrategyNoInc, image("a", "1:0")),
		}},
	}
}

func cloneCases() []planCase {
	unreadable := func(img *scheduler.Image) { img.Unreadable = "open: no such file" }
	return []planCase{
		{name: "base-before-clones", night: 8, images: []scheduler.Image{
			priority(2, cloneOf("b-golden", image("a-clone"))), cloneOf("a-clone", image("clone-of-clone")), image("b-golden"),
			priority(2, image("large")), cloneOf("elsewhere", image("lone-clone")), cloneOf("b-golden", image("old-clone", "6:0:50", "7:1:10")),
		}},
		{name: "clones-wait-for-their-base", cap: volumes(1, 500), images: []scheduler.Image{
			sized(600, image("golden")), cloneOf("golden", sized(600, image("clone"))), sized(100, image("other")),
		}},
		{name: "base-as-urgent-as-clones", cap: volumes(1, 700), images: []scheduler.Image{
			sized(600, image("golden")), priority(3, cloneOf("golden", sized(600, image("clone")))), priority(2, sized(600, image("other"))),
		}},
		{name: "base-delayed-clone-new", cap: volumes(1, 300), night: 9, images: []scheduler.Image{
			sized(600, image("golden", "1:0:600", "2:1:10")), cloneOf("golden", sized(600, image("clone"))),
		}},
		{name: "base-unreadable", images: []scheduler.Image{
			with(image("golden"), unreadable), cloneOf("golden", image("clone")), cloneOf("golden", image("dumped", "1:0:50", "2:1:10")),
		}},
		{name: "base-unreadable-but-dumped", images: []scheduler.Image{
			with(image("golden", "1:0"), unreadable), cloneOf("golden", image("clone")),
		}},
		{name: "cycle-of-bases", images: []scheduler.Image{cloneOf("b", image("a")), cloneOf("a", image("b"))}},
	}
}

func with2(c scheduler.Capacity, change func(c *scheduler.Capacity)) scheduler.Capacity {
	change(&c)
	return c
}

// TestPlans holds each decision with its reason and its note against the golden one.
func TestPlans(t *testing.T) {
	for dir, cases := range map[string][]planCase{"levels": levelCases(), "capacity": capacityCases(), "limits": limitCases(), "ahead": aheadCases(), "clones": cloneCases()} {
		var got strings.Builder
		for _, c := range cases {
			if c.night == 0 {
				c.night = 8
			}
			plan := scheduler.Make(c.input())
			got.WriteString("== " + c.name + "\n" + text(plan))
		}
		golden(t, dir, got.String())
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (- want, + got):\n%s", name, diff)
	}
}
