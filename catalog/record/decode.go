package record

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"holdfast/catalog"
	"holdfast/internal/frames"
)

// Decode reads a record. It gives ErrDamaged for what is not a whole record and ErrNewer for one from a later version; an
// error of the reader is given as it is.
func Decode(r io.Reader) (Record, error) {
	rec, err := decode(r)
	if err != nil {
		return Record{}, fmt.Errorf("decode catalog record: %w", err)
	}
	return rec, nil
}

func decode(r io.Reader) (Record, error) {
	in := &source{r: r}
	text, err := frames.NewStreamReader(in, "zstd", nil)
	if err != nil {
		return Record{}, in.cause(err)
	}
	defer text.Close() // it was only read
	d := &decoder{copies: map[copyKey]int{}, held: map[catalog.DumpID]int{}}
	lines := bufio.NewScanner(io.LimitReader(text, maxTextBytes))
	lines.Buffer(make([]byte, 0, 64<<10), maxLineBytes)
	for lines.Scan() {
		if err := d.line(lines.Bytes()); err != nil {
			return Record{}, err
		}
	}
	switch {
	case lines.Err() != nil:
		return Record{}, in.cause(lines.Err())
	case !d.ended:
		return Record{}, damaged("after %d lines there is no line that ends it", d.lines)
	}
	return d.rec, nil
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// source remembers the errors of the reader, which are no damage.
type source struct {
	r   io.Reader
	err error
}

// Read reads.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func (s *source) cause(err error) error {
	if s.err != nil {
		return s.err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

type copyKey struct {
	dump    catalog.DumpID
	storage string
	written catalog.Stamp
}

type decoder struct {
	rec    Record
	lines  int
	ended  bool
	copies map[copyKey]int        // index in rec.Copies
	held   map[catalog.DumpID]int // index in rec.Held
}

func (d *decoder) line(text []byte) error {
	d.lines++
	if d.ended {
		return damaged("line %d: stands behind the one that ends it", d.lines)
	}
	if d.lines == 1 {
		return d.head(text)
	}
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return damaged("line %d: %v", d.lines, err)
	}
	if err := d.take(l); err != nil {
		return damaged("line %d: %v", d.lines, err)
	}
	return nil
}

func (d *decoder) head(text []byte) error {
	var h head
	if err := json.Unmarshal(text, &h); err != nil || h.Format != formatName {
		return damaged("line 1: does not say that it is a catalog record")
	}
	if h.Version > version {
		return fmt.Errorf("%w: version %d, this one knows up to %d", ErrNewer, h.Version, version)
	}
	if _, err := catalog.ParseStamp(string(h.Run)); err != nil || h.Version < 1 {
		return damaged("line 1: run %q, version %d", h.Run, h.Version)
	}
	d.rec.Storage, d.rec.Run, d.rec.Made = h.Storage, h.Run, h.Made
	return nil
}

// take adds what a line says. One of a kind that is not known says nothing.
func (d *decoder) take(l line) error {
	switch {
	case l.Run != nil:
		d.rec.Runs = append(d.rec.Runs, *l.Run)
	case l.Volume != nil:
		d.rec.Volumes = append(d.rec.Volumes, *l.Volume)
	case l.Dump != nil:
		return d.dump(*l.Dump)
	case l.Document != nil:
		return d.document(*l.Document)
	case l.Copy != nil:
		d.copies[copyKey{l.Copy.Dump, l.Copy.Storage, l.Copy.WriteStamp}] = len(d.rec.Copies)
		d.rec.Copies = append(d.rec.Copies, catalog.Copy{
			Dump: l.Copy.Dump, Storage: l.Copy.Storage, WriteStamp: l.Copy.WriteStamp, Status: l.Copy.Status,
		})
	case l.Part != nil:
		return d.part(*l.Part)
	case l.Chunk != nil:
		d.chunk(*l.Chunk)
	case l.Wanted != nil:
		d.rec.Wanted = append(d.rec.Wanted, *l.Wanted)
	case l.End != nil:
		if d.ended = true; l.End.Lines != d.lines {
			return fmt.Errorf("there should be %d", l.End.Lines)
		}
	}
	return nil
}

func (d *decoder) dump(in catalog.Dump) error {
	// JSON has no words for names that are not UTF-8, the id has.
	if dle, _, _, err := catalog.ParseDumpID(in.ID); err == nil {
		in.DLE = dle
	}
	if want := catalog.NewDumpID(in.DLE, in.Stamp, in.Level); in.ID != want || in.StoredBytes < 0 {
		return fmt.Errorf("dump %q is %s, of %d bytes", in.ID, want, in.StoredBytes)
	}
	d.rec.Dumps = append(d.rec.Dumps, in)
	return nil
}

func (d *decoder) document(in document) error {
	out := Document{Dump: in.Dump, Name: in.Name}
	switch {
	case in.Text != nil:
		out.Data = []byte(*in.Text)
	case in.Base64 != nil:
		data, err := base64.StdEncoding.DecodeString(*in.Base64)
		if err != nil {
			return fmt.Errorf("document %q: %w", in.Name, err)
		}
		out.Data = data
	}
	if err := out.Check(); err != nil {
		return err
	}
	d.rec.Documents = append(d.rec.Documents, out)
	return nil
}

func (d *decoder) part(p catalog.Part) error {
	i, ok := d.copies[copyKey{p.Dump, p.Storage, p.WriteStamp}]
	if !ok || p.Number < 1 || p.File < 1 || p.Offset < 0 || p.Bytes < 0 {
		return fmt.Errorf("part %d of %s: volume %s file %d, %d bytes from byte %d: not the part of a copy that is named before",
			p.Number, p.Dump, p.Label, p.File, p.Bytes, p.Offset)
	}
	d.rec.Copies[i].Parts = append(d.rec.Copies[i].Parts, p)
	return nil
}

func (d *decoder) chunk(c chunk) {
	i, ok := d.held[c.Dump]
	if !ok {
		i = len(d.rec.Held)
		d.held[c.Dump] = i
		d.rec.Held = append(d.rec.Held, catalog.Holding{Dump: c.Dump})
	}
	d.rec.Held[i].Chunks = append(d.rec.Held[i].Chunks, c.HoldingChunk)
}
