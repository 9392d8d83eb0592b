package recovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"holdfast/catalog"
	"holdfast/vtape"
	"holdfast/vtape/taper"
)

// copyKey names a copy.
type copyKey struct {
	dump    catalog.DumpID
	storage string
	written catalog.Stamp
}

// told is what the catalog records say, the later ones over the earlier.
type told struct {
	dumps   map[catalog.DumpID]catalog.Dump
	copies  map[copyKey]catalog.Copy
	volumes map[catalog.Label]catalog.Volume
	chunks  map[string]catalog.HoldingChunk // by path
}

// merge makes the catalog of what the records say and what the headers show. Headers are believed where they differ: they lie
// with the data.
func (g *gathering) merge(ctx context.Context) {
	t := g.hear()
	g.assume(ctx, t)
	g.settleVolumes(t)
	mg := &merging{gathering: g, told: g.renamed(t), lacks: map[catalog.DumpID][]string{}, lost: map[catalog.Label][]catalog.DumpID{}, spent: map[catalog.DumpID]bool{}}
	mg.found()
	mg.remembered()
	mg.holding()
	mg.settle()
	mg.tellLost()
	g.settleRuns()
}

// hear reads the records from the oldest to the newest.
func (g *gathering) hear() told {
	t := told{
		dumps: map[catalog.DumpID]catalog.Dump{}, copies: map[copyKey]catalog.Copy{},
		volumes: map[catalog.Label]catalog.Volume{}, chunks: map[string]catalog.HoldingChunk{},
	}
	for _, r := range g.records {
		for _, run := range r.Runs {
			if run.Ended.IsZero() { // it was going on when the record was written, and not for long
				run.Ended = r.Made
			}
			g.m.runs[run.Stamp] = run
		}
		for _, v := range r.Volumes {
			t.volumes[v.Label] = v
		}
		for _, d := range r.Dumps {
			t.dumps[d.ID] = d
		}
		for _, doc := range r.Documents {
			if g.m.documents[doc.Dump] == nil {
				g.m.documents[doc.Dump] = map[string][]byte{}
			}
			g.m.documents[doc.Dump][doc.Name] = doc.Data
		}
		for _, c := range r.Copies {
			t.copies[copyKey{c.Dump, c.Storage, c.WriteStamp}] = c
		}
		for _, h := range r.Held {
			for _, c := range h.Chunks {
				t.chunks[c.Path] = c
			}
		}
		g.m.wanted = r.Wanted // those of earlier runs may have been made since
	}
	return t
}

// assume takes the volumes whose labels cannot be read for those that the records have in their slots.
func (g *gathering) assume(ctx context.Context, t told) {
	for _, v := range g.unread {
		for _, known := range t.volumes {
			if known.Slot != v.slot.Slot || known.Storage != g.places[v.place].Storage || g.volumes[known.Label] != nil {
				continue
			}
			label := vtape.Header{Type: vtape.TypeTapeStart, Label: known.Label, Stamp: string(known.WriteStamp)}
			files, damaged, err := taper.ReadFiles(ctx, v.dev, label)
			g.m.Damaged = append(g.m.Damaged, damaged...)
			if err != nil {
				g.m.Damaged = append(g.m.Damaged, err)
				continue
			}
			v.slot.Label, v.stamp, v.assumed, v.files, v.sizes = known.Label, known.WriteStamp, true, files, sizesOf(files)
			g.volumes[known.Label], g.m.devices[known.Label] = v, v.dev
		}
	}
}

// storageOf is the storage of a volume: the configuration's word counts more than that of a record, for names may change.
func (g *gathering) storageOf(t told, label catalog.Label) string {
	if v := g.volumes[label]; v != nil && g.places[v.place].Storage != "" {
		return g.places[v.place].Storage
	}
	return t.volumes[label].Storage
}

// renamed gives the copies the names that their storages have now.
func (g *gathering) renamed(t told) told {
	copies := make(map[copyKey]catalog.Copy, len(t.copies))
	for _, key := range slices.SortedFunc(maps.Keys(t.copies), compareKeys) {
		c := t.copies[key]
		if len(c.Parts) > 0 {
			c.Storage = cmp.Or(g.storageOf(t, c.Parts[0].Label), c.Storage)
		}
		copies[copyKey{c.Dump, c.Storage, c.WriteStamp}] = c
	}
	t.copies = copies
	return t
}

// storageOfCopy is the storage of a copy, by the first of its volumes of which it is known.
func (g *merging) storageOfCopy(c catalog.Copy) string {
	for _, p := range c.Parts {
		if storage := g.storageOf(g.told, p.Label); storage != "" {
			return storage
		}
	}
	return ""
}

// settleVolumes makes the volumes of what the records say of them and what was found on them.
func (g *gathering) settleVolumes(t told) {
	for label, v := range t.volumes {
		v.Slot = ""
		g.m.volumes[label] = v
	}
	for label, found := range g.volumes {
		v, known := t.volumes[label]
		if !known {
			v = catalog.Volume{Label: label, NoReuse: foreign(found.files)}
		}
		if v.WriteStamp != found.stamp {
			v.Degraded, v.LockedUntil = nil, time.Time{} // said of what was on it before
		}
		v.Storage, v.Slot = g.storageOf(t, label), found.slot.Slot
		if !found.assumed {
			v.WriteStamp, v.HeaderCRC = found.stamp, found.headerCRC
			v.Bytes, v.Files = found.slot.Bytes, found.slot.Files
		}
		if _, err := catalog.ParseStamp(string(v.WriteStamp)); err != nil && !known && len(found.files) == 0 {
			v.WriteStamp = "" // "X" or "0": labelled and never written
		}
		g.m.volumes[label] = v
	}
}

// foreign tells whether a volume holds what another program wrote: it is not ours to write over.
func foreign(files []taper.File) bool {
	return slices.ContainsFunc(files, func(f taper.File) bool {
		return f.Header.Image == nil && f.Header.Program != catalog.ProgramRecord
	})
}

// settleRuns makes up for runs of which no record is left: that they were is known from their dumps.
func (g *gathering) settleRuns() {
	for _, d := range g.m.dumps {
		at, err := catalog.ParseStamp(string(d.Stamp))
		if _, known := g.m.runs[d.Stamp]; known || err != nil || d.Program != catalog.ProgramImage {
			continue
		}
		begun := at.Time(time.Local)
		g.m.runs[d.Stamp] = catalog.Run{Stamp: at, Command: "run", Started: begun, Ended: begun}
	}
}

// merging is the merge of dumps and copies.
type merging struct {
	*gathering
	told told
	// lacks says of dumps what their copies lack; lost which dumps have parts on a volume that is nowhere.
	lacks map[catalog.DumpID][]string
	lost  map[catalog.Label][]catalog.DumpID
	// spent are the dumps of which a copy is not whole because its volumes were used again, as a record tells: no harm was done.
	spent map[catalog.DumpID]bool
}

// found takes in what the headers show.
func (g *merging) found() {
	var files []taper.File
	for _, v := range g.volumes {
		if !v.assumed {
			files = append(files, v.files...)
		}
	}
	for _, f := range g.joined(files) {
		g.add(f.Header)
		for i := range f.Copy.Parts {
			f.Copy.Parts[i].Storage = f.Copy.Storage
		}
		key := copyKey{f.Copy.Dump, f.Copy.Storage, f.Copy.WriteStamp}
		c, ok := g.borneOut(key, f.Copy)
		if !ok && f.Err != nil {
			g.lacks[c.Dump] = append(g.lacks[c.Dump], fmt.Sprintf("%v (there are parts on %s)", f.Err, labelList(f.Copy)))
		}
		g.m.copies[c.Dump] = append(g.m.copies[c.Dump], c)
		delete(g.told.copies, key)
	}
}

// joined puts the copies of each storage together; where storages are not known, those of each place, and over all places what
// is not whole in one.
func (g *merging) joined(files []taper.File) []taper.Found {
	var out []taper.Found
	var loose []taper.File
	whole := map[copyKey]bool{}
	for _, group := range g.byStorage(files) {
		for _, f := range taper.FromHeaders(group) {
			f.Copy.Storage = g.storageOfCopy(f.Copy)
			key := copyKey{f.Copy.Dump, f.Copy.Storage, f.Copy.WriteStamp}
			if f.Err == nil || g.places[g.volumes[group[0].Label].place].Storage != "" {
				out = append(out, f)
				whole[key] = whole[key] || f.Err == nil
				continue
			}
			for _, p := range f.Copy.Parts {
				i := slices.IndexFunc(group, func(file taper.File) bool { return file.Label == p.Label && file.Number == p.File })
				loose = append(loose, group[i])
			}
		}
	}
	for _, f := range taper.FromHeaders(loose) {
		f.Copy.Storage = g.storageOfCopy(f.Copy)
		if !whole[copyKey{f.Copy.Dump, f.Copy.Storage, f.Copy.WriteStamp}] {
			out = append(out, f)
		}
	}
	return out
}

// borneOut looks whether a record's word of a copy is borne out by the files that are there. It gives the record's copy then, which
// has checksums, else the one made from headers.
func (g *merging) borneOut(key copyKey, found catalog.Copy) (catalog.Copy, bool) {
	known, ok := g.told.copies[key]
	if !ok {
		return found, found.Status.Usable()
	}
	parts, whole := g.partsThere(known)
	known.Parts = parts
	g.spent[key.dump] = g.spent[key.dump] || !known.Status.Usable()
	if whole && known.Status.Usable() && known.Covers(g.m.dumps[key.dump]) == nil {
		return known, true
	}
	for i, p := range found.Parts { // where each belongs and its checksum at least
		same := func(k catalog.Part) bool { return k.Label == p.Label && k.File == p.File && k.HeaderCRC == p.HeaderCRC }
		if k := slices.IndexFunc(parts, same); k >= 0 {
			found.Parts[i] = parts[k]
		}
	}
	return found, found.Status.Usable()
}

// remembered takes in the copies that the records tell of and no header shows: on volumes elsewhere, or whose headers are damaged.
func (g *merging) remembered() {
	for _, key := range slices.SortedFunc(maps.Keys(g.told.copies), compareKeys) {
		c := g.told.copies[key]
		parts, whole := g.partsThere(c)
		d := g.told.dumps[c.Dump]
		c.Parts = parts
		g.spent[c.Dump] = g.spent[c.Dump] || !c.Status.Usable()
		if len(parts) == 0 || d.ID == "" {
			continue
		}
		if !whole || c.Covers(d) != nil {
			c.Status = catalog.StatusPartial
		}
		g.remember(d)
		g.m.copies[c.Dump] = append(g.m.copies[c.Dump], c)
	}
}

func compareKeys(a, b copyKey) int {
	return cmp.Or(cmp.Compare(a.dump, b.dump), cmp.Compare(a.written, b.written), cmp.Compare(a.storage, b.storage))
}

// remember takes in a dump by what a record says.
func (g *merging) remember(d catalog.Dump) {
	if _, ok := g.m.dumps[d.ID]; !ok {
		g.m.dumps[d.ID] = d
	}
}

// partsThere gives the parts of a recorded copy that are where the record says, as far as can be seen, and whether all are.
func (g *merging) partsThere(c catalog.Copy) (parts []catalog.Part, whole bool) {
	whole = true
	for _, p := range c.Parts {
		p.Storage = c.Storage
		there, lost := g.partThere(p)
		if there {
			parts = append(parts, p)
			continue
		}
		whole = false
		if lost {
			g.lost[p.Label] = append(g.lost[p.Label], p.Dump)
			g.lacks[p.Dump] = append(g.lacks[p.Dump], fmt.Sprintf("part %d was on volume %s, which is lost", p.Number, p.Label))
			g.remember(g.told.dumps[p.Dump])
		}
	}
	return parts, whole
}

// partThere tells whether a part is where a record says; lost, whether it is because its volume is nowhere.
func (g *merging) partThere(p catalog.Part) (there, lost bool) {
	v := g.volumes[p.Label]
	if v == nil {
		known := g.told.volumes[p.Label]
		if known.WriteStamp != p.WriteStamp || known.Retired {
			g.spent[p.Dump] = true // written over since
			return false, false
		}
		return !g.isLost(known.Storage), g.isLost(known.Storage)
	}
	if v.stamp != p.WriteStamp {
		g.spent[p.Dump] = true
		return false, false
	}
	i := slices.IndexFunc(v.files, func(f taper.File) bool { return f.Number == p.File })
	if i < 0 { // a file whose header is damaged is told of already; its data may be good
		size, ok := v.sizes[p.File]
		return ok && size == p.Bytes, false
	}
	f := v.files[i]
	same := f.Header.DumpID() == p.Dump && max(1, f.Header.Part) == p.Number && f.Bytes == p.Bytes
	if same && p.HeaderCRC != 0 && f.HeaderCRC != p.HeaderCRC {
		g.damaged("volume %s file %d: its header has checksum %08x, the catalog record says %08x", p.Label, p.File, f.HeaderCRC, p.HeaderCRC)
		return !v.assumed, false
	}
	return same, false
}

// isLost tells whether volumes of a storage that were not found are lost: its place was looked into, and they belong there.
func (g *merging) isLost(storage string) bool {
	for _, p := range g.places {
		if p.Shelf != nil && p.Storage == storage {
			return !p.Removable
		}
	}
	return false
}

// add takes a dump in by its header. Of several copies the header that knows most (the sizes) is kept.
func (g *merging) add(h vtape.Header) catalog.Dump {
	d := DumpFromHeader(h)
	if known, ok := g.told.dumps[d.ID]; ok {
		if err := contradicts(known, d); err == nil {
			d = known
		} else if _, told := g.m.headers[d.ID]; !told {
			g.damaged("%s: %w: the header is believed", d.ID, err)
		}
	}
	if old, ok := g.m.dumps[d.ID]; !ok || old.StoredBytes == 0 || g.m.headers[d.ID].Server.Bytes == 0 && h.Server.Bytes > 0 {
		g.m.dumps[d.ID], g.m.headers[d.ID] = d, h
	}
	return g.m.dumps[d.ID]
}

// errContradicted: a record says other things of a dump than its header.
var errContradicted = errors.New("its header contradicts the catalog record")

// contradicts compares what a record says of a dump with its header, as far as the header knows.
func contradicts(known, header catalog.Dump) error {
	var wrong []string
	for _, f := range []struct {
		name          string
		record, shown any
		shows         bool
	}{
		{"base", known.Base, header.Base, header.Program == catalog.ProgramImage},
		{"image size", known.ImageBytes, header.ImageBytes, header.ImageBytes > 0},
		{"stored size", known.StoredBytes, header.StoredBytes, header.StoredBytes > 0 && known.Program == catalog.ProgramImage},
		{"stored checksum", known.StoredCRC, header.StoredCRC, header.StoredCRC > 0 && known.Program == catalog.ProgramImage},
		{"checksum", known.NativeCRC, header.NativeCRC, header.NativeCRC > 0},
		{"program", known.Program, header.Program, true},
	} {
		if f.shows && f.record != f.shown {
			wrong = append(wrong, fmt.Sprintf("%s is %v, not %v", f.name, f.shown, f.record))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", errContradicted, strings.Join(wrong, ", "))
}
