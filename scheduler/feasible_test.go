package scheduler_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"holdfast/catalog"
	"holdfast/scheduler"
)

// TestFeasible: where the fulls of a cycle can be spread so that each is in time and no run holds too much, each is made in time.
// That they can is known from a spread that is made first: each image has its night of the cycle, in which its last full was
// made, and the room is that of the fullest night. The planner does not know it, and is free to spread them otherwise.
func TestFeasible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const cycle = 7
		var images []scheduler.Image
		var load [cycle]int64
		inc := int64(0)
		for i := range rapid.IntRange(3, 30).Draw(t, "images") {
			size := rapid.Int64Range(5, 120).Draw(t, "MiB")
			slot := rapid.IntRange(0, cycle-1).Draw(t, "night of the cycle")
			img := free(sized(size, image(fmt.Sprintf("vm%02d", i), fmt.Sprintf("%d:0:%d", slot+1, size))))
			for n := slot + 2; n <= cycle; n++ {
				add(&img, night(n), 1, mib/4)
			}
			images = append(images, img)
			load[slot] += size
			inc++
		}
		room := slices.Max(load[:]) + inc/4 + rapid.Int64Range(4, 20).Draw(t, "spare MiB")
		for n := cycle + 1; n <= 5*cycle; n++ {
			for i := range images { // each source tells what has changed
				images[i].Changed = map[catalog.DumpID]int64{}
				for _, d := range images[i].Dumps {
					images[i].Changed[d.ID] = mib / 4
				}
			}
			plan := scheduler.Make(scheduler.Input{Now: night(n), Capacity: volumes(1, room), Images: slices.Clone(images)})
			for _, e := range plan.Entries {
				if e.Late || e.Why.Kind == scheduler.KindOverdue {
					t.Fatalf("night %d, room %d MiB: %s: %s\n%s", n, room, e.DLE, e.Reason, text(plan))
				}
				i := slices.IndexFunc(images, func(img scheduler.Image) bool { return img.DLE == e.DLE })
				bytes := images[i].AllocatedBytes
				if e.Level > 0 {
					bytes = mib / 4
				}
				add(&images[i], night(n), e.Level, bytes)
			}
			if len(plan.Skipped) > 0 {
				t.Fatalf("night %d: %s", n, text(plan))
			}
		}
	})
}
