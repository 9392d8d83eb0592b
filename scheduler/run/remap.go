package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"holdfast/catalog"
	"holdfast/internal/blockmap"
	"holdfast/scheduler/recovery"
)

// errSealed: a block map is gone, and cannot be made anew without the key of the dumps.
var errSealed = errors.New("the dumps are encrypted: without their identity it cannot be made anew")

// RebuildMap makes the block map of a dump anew from the dump and all it builds on, as src reads them, and keeps it in the
// state directory. A map that is not the one recorded with the dump is refused.
func (n *Night) RebuildMap(ctx context.Context, src *recovery.Site, d catalog.Dump) error {
	plain := *src
	plain.Map = nil // the one that is missing or damaged
	chain, err := plain.OpenChain(ctx, d)
	if err != nil {
		return err
	}
	defer chain.Close()
	m, err := n.Maps().create(d.ID)
	if err != nil {
		return err
	}
	digest, err := chain.WriteMap(ctx, m)
	if err == nil && d.MapDigest != "" && digest != d.MapDigest {
		err = fmt.Errorf("block map of %s: made anew it has digest %s, recorded is %s", d.ID, digest, d.MapDigest)
	}
	if err != nil {
		return errors.Join(err, m.drop())
	}
	return m.keep()
}

// MapLost tells whether the block map of a dump is missing or cannot be read.
func (n *Night) MapLost(id catalog.DumpID) bool {
	m, err := n.Maps().Open(id)
	if err == nil {
		_ = m.Close() // only read from
	}
	return lost(err)
}

func lost(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, blockmap.ErrDamaged)
}

// openMap opens the block map of a dump to build on. A lost one is made anew first.
func (d *dumping) openMap(ctx context.Context, dump catalog.Dump) (*recovery.Map, error) {
	m, err := d.maps.Open(dump.ID)
	if !lost(err) {
		return m, err
	}
	d.remaking.Lock() // several clones may want the map of their base
	defer d.remaking.Unlock()
	if m, err = d.maps.Open(dump.ID); !lost(err) {
		return m, err
	}
	if d.known.sealed(dump.ID) {
		return nil, fmt.Errorf("%w; %w", err, errSealed)
	}
	src := &recovery.Site{
		Catalog: recovery.FromStore{Store: d.Store}, FS: d.FS, Device: d.Device(), Workers: d.Workers,
		Note: func(text string) { _ = d.note(context.WithoutCancel(ctx), "dumper", "%s", text) }, // what fails to be noted fails soon again
	}
	if remade := d.RebuildMap(ctx, src, dump); remade != nil {
		return nil, fmt.Errorf("%w; it cannot be made anew: %w", err, remade)
	}
	if err := d.note(ctx, "dumper", "block map of %s was lost (%v): made anew from the dumps", dump.ID, err); err != nil {
		return nil, err
	}
	return d.maps.Open(dump.ID)
}

// sealed tells whether a dump or one it builds on is encrypted, or not one of ours, so that a run cannot read it.
func (h history) sealed(id catalog.DumpID) bool {
	chain, err := catalog.Chain(id, func(id catalog.DumpID) (catalog.Dump, bool) {
		d, ok := h.byID[id]
		return d, ok
	})
	for _, d := range chain {
		if d.Encrypt != "" || d.Program != catalog.ProgramImage {
			return true
		}
	}
	return err != nil
}

// sealed is history's, for several dumps at a time.
func (k *knownDumps) sealed(id catalog.DumpID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.history.sealed(id)
}
