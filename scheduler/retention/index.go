package retention

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"holdfast/catalog"
)

// index is the input, put in order and looked up by number.
type index struct {
	in       Input
	storages []string // those with a policy, by name
	// volumes by label, and dumps by DLE, then by stamp and level: the later after the earlier.
	volumes   []catalog.Volume
	volumeOf  map[catalog.Label]int
	storageOf []int // of each volume; none when it has no policy
	dumps     []*catalog.Dump
	dumpOf    map[catalog.DumpID]int
	times     []time.Time // of the stamps
	base      []int
	// copies of each dump that are whole and there, by storage and volumes.
	copies [][]placed
	held   []bool
	// sound tells whether a dump can be restored with all it builds on; alone, by storage, whether from that one alone.
	sound []bool
	alone [][]bool
}

// none stands for a number that is not there: a dump without a base, a dump's place on the holding disk.
const none = -1

// placed is a whole copy: its storage, and its volumes in order, each once.
type placed struct {
	storage int
	volumes []int
}

func newIndex(in Input) *index {
	x := &index{in: in, storages: slices.Sorted(maps.Keys(in.Policies))}
	x.indexVolumes()
	x.indexDumps()
	x.indexCopies()
	here := func(d int) bool { return x.held[d] || len(x.copies[d]) > 0 }
	x.sound = x.restorable(here)
	for s := range x.storages {
		x.alone = append(x.alone, x.restorable(func(d int) bool { return x.has(s, d) }))
	}
	return x
}

func (x *index) indexVolumes() {
	x.volumes = slices.SortedFunc(slices.Values(x.in.Volumes), func(a, b catalog.Volume) int { return cmp.Compare(a.Label, b.Label) })
	x.volumeOf = make(map[catalog.Label]int, len(x.volumes))
	for i, v := range x.volumes {
		x.volumeOf[v.Label] = i
		s, ok := slices.BinarySearch(x.storages, v.Storage)
		if !ok {
			s = none
		}
		x.storageOf = append(x.storageOf, s)
	}
}

func (x *index) indexDumps() {
	x.dumps = make([]*catalog.Dump, len(x.in.Dumps)) // a dump is large, and sorting moves much about
	for i := range x.in.Dumps {
		x.dumps[i] = &x.in.Dumps[i]
	}
	slices.SortFunc(x.dumps, compareDumps)
	x.dumpOf = make(map[catalog.DumpID]int, len(x.dumps))
	for i, d := range x.dumps {
		x.dumpOf[d.ID] = i
	}
	x.held = make([]bool, len(x.dumps))
	for _, id := range x.in.Held {
		if d, ok := x.dumpOf[id]; ok {
			x.held[d] = true
		}
	}
	x.times, x.base = make([]time.Time, 0, len(x.dumps)), make([]int, 0, len(x.dumps))
	known := map[catalog.Stamp]time.Time{}
	for _, d := range x.dumps {
		t, ok := known[d.Stamp]
		if !ok {
			t = x.time(d.Stamp)
			known[d.Stamp] = t
		}
		x.times = append(x.times, t)
		base, ok := x.dumpOf[d.Base]
		if !ok {
			base = none
		}
		x.base = append(x.base, base)
	}
}

func compareDumps(a, b *catalog.Dump) int {
	return cmp.Or(cmp.Compare(a.DLE.VM, b.DLE.VM), cmp.Compare(a.DLE.Disk, b.DLE.Disk), cmp.Compare(a.Stamp, b.Stamp),
		cmp.Compare(a.Level, b.Level), cmp.Compare(a.ID, b.ID))
}

func (x *index) time(s catalog.Stamp) time.Time { return s.Time(x.in.Now.Location()) }

// indexCopies takes in the copies that are whole and there.
func (x *index) indexCopies() {
	x.copies = make([][]placed, len(x.dumps))
	for _, c := range x.in.Copies {
		volumes, there := x.volumesOf(c)
		d, ok := x.dumpOf[c.Dump]
		if ok && there && len(volumes) > 0 && c.Status.Usable() && x.dumps[d].Status.Usable() {
			// The volume says whose policy holds: a storage may have got another name since the copy was made.
			x.copies[d] = append(x.copies[d], placed{storage: x.storageOf[volumes[0]], volumes: volumes})
		}
	}
	for _, copies := range x.copies {
		slices.SortFunc(copies, func(a, b placed) int {
			return cmp.Or(cmp.Compare(a.storage, b.storage), slices.Compare(a.volumes, b.volumes))
		})
	}
}

// volumesOf are the volumes with parts of a copy, and whether all of them are there.
func (x *index) volumesOf(c catalog.Copy) (volumes []int, there bool) {
	there = true
	for _, p := range c.Parts {
		v, ok := x.volumeOf[p.Label]
		if !ok {
			there = false
			continue
		}
		there = there && !x.volumes[v].Retired && x.storageOf[v] != none
		if !slices.Contains(volumes, v) {
			volumes = append(volumes, v)
		}
	}
	slices.Sort(volumes)
	return volumes, there
}

// has tells whether a dump lies in a storage.
func (x *index) has(storage, dump int) bool {
	return slices.ContainsFunc(x.copies[dump], func(c placed) bool { return c.storage == storage })
}

// restorable tells for each dump whether it and all it builds on are here. Bases in a circle are not.
func (x *index) restorable(here func(dump int) bool) []bool {
	ok, known := make([]bool, len(x.dumps)), make([]bool, len(x.dumps))
	var chain []int
	for d := range x.dumps {
		chain = chain[:0]
		at := d
		for at != none && !known[at] {
			known[at] = true // and not ok, should the chain come back to it
			chain = append(chain, at)
			if x.base[at] == none {
				break
			}
			at = x.base[at]
		}
		for _, at := range slices.Backward(chain) {
			root := x.dumps[at].Base == ""
			ok[at] = here(at) && x.dumps[at].Status.Usable() && (root || x.base[at] != none && ok[x.base[at]])
		}
	}
	return ok
}
