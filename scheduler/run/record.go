package run

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"holdfast/catalog"
	"holdfast/catalog/record"
	"holdfast/vtape"
	"holdfast/vtape/taper"
)

// recordFile makes the catalog record of this run for a storage: a dump for the taper that no list of dumps knows.
func (s *session) recordFile(ctx context.Context, storage string) (taper.Dump, error) {
	r, err := s.recordOf(ctx, storage)
	if err != nil {
		return taper.Dump{}, err
	}
	var stream bytes.Buffer
	totals, err := record.Encode(ctx, &stream, r)
	if err != nil {
		return taper.Dump{}, err
	}
	native := vtape.CRC{Sum: totals.RawCRC, Bytes: totals.RawBytes}
	h := vtape.Header{
		Stamp: string(s.stamp), Host: oneWord(cmp.Or(s.Host, s.Config.Org, "holdfast")), Disk: record.Disk,
		Compress: ".zst", ServerCompress: "/usr/bin/zstd", Program: catalog.ProgramRecord,
		OrigKiB: (totals.RawBytes + 1023) / 1024, Native: native, Client: native,
		Server: vtape.CRC{Sum: totals.StoredCRC, Bytes: totals.StoredBytes},
	}
	return taper.Dump{ID: h.DumpID(), Header: h, Held: bytes.NewReader(stream.Bytes()), HeldBytes: totals.StoredBytes}, nil
}

// oneWord makes a name fit for a header's host.
func oneWord(name string) string {
	const longest = 255
	word := strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, name)
	for len(word) > longest {
		word = word[:len(word)-1]
	}
	return strings.ToValidUTF8(word, "")
}

// recordOf gathers what the record says: this run, all that its dumps build on, and the latest dump of each other DLE. What
// an older record says that is still on the storage it does not repeat; what no such record says any more it does.
func (s *session) recordOf(ctx context.Context, storage string) (record.Record, error) {
	r := record.Record{Storage: storage, Run: s.stamp, Made: s.Now()}
	h, err := s.history(ctx)
	if err != nil {
		return r, err
	}
	older, err := s.Store.Records(ctx, storage)
	if err != nil {
		return r, err
	}
	roots := s.recordRoots(h, older)
	needed := catalog.Needed(h.all(), roots)
	stamps := map[catalog.Stamp]bool{s.stamp: true}
	for id := range needed {
		if d, known := h.byID[id]; known {
			r.Dumps = append(r.Dumps, d)
			stamps[d.Stamp] = true
		}
	}
	slices.SortFunc(r.Dumps, func(a, b catalog.Dump) int {
		return cmp.Or(cmp.Compare(a.Stamp, b.Stamp), cmp.Compare(a.ID, b.ID))
	})
	for _, c := range h.copies {
		if needed[c.Dump] {
			r.Copies = append(r.Copies, c)
			stamps[c.WriteStamp] = true
		}
	}
	return s.recordRest(ctx, r, stamps, roots)
}

// recordRoots are the dumps that the record is about.
func (s *session) recordRoots(h history, older []catalog.Part) []catalog.DumpID {
	told := map[catalog.Stamp]bool{} // runs of which a record is on the storage
	for _, p := range older {
		told[p.WriteStamp] = true
	}
	wanted := map[catalog.DumpID]bool{}
	lie := map[catalog.DumpID]bool{} // a record on the storage tells where
	for _, c := range h.copies {
		wanted[c.Dump] = wanted[c.Dump] || c.WriteStamp == s.stamp
		lie[c.Dump] = lie[c.Dump] || told[c.WriteStamp]
	}
	for dle := range h.byDLE {
		if dumps := h.restorable(dle); len(dumps) > 0 {
			wanted[dumps[len(dumps)-1].ID] = true
		}
	}
	for _, id := range h.held {
		wanted[id] = true
	}
	var roots []catalog.DumpID
	for _, d := range h.byID {
		orphan := h.placed[d.ID] && !told[d.Stamp] && !lie[d.ID]
		if wanted[d.ID] || orphan || d.Stamp == s.stamp || d.Hold != "" {
			roots = append(roots, d.ID)
		}
	}
	slices.Sort(roots)
	return roots
}

// recordRest adds what is not about dumps as such.
func (s *session) recordRest(ctx context.Context, r record.Record, stamps map[catalog.Stamp]bool, roots []catalog.DumpID) (record.Record, error) {
	runs, err := s.Store.Runs(ctx, 0)
	if err != nil {
		return r, err
	}
	for _, run := range slices.Backward(runs) { // oldest first
		if stamps[run.Stamp] {
			r.Runs = append(r.Runs, run)
		}
	}
	if r.Volumes, err = s.Store.Volumes(ctx, ""); err != nil {
		return r, err
	}
	if r.Held, err = s.Store.Held(ctx); err != nil {
		return r, err
	}
	if r.Wanted, err = s.Store.WantedCopies(ctx); err != nil {
		return r, err
	}
	// What is restored is a root; the documents of its bases lie in the records of their runs.
	for _, id := range roots {
		docs, err := s.Store.Metadata(ctx, id)
		if err != nil {
			return r, err
		}
		for _, name := range sortedNames(docs) {
			r.Documents = append(r.Documents, record.Document{Dump: id, Name: name, Data: docs[name]})
		}
	}
	return r, nil
}

func sortedNames(docs map[string][]byte) []string {
	var names []string
	for name := range docs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// keepDocuments takes from what the source gives with a dump the documents that can be kept; why others cannot is noted.
func (d *dumping) keepDocuments(ctx context.Context, docs map[string][]byte) error {
	d.documents = map[string][]byte{}
	for _, name := range sortedNames(docs) {
		err := record.Document{Name: name, Data: docs[name]}.Check()
		if err == nil && len(d.documents) == record.MaxDocuments {
			err = fmt.Errorf("document %q: at most %d are kept", name, record.MaxDocuments)
		}
		if err == nil {
			d.documents[name] = docs[name]
			continue
		}
		if err := d.note(ctx, "dumper", "%s: left out: %v", d.dle.Name(), err); err != nil {
			return err
		}
	}
	return nil
}
