// Package retention decides which volumes must not be overwritten, and says why.
//
// It is pure. Its one invariant stands above every policy: a volume that holds any part of a dump which a retained
// dump needs (as its base, or as the base of the image it was cloned from) is kept. Retained are, whatever the policy,
// the latest dump of each DLE that can be restored, the dumps on the holding disk, and those on any volume that is kept
// by policy or by hand.
package retention

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"holdfast/catalog"
)

// Input is what the verdicts are made from.
type Input struct {
	Now     time.Time
	Volumes []catalog.Volume
	// Dumps are all dumps known, in any order; Copies where they lie.
	Dumps  []catalog.Dump
	Copies []catalog.Copy
	// Held are the dumps on the holding disk: not on a volume yet, but their bases are.
	Held []catalog.DumpID
	// KeepVolumes most recently written volumes of each storage are kept, and what restoring the dumps on them takes.
	KeepVolumes int
	// RecoverDays: every dump not older than this is retained.
	RecoverDays float64
	// Current is the run that is going on: what it wrote is never overwritten by itself.
	Current catalog.Stamp
}

// Keep gives the reason for each volume that must not be overwritten. A volume that is not in the answer may be.
func Keep(in Input) map[catalog.Label]string {
	keep := byPolicy(in)
	needed := neededBy(in, roots(in, keep))
	for _, c := range in.Copies {
		why, ok := needed[c.Dump]
		for _, p := range c.Parts {
			if _, kept := keep[p.Label]; ok && !kept {
				keep[p.Label] = fmt.Sprintf("holds %s, %s", c.Dump, why)
			}
		}
	}
	return keep
}

// byPolicy are the volumes kept for their own sake.
func byPolicy(in Input) map[catalog.Label]string {
	keep := map[catalog.Label]string{}
	for _, v := range newest(in.Volumes, in.KeepVolumes) {
		keep[v.Label] = fmt.Sprintf("one of the %d volumes written last", in.KeepVolumes)
	}
	for _, v := range in.Volumes {
		switch {
		case v.Retired:
			keep[v.Label] = "retired"
		case v.NoReuse:
			keep[v.Label] = "marked no-reuse"
		case in.Current != "" && v.WriteStamp == in.Current:
			keep[v.Label] = "written in this run"
		}
	}
	return keep
}

// newest gives the n most recently written volumes of each storage.
func newest(volumes []catalog.Volume, n int) []catalog.Volume {
	sorted := slices.SortedFunc(slices.Values(volumes), func(a, b catalog.Volume) int {
		return cmp.Or(cmp.Compare(b.WriteStamp, a.WriteStamp), cmp.Compare(b.Label, a.Label))
	})
	taken := map[string]int{}
	var out []catalog.Volume
	for _, v := range sorted {
		if v.WriteStamp == "" || v.Retired || taken[v.Storage] >= n {
			continue
		}
		taken[v.Storage]++
		out = append(out, v)
	}
	return out
}

// root is a dump that is kept for its own sake, with the reason.
type root struct {
	id  catalog.DumpID
	why string
}

// roots gives the dumps that are kept for their own sake, those with the weightiest reason first.
func roots(in Input, keep map[catalog.Label]string) []root {
	out := latest(in)
	for _, id := range in.Held {
		out = append(out, root{id, "which is on the holding disk, too"})
	}
	// A retired volume is gone for good: what only it held needs nothing any more.
	gone := retired(in)
	for _, c := range in.Copies {
		for _, p := range c.Parts {
			if why, ok := keep[p.Label]; ok && !gone[p.Label] {
				out = append(out, root{c.Dump, fmt.Sprintf("part of which is on %s (%s)", p.Label, why)})
				break
			}
		}
	}
	since := in.Now.Add(-time.Duration(in.RecoverDays * 24 * float64(time.Hour)))
	for _, d := range in.Dumps {
		if in.RecoverDays > 0 && d.Status.Usable() && !d.Stamp.Time(in.Now.Location()).Before(since) {
			out = append(out, root{d.ID, fmt.Sprintf("a dump of the last %g days", in.RecoverDays)})
		}
	}
	return out
}

// latest gives, for each DLE, the latest dump on volumes and the latest one that can be restored with all it builds on.
// They are the same unless a volume was lost; the second keeps what is left then.
func latest(in Input) []root {
	there := onVolumes(in)
	byID := make(map[catalog.DumpID]catalog.Dump, len(in.Dumps))
	for _, d := range in.Dumps {
		byID[d.ID] = d
	}
	restorable := func(id catalog.DumpID) (catalog.Dump, bool) {
		d, ok := byID[id]
		return d, ok && there[id]
	}
	found := map[catalog.DLE][2]catalog.Dump{}
	for _, d := range in.Dumps {
		if !d.Status.Usable() || !there[d.ID] || slices.Contains(in.Held, d.ID) {
			continue
		}
		best := found[d.DLE]
		if later(d, best[0]) {
			best[0] = d
		}
		if _, err := catalog.Chain(d.ID, restorable); err == nil && later(d, best[1]) {
			best[1] = d
		}
		found[d.DLE] = best
	}
	var out []root
	for dle, best := range found {
		out = append(out, root{best[0].ID, fmt.Sprintf("the latest dump of %s", dle)})
		if best[1].ID != "" && best[1].ID != best[0].ID {
			out = append(out, root{best[1].ID, fmt.Sprintf("the latest dump of %s that can be restored", dle)})
		}
	}
	slices.SortFunc(out, func(a, b root) int { return cmp.Compare(a.id, b.id) })
	return out
}

// onVolumes are the dumps of which a whole copy is on volumes that are still there, or that are on the holding disk.
func onVolumes(in Input) map[catalog.DumpID]bool {
	gone := retired(in)
	there := map[catalog.DumpID]bool{}
	for _, c := range in.Copies {
		lost := slices.ContainsFunc(c.Parts, func(p catalog.Part) bool { return gone[p.Label] })
		if c.Status.Usable() && !lost {
			there[c.Dump] = true
		}
	}
	for _, id := range in.Held {
		there[id] = true
	}
	return there
}

func retired(in Input) map[catalog.Label]bool {
	gone := map[catalog.Label]bool{}
	for _, v := range in.Volumes {
		if v.Retired {
			gone[v.Label] = true
		}
	}
	return gone
}

func later(a, b catalog.Dump) bool {
	return cmp.Or(cmp.Compare(a.Stamp, b.Stamp), cmp.Compare(a.Level, b.Level)) > 0
}

// neededBy gives the dumps that restoring the roots takes, over and over their bases, each with the reason.
func neededBy(in Input, roots []root) map[catalog.DumpID]string {
	base := make(map[catalog.DumpID]catalog.DumpID, len(in.Dumps))
	for _, d := range in.Dumps {
		base[d.ID] = d.Base
	}
	needed := map[catalog.DumpID]string{}
	for _, r := range roots {
		why := r.why
		for id := r.id; id != "" && needed[id] == ""; id = base[id] {
			needed[id] = why
			why = fmt.Sprintf("which %s needs", r.id)
		}
	}
	return needed
}
