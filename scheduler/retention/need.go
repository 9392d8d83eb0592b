package retention

import (
	"cmp"
	"slices"
)

// needs says, for each place of a dump, why it is kept. A place is a storage with a dump; the storage none stands for the
// holding disk.
type needs struct {
	roots []root
	// own lists the roots at a place, by their numbers; by is the root, of those that build on the place, which lasts longest.
	own      map[int][]int
	by       []int
	expanded []bool
	stack    []int
}

// place is the number of a dump's place.
func (x *index) place(storage, dump int) int { return (storage+1)*len(x.dumps) + dump }

// propagate finds what the roots build on. Roots that last longest are followed first: so the first to reach a place is the
// one that frees it last, and each place is followed once.
func (x *index) propagate(roots []root) *needs {
	slices.SortFunc(roots, func(a, b root) int {
		soft := 0
		if a.soft() != b.soft() {
			soft = -1
			if a.soft() {
				soft = 1
			}
		}
		return cmp.Or(soft, compareUntil(a.until, b.until), cmp.Compare(a.kind.weight(), b.kind.weight()),
			cmp.Compare(a.storage, b.storage), cmp.Compare(a.dump, b.dump), cmp.Compare(a.phrase, b.phrase))
	})
	places := (len(x.storages) + 1) * len(x.dumps)
	n := &needs{roots: roots, own: make(map[int][]int, len(roots)), by: make([]int, places), expanded: make([]bool, places)}
	for i := range n.by {
		n.by[i] = none
	}
	for i, r := range roots {
		at := x.place(r.storage, r.dump)
		n.own[at] = append(n.own[at], i)
		n.follow(x, at, i)
	}
	return n
}

// follow marks what a place builds on, down to the end of the chain.
func (n *needs) follow(x *index, start, root int) {
	n.stack = append(n.stack[:0], start)
	for len(n.stack) > 0 {
		at := n.stack[len(n.stack)-1]
		n.stack = n.stack[:len(n.stack)-1]
		if n.expanded[at] {
			continue
		}
		n.expanded[at] = true
		storage, dump := at/len(x.dumps)-1, at%len(x.dumps)
		for _, next := range x.basePlaces(storage, dump) {
			if n.by[next] == none {
				n.by[next] = root
			}
			n.stack = append(n.stack, next)
		}
	}
}

// basePlaces are the places of a dump's base that keep it restorable from a storage: the one in the same storage, or else
// all there are. A base that lies nowhere is passed through: it may turn up again, and what it builds on should be there then.
func (x *index) basePlaces(storage, dump int) []int {
	base := x.base[dump]
	switch {
	case base == none:
		return nil
	case storage != none && x.has(storage, base):
		return []int{x.place(storage, base)}
	case len(x.copies[base]) == 0:
		return []int{x.place(storage, base)}
	}
	var out []int
	for s := range x.storages {
		if x.has(s, base) {
			out = append(out, x.place(s, base))
		}
	}
	return out
}

// why lists the reasons for a place, but those that come from the volume origin itself.
func (n *needs) why(x *index, at, origin int) []Reason {
	id := x.dumps[at%len(x.dumps)].ID
	var out []Reason
	for _, i := range n.own[at] {
		if r := n.roots[i]; origin == none || r.origin != origin {
			out = append(out, Reason{Kind: r.kind, Text: r.phrase, Until: r.until, Dump: id})
		}
	}
	if i := n.by[at]; i != none && x.dumps[n.roots[i].dump].ID != id && (origin == none || n.roots[i].origin != origin) {
		r := n.roots[i]
		needer := x.dumps[r.dump].ID
		out = append(out, Reason{Kind: r.kind, Text: "which " + string(needer) + " needs (" + r.phrase + ")", Until: r.until, Dump: id, NeededBy: needer})
	}
	slices.SortFunc(out, compareReasons)
	return slices.Compact(out)
}

// retained lists the dumps that are kept, by id and storage.
func (x *index) retained(n *needs) []Retained {
	var out []Retained
	for d, copies := range x.copies {
		last := none
		for _, c := range copies {
			if c.storage == last {
				continue
			}
			last = c.storage
			if reasons := n.why(x, x.place(c.storage, d), none); len(reasons) > 0 {
				out = append(out, Retained{Dump: x.dumps[d].ID, Storage: x.storages[c.storage], Yields: yields(reasons), Reasons: reasons})
			}
		}
	}
	slices.SortFunc(out, func(a, b Retained) int { return cmp.Or(cmp.Compare(a.Dump, b.Dump), cmp.Compare(a.Storage, b.Storage)) })
	return out
}

// volumeReasons adds to what keeps each volume for its own sake what is on it.
func (x *index) volumeReasons(own [][]Reason, n *needs) [][]Reason {
	out := make([][]Reason, len(own))
	for v := range own {
		out[v] = slices.Clone(own[v])
	}
	type seen struct{ volume, dump int }
	done := map[seen]bool{} // a volume may hold parts of two copies
	for d, copies := range x.copies {
		for _, c := range copies {
			at := x.place(c.storage, d)
			if len(n.own[at]) == 0 && n.by[at] == none {
				continue
			}
			for _, v := range c.volumes {
				if len(copies) > 1 {
					if done[seen{v, d}] {
						continue
					}
					done[seen{v, d}] = true
				}
				for _, r := range n.why(x, at, v) {
					out[v] = append(out[v], onVolume(r))
				}
			}
		}
	}
	for _, reasons := range out {
		slices.SortFunc(reasons, compareReasons)
	}
	return out
}

// onVolume is a dump's reason as one of a volume that holds it.
func onVolume(r Reason) Reason {
	r.Text = "holds " + string(r.Dump) + ", " + r.Text
	return r
}
