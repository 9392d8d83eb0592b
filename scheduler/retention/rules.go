package retention

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

const day = 24 * time.Hour

// days is a number of days as text.
func days(n int) string {
	if n == 1 {
		return "day"
	}
	return fmt.Sprintf("%d days", n)
}

// oneOf is "one of the N THINGS", or "the THING" if there can be but one.
func oneOf(n int, thing, things string) string {
	if n == 1 {
		return "the " + thing
	}
	return fmt.Sprintf("one of the %d %s", n, things)
}

// after is the time n days after t.
func after(t time.Time, n int) time.Time { return t.Add(time.Duration(n) * day) }

// volumeRules gives, for each volume, what keeps it for its own sake, the weightiest first.
func (x *index) volumeRules() [][]Reason {
	out := make([][]Reason, len(x.volumes))
	last := x.writtenLast()
	for i, v := range x.volumes {
		add := func(kind Kind, until time.Time, text string) {
			out[i] = append(out[i], Reason{Kind: kind, Text: text, Until: until})
		}
		policy := x.in.Policies[v.Storage]
		if v.Retired {
			add(KindRetired, time.Time{}, "retired")
		}
		if x.storageOf[i] == none {
			add(KindUnconfigured, time.Time{}, fmt.Sprintf("its storage %s is not in the configuration", v.Storage))
		}
		if v.NoReuse {
			add(KindNoReuse, time.Time{}, "marked no-reuse")
		}
		if v.LockedUntil.After(x.in.Now) {
			until := v.LockedUntil.In(x.in.Now.Location())
			add(KindLocked, v.LockedUntil, "locked at its storage until "+until.Format(time.DateTime))
		}
		if v.WriteStamp == "" {
			continue // what follows is about what was written
		}
		if policy.NoReuse {
			add(KindStorageNoReuse, time.Time{}, fmt.Sprintf("storage %s overwrites nothing (no-reuse)", v.Storage))
		}
		if v.WriteStamp == x.in.Current {
			add(KindCurrent, time.Time{}, "written in this run")
		}
		if last[i] {
			add(KindVolumes, time.Time{}, oneOf(policy.KeepVolumes, "volume", "volumes")+" written last")
		}
		if until := after(x.time(v.WriteStamp), policy.KeepDays); policy.KeepDays > 0 && until.After(x.in.Now) {
			add(KindDays, until, "written in the last "+days(policy.KeepDays))
		}
	}
	for _, reasons := range out {
		slices.SortFunc(reasons, compareReasons)
	}
	return out
}

// writtenLast tells which volumes are among the keep-volumes of their storage written last.
func (x *index) writtenLast() []bool {
	byAge := make([]int, len(x.volumes))
	for i := range byAge {
		byAge[i] = i
	}
	slices.SortFunc(byAge, func(a, b int) int {
		return cmp.Or(cmp.Compare(x.volumes[b].WriteStamp, x.volumes[a].WriteStamp), cmp.Compare(b, a))
	})
	last, count := make([]bool, len(x.volumes)), make([]int, len(x.storages))
	for _, i := range byAge {
		v, s := x.volumes[i], x.storageOf[i]
		if v.WriteStamp == "" || v.Retired || s == none || count[s] == x.in.Policies[v.Storage].KeepVolumes {
			continue
		}
		count[s]++
		last[i] = true
	}
	return last
}

// root is a dump that is kept in a storage for its own sake; in storage none: on the holding disk.
type root struct {
	storage, dump int
	kind          Kind
	// phrase follows the dump's name: "holds NAME, PHRASE".
	phrase string
	until  time.Time
	// origin is the volume that the dump is kept for, none if it is not for one.
	origin int
}

// soft roots yield.
func (r root) soft() bool { return r.kind == KindWanted }

// roots are the dumps that are kept for their own sake. own is what keeps the volumes.
func (x *index) roots(own [][]Reason) []root {
	var out []root
	for d, held := range x.held {
		if held {
			out = append(out, root{storage: none, dump: d, kind: KindHeld, phrase: "on the holding disk", origin: none})
		}
	}
	out = append(out, x.volumeRoots(own)...)
	out = append(out, x.holdRoots()...)
	out = append(out, x.wantedRoots()...)
	for s := range x.storages {
		for first := 0; first < len(x.dumps); {
			dle, end := x.dumps[first].DLE, first+1
			for end < len(x.dumps) && x.dumps[end].DLE == dle {
				end++
			}
			out = append(out, x.dleRoots(s, dle, first, end)...)
			first = end
		}
	}
	return out
}

// volumeRoots are the dumps on volumes that are kept for their own sake: each copy for the volume that is kept longest.
func (x *index) volumeRoots(own [][]Reason) []root {
	longest := make([]Reason, len(own))
	for i, reasons := range own {
		if len(reasons) > 0 {
			longest[i] = slices.MinFunc(reasons, func(a, b Reason) int { return compareUntil(a.Until, b.Until) })
		}
	}
	var out []root
	for d, copies := range x.copies {
		for _, c := range copies {
			kept := slices.DeleteFunc(slices.Clone(c.volumes), func(v int) bool { return len(own[v]) == 0 })
			if len(kept) == 0 {
				continue
			}
			v := slices.MinFunc(kept, func(a, b int) int {
				return cmp.Or(compareUntil(longest[a].Until, longest[b].Until), cmp.Compare(longest[a].Kind.weight(), longest[b].Kind.weight()))
			})
			why := longest[v]
			phrase := fmt.Sprintf("on %s, which is kept: %s", x.volumes[v].Label, why.Text)
			out = append(out, root{storage: c.storage, dump: d, kind: why.Kind, phrase: phrase, until: why.Until, origin: v})
		}
	}
	return out
}

func (x *index) holdRoots() []root {
	var out []root
	for d, dump := range x.dumps {
		if dump.Hold != "" {
			out = append(out, x.everywhere(d, none, KindHold, "on hold: "+dump.Hold)...)
		}
	}
	return out
}

// wantedRoots are the dumps from which copies are still to be made. The holding disk is as good a source as any.
func (x *index) wantedRoots() []root {
	var out []root
	for _, w := range x.in.Wanted {
		d, known := x.dumpOf[w.Dump]
		target, ok := slices.BinarySearch(x.storages, w.Storage)
		if known && ok && !x.held[d] && !x.has(target, d) {
			out = append(out, x.everywhere(d, target, KindWanted, "still to be copied to "+w.Storage)...)
		}
	}
	return out
}

// everywhere are the places of a dump in all storages but one.
func (x *index) everywhere(dump, except int, kind Kind, phrase string) []root {
	var out []root
	for s := range x.storages {
		if s != except && x.has(s, dump) {
			out = append(out, root{storage: s, dump: dump, kind: kind, phrase: phrase, origin: none})
		}
	}
	return out
}
