package recovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"holdfast/catalog"
	"holdfast/catalog/record"
	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/holding"
	"holdfast/vtape/library"
	"holdfast/vtape/taper"
)

// volume is one volume that was found.
type volume struct {
	place     int // index of the place it stands in
	slot      library.SlotInfo
	stamp     catalog.Stamp // of its label
	headerCRC uint32        // of its label block
	dev       vtape.Device
	files     []taper.File
	// sizes are those of all files, of the damaged ones, too.
	sizes map[int]int64
	// assumed: its label cannot be read, and the slot is where a record has the volume with this label.
	assumed bool
}

// gathering is media on their way to being a catalog.
type gathering struct {
	m        *Media
	places   []Place
	volumes  map[catalog.Label]*volume
	unread   []*volume // in slots whose label cannot be read
	held     []holding.Found
	records  []record.Record // oldest first
	progress func(volume string)
}

func (g *gathering) damaged(format string, args ...any) {
	g.m.Damaged = append(g.m.Damaged, fmt.Errorf(format, args...))
}

// read reads the headers in one place.
func (g *gathering) read(ctx context.Context, fsys vfs.FS, place int) error {
	p := g.places[place]
	if p.Holding != "" {
		found, err := holding.Scan(fsys, p.Holding)
		if err != nil {
			return err
		}
		g.held = append(g.held, found...)
	}
	if p.Shelf == nil {
		return nil
	}
	inv, err := p.Shelf.Inventory(ctx)
	if err != nil {
		return err
	}
	for _, slot := range inv {
		if slot.Blank {
			continue
		}
		if errors.Is(slot.Err, vtape.ErrAbsent) {
			g.damaged("%s: slot %s: %w", p.Name, slot.Slot, slot.Err)
			continue
		}
		dev, err := p.Shelf.Device(slot.Slot)
		if err != nil {
			return err
		}
		if err := g.readVolume(ctx, &volume{place: place, slot: slot, dev: dev}); err != nil {
			return err
		}
	}
	return nil
}

func (g *gathering) readVolume(ctx context.Context, v *volume) error {
	name, label := g.places[v.place].Name, v.slot.Label
	if g.progress != nil {
		g.progress(fmt.Sprintf("%s slot %s %s", name, v.slot.Slot, label))
	}
	if v.slot.Err != nil {
		g.damaged("%s: slot %s: %w", name, v.slot.Slot, v.slot.Err)
		if label == "" {
			g.unread = append(g.unread, v)
		}
		return nil
	}
	if other, twice := g.volumes[label]; twice {
		g.damaged("%s: slot %s: volume %s is also in %s slot %s: left out", name, v.slot.Slot, label, g.places[other.place].Name, other.slot.Slot)
		return nil
	}
	header, files, damaged, err := taper.ReadVolume(ctx, v.dev)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	g.m.Damaged = append(g.m.Damaged, damaged...)
	if err != nil {
		g.damaged("%s: slot %s: %w", name, v.slot.Slot, err)
		return nil
	}
	v.files, v.stamp = files, catalog.Stamp(header.Stamp)
	v.sizes = sizesOf(files)
	if len(damaged) > 0 {
		v.sizes = g.allSizes(ctx, v)
	}
	if r, err := v.dev.Open(ctx, 0); err == nil {
		v.headerCRC = vtape.Checksum(r.RawHeader())
		_ = r.Close() // it was only read
	}
	g.volumes[label], g.m.devices[label] = v, v.dev
	g.m.Volumes++
	return nil
}

func sizesOf(files []taper.File) map[int]int64 {
	sizes := map[int]int64{}
	for _, f := range files {
		sizes[f.Number] = f.Bytes
	}
	return sizes
}

func (g *gathering) allSizes(ctx context.Context, v *volume) map[int]int64 {
	sizes := sizesOf(v.files)
	list, err := v.dev.Files(ctx)
	if err != nil {
		g.damaged("volume %s: %w", v.slot.Label, err)
	}
	for _, f := range list {
		sizes[f.Number] = f.Bytes
	}
	return sizes
}

// readRecords reads the catalog records on the volumes found. One that cannot be read is left out: headers stand in for it.
func (g *gathering) readRecords(ctx context.Context) error {
	var files []taper.File
	for _, v := range g.volumes {
		files = append(files, v.files...)
	}
	// Records of several storages bear the same name: those of each are put together for themselves.
	for _, group := range g.byStorage(files) {
		for _, f := range taper.RecordsFromHeaders(group) {
			if f.Err != nil {
				g.damaged("catalog record of run %s on %s: %w", f.Header.Stamp, labelList(f.Copy), f.Err)
				continue
			}
			r, err := g.readRecord(ctx, f.Copy.Parts)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				g.damaged("catalog record of run %s on %s: %w", f.Header.Stamp, labelList(f.Copy), err)
				continue
			}
			g.records = append(g.records, r)
			g.m.Records++
			for _, p := range f.Copy.Parts {
				p.Storage = cmp.Or(g.places[g.volumes[p.Label].place].Storage, r.Storage)
				if len(f.Copy.Parts) == 1 {
					p.CRC = f.Header.Server.Sum
				}
				g.m.records = append(g.m.records, p)
			}
		}
	}
	slices.SortFunc(g.records, func(a, b record.Record) int {
		return cmp.Or(cmp.Compare(a.Run, b.Run), a.Made.Compare(b.Made), cmp.Compare(a.Storage, b.Storage))
	})
	return nil
}

func (g *gathering) readRecord(ctx context.Context, parts []catalog.Part) (record.Record, error) {
	s, err := taper.OpenCopy(ctx, parts, func(_ context.Context, label catalog.Label) (vtape.Device, error) {
		return g.volumes[label].dev, nil
	})
	if err != nil {
		return record.Record{}, err
	}
	defer s.Close() // it was only read
	return record.Decode(io.NewSectionReader(s, 0, s.Size()))
}

// byStorage divides files by the storages of the places they were found in; where a place has no such name, by the places.
func (g *gathering) byStorage(files []taper.File) [][]taper.File {
	groups := map[string][]taper.File{}
	for _, f := range files {
		place := g.volumes[f.Label].place
		name := g.places[place].Storage
		if name == "" {
			name = fmt.Sprintf("\x00%d", place)
		}
		groups[name] = append(groups[name], f)
	}
	var out [][]taper.File
	for _, group := range groups {
		out = append(out, group)
	}
	return out
}
