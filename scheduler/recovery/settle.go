package recovery

import (
	"cmp"
	"slices"
	"strings"

	"holdfast/catalog"
)

// holding takes in what is on the holding disks, with the checksums that the records have of it.
func (g *merging) holding() {
	for _, f := range g.held {
		if f.Err != nil {
			g.m.Damaged = append(g.m.Damaged, f.Err)
			continue
		}
		d := g.add(f.Header)
		h := f.Holding
		h.Dump = d.ID
		for i, c := range h.Chunks {
			if known, ok := g.told.chunks[c.Path]; ok && known.Bytes == c.Bytes && c.CRC == 0 && (c.HeaderCRC == 0 || c.HeaderCRC == known.HeaderCRC) {
				h.Chunks[i] = known
			}
		}
		g.m.held[d.ID] = &h
	}
}

// settle puts the copies of each dump in order, and marks the dumps of which nothing is whole, with what each copy lacks.
func (g *merging) settle() {
	m := g.m
	for _, ids := range g.lost {
		for _, id := range ids {
			g.spent[id] = false
		}
	}
	for id, d := range m.dumps {
		copies := m.copies[id]
		slices.SortStableFunc(copies, func(a, b catalog.Copy) int {
			return cmp.Or(-cmp.Compare(usable(a), usable(b)), cmp.Compare(len(b.Parts), len(a.Parts)),
				cmp.Compare(a.WriteStamp, b.WriteStamp), cmp.Compare(a.Storage, b.Storage))
		})
		if d.StoredBytes = storedBytes(d, copies); d.StoredBytes != m.dumps[id].StoredBytes {
			d.StoredCRC = 0 // of other bytes
		}
		whole := m.held[id] != nil || slices.ContainsFunc(copies, func(c catalog.Copy) bool { return c.Status.Usable() })
		if d.Status.Usable() && !whole && !g.spent[id] {
			slices.Sort(g.lacks[id])
			d.Status, d.Messages = catalog.StatusPartial, slices.Compact(g.lacks[id])
		}
		m.dumps[id] = d
		m.copies[id] = slices.DeleteFunc(copies, func(c catalog.Copy) bool { return len(c.Parts) == 0 })
	}
	m.wanted = slices.DeleteFunc(slices.Clone(m.wanted), func(w catalog.Wanted) bool {
		_, known := m.dumps[w.Dump]
		return !known
	})
}

func usable(c catalog.Copy) int {
	if c.Status.Usable() {
		return 1
	}
	return 0
}

// storedBytes is how much there is of a dump of another program's, whose headers do not always say it, or leave out what a
// parity set filled its parts up with.
func storedBytes(d catalog.Dump, copies []catalog.Copy) int64 {
	if d.Program == catalog.ProgramImage || len(copies) == 0 || !copies[0].Status.Usable() {
		return d.StoredBytes
	}
	var bytes int64
	for _, p := range copies[0].Parts {
		bytes += p.Bytes
	}
	return bytes
}

// tellLost names the volumes that are nowhere, with the dumps that lie on them.
func (g *merging) tellLost() {
	const most = 8
	for label, ids := range g.lost {
		slices.Sort(ids)
		ids = slices.Compact(ids)
		var names []string
		for _, id := range ids[:min(most, len(ids))] {
			names = append(names, string(id))
		}
		more := ""
		if len(ids) > most {
			more = " and more"
		}
		g.damaged("volume %s of storage %s is lost; there were parts on it of %s%s", label, g.told.volumes[label].Storage, strings.Join(names, ", "), more)
	}
}
