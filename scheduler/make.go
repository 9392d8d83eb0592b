package scheduler

import (
	"cmp"
	"fmt"
	"slices"

	"holdfast/catalog"
)

// Make decides what each image gets tonight.
//
// Each image is decided alone first; then, while the run holds less than that, fulls are put off (the least urgent
// first, taking the one that fits the excess best), then images with nothing to fall back on, last incrementals. What
// was put off comes back, the last one first, where it fits after all.
func Make(in Input) Plan {
	var plan Plan
	var choices []*choice
	images := slices.SortedStableFunc(slices.Values(in.Images), func(a, b Image) int { return byName(a.DLE, b.DLE) })
	without := neverDumped(images)
	for _, img := range images {
		if reason, failure := leftOut(img); reason != "" {
			plan.Skipped = append(plan.Skipped, Skip{DLE: img.DLE, Reason: reason, Failure: failure})
			continue
		}
		c := decide(standingAlone(img, without), in.Now)
		choices = append(choices, &c)
	}
	f := newFitting(in.Capacity, choices)
	f.fit()
	slices.SortFunc(choices, dumpOrder)
	for _, c := range choices {
		if c.dropped != "" {
			plan.Skipped = append(plan.Skipped, Skip{DLE: c.img.DLE, Level: c.entry.Level, Reason: c.dropped, Failure: true})
			continue
		}
		c.entry.Degraded = c.degraded
		plan.Entries = append(plan.Entries, c.entry)
	}
	slices.SortStableFunc(plan.Skipped, func(a, b Skip) int { return byName(a.DLE, b.DLE) })
	plan.TotalBytes, plan.CapacityBytes = f.totalBytes+in.Capacity.backlog(), f.roomBytes
	return plan
}

// leftOut tells why an image gets nothing tonight whatever room there is, and whether that is a failure.
func leftOut(img Image) (reason string, failure bool) {
	if img.Policy.Strategy == StrategySkip {
		return "strategy skip", false
	}
	return img.Unreadable, true
}

// neverDumped are the images that have no dump and get none tonight.
func neverDumped(images []Image) map[catalog.DLE]bool {
	without := map[catalog.DLE]bool{}
	for _, img := range images {
		if reason, _ := leftOut(img); reason != "" && len(img.Dumps) == 0 {
			without[img.DLE] = true
		}
	}
	return without
}

// standingAlone is the image, no longer a clone when its base has no dump and gets none: its full then holds all of it.
// To wait for a base that cannot be read might be to wait for ever.
func standingAlone(img Image, without map[catalog.DLE]bool) Image {
	if img.Base == nil || len(img.Dumps) > 0 || !without[*img.Base] {
		return img
	}
	img.MustFull = fmt.Sprintf("first dump, which stands alone: its base %s has none", img.Base)
	img.Base = nil
	return img
}

// dumpOrder puts a base before its clones, then goes by priority, then large before small, then by name.
func dumpOrder(a, b *choice) int {
	return cmp.Or(
		cmp.Compare(a.depth, b.depth), cmp.Compare(b.entry.Priority, a.entry.Priority),
		cmp.Compare(b.entry.StoredBytes, a.entry.StoredBytes), byName(a.img.DLE, b.img.DLE))
}
