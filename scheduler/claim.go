package scheduler

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// stepPriority is how many times smaller a dump counts for each step of priority.
const stepPriority = 32.0

// farOverdue is by how many cycles a full is overdue that takes the place of incrementals.
const farOverdue = 1.5

// yieldPart of the bytes of all incrementals is what one image that was left out may take from them, for each run that it
// was left out.
const yieldPart = 0.34

// claim is a dump that an image wants.
type claim struct {
	c     *choice
	entry *Entry
	// instead is the incremental that a full takes the place of; nil when the image has nothing to fall back on.
	instead *Entry
	weight  float64
}

func (c *choice) claim(e, instead *Entry) claim {
	bytes := e.StoredBytes
	if instead != nil {
		bytes -= instead.StoredBytes
	}
	return claim{c, e, instead, float64(bytes) * math.Pow(stepPriority, -float64(c.img.Policy.Priority))}
}

// claims gives what the images want: some dump for each, then fulls by force, then those that are due. So nobody is left without
// any dump for the sake of a full that could have been an incremental.
func (f *fitting) claims() (some, forced, due []claim) {
	some = make([]claim, 0, len(f.choices))
	for _, c := range f.choices {
		switch {
		case c.dropped != "":
			continue
		case c.entry.Level > 0 || c.degraded == nil || f.savesNothing(c):
		case c.forced:
			forced = append(forced, c.claim(c.fullAside(), c.degraded))
		default:
			due = append(due, c.claim(c.fullAside(), c.degraded))
		}
		some = append(some, c.claim(&c.entry, nil))
	}
	f.basesFirst(some)
	sortClaims(some)
	sortClaims(forced)
	sortClaims(due)
	return some, forced, due
}

// fullAside gives the full, and leaves its image with the incremental.
func (c *choice) fullAside() *Entry {
	full := c.entry
	c.entry = *c.degraded
	return &full
}

// sortClaims puts incrementals before the dumps of images that can have none, and small before large: so most images are served,
// and what is behind one that does not fit would not fit in its place, either. Each step of priority counts as 32 times smaller.
// The order does not depend on how much room there is.
func sortClaims(all []claim) {
	slices.SortFunc(all, func(a, b claim) int {
		return cmp.Or(cmp.Compare(a.after(), b.after()), cmp.Compare(a.weight, b.weight), cmp.Compare(a.c.depth, b.c.depth), cmp.Compare(a.c.order, b.c.order))
	})
}

// after tells, as 1, that a dump takes its turn after the incrementals: that of an image which has nothing else, and so takes
// more room than an incremental.
func (cl claim) after() int {
	if cl.instead == nil && cl.entry.Level == 0 && cl.c.degraded == nil {
		return 1
	}
	return 0
}

// basesFirst makes the claim of a base that has no dump yet weigh no more than those of its clones.
func (f *fitting) basesFirst(all []claim) {
	at := make(map[*choice]int)
	for i, cl := range all {
		if len(cl.c.img.Dumps) == 0 {
			at[cl.c] = i
		}
	}
	for i := range all {
		steps := 0
		for b := f.base(all[i].c); b != nil && steps < len(all); b = f.base(b) {
			if j, ok := at[b]; ok {
				all[j].weight = math.Min(all[j].weight, all[i].weight)
			}
			steps++
		}
	}
}

// without is how many runs an image has been left out; one that was never dumped counts one more.
func (f *fitting) without(c *choice) float64 {
	if len(c.est.ages) == 0 {
		return float64(c.img.Waited) + 1
	}
	return math.Round(c.est.ages[0]/f.gapDays) - 1
}

// starving gives the claims that go before all others: of images that were left out, and of fulls that are far overdue,
// those first that have waited longest. Together they may take the place of a part of the incrementals only, a larger one
// the longer they have waited; these are taken from the largest, which then wait themselves.
func (f *fitting) starving(some, due []claim) []claim {
	var waiting []claim
	bytes := 0.0
	for _, cl := range some {
		if cl.entry.Level > 0 {
			bytes += float64(cl.entry.StoredBytes)
		}
		if n := f.without(cl.c); n >= 1 {
			waiting = append(waiting, claim{cl.c, cl.entry, nil, n})
		}
	}
	for _, cl := range due {
		if n := float64(cl.c.due.overdueDays) / math.Max(1, farOverdue*cl.c.img.Policy.CycleDays); n >= 1 {
			waiting = append(waiting, claim{cl.c, cl.entry, nil, n})
		}
	}
	slices.SortFunc(waiting, func(a, b claim) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(b.c.urgency, a.c.urgency), cmp.Compare(a.entry.StoredBytes, b.entry.StoredBytes), cmp.Compare(a.c.order, b.c.order))
	})
	first, taken := waiting[:0], 0.0
	for _, cl := range waiting {
		more := float64(cl.entry.StoredBytes)
		if taken+more > yieldPart*cl.weight*bytes || cl.c.starved || f.needsBase(cl.c) || !f.alone(cl) || cl.entry.Level == 0 && f.keeps() {
			continue
		}
		cl.c.starved, taken = true, taken+more
		first = append(first, cl)
	}
	return first
}

// oldest gives the full that goes before the others that are due: the one longest overdue that could be made at all.
func (f *fitting) oldest(due []claim) []claim {
	var first []claim
	for i := range due {
		cl := &due[i]
		if cl.c.due.overdueDays == 0 || cl.c.dropped != "" || cl.c.entry.Level == 0 || first != nil && first[0].c.urgency >= cl.c.urgency || !f.alone(*cl) {
			continue
		}
		first = []claim{*cl}
	}
	return first
}

// admit lets claims in, the first ones before the others, until one does not fit, and tells whether that happened. All behind it
// wait, so that more room never takes a dump from one image for another. One that could not be held at all, even with
// nothing but the incrementals before it, stands in nobody's way: else it would do so for ever.
func (f *fitting) admit(first, claims []claim, ended bool) bool {
	in := make(map[*choice]bool, len(first))
	for _, cl := range first {
		if !ended && f.exceeded(cl.entry, cl.instead) == nil {
			f.let(cl)
			in[cl.c] = true
		}
	}
	for _, cl := range claims {
		switch {
		case in[cl.c], cl.instead != nil && (cl.c.dropped != "" || cl.c.entry.Level == 0):
			// It is in, or its incremental is not.
		case cl.entry.Level == 0 && cl.instead == nil && f.orphan(cl.c) != nil:
			cl.c.wait(f.orphan(cl.c))
		default:
			ended = f.admitOne(cl, ended)
		}
		if cl.instead == nil && cl.after() == 0 {
			for _, l := range f.limits {
				l.mark += l.cost(cl.entry)
			}
		}
	}
	for _, l := range f.limits {
		l.mark = l.used
	}
	return ended
}

func (f *fitting) admitOne(cl claim, ended bool) bool {
	l := f.exceeded(cl.entry, cl.instead)
	if !ended && l == nil {
		f.let(cl)
		return false
	}
	ended = ended || f.alone(cl)
	l = cmp.Or(l, f.tightest()) // it may fit by itself, but be behind one that does not
	if cl.instead != nil {
		cl.c.delay(*cl.entry, l)
	} else {
		cl.c.drop(l)
	}
	return ended
}

// let books a claim.
func (f *fitting) let(cl claim) {
	if cl.instead != nil {
		f.take(cl.instead, -1)
	}
	cl.c.entry = *cl.entry
	f.take(&cl.c.entry, 1)
}

// alone tells whether a claim could be met if it were the only one: an incremental in an empty run, any other dump beside the
// incrementals.
func (f *fitting) alone(cl claim) bool {
	for _, l := range f.limits {
		room := l.room
		if cl.entry.Level == 0 {
			room -= l.reserve + l.mark
		}
		if l.room > 0 && l.more(cl.entry, cl.instead) > max(0, room) {
			return false
		}
	}
	return true
}

// orphan gives the base of a clone that is left out and has no dump, so that there is nothing for the clone to be a delta to.
func (f *fitting) orphan(c *choice) *choice {
	if b := f.base(c); b != nil && b.dropped != "" && len(b.img.Dumps) == 0 {
		return b
	}
	return nil
}

// keeps tells whether a part of the room is kept from fulls: what waits to be flushed goes first, then.
func (f *fitting) keeps() bool {
	return slices.ContainsFunc(f.limits, func(l *limit) bool { return l.reserve > 0 })
}

// needsBase tells whether an image is a clone of one that has no dump yet.
func (f *fitting) needsBase(c *choice) bool {
	b := f.base(c)
	return b != nil && len(b.img.Dumps) == 0
}

// wait leaves out a clone with its base.
func (c *choice) wait(b *choice) {
	c.dropped = fmt.Sprintf("its base %s is not dumped tonight: %s", b.img.DLE, b.dropped)
	c.why = Why{Kind: KindBase}
}
