package scheduler

import (
	"cmp"
	"fmt"
	"slices"

	"holdfast/catalog"
)

// bytes is the room of the run; 0 when no limit is known. The end of each volume but the last may cut a part in two, or
// leave less than a header unused.
func (c Capacity) bytes() int64 {
	if c.Volumes <= 0 || c.VolumeBytes <= 0 {
		return 0
	}
	volumes := int64(c.Volumes)
	return max(1, volumes*(c.VolumeBytes-c.HeaderBytes)-(volumes-1)*c.HeaderBytes)
}

// cost is what a dump takes on the media: its bytes, and a header for each part.
func (c Capacity) cost(storedBytes int64) int64 {
	parts := int64(1)
	if c.PartBytes > 0 {
		parts = max(1, (storedBytes+c.PartBytes-1)/c.PartBytes)
	}
	return storedBytes + parts*c.HeaderBytes
}

// backlog is what the dumps on the holding disk take on the media.
func (c Capacity) backlog() int64 {
	if c.BacklogBytes <= 0 {
		return 0
	}
	return c.cost(c.BacklogBytes)
}

// fitting brings the choices below the run's capacity.
type fitting struct {
	cap     Capacity
	choices []*choice
	byDLE   map[catalog.DLE]*choice
	// roomBytes is the capacity, 0 without a limit; totalBytes what the choices take now, without the backlog.
	roomBytes, totalBytes int64
	undo                  []undoStep
}

// undoStep is one image put off or left out: what it had before.
type undoStep struct {
	c      *choice
	before choice
}

func newFitting(capacity Capacity, choices []*choice) *fitting {
	f := &fitting{cap: capacity, choices: choices, byDLE: map[catalog.DLE]*choice{}, roomBytes: capacity.bytes()}
	for _, c := range choices {
		f.byDLE[c.img.DLE] = c
		f.totalBytes += f.cost(c)
	}
	f.rank()
	return f
}

// rank reckons the depth of each clone, and makes a base that has no dump yet as urgent as what will be a delta to it.
func (f *fitting) rank() {
	for _, c := range f.choices {
		// The configuration refuses cycles; the bound keeps a wrong one from hanging the night.
		for b := f.base(c); b != nil && c.depth < len(f.choices); b = f.base(b) {
			c.depth++
			if len(b.img.Dumps) == 0 {
				b.urgency = max(b.urgency, c.urgency)
			}
		}
	}
}

// base is the choice for the image that c is a clone of; nil when there is none.
func (f *fitting) base(c *choice) *choice {
	if c.img.Base == nil {
		return nil
	}
	return f.byDLE[*c.img.Base]
}

// cost is what an image takes now.
func (f *fitting) cost(c *choice) int64 {
	if c.dropped != "" {
		return 0
	}
	return f.cap.cost(c.entry.StoredBytes)
}

// excess is how much too big the plan is, 0 when it fits.
func (f *fitting) excess(backlog int64) int64 {
	if f.roomBytes == 0 {
		return 0
	}
	return max(0, f.totalBytes+backlog-f.roomBytes)
}

// fit puts off fulls, those that the administrator forced after the others; then it leaves out images with nothing to
// fall back on; last incrementals. What was put off comes back, the last one first, where it fits after all.
func (f *fitting) fit() {
	f.delay(func(c *choice) bool { return !c.forced })
	f.delay(func(c *choice) bool { return c.forced })
	f.leaveOut(f.cap.backlog(), func(c *choice) bool { return c.entry.Level == 0 && c.degraded == nil })
	f.leaveOut(0, func(*choice) bool { return true })
	f.reinstate()
}

// delay gives images their incremental instead of their full until the plan fits: the least urgent first and, among
// equals, the one whose saving covers the excess with the least left over; when none covers it, the one that saves most.
func (f *fitting) delay(may func(*choice) bool) {
	var full []*choice
	for _, c := range f.choices {
		if c.dropped == "" && c.degraded != nil && may(c) && f.saving(c) > 0 {
			full = append(full, c)
		}
	}
	slices.SortFunc(full, func(a, b *choice) int {
		return cmp.Or(cmp.Compare(a.urgency, b.urgency), cmp.Compare(f.saving(a), f.saving(b)), byName(a.img.DLE, b.img.DLE))
	})
	for len(full) > 0 {
		n := 1
		for n < len(full) && full[n].urgency == full[0].urgency {
			n++
		}
		for equals := full[:n:n]; len(equals) > 0; {
			excess := f.excess(f.cap.backlog())
			if excess == 0 {
				return
			}
			i, _ := slices.BinarySearchFunc(equals, excess, func(c *choice, excess int64) int { return cmp.Compare(f.saving(c), excess) })
			i = min(i, len(equals)-1)
			f.putOff(equals[i])
			equals = slices.Delete(equals, i, i+1)
		}
		full = full[n:]
	}
}

// putOff gives an image its incremental instead of its full.
func (f *fitting) putOff(c *choice) {
	f.remember(c)
	f.totalBytes -= f.saving(c)
	full, why := c.entry, f.room(f.cap.backlog())
	c.entry, c.degraded = *c.degraded, nil
	c.entry.Late = c.overdue > 0
	c.entry.Reason = fmt.Sprintf("full of %s does not fit, incremental instead: %s", human(full.StoredBytes), c.entry.Reason)
	c.entry.Note = fmt.Sprintf("Full dump of %s (%s) delayed: %s.", c.img.DLE, human(full.StoredBytes), why)
	if c.overdue > 0 {
		c.entry.Note = fmt.Sprintf("Full dump of %s (%s) delayed, overdue by %s: %s.", c.img.DLE, human(full.StoredBytes), days(float64(c.overdue)), why)
	}
}

// room says what the run holds.
func (f *fitting) room(backlog int64) string {
	if backlog == 0 {
		return "the run holds " + human(f.roomBytes)
	}
	return fmt.Sprintf("the run holds %s, %s of it for what is on the holding disk", human(f.roomBytes), human(backlog))
}

// saving is what putting the full off saves.
func (f *fitting) saving(c *choice) int64 {
	return f.cap.cost(c.entry.StoredBytes) - f.cap.cost(c.degraded.StoredBytes)
}

// leaveOut drops images until the plan fits: the least urgent first, clones before their base and, among equals, the
// largest first, so that as many as possible are kept.
func (f *fitting) leaveOut(backlog int64, may func(*choice) bool) {
	var out []*choice
	for _, c := range f.choices {
		if c.dropped == "" && may(c) {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b *choice) int {
		return cmp.Or(
			cmp.Compare(a.urgency, b.urgency), cmp.Compare(b.depth, a.depth),
			cmp.Compare(f.cost(b), f.cost(a)), byName(a.img.DLE, b.img.DLE))
	})
	for _, c := range out {
		if f.excess(backlog) == 0 {
			return
		}
		f.remember(c)
		f.totalBytes -= f.cost(c)
		c.dropped = fmt.Sprintf("level %d of %s does not fit: %s", c.entry.Level, human(c.entry.StoredBytes), f.room(backlog))
	}
}

func (f *fitting) remember(c *choice) { f.undo = append(f.undo, undoStep{c: c, before: *c}) }

// reinstate undoes, the last first, what fits after all. The backlog takes no room from incrementals.
func (f *fitting) reinstate() {
	for _, step := range slices.Backward(f.undo) {
		if b := f.base(step.c); step.before.entry.Level == 0 && b != nil && b.dropped != "" && len(b.img.Dumps) == 0 {
			// Nothing for a full to be a delta to: the clone waits for its base.
			if step.c.dropped != "" {
				step.c.dropped = fmt.Sprintf("its base %s is not dumped tonight: %s", b.img.DLE, b.dropped)
			}
			continue
		}
		backlog := int64(0)
		if step.before.entry.Level == 0 {
			backlog = f.cap.backlog()
		}
		more := f.cost(&step.before) - f.cost(step.c)
		f.totalBytes += more
		if f.excess(backlog) > 0 {
			f.totalBytes -= more
			continue
		}
		*step.c = step.before
	}
}

func byName(a, b catalog.DLE) int {
	return cmp.Or(cmp.Compare(a.VM, b.VM), cmp.Compare(a.Disk, b.Disk))
}
