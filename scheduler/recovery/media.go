package recovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/holding"
	"holdfast/vtape/library"
)

// Shelf is what volumes stand on; a *library.Library is one.
type Shelf interface {
	Inventory(ctx context.Context) ([]library.SlotInfo, error)
	Device(slot string) (vtape.Device, error)
}

// Place is where media are looked for.
type Place struct {
	// Name is what messages call it: a directory, a bucket, a storage.
	Name string
	// Storage is the storage's name in the configuration; empty when there is none to say.
	Storage string
	// Shelf holds volumes; nil for none.
	Shelf Shelf
	// Holding is a holding disk's directory, or that of one run in it; empty for none.
	Holding string
	// Removable: volumes of the storage that are not here may be elsewhere, and are not lost.
	Removable bool
}

// DirPlace looks what a directory is: a library, one slot of it, a holding disk, or one run's directory of a holding disk.
// Amanda's are known like our own.
func DirPlace(ctx context.Context, fsys vfs.FS, dir string) (Place, error) {
	p := Place{Name: dir}
	lib, err := library.OpenReadOnly(ctx, fsys, dir)
	if err == nil {
		p.Shelf, p.Storage = lib, library.StorageOf(fsys, dir)
		return p, nil
	}
	if !errors.Is(err, vtape.ErrAbsent) { // no volume, but a directory
		found, heldErr := holding.Scan(fsys, dir)
		if len(found) > 0 || errors.Is(err, vtape.ErrBlank) && heldErr == nil {
			p.Holding = dir
			return p, nil
		}
	}
	return p, fmt.Errorf("%s: %w", dir, err)
}

// Media is a catalog made from media: from the catalog records that are on them, as far as the headers of all files bear
// them out, and from the headers alone where there is no record. Nothing is written to the media.
type Media struct {
	dumps     map[catalog.DumpID]catalog.Dump
	copies    map[catalog.DumpID][]catalog.Copy
	held      map[catalog.DumpID]*catalog.Holding
	headers   map[catalog.DumpID]vtape.Header
	documents map[catalog.DumpID]map[string][]byte
	devices   map[catalog.Label]vtape.Device
	volumes   map[catalog.Label]catalog.Volume
	runs      map[catalog.Stamp]catalog.Run
	wanted    []catalog.Wanted
	records   []catalog.Part
	// Records counts the catalog records that were read; Volumes the volumes.
	Records, Volumes int
	// Damaged are the files and volumes that could not be read, are lost, or are not what a record says.
	Damaged []error
}

var (
	_ Catalog   = (*Media)(nil)
	_ Documents = (*Media)(nil)
)

// OpenMedia reads the catalog records and the headers of all that lies in the places. Progress, if not nil, is told
// of each volume before it is read. That nothing is found is an error; what is damaged is told in Damaged, and the rest goes on.
func OpenMedia(ctx context.Context, fsys vfs.FS, places []Place, progress func(volume string)) (*Media, error) {
	m := &Media{
		dumps: map[catalog.DumpID]catalog.Dump{}, copies: map[catalog.DumpID][]catalog.Copy{},
		held: map[catalog.DumpID]*catalog.Holding{}, headers: map[catalog.DumpID]vtape.Header{},
		documents: map[catalog.DumpID]map[string][]byte{}, devices: map[catalog.Label]vtape.Device{},
		volumes: map[catalog.Label]catalog.Volume{}, runs: map[catalog.Stamp]catalog.Run{},
	}
	g := &gathering{m: m, places: places, volumes: map[catalog.Label]*volume{}, progress: progress}
	for i, p := range places {
		if err := g.read(ctx, fsys, i); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	if err := g.readRecords(ctx); err != nil {
		return nil, err
	}
	g.merge(ctx)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(m.dumps) == 0 {
		var names []string
		for _, p := range places {
			names = append(names, p.Name)
		}
		return nil, fmt.Errorf("%s: %w: neither volumes nor a holding disk with dumps on it",
			strings.Join(names, ", "), errors.Join(append(m.Damaged, ErrNoDump)...))
	}
	return m, nil
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

// Metadata gives the documents that a catalog record has of a dump.
func (m *Media) Metadata(_ context.Context, id catalog.DumpID) (map[string][]byte, error) {
	return m.documents[id], nil
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

// Contents gives all of it for a new catalog. What lies on volumes that were retired is left out, as a catalog leaves it.
func (m *Media) Contents() sqlstore.Contents {
	c := sqlstore.Contents{Wanted: m.wanted, Records: m.records}
	for _, r := range m.runs {
		c.Runs = append(c.Runs, r)
	}
	for _, v := range m.volumes {
		c.Volumes = append(c.Volumes, v)
	}
	for id, d := range m.dumps {
		d.Metadata = m.documents[id]
		c.Dumps = append(c.Dumps, d)
		for _, copied := range m.copies[id] {
			if copied, left := m.withoutRetired(copied); left {
				c.Copies = append(c.Copies, copied)
			}
		}
		if h := m.held[id]; h != nil {
			c.Held = append(c.Held, *h)
		}
	}
	return c
}

// withoutRetired takes the parts on retired volumes from a copy, and tells whether any are left.
func (m *Media) withoutRetired(c catalog.Copy) (catalog.Copy, bool) {
	parts := slices.DeleteFunc(slices.Clone(c.Parts), func(p catalog.Part) bool { return m.volumes[p.Label].Retired })
	if len(parts) < len(c.Parts) {
		c.Parts, c.Status = parts, catalog.StatusPartial
	}
	return c, len(parts) > 0
}
