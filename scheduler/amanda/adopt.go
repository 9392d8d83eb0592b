package amanda

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
)

// ErrNothing: no volume was found to adopt.
var ErrNothing = errors.New("no volumes to adopt")

// Adopter brings what was found in a library into the catalog.
type Adopter struct {
	Store *sqlstore.Store
	// Mark makes the library one that the storage can open. It is called once nothing speaks against the adoption, before the
	// catalog knows of the volumes.
	Mark func(ctx context.Context) error
}

// Result is what came of an adoption.
type Result struct {
	Storage string `json:"storage"`
	sqlstore.Adopted
	// Partial are dumps that are not whole, LeftOut those that the catalog cannot name, Notes what else should be known.
	Partial []string `json:"partial,omitempty"`
	LeftOut []string `json:"left_out,omitempty"`
	Notes   []string `json:"notes,omitempty"`
}

// Adopt takes the volumes of a storage with all that lies on them into the catalog, held against Amanda's own lists. Every one of
// them is marked never to be overwritten. What is adopted already stays as it is, so that an adoption that was broken off is
// made whole by the next.
func (a Adopter) Adopt(ctx context.Context, storage string, found sqlstore.Contents, lists Lists) (Result, error) {
	r := Result{Storage: storage}
	found, r.LeftOut = narrow(storage, found)
	if len(found.Volumes) == 0 {
		return r, fmt.Errorf("adopt into storage %s: %w", storage, ErrNothing)
	}
	found, r.Notes = compare(found, lists)
	for _, d := range found.Dumps {
		if !d.Status.Usable() {
			r.Partial = append(r.Partial, fmt.Sprintf("%s: %s", d.ID, d.Outcome()))
		}
	}
	if err := a.Store.Adoptable(ctx, found.Volumes); err != nil {
		return r, err
	}
	if err := a.Mark(ctx); err != nil {
		return r, err
	}
	var err error
	r.Adopted, err = a.Store.Adopt(ctx, found)
	return r, err
}

// narrow keeps what can be adopted: the storage's volumes, what lies on them, and dumps that have a name in our catalog.
func narrow(storage string, found sqlstore.Contents) (kept sqlstore.Contents, leftOut []string) {
	for _, v := range found.Volumes {
		if v.Storage == storage && v.Slot != "" {
			v.NoReuse = true
			kept.Volumes = append(kept.Volumes, v)
		}
	}
	slices.SortFunc(kept.Volumes, func(a, b catalog.Volume) int { return cmp.Compare(a.Label, b.Label) })
	here := map[catalog.Label]bool{}
	for _, v := range kept.Volumes {
		here[v.Label] = true
	}
	named := map[catalog.DumpID]bool{}
	for _, d := range found.Dumps {
		if _, _, _, err := catalog.ParseDumpID(d.ID); err != nil {
			leftOut = append(leftOut, fmt.Sprintf("%s: %v: `restore --from-media` gives it back", d.ID, err))
			continue
		}
		named[d.ID] = true
	}
	copied := map[catalog.DumpID]bool{}
	for _, c := range found.Copies {
		elsewhere := slices.ContainsFunc(c.Parts, func(p catalog.Part) bool { return !here[p.Label] })
		if c.Storage != storage || elsewhere || !named[c.Dump] {
			continue
		}
		c.Parts = slices.Clone(c.Parts)
		kept.Copies, copied[c.Dump] = append(kept.Copies, c), true
	}
	for _, d := range found.Dumps {
		if copied[d.ID] {
			kept.Dumps = append(kept.Dumps, d)
		}
	}
	slices.SortFunc(kept.Dumps, func(a, b catalog.Dump) int { return cmp.Compare(a.ID, b.ID) })
	slices.Sort(leftOut)
	return kept, leftOut
}
