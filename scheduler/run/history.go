package run

import (
	"context"
	"sync"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
)

// history is what the catalog knows of all dumps.
type history struct {
	byDLE  map[catalog.DLE][]catalog.Dump
	byID   map[catalog.DumpID]catalog.Dump
	copies []catalog.Copy
	// placed are the dumps that lie whole on the holding disk, or on volumes of storages that are in the configuration: nobody
	// finds the others.
	placed map[catalog.DumpID]bool
	held   []catalog.DumpID
}

func (n *Night) history(ctx context.Context) (history, error) {
	h := history{byDLE: map[catalog.DLE][]catalog.Dump{}, byID: map[catalog.DumpID]catalog.Dump{}, placed: map[catalog.DumpID]bool{}}
	dumps, err := n.Store.Dumps(ctx, sqlstore.DumpFilter{})
	if err != nil {
		return h, err
	}
	h.copies, err = n.Store.AllCopies(ctx)
	if err != nil {
		return h, err
	}
	held, err := n.Store.Held(ctx)
	if err != nil {
		return h, err
	}
	for _, c := range h.copies {
		if _, known := n.Config.Storage[c.Storage]; known && c.Status.Usable() {
			h.placed[c.Dump] = true
		}
	}
	for _, hd := range held {
		h.placed[hd.Dump] = true
		h.held = append(h.held, hd.Dump)
	}
	for _, d := range dumps {
		h.byID[d.ID] = d
		if foreign := d.Program != "" && d.Program != catalog.ProgramImage; !foreign { // nothing is built on what another program dumped
			h.byDLE[d.DLE] = append(h.byDLE[d.DLE], d)
		}
	}
	return h, nil
}

// knownDumps is the history a run works with: read once, since reading it anew for each of thousands of images would take
// the night, and added to as dumps are made. What the run overwrites was needed by nothing it still builds on.
type knownDumps struct {
	mu sync.Mutex // guards history
	history
}

// add takes in a dump that was made and recorded in this run.
func (k *knownDumps) add(d catalog.Dump) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.byID[d.ID] = d
	k.byDLE[d.DLE] = append(k.byDLE[d.DLE], d)
	k.placed[d.ID] = true
}

// restorable is history's, for several dumps at a time.
func (k *knownDumps) restorable(dle catalog.DLE) []catalog.Dump {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.history.restorable(dle)
}

// restorable gives the dumps of a DLE that can be restored now, with all they rest on, oldest first.
func (h history) restorable(dle catalog.DLE) []catalog.Dump {
	var out []catalog.Dump
	for _, d := range h.byDLE[dle] {
		if h.canRestore(d.ID) {
			out = append(out, d)
		}
	}
	return out
}

func (h history) canRestore(id catalog.DumpID) bool {
	_, err := catalog.Chain(id, func(id catalog.DumpID) (catalog.Dump, bool) {
		d, ok := h.byID[id]
		return d, ok && h.placed[id]
	})
	return err == nil
}

// all gives every dump known.
func (h history) all() []catalog.Dump {
	var out []catalog.Dump
	for _, d := range h.byID {
		out = append(out, d)
	}
	return out
}
