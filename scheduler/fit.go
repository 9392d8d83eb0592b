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
	var choices []*choice
	var plan Plan
	for _, img := range in.Images {
		switch {
		case img.Policy.Strategy == StrategySkip:
			plan.Skipped = append(plan.Skipped, Skip{DLE: img.DLE, Reason: "strategy skip"})
		case img.Unreadable != "":
			plan.Skipped = append(plan.Skipped, Skip{DLE: img.DLE, Reason: img.Unreadable, Failure: true})
		default:
			c := decide(img, in.Now)
			choices = append(choices, &c)
		}
	}
	f := fitting{cap: in.Capacity, choices: choices, roomBytes: in.Capacity.bytes()}
	f.fit()
	for _, c := range choices {
		if c.dropped != "" {
			plan.Skipped = append(plan.Skipped, Skip{DLE: c.img.DLE, Level: c.entry.Level, Reason: c.dropped, Failure: true})
			continue
		}
		plan.Entries = append(plan.Entries, c.entry)
	}
	plan.Entries = ordered(plan.Entries)
	plan.TotalBytes, plan.CapacityBytes = f.totalBytes()+in.Capacity.BacklogBytes, f.roomBytes
	return plan
}

// bytes is the room of the run, 0 when no limit is known.
func (c Capacity) bytes() int64 {
	if c.Volumes == 0 {
		return 0
	}
	return int64(c.Volumes) * (c.VolumeBytes - c.HeaderBytes)
}

// cost is what a dump takes on the media: its bytes and a header for each part. A dump may be cut once more at the end
// of each volume.
func (c Capacity) cost(storedBytes int64) int64 {
	parts := int64(1)
	if c.PartBytes > 0 {
		parts = storedBytes/c.PartBytes + 1
	}
	return storedBytes + parts*c.HeaderBytes
}

// fitting brings the choices below the run's capacity.
type fitting struct {
	cap       Capacity
	choices   []*choice
	roomBytes int64
	undo      []undoStep
}

// undoStep is one image put off: what it had before.
type undoStep struct {
	c      *choice
	before choice
}

func (f *fitting) totalBytes() int64 {
	var total int64
	for _, c := range f.choices {
		if c.dropped == "" {
			total += f.cap.cost(c.entry.StoredBytes)
		}
	}
	return total
}

// excess is how much too big the plan is, 0 when it fits.
func (f *fitting) excess() int64 {
	if f.roomBytes == 0 {
		return 0
	}
	return max(0, f.totalBytes()+f.cap.BacklogBytes-f.roomBytes)
}

func (f *fitting) fit() {
	for _, step := range []func(*choice) bool{
		func(c *choice) bool { return c.degraded != nil && !c.forced },
		func(c *choice) bool { return c.degraded != nil },
		func(c *choice) bool { return c.entry.Level == 0 },
		func(*choice) bool { return true },
	} {
		for f.excess() > 0 {
			c := f.pick(step)
			if c == nil {
				break
			}
			f.putOff(c)
		}
	}
	f.reinstate()
	f.dropOrphans()
}

// pick takes, among the least urgent that may be put off, the one whose saving covers the excess with the least left
// over; when none covers it, the one that saves most.
func (f *fitting) pick(may func(*choice) bool) *choice {
	var best *choice
	var bestSaving int64
	excess := f.excess()
	for _, c := range f.choices {
		if c.dropped != "" || !may(c) {
			continue
		}
		saving := f.saving(c)
		if saving <= 0 {
			continue
		}
		if best == nil || lessUrgent(c, best) ||
			(!lessUrgent(best, c) && betterFit(saving, bestSaving, excess)) {
			best, bestSaving = c, saving
		}
	}
	return best
}

func lessUrgent(a, b *choice) bool { return a.entry.Priority < b.entry.Priority }

func betterFit(a, b, excess int64) bool {
	if (a >= excess) != (b >= excess) {
		return a >= excess
	}
	if a >= excess {
		return a < b
	}
	return a > b
}

func (f *fitting) saving(c *choice) int64 {
	saving := f.cap.cost(c.entry.StoredBytes)
	if c.degraded != nil {
		saving -= f.cap.cost(c.degraded.StoredBytes)
	}
	return saving
}

// putOff gives an image its incremental instead of its full, or nothing where it has none.
func (f *fitting) putOff(c *choice) {
	f.undo = append(f.undo, undoStep{c: c, before: *c})
	full := c.entry
	if c.degraded == nil {
		c.dropped = fmt.Sprintf("level %d of %s does not fit into the run's %s", full.Level, human(full.StoredBytes), human(f.roomBytes))
		return
	}
	c.entry = *c.degraded
	c.entry.Late = c.overdue > 0
	c.entry.Reason = fmt.Sprintf("full (%s) does not fit into the run's %s, incremental instead: %s",
		human(full.StoredBytes), human(f.roomBytes), c.degraded.Reason)
	c.entry.Note = fmt.Sprintf("Full dump of %s (%s) delayed: the run holds %s.", c.img.DLE, human(full.StoredBytes), human(f.roomBytes))
	c.degraded = nil
}

// reinstate undoes, the last first, what fits after all.
func (f *fitting) reinstate() {
	for i := len(f.undo) - 1; i >= 0; i-- {
		step := f.undo[i]
		after := *step.c
		*step.c = step.before
		if f.excess() > 0 {
			*step.c = after
		}
	}
}

// dropOrphans leaves out the first full of a clone whose base gets nothing tonight and has never been dumped: there is
// nothing to be a delta to. The clone waits one night with its base.
func (f *fitting) dropOrphans() {
	state := map[catalog.DLE]*choice{}
	for _, c := range f.choices {
		state[c.img.DLE] = c
	}
	for again := true; again; {
		again = false
		for _, c := range f.choices {
			base := c.entry.CloneOf
			if c.dropped != "" || c.entry.Level != 0 || base == nil {
				continue
			}
			if b := state[*base]; b != nil && b.dropped != "" && len(b.img.Dumps) == 0 {
				c.dropped = fmt.Sprintf("its base %s is not dumped tonight: %s", base, b.dropped)
				again = true
			}
		}
	}
}

// ordered sorts into dump order: a base before its clones, then by priority, then large before small, then by name.
func ordered(entries []Entry) []Entry {
	cloneOf := map[catalog.DLE]*catalog.DLE{}
	for _, e := range entries {
		cloneOf[e.DLE] = e.CloneOf
	}
	depth := map[catalog.DLE]int{}
	for _, e := range entries {
		n := 0
		// The configuration refuses cycles; the bound keeps a wrong one from hanging the night.
		for base := e.CloneOf; base != nil && n < len(entries); base = cloneOf[*base] {
			n++
		}
		depth[e.DLE] = n
	}
	slices.SortStableFunc(entries, func(a, b Entry) int {
		return cmp.Or(
			cmp.Compare(depth[a.DLE], depth[b.DLE]),
			cmp.Compare(b.Priority, a.Priority),
			cmp.Compare(b.StoredBytes, a.StoredBytes),
			cmp.Compare(a.DLE.String(), b.DLE.String()))
	})
	return entries
}
