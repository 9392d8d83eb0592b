package retention_test

import (
	"cmp"
	"slices"
	"time"

	"holdfast/catalog"
	"holdfast/scheduler/retention"
)

// oracle says from the words of the package comment what is kept, without a thought of speed: a second witness beside the
// code.
type oracle struct {
	in      retention.Input
	volumes map[catalog.Label]catalog.Volume
	dumps   map[catalog.DumpID]catalog.Dump
	// whole are the copies that count, by storage and dump.
	whole map[spot][]catalog.Copy
	// known are answers of restores and rule given before.
	known map[spot]bool
	ruled map[catalog.Label]bool
}

// spot is a dump in a storage; in storage "" it is on the holding disk.
type spot struct {
	storage string
	id      catalog.DumpID
}

func newOracle(in retention.Input) *oracle {
	o := &oracle{in: in, volumes: map[catalog.Label]catalog.Volume{}, dumps: map[catalog.DumpID]catalog.Dump{}, whole: map[spot][]catalog.Copy{},
		known: map[spot]bool{}, ruled: map[catalog.Label]bool{}}
	for _, v := range in.Volumes {
		o.volumes[v.Label] = v
	}
	for _, d := range in.Dumps {
		o.dumps[d.ID] = d
	}
	for _, c := range in.Copies {
		good := c.Status.Usable() && o.dumps[c.Dump].Status.Usable() && len(c.Parts) > 0
		for _, p := range c.Parts {
			v, known := o.volumes[p.Label]
			_, configured := in.Policies[v.Storage]
			good = good && known && configured && !v.Retired
		}
		if good {
			at := spot{o.volumes[c.Parts[0].Label].Storage, c.Dump}
			o.whole[at] = append(o.whole[at], c)
		}
	}
	return o
}

// here tells whether a dump lies in a storage, or anywhere when that is "any".
func (o *oracle) here(storage string, id catalog.DumpID) bool {
	if storage != "any" {
		return len(o.whole[spot{storage, id}]) > 0
	}
	for s := range o.in.Policies {
		if o.here(s, id) {
			return true
		}
	}
	return slices.Contains(o.in.Held, id)
}

// restores tells whether a dump can be restored from a storage alone, or from "any".
func (o *oracle) restores(storage string, id catalog.DumpID) bool {
	answer, ok := o.known[spot{storage, id}]
	if !ok {
		answer = o.walk(storage, id)
		o.known[spot{storage, id}] = answer
	}
	return answer
}

func (o *oracle) walk(storage string, id catalog.DumpID) bool {
	for range len(o.dumps) + 1 {
		d, known := o.dumps[id]
		switch {
		case !known || !d.Status.Usable() || !o.here(storage, id):
			return false
		case d.Base == "":
			return true
		}
		id = d.Base
	}
	return false
}

func (o *oracle) time(s catalog.Stamp) time.Time { return s.Time(time.UTC) }

func (o *oracle) younger(s catalog.Stamp, days int) bool {
	return days > 0 && o.in.Now.Sub(o.time(s)) < time.Duration(days)*24*time.Hour
}

// rule tells whether a volume is kept for its own sake.
func (o *oracle) rule(v catalog.Volume) bool {
	answer, ok := o.ruled[v.Label]
	if !ok {
		answer = o.judge(v)
		o.ruled[v.Label] = answer
	}
	return answer
}

func (o *oracle) judge(v catalog.Volume) bool {
	p, configured := o.in.Policies[v.Storage]
	later := 0
	for _, w := range o.in.Volumes {
		if w.Storage == v.Storage && !w.Retired && cmp.Or(cmp.Compare(w.WriteStamp, v.WriteStamp), cmp.Compare(w.Label, v.Label)) > 0 {
			later++
		}
	}
	written := v.WriteStamp != "" &&
		(p.NoReuse || v.WriteStamp == o.in.Current || !v.Retired && later < p.KeepVolumes || o.younger(v.WriteStamp, p.KeepDays))
	return v.Retired || !configured || v.NoReuse || o.in.Now.Before(v.LockedUntil) || written
}

// roots are the spots kept for their own sake; only those that do not yield unless soft is asked for.
func (o *oracle) roots(soft bool) []spot {
	var out []spot
	for _, id := range o.in.Held {
		if _, known := o.dumps[id]; known {
			out = append(out, spot{"", id})
		}
	}
	for at, copies := range o.whole {
		d := o.dumps[at.id]
		keep := d.Hold != "" || o.policyKeeps(at.storage, d)
		for _, c := range copies {
			keep = keep || slices.ContainsFunc(c.Parts, func(p catalog.Part) bool { return o.rule(o.volumes[p.Label]) })
		}
		for _, w := range o.in.Wanted {
			_, configured := o.in.Policies[w.Storage]
			keep = keep || soft && w.Dump == d.ID && configured && at.storage != w.Storage && !o.here(w.Storage, d.ID) && !slices.Contains(o.in.Held, d.ID)
		}
		if keep {
			out = append(out, at)
		}
	}
	return out
}

// policyKeeps tells whether a storage retains a dump as the latest or by its policy.
func (o *oracle) policyKeeps(storage string, d catalog.Dump) bool {
	p := o.in.Policies[storage]
	// later counts the dumps of the DLE in the storage after d for which ok holds.
	later := func(ok func(catalog.Dump) bool) int {
		n := 0
		for _, other := range o.in.Dumps {
			after := cmp.Or(cmp.Compare(other.Stamp, d.Stamp), cmp.Compare(other.Level, d.Level)) > 0
			if other.DLE == d.DLE && after && o.here(storage, other.ID) && ok(other) {
				n++
			}
		}
		return n
	}
	if later(func(catalog.Dump) bool { return true }) == 0 || d.Level == 0 && o.younger(d.Stamp, p.KeepFullDays) || o.younger(d.Stamp, p.WindowDays) {
		return true
	}
	for _, from := range []string{"any", storage} {
		sound := func(d catalog.Dump) bool { return o.restores(from, d.ID) }
		old := func(d catalog.Dump) bool { return sound(d) && !o.younger(d.Stamp, p.WindowDays) }
		full := func(d catalog.Dump) bool { return sound(d) && d.Level == 0 }
		if sound(d) && later(sound) == 0 || p.WindowDays > 0 && old(d) && later(old) == 0 ||
			from == "any" && full(d) && later(full) < p.KeepFulls {
			return true
		}
	}
	return false
}

// needed are the roots and all that they build on.
func (o *oracle) needed(soft bool) map[spot]bool {
	all := map[spot]bool{}
	var need func(at spot)
	need = func(at spot) {
		if all[at] {
			return
		}
		all[at] = true
		base := o.dumps[at.id].Base
		if _, known := o.dumps[base]; !known {
			return
		}
		if o.here(at.storage, base) {
			need(spot{at.storage, base})
			return
		}
		somewhere := false
		for s := range o.in.Policies {
			if o.here(s, base) {
				somewhere = true
				need(spot{s, base})
			}
		}
		if !somewhere {
			need(spot{at.storage, base}) // for what it builds on in turn
		}
	}
	for _, r := range o.roots(soft) {
		need(r)
	}
	return all
}

// kept are the volumes that must not be overwritten; soft: nor those that yield.
func (o *oracle) kept(soft bool) map[catalog.Label]bool {
	kept := map[catalog.Label]bool{}
	for _, v := range o.in.Volumes {
		if o.rule(v) {
			kept[v.Label] = true
		}
	}
	for at := range o.needed(soft) {
		for _, c := range o.whole[at] {
			for _, p := range c.Parts {
				kept[p.Label] = true
			}
		}
	}
	return kept
}
