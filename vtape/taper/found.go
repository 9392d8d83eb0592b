package taper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"holdfast/catalog"
	"holdfast/vtape"
)

// File is a file of a dump found on a volume.
type File struct {
	Label catalog.Label
	// WriteStamp is the one in the volume's label.
	WriteStamp catalog.Stamp
	Number     int
	Bytes      int64
	Header     vtape.Header
	HeaderCRC  uint32
}

// ReadVolume reads the label of a volume and the headers of its files. Files that cannot be read are told in damaged;
// err is an error of the volume as a whole.
func ReadVolume(ctx context.Context, dev vtape.Device) (label vtape.Header, files []File, damaged []error, err error) {
	label, err = dev.ReadLabel(ctx)
	if err != nil {
		return label, nil, nil, fmt.Errorf("read volume: %w", err)
	}
	files, damaged, err = ReadFiles(ctx, dev, label)
	return label, files, damaged, err
}

// ReadFiles reads the headers of the files on a volume whose label is known.
func ReadFiles(ctx context.Context, dev vtape.Device, label vtape.Header) (files []File, damaged []error, err error) {
	list, err := dev.Files(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("read volume %s: %w", label.Label, err)
	}
	for _, f := range list {
		if err := ctx.Err(); err != nil {
			return files, damaged, err
		}
		r, err := dev.Open(ctx, f.Number)
		if err == nil {
			if err = checkReadable(r); err != nil {
				_ = r.Close() // it was only read
			}
		}
		if err != nil {
			place := catalog.Part{Label: label.Label, File: f.Number}
			damaged = append(damaged, damage(place, 0, vtape.HeaderBytes, err))
			continue
		}
		files = append(files, File{
			Label: label.Label, WriteStamp: catalog.Stamp(label.Stamp), Number: f.Number, Bytes: r.SizeBytes(),
			Header: r.Header(), HeaderCRC: vtape.Checksum(r.RawHeader()),
		})
		_ = r.Close() // it was only read
	}
	return files, damaged, nil
}

// Found is a copy of a dump put together from files on volumes. The parts of Copy have no checksums of their data, and
// neither they nor it a storage.
type Found struct {
	// Header is that of the last part, which knows most.
	Header vtape.Header
	Copy   catalog.Copy
	// Err tells what is missing, as far as the headers show (Amanda does not always write how much there must be);
	// Copy.Status is partial then.
	Err error
}

// FromHeaders puts copies together from the files of any number of volumes, as when there is no catalog. Files that
// are not of dumps, as catalog records, are left out. Two copies of a dump that one run wrote to two storages look like one:
// call it for each storage. Copies come in the order of their dumps' stamps and names, then of their writing.
//
// Where a part is there more than once, because a volume ended or failed inside it, the last one counts, and what was
// there of later parts belongs to an earlier try.
func FromHeaders(files []File) []Found {
	return fromHeaders(files, func(h vtape.Header) bool { return h.Program != catalog.ProgramRecord })
}

// RecordsFromHeaders is FromHeaders for the catalog records.
func RecordsFromHeaders(files []File) []Found {
	return fromHeaders(files, func(h vtape.Header) bool { return h.Program == catalog.ProgramRecord })
}

func fromHeaders(files []File, wanted func(vtape.Header) bool) []Found {
	type key struct {
		dump  catalog.DumpID
		write catalog.Stamp
	}
	copies := make(map[key][]File)
	for _, f := range files {
		if (f.Header.Type == vtape.TypeSplitFile || f.Header.Type == vtape.TypeFile) && wanted(f.Header) {
			k := key{f.Header.DumpID(), f.WriteStamp}
			copies[k] = append(copies[k], f)
		}
	}
	var found []Found
	for _, files := range copies {
		found = append(found, join(lastTries(files)))
	}
	slices.SortFunc(found, func(a, b Found) int {
		return cmp.Or(cmp.Compare(a.Header.Stamp, b.Header.Stamp), cmp.Compare(a.Copy.Dump, b.Copy.Dump),
			cmp.Compare(a.Copy.WriteStamp, b.Copy.WriteStamp))
	})
	return found
}

// lastTries gives the files of a copy that count, in the order of their part numbers.
func lastTries(files []File) []File {
	var tries []File
	for _, f := range inOrderWritten(files) {
		for n := len(tries); n > 0 && partNumber(tries[n-1].Header) >= partNumber(f.Header); n-- {
			tries = tries[:n-1]
		}
		tries = append(tries, f)
	}
	return tries
}

// inOrderWritten sorts the files of one copy. Labels say nothing of the order in which volumes were written, but part
// numbers rise over them. Two volumes that begin with the same part hold two tries of it: the one on which it went on
// came later, and if neither went on, the one that holds more of it.
func inOrderWritten(files []File) []File {
	byLabel := make(map[catalog.Label][]File)
	for _, f := range files {
		byLabel[f.Label] = append(byLabel[f.Label], f)
	}
	var volumes [][]File
	for _, on := range byLabel {
		slices.SortFunc(on, func(a, b File) int { return cmp.Compare(a.Number, b.Number) })
		volumes = append(volumes, on)
	}
	slices.SortFunc(volumes, func(a, b []File) int {
		lastA, lastB := a[len(a)-1], b[len(b)-1]
		return cmp.Or(
			cmp.Compare(partNumber(a[0].Header), partNumber(b[0].Header)),
			cmp.Compare(partNumber(lastA.Header), partNumber(lastB.Header)),
			cmp.Compare(a[0].Bytes, b[0].Bytes),
			cmp.Compare(a[0].Label, b[0].Label))
	})
	return slices.Concat(volumes...)
}

// join makes a copy of the files that are its parts.
func join(files []File) Found {
	last := files[len(files)-1]
	found := Found{Header: last.Header, Copy: catalog.Copy{
		Dump: last.Header.DumpID(), WriteStamp: last.WriteStamp, Status: catalog.StatusOK,
	}}
	var offset int64
	for _, f := range files {
		found.Copy.Parts = append(found.Copy.Parts, catalog.Part{
			Dump: found.Copy.Dump, WriteStamp: f.WriteStamp, Number: partNumber(f.Header),
			Label: f.Label, File: f.Number, Offset: offset, Bytes: f.Bytes, HeaderCRC: f.HeaderCRC,
		})
		offset += f.Bytes
		if f.Header.Partial && found.Err == nil {
			found.Err = fmt.Errorf("part %d is marked as partial", partNumber(f.Header))
		}
	}
	if found.Err == nil {
		found.Err = complete(found, offset)
	}
	if found.Err == nil {
		found.trim(offset)
	}
	if found.Err != nil {
		found.Copy.Status = catalog.StatusPartial
	}
	return found
}

// storedBytes is how long the dump is by its last header; 0 when that does not say.
func (f Found) storedBytes() int64 {
	if n := f.Header.Server.Bytes; n > 0 || f.Header.Image == nil {
		return n
	}
	return f.Header.Image.StoredBytes
}

// trim takes the padding of a parity set from the last part.
func (f Found) trim(bytes int64) {
	last := &f.Copy.Parts[len(f.Copy.Parts)-1]
	want := last.Bytes - (bytes - f.storedBytes())
	if f.storedBytes() > 0 && want >= 0 && padded(want, last.Bytes) {
		last.Bytes = want
	}
}

// complete tells what is missing, as far as the headers show.
func complete(f Found, bytes int64) error {
	for i, p := range f.Copy.Parts {
		switch last := p.Number - 1; {
		case last > i+1:
			return fmt.Errorf("parts %d to %d are missing", i+1, last)
		case last == i+1:
			return fmt.Errorf("part %d is missing", i+1)
		}
	}
	want := f.storedBytes()
	switch total := f.Header.TotalParts; {
	case total > len(f.Copy.Parts):
		return fmt.Errorf("%d of %d parts are there", len(f.Copy.Parts), total)
	case want == 0 && bytes > 0 && f.Header.Image != nil:
		return errors.New("the last part is missing") // ours says how much there is
	case want > bytes:
		return fmt.Errorf("%d of %d bytes are there", bytes, want)
	case want > 0 && bytes-want >= vtape.PartAlign: // less is what a RAIT set pads
		return errors.New("more is there than was written")
	}
	return nil
}
