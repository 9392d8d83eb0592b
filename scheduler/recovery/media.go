package recovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"holdfast/catalog"
	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/holding"
	"holdfast/vtape/library"
	"holdfast/vtape/taper"
)

// Media is a catalog made of headers alone: what a library, a slot or a holding disk says of itself. Nothing is
// written to it.
type Media struct {
	dumps   map[catalog.DumpID]catalog.Dump
	copies  map[catalog.DumpID][]catalog.Copy
	held    map[catalog.DumpID]*catalog.Holding
	headers map[catalog.DumpID]vtape.Header
	devices map[catalog.Label]vtape.Device
	// Damaged are the files and volumes that could not be read.
	Damaged []error
}

var _ Catalog = (*Media)(nil)

// OpenMedia reads the headers of all that lies in a directory: a library, one slot of it, a holding disk, or one run's
// directory of a holding disk. Amanda's are read like our own.
func OpenMedia(ctx context.Context, fsys vfs.FS, dir string) (*Media, error) {
	m := &Media{
		dumps: map[catalog.DumpID]catalog.Dump{}, copies: map[catalog.DumpID][]catalog.Copy{},
		held: map[catalog.DumpID]*catalog.Holding{}, headers: map[catalog.DumpID]vtape.Header{},
		devices: map[catalog.Label]vtape.Device{},
	}
	lib, err := library.OpenReadOnly(ctx, fsys, dir)
	switch {
	case err == nil:
		err = m.addLibrary(ctx, lib)
	case !errors.Is(err, vtape.ErrAbsent):
		heldErr := m.addHolding(fsys, dir)
		if len(m.dumps) > 0 || errors.Is(err, vtape.ErrBlank) { // no volume, but a directory
			err = heldErr
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if len(m.dumps) == 0 {
		return nil, fmt.Errorf("%s: %w: neither volumes nor a holding disk with dumps on it", dir, errors.Join(append(m.Damaged, ErrNoDump)...))
	}
	return m, nil
}

func (m *Media) addLibrary(ctx context.Context, lib *library.Library) error {
	inv, err := lib.Inventory(ctx)
	if err != nil {
		return err
	}
	var files []taper.File
	for _, slot := range inv {
		if slot.Err != nil {
			m.Damaged = append(m.Damaged, fmt.Errorf("slot %s: %w", slot.Slot, slot.Err))
			continue
		}
		if slot.Blank {
			continue
		}
		dev, err := lib.Device(slot.Slot)
		if err != nil {
			return err
		}
		m.devices[slot.Label] = dev
		_, found, damaged, err := taper.ReadVolume(ctx, dev)
		m.Damaged = append(m.Damaged, damaged...)
		if err != nil {
			m.Damaged = append(m.Damaged, err)
		}
		files = append(files, found...)
	}
	lacks := map[catalog.DumpID][]string{}
	for _, f := range taper.FromHeaders(files) {
		m.add(f.Header)
		m.copies[f.Copy.Dump] = append(m.copies[f.Copy.Dump], f.Copy)
		if f.Err != nil {
			lacks[f.Copy.Dump] = append(lacks[f.Copy.Dump], fmt.Sprintf("%v (there are parts on %s)", f.Err, labelList(f.Copy)))
		}
	}
	m.settle(lacks)
	return nil
}

func (m *Media) addHolding(fsys vfs.FS, dir string) error {
	found, err := holding.Scan(fsys, dir)
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.Err != nil {
			m.Damaged = append(m.Damaged, f.Err)
			continue
		}
		d := m.add(f.Header)
		m.held[d.ID] = &f.Holding
	}
	return nil
}

// add takes a dump in by its header. Of several copies the header that knows most (the sizes) is kept.
func (m *Media) add(h vtape.Header) catalog.Dump {
	d := DumpFromHeader(h)
	if old, ok := m.dumps[d.ID]; !ok || old.StoredBytes == 0 {
		m.dumps[d.ID], m.headers[d.ID] = d, h
	}
	return m.dumps[d.ID]
}

// settle marks the dumps of which no copy is whole, with what each copy lacks.
func (m *Media) settle(lacks map[catalog.DumpID][]string) {
	for id, copies := range m.copies {
		slices.SortStableFunc(copies, func(a, b catalog.Copy) int {
			return cmp.Compare(len(b.Parts), len(a.Parts))
		})
		if d := m.dumps[id]; d.Status.Usable() && !slices.ContainsFunc(copies, func(c catalog.Copy) bool { return c.Status.Usable() }) {
			d.Status, d.Messages = catalog.StatusPartial, lacks[id]
			m.dumps[id] = d
		}
	}
}

// Dump gives one dump; ErrNoDump when the media hold nothing of it.
func (m *Media) Dump(_ context.Context, id catalog.DumpID) (catalog.Dump, error) {
	d, ok := m.dumps[id]
	if !ok {
		return d, fmt.Errorf("%s: %w on these media", id, ErrNoDump)
	}
	return d, nil
}

// Dumps gives all dumps of a DLE, or of all for nil, oldest first.
func (m *Media) Dumps(_ context.Context, dle *catalog.DLE) ([]catalog.Dump, error) {
	var out []catalog.Dump
	for _, d := range m.dumps {
		if dle == nil || d.DLE == *dle {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b catalog.Dump) int {
		return cmp.Or(cmp.Compare(a.Stamp, b.Stamp), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

// Copies gives where a dump lies on the volumes.
func (m *Media) Copies(_ context.Context, id catalog.DumpID) ([]catalog.Copy, error) {
	return m.copies[id], nil
}

// Holding gives where a dump lies on the holding disk; nil when it does not.
func (m *Media) Holding(_ context.Context, id catalog.DumpID) (*catalog.Holding, error) {
	return m.held[id], nil
}

// Header gives a dump's header as it lies on the media.
func (m *Media) Header(id catalog.DumpID) vtape.Header { return m.headers[id] }

// Device gives the device that holds a volume.
func (m *Media) Device(_ context.Context, _ string, label catalog.Label) (vtape.Device, error) {
	dev, ok := m.devices[label]
	if !ok {
		return nil, fmt.Errorf("volume %s: %w", label, vtape.ErrAbsent)
	}
	return dev, nil
}
