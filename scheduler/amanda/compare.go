package amanda

import (
	"fmt"
	"slices"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
	"holdfast/vtape"
	"holdfast/vtape/amandalog"
)

// comparing holds what was found on media against Amanda's own catalog. The media are believed in what they show, Amanda in
// what they cannot: whether the last part of a dump is there, and checksums that were known only at its end.
type comparing struct {
	found sqlstore.Contents
	lists Lists
	notes []string
}

func (c *comparing) note(format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

// compare gives what was found with what Amanda's lists add to it; notes tell where the two disagree.
func compare(found sqlstore.Contents, lists Lists) (sqlstore.Contents, []string) {
	c := &comparing{found: found, lists: lists}
	if lists.Tapes == nil {
		return found, nil
	}
	for _, err := range lists.Odd {
		c.note("Amanda's log is left out where it cannot be read: %v", err)
	}
	c.volumes()
	for i := range c.found.Copies {
		c.copy(&c.found.Copies[i])
	}
	c.missing()
	c.settle()
	return c.found, c.notes
}

func (c *comparing) volumes() {
	here := map[catalog.Label]bool{}
	for _, v := range c.found.Volumes {
		here[v.Label] = true
		i := slices.IndexFunc(c.lists.Tapes, func(t amandalog.Tape) bool { return t.Label == v.Label })
		switch {
		case i < 0:
			c.note("volume %s is not in the tapelist", v.Label)
		case c.lists.Tapes[i].Stamp != v.WriteStamp && !(v.WriteStamp == "" && c.lists.Tapes[i].Stamp == amandalog.NeverWritten):
			c.note("volume %s: the tapelist says that it was written at %s, its label says %s", v.Label, c.lists.Tapes[i].Stamp, orNever(v.WriteStamp))
		}
	}
	for _, t := range c.lists.Tapes {
		if !here[t.Label] && t.Stamp != amandalog.NeverWritten {
			c.note("volume %s of the tapelist is not here: what lies on it is not adopted", t.Label)
		}
	}
}

func orNever(s catalog.Stamp) string {
	if s == "" {
		return "never"
	}
	return string(s)
}

// of tells whether a record is about a dump.
func of(r amandalog.Record, id catalog.DumpID) bool {
	return r.Kind != amandalog.Start && catalog.NewDumpID(r.DLE, r.Stamp, r.Level) == id
}

// copy compares one copy with the log of the run that wrote it.
func (c *comparing) copy(found *catalog.Copy) {
	records := c.lists.Logs[found.WriteStamp]
	d := c.dump(found.Dump)
	if d == nil {
		return
	}
	last := slices.IndexFunc(records, func(r amandalog.Record) bool {
		return of(r, found.Dump) && (r.Kind == amandalog.Done || r.Kind == amandalog.Partial)
	})
	if last < 0 {
		c.note("%s: no log tells that it is whole", found.Dump)
		return
	}
	for _, p := range found.Parts {
		c.part(p, records)
	}
	r := records[last]
	if r.Kind == amandalog.Partial {
		found.Status = catalog.StatusPartial
		c.note("%s: the log says that it is partial: %s", found.Dump, r.Message)
		return
	}
	c.whole(found, d, r)
}

// part looks for a part in the log.
func (c *comparing) part(p catalog.Part, records []amandalog.Record) {
	i := slices.IndexFunc(records, func(r amandalog.Record) bool {
		return r.Kind == amandalog.Part && of(r, p.Dump) && r.Label == p.Label && r.File == p.File
	})
	switch {
	case i < 0:
		c.note("%s: part %d is on volume %s as file %d, of which the log does not tell", p.Dump, p.Number, p.Label, p.File)
	case records[i].Number != p.Number:
		c.note("%s: volume %s file %d is part %d by its header, part %d by the log", p.Dump, p.Label, p.File, p.Number, records[i].Number)
	case records[i].Bytes >= p.Bytes+1024:
		c.note("%s: volume %s file %d has %d bytes, the log says %d", p.Dump, p.Label, p.File, p.Bytes, records[i].Bytes)
	}
}

// whole takes over what the log says of a dump that is whole.
func (c *comparing) whole(found *catalog.Copy, d *catalog.Dump, r amandalog.Record) {
	var bytes int64
	for _, p := range found.Parts {
		bytes += p.Bytes
	}
	if r.Total > len(found.Parts) || r.Bytes >= bytes+1024 { // Amanda's older logs count KiB
		if found.Status.Usable() {
			c.note("%s: %d parts with %d bytes are there, the log says %d parts with %d bytes", found.Dump, len(found.Parts), bytes, r.Total, r.Bytes)
		}
		found.Status = catalog.StatusPartial
		return
	}
	// What is more is what a parity set fills its last stripe with.
	if fill, last := bytes-r.Bytes, len(found.Parts)-1; r.Server.Sum != 0 && 0 < fill && fill < vtape.PartAlign && fill <= found.Parts[last].Bytes {
		found.Parts[last].Bytes -= fill
		bytes -= fill
	}
	native := c.checksum(d, "native", vtape.CRC{Sum: d.NativeCRC, Bytes: d.OrigBytes}, r.Native)
	server := c.checksum(d, "stored", vtape.CRC{Sum: d.StoredCRC, Bytes: bytes}, r.Server)
	d.NativeCRC, d.OrigBytes, d.StoredCRC, d.StoredBytes = native.Sum, native.Bytes, server.Sum, server.Bytes
}

// checksum takes a checksum from the log where the headers have none.
func (c *comparing) checksum(d *catalog.Dump, name string, header, log vtape.CRC) vtape.CRC {
	if header.Sum == 0 && log.Sum != 0 {
		return log
	}
	if log.Sum != 0 && header.Sum != log.Sum {
		c.note("%s: the %s checksum is %08x by its header, %08x by the log: the header is believed", d.ID, name, header.Sum, log.Sum)
	}
	return header
}

// missing names the dumps that the logs have on volumes which are here, and that are not.
func (c *comparing) missing() {
	here := map[catalog.Label]catalog.Stamp{}
	for _, v := range c.found.Volumes {
		here[v.Label] = v.WriteStamp
	}
	told := map[catalog.DumpID]bool{}
	for stamp, records := range c.lists.Logs {
		for _, r := range records {
			id := catalog.NewDumpID(r.DLE, r.Stamp, r.Level)
			if r.Kind != amandalog.Part || here[r.Label] != stamp || told[id] || c.dump(id) != nil {
				continue
			}
			told[id] = true
			c.note("%s: the log has it on volume %s as file %d, which is not there", id, r.Label, r.File)
		}
	}
}

func (c *comparing) dump(id catalog.DumpID) *catalog.Dump {
	i := slices.IndexFunc(c.found.Dumps, func(d catalog.Dump) bool { return d.ID == id })
	if i < 0 {
		return nil
	}
	return &c.found.Dumps[i]
}

// settle makes partial what has no whole copy left, and copies that do not hold what their dump is now known to be.
func (c *comparing) settle() {
	usable := map[catalog.DumpID]bool{}
	for i := range c.found.Copies {
		copied := &c.found.Copies[i]
		d := c.dump(copied.Dump)
		if d == nil || !copied.Status.Usable() {
			continue
		}
		if err := copied.Covers(*d); err != nil {
			c.note("%v", err)
			copied.Status = catalog.StatusPartial
			continue
		}
		usable[copied.Dump] = true
	}
	for i := range c.found.Dumps {
		if d := &c.found.Dumps[i]; d.Status.Usable() && !usable[d.ID] {
			d.Status, d.Messages = catalog.StatusPartial, []string{"Amanda's log says that more of it was written than is there"}
		}
	}
}
