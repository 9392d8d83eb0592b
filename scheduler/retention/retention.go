// Package retention decides which volumes must not be overwritten, and says why.
//
// It is pure. Its one invariant stands above every policy: a volume that holds any part of a dump which a retained
// dump needs (as its base, or as the base of the image it was cloned from) is kept.
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
	// KeepVolumes most recently written volumes of each storage are kept with all that is on them.
	KeepVolumes int
	// RecoverDays: every dump younger than this is retained.
	RecoverDays float64
	// Current is the run that is going on: what it wrote is never overwritten by itself.
	Current catalog.Stamp
}

// Keep gives the reason for each volume that must not be overwritten. A volume that is not in the answer may be.
func Keep(in Input) map[catalog.Label]string {
	keep := map[catalog.Label]string{}
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
	for _, v := range newest(in.Volumes, in.KeepVolumes) {
		reason(keep, v.Label, fmt.Sprintf("one of the %d most recently written volumes", in.KeepVolumes))
	}
	roots := retained(in, keep)
	needed := catalog.Needed(in.Dumps, roots)
	for _, c := range in.Copies {
		if !needed[c.Dump] {
			continue
		}
		for _, p := range c.Parts {
			reason(keep, p.Label, fmt.Sprintf("holds %s, which a retained dump needs", c.Dump))
		}
	}
	return keep
}

func reason(keep map[catalog.Label]string, label catalog.Label, why string) {
	if _, ok := keep[label]; !ok {
		keep[label] = why
	}
}

// newest gives the n most recently written volumes of each storage.
func newest(volumes []catalog.Volume, n int) []catalog.Volume {
	sorted := slices.Clone(volumes)
	slices.SortFunc(sorted, func(a, b catalog.Volume) int {
		return cmp.Or(cmp.Compare(b.WriteStamp, a.WriteStamp), cmp.Compare(b.Label, a.Label))
	})
	taken := map[string]int{}
	var out []catalog.Volume
	for _, v := range sorted {
		if v.WriteStamp == "" || taken[v.Storage] >= n {
			continue
		}
		taken[v.Storage]++
		out = append(out, v)
	}
	return out
}

// retained gives the dumps that are kept for their own sake: the latest usable one of each DLE, and the latest that has
// not lost a dump it rests on, should that be another; those younger than the recovery window; and those that lie on a
// volume kept for another reason.
func retained(in Input, keep map[catalog.Label]string) []catalog.DumpID {
	latest := map[catalog.DLE]catalog.Dump{}
	roots := slices.Clone(in.Held)
	since := in.Now.Add(-time.Duration(in.RecoverDays * 24 * float64(time.Hour)))
	placed := placedDumps(in.Copies)
	for _, d := range in.Dumps {
		if !d.Status.Usable() || !placed[d.ID] {
			continue
		}
		if l, ok := latest[d.DLE]; !ok || later(d, l) {
			latest[d.DLE] = d
		}
		if !d.Stamp.Time(in.Now.Location()).Before(since) {
			roots = append(roots, d.ID)
		}
	}
	for _, d := range latest {
		roots = append(roots, d.ID)
	}
	roots = append(roots, latestWhole(in, placed)...)
	for _, c := range in.Copies {
		for _, p := range c.Parts {
			if _, kept := keep[p.Label]; kept {
				roots = append(roots, c.Dump)
				break
			}
		}
	}
	slices.Sort(roots)
	return slices.Compact(roots)
}

// latestWhole gives the latest dump of each DLE that can be restored.
func latestWhole(in Input, placed map[catalog.DumpID]bool) []catalog.DumpID {
	held := map[catalog.DumpID]bool{}
	for _, id := range in.Held {
		held[id] = true
	}
	byID := map[catalog.DumpID]catalog.Dump{}
	for _, d := range in.Dumps {
		byID[d.ID] = d
	}
	newestFirst := slices.Clone(in.Dumps)
	slices.SortFunc(newestFirst, func(a, b catalog.Dump) int {
		return cmp.Or(cmp.Compare(b.Stamp, a.Stamp), cmp.Compare(b.Level, a.Level))
	})
	var out []catalog.DumpID
	found := map[catalog.DLE]bool{}
	for _, d := range newestFirst {
		if found[d.DLE] || !placed[d.ID] {
			continue
		}
		_, err := catalog.Chain(d.ID, func(id catalog.DumpID) (catalog.Dump, bool) {
			d, ok := byID[id]
			return d, ok && (placed[id] || held[id])
		})
		if err == nil {
			found[d.DLE] = true
			out = append(out, d.ID)
		}
	}
	return out
}

// placedDumps are those with a complete copy on volumes: only these can be lost by overwriting one.
func placedDumps(copies []catalog.Copy) map[catalog.DumpID]bool {
	placed := map[catalog.DumpID]bool{}
	for _, c := range copies {
		if c.Status.Usable() {
			placed[c.Dump] = true
		}
	}
	return placed
}

func later(a, b catalog.Dump) bool {
	if a.Stamp != b.Stamp {
		return a.Stamp > b.Stamp
	}
	return a.Level > b.Level
}
