package scheduler

import (
	"cmp"
	"fmt"
	"slices"

	"holdfast/catalog"
)

// Make decides what each image gets tonight.
//
// Each image is decided alone first. Then the dumps are let in as far as the run has room, by their claim; what is not let in
// is put off or left out. Last it looks ahead over the coming runs, and makes fulls tonight that are due later where that
// makes the nights more equal.
func Make(in Input) Plan {
	var plan Plan
	images := make([]*Image, len(in.Images))
	for i := range in.Images {
		images[i] = &in.Images[i]
	}
	slices.SortStableFunc(images, func(a, b *Image) int { return byName(a.DLE, b.DLE) })
	choices, room := make([]*choice, 0, len(images)), make([]choice, len(images))
	without := neverDumped(images)
	cal := newCalendar(in, images)
	rate := sitePace(images)
	for _, img := range images {
		if why, reason, failure := leftOut(img); reason != "" {
			plan.Skipped = append(plan.Skipped, Skip{DLE: img.DLE, Why: why, Reason: reason, Failure: failure})
			continue
		}
		c := &room[len(choices)]
		c.order = len(choices)
		c.decide(standingAlone(img, without), cal, rate)
		c.idle()
		choices = append(choices, c)
	}
	f := newFitting(in, cal, choices)
	f.fit()
	ahead := newOutlook(in, cal, f)
	ahead.level()
	slices.SortFunc(choices, dumpOrder)
	plan.Entries = slices.Grow(plan.Entries, len(choices))
	for _, c := range choices {
		if c.dropped != "" {
			plan.Skipped = append(plan.Skipped, Skip{DLE: c.img.DLE, Level: c.entry.Level, Why: c.why, Reason: c.dropped, Failure: c.why.fails()})
			continue
		}
		if c.entry.Level == 0 {
			c.entry.Degraded = c.degraded
		}
		plan.Entries = append(plan.Entries, c.entry)
	}
	slices.SortStableFunc(plan.Skipped, func(a, b Skip) int { return byName(a.DLE, b.DLE) })
	plan.TotalBytes, plan.CapacityBytes = f.limits[0].used+in.Capacity.backlog(), f.limits[0].room
	ahead.tell(&plan)
	return plan
}

// leftOut tells why an image gets nothing tonight whatever room there is, and whether that is a failure.
func leftOut(img *Image) (why Why, reason string, failure bool) {
	if img.Policy.Strategy == StrategySkip {
		return Why{Kind: KindSkip}, "strategy skip", false
	}
	return Why{Kind: KindUnreadable}, img.Unreadable, true
}

// idle leaves out an image that is to have only the one kind of dump in a night of the other kind.
func (c *choice) idle() {
	p := c.img.Policy
	switch {
	case c.est.last < 0 || c.img.MustFull != "":
	case p.SkipFull && c.due.night == 0:
		c.why = Why{Kind: KindSkipFull, Due: c.due.by}
		c.dropped = "skip-full: a full made elsewhere is due"
	case p.SkipIncr && c.entry.Level == 0:
		c.degraded = nil
	case p.SkipIncr:
		c.why = Why{Kind: KindSkipIncr, Due: c.due.by}
		c.dropped = "skip-incr: no full is due"
	}
}

// fails tells whether it is a failure to leave an image out for this reason.
func (w Why) fails() bool {
	return w.Kind != KindSkipFull && w.Kind != KindSkipIncr && w.Kind != KindSkip
}

// neverDumped are the images that have no dump and get none tonight.
func neverDumped(images []*Image) map[catalog.DLE]bool {
	without := map[catalog.DLE]bool{}
	for _, img := range images {
		if _, reason, _ := leftOut(img); reason != "" && len(img.Dumps) == 0 {
			without[img.DLE] = true
		}
	}
	return without
}

// standingAlone is the image, no longer a clone when its base has no dump and gets none: its full then holds all of it.
// To wait for a base that cannot be read might be to wait for ever.
func standingAlone(img *Image, without map[catalog.DLE]bool) *Image {
	if img.Base == nil || len(img.Dumps) > 0 || !without[*img.Base] {
		return img
	}
	alone := *img
	alone.MustFull = fmt.Sprintf("first dump, which stands alone: its base %s has none", img.Base)
	alone.Base = nil
	return &alone
}

// dumpOrder puts a base before its clones, then goes by priority, then large before small, then by name.
func dumpOrder(a, b *choice) int {
	return cmp.Or(
		cmp.Compare(a.depth, b.depth), cmp.Compare(b.entry.Priority, a.entry.Priority),
		cmp.Compare(b.entry.StoredBytes, a.entry.StoredBytes), cmp.Compare(a.order, b.order))
}
