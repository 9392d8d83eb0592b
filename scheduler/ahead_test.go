package scheduler_test

import (
	"fmt"
	"time"

	"holdfast/catalog"
	"holdfast/scheduler"
)

func free(img scheduler.Image) scheduler.Image {
	img.Policy.MaxPromoteDays = 0
	return img
}

// timed gives each dump of an image the time it takes at so many MiB a second.
func timed(mibPerSecond int64, img scheduler.Image) scheduler.Image {
	for i := range img.Dumps {
		d := &img.Dumps[i]
		d.Started = d.Stamp.Time(time.UTC)
		d.Ended = d.Started.Add(time.Duration(d.OrigBytes/(mibPerSecond*mib)) * time.Second)
	}
	return img
}

// limitCases are nights in which something else than the main storage is too small.
func limitCases() []planCase {
	two := func() []scheduler.Image {
		return []scheduler.Image{timed(1, image("a", "1:0", "2:1:10", "3:1:15")), timed(1, sized(400, image("b", "1:0:400", "2:1:10", "3:1:15")))}
	}
	window := func(length time.Duration, parallel int) func(*scheduler.Input) {
		return func(in *scheduler.Input) { in.Window = scheduler.Window{Length: length, Parallel: parallel} }
	}
	return []planCase{
		{name: "window", images: two(), more: window(15*time.Minute, 1)},
		{name: "window, two at a time", images: two(), more: window(15*time.Minute, 2)},
		{name: "second storage", images: two(), cap: volumes(9, 1000), more: func(in *scheduler.Input) {
			off := volumes(1, 600)
			off.Name = "offsite"
			in.Storages = []scheduler.Capacity{off}
		}},
		{name: "second storage takes fulls of b only", images: two(), cap: volumes(9, 1000), more: func(in *scheduler.Input) {
			off := volumes(1, 600)
			off.Name, off.Takes = "offsite", func(d catalog.DLE, l catalog.Level) bool { return d.VM == "b" && l == 0 }
			in.Storages = []scheduler.Capacity{off}
		}},
		{name: "holding disk alone", images: two(), more: func(in *scheduler.Input) {
			in.Holding = scheduler.Holding{Bytes: 700 * mib, Alone: true, ReservePercent: 20}
		}},
		{name: "filemarks", cap: with2(volumes(1, 100), func(c *scheduler.Capacity) { c.PartBytes, c.MarkBytes = mib, mib }), images: []scheduler.Image{
			sized(40, image("a")), sized(20, image("b")),
		}},
		{name: "skip", images: []scheduler.Image{
			with(image("skip-full-due", "1:0", "2:1"), func(img *scheduler.Image) { img.Policy.SkipFull = true }),
			with(image("skip-full", "3:0", "4:1"), func(img *scheduler.Image) { img.Policy.SkipFull = true }),
			with(image("skip-full-new"), func(img *scheduler.Image) { img.Policy.SkipFull = true }),
			with(image("skip-incr-due", "1:0"), func(img *scheduler.Image) { img.Policy.SkipIncr = true }),
			with(image("skip-incr", "3:0"), func(img *scheduler.Image) { img.Policy.SkipIncr = true }),
		}},
		{name: "chain", images: []scheduler.Image{
			with(image("chain-1", "5:0"), func(img *scheduler.Image) { img.Policy.MaxChain = 1 }),
			with(image("chain-2", "4:0", "5:1:50", "6:1:70"), func(img *scheduler.Image) { img.Policy.MaxChain = 2 }),
			with(image("chain-3", "4:0", "5:1:50", "6:1:70"), func(img *scheduler.Image) { img.Policy.MaxChain = 3 }),
		}},
	}
}

// aheadCases are nights in which the coming ones decide.
func aheadCases() []planCase {
	var bunched, newcomers []scheduler.Image
	for i := range 7 {
		bunched = append(bunched, free(sized(100, image(fmt.Sprintf("vm%d", i), "1:0:100", "2:1:2"))))
		newcomers = append(newcomers, priority(i%3, free(sized(100, image(fmt.Sprintf("vm%d", i))))))
	}
	limited := append([]scheduler.Image{}, bunched...)
	for i := range limited {
		limited[i].Policy.MaxPromoteDays = 2
	}
	heavy := func(vm string) scheduler.Image {
		return with(image(vm, "4:0:1024", "5:1:20", "6:1:30"), func(img *scheduler.Image) {
			img.Policy.BumpSizeBytes = 50 * mib
			img.Changed = map[catalog.DumpID]int64{img.Dumps[0].ID: 60 * mib, img.Dumps[2].ID: 20 * mib}
		})
	}
	return []planCase{
		{name: "promoted", night: 3, images: bunched},
		{name: "promoted within two days", night: 6, images: limited},
		{name: "new ones get a place", night: 1, cap: volumes(1, 350), images: newcomers},
		{name: "bumped early", night: 8, cap: volumes(1, 1100), images: []scheduler.Image{heavy("a"), heavy("b"), image("due", "1:0:1000", "2:1:10")}},
		{name: "rescued", night: 3, cap: volumes(1, 100), images: []scheduler.Image{
			with(sized(50, image("new")), func(img *scheduler.Image) { img.Waited = 1 }), image("a", "1:0:500", "2:1:40"), image("b", "1:0:500", "2:1:20"), image("c", "1:0:500", "2:1:9"), image("d", "1:0:500", "2:1:8"),
		}},
	}
}
