package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/vtape"
)

// Device finds volumes by their labels. Where each was found is kept, so that a restore does not look through the
// whole library for each part.
func (n *Night) Device() func(ctx context.Context, storage string, label catalog.Label) (vtape.Device, error) {
	type volume struct {
		storage string
		label   catalog.Label
	}
	var mu sync.Mutex // guards found
	found := map[volume]vtape.Device{}
	return func(ctx context.Context, storage string, label catalog.Label) (vtape.Device, error) {
		mu.Lock()
		defer mu.Unlock()
		if dev, ok := found[volume{storage, label}]; ok {
			return dev, nil
		}
		st, ok := n.Config.Storage[storage]
		if !ok {
			return nil, fmt.Errorf("storage %q is not in the configuration", storage)
		}
		dev, err := n.find(ctx, st, label)
		if err == nil {
			found[volume{storage, label}] = dev
		}
		return dev, err
	}
}

// find gives the slot that bears the label. Where none does, it gives the one in which the volume was seen last, if what
// stands on it now is no volume that is known: a damaged label keeps nothing from being read, since each part's header
// says which dump it belongs to.
func (n *Night) find(ctx context.Context, st configs.Storage, label catalog.Label) (vtape.Device, error) {
	lib, err := n.Opener().Open(ctx, st)
	if err != nil {
		return nil, err
	}
	_, dev, absent := lib.Load(ctx, label)
	if !errors.Is(absent, vtape.ErrAbsent) {
		return dev, absent
	}
	volumes, err := n.Store.Volumes(ctx, st.Name)
	if err != nil {
		return nil, err
	}
	inv, err := lib.Inventory(ctx)
	if err != nil {
		return nil, err
	}
	of := func(label catalog.Label) func(catalog.Volume) bool {
		return func(v catalog.Volume) bool { return v.Label == label }
	}
	for _, slot := range inv {
		i := slices.IndexFunc(volumes, of(label))
		if i < 0 || volumes[i].Slot != slot.Slot || slot.Blank || errors.Is(slot.Err, vtape.ErrAbsent) {
			continue
		}
		if slot.Err != nil || !slices.ContainsFunc(volumes, of(slot.Label)) {
			return lib.Device(slot.Slot)
		}
	}
	return nil, absent
}
