package catalog

import (
	"errors"
	"fmt"
	"slices"
)

// Chain lists the dumps that a restore of id needs, from the one that stands alone to id itself. It fails, naming the dump,
// when a base is missing, cannot be used, or leads back to where it was.
func Chain(id DumpID, get func(DumpID) (Dump, bool)) ([]Dump, error) {
	var chain []Dump
	seen := map[DumpID]bool{}
	for next := id; next != ""; {
		d, ok := get(next)
		switch {
		case !ok && next == id:
			return nil, fmt.Errorf("dump %s: not in the catalog", id)
		case !ok:
			return nil, fmt.Errorf("dump %s: its base %s is not in the catalog", chain[len(chain)-1].ID, next)
		case seen[next]:
			return nil, fmt.Errorf("dump %s: its base %s builds on it in turn", chain[len(chain)-1].ID, next)
		case !d.Status.Usable():
			return nil, fmt.Errorf("dump %s: cannot be used: it is %s", next, d.Outcome())
		}
		seen[next] = true
		chain = append(chain, d)
		next = d.Base
	}
	if len(chain) == 0 {
		return nil, errors.New("no dump is named")
	}
	slices.Reverse(chain)
	return chain, nil
}

// BaseFor finds the dump that a new one at level builds on: the latest of a lower level that is usable, and whose own bases
// are. dumps are those of one DLE that lie on volumes or on the holding disk, in any order. A base of another DLE (of a
// linked clone) is taken for good: whoever chose dumps has looked at it.
func BaseFor(dumps []Dump, level Level) (Dump, bool) {
	byID := make(map[DumpID]Dump, len(dumps))
	for _, d := range dumps {
		byID[d.ID] = d
	}
	own := func(id DumpID) (Dump, bool) {
		d, ok := byID[id]
		d.Base = ownBase(d)
		return d, ok
	}
	var best Dump
	for _, d := range dumps {
		if d.Level >= level || d.Stamp <= best.Stamp {
			continue
		}
		if _, err := Chain(d.ID, own); err == nil {
			best = d
		}
	}
	return best, best.ID != ""
}

// ownBase is the base of d unless it belongs to another DLE.
func ownBase(d Dump) DumpID {
	if dle, _, _, err := ParseDumpID(d.Base); err == nil && dle != d.DLE {
		return ""
	}
	return d.Base
}

// Needed is the set of dumps that restoring all of roots takes: the roots and, over and over, their bases. Bases that are not
// among dumps are in it too.
func Needed(dumps []Dump, roots []DumpID) map[DumpID]bool {
	base := make(map[DumpID]DumpID, len(dumps))
	for _, d := range dumps {
		base[d.ID] = d.Base
	}
	needed := map[DumpID]bool{}
	for _, id := range roots {
		for ; id != "" && !needed[id]; id = base[id] {
			needed[id] = true
		}
	}
	return needed
}
