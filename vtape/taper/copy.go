package taper

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"holdfast/catalog"
	"holdfast/internal/joined"
	"holdfast/vtape"
)

// Stream reads a copy of a dump from volumes, all its parts joined; it is a vtape.Stream. What is wrong on a volume is a
// *vtape.Damage.
type Stream struct {
	*joined.Reader
	parts []catalog.Part

	tolerate func(error)
	mu       sync.Mutex
	told     map[int]bool // part numbers whose header tolerate was told of
}

// Tolerate makes the stream read on behind a header that is not the one written: the catalog knows all that it says, and
// whoever checks the data needs it not. Note is told of each such header once. It is called before the first read.
func (s *Stream) Tolerate(note func(error)) { s.tolerate = note }

// accept tells whether the stream goes on behind a damaged header.
func (s *Stream) accept(p catalog.Part, err error) bool {
	if s.tolerate == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.told[p.Number] {
		s.told[p.Number] = true
		s.tolerate(err)
	}
	return true
}

// OpenDevice gives the volume with that label. It is called by one goroutine at a time, and for a label
// until it has succeeded once.
type OpenDevice func(ctx context.Context, label catalog.Label) (vtape.Device, error)

// OpenCopy opens a copy by its parts, in order from number 1. Volumes and files are opened when they are read, and
// each part's header and size are checked then. The stream may be used as long as ctx lives.
func OpenCopy(ctx context.Context, parts []catalog.Part, open OpenDevice) (*Stream, error) {
	if err := checkParts(parts); err != nil {
		return nil, err
	}
	s := &Stream{parts: parts, told: map[int]bool{}}
	devices := &devices{open: open, byLabel: make(map[catalog.Label]vtape.Device)}
	var pieces []joined.Piece
	for _, p := range parts {
		pieces = append(pieces, joined.Piece{Bytes: p.Bytes, Open: func() (joined.ReaderAtCloser, error) {
			dev, err := devices.get(ctx, p.Label)
			if err != nil {
				return nil, err
			}
			r, err := openPart(ctx, dev, p, s.accept)
			if err != nil {
				return nil, err // not r: a nil *partReader in an interface is not nil
			}
			return r, nil
		}})
	}
	s.Reader = joined.New(pieces)
	return s, nil
}

// checkParts makes sure that the parts are all of one copy, from the first on.
func checkParts(parts []catalog.Part) error {
	if len(parts) == 0 {
		return errors.New("open copy: no parts")
	}
	var offset int64
	for i, p := range parts {
		if p.Number != i+1 || p.Dump != parts[0].Dump || p.Offset != offset || p.Bytes < 0 {
			return fmt.Errorf("open copy: %s: part %d at byte %d is not the one after byte %d", p.Dump, p.Number, p.Offset, offset)
		}
		offset += p.Bytes
	}
	return nil
}

// Locate tells on which volume and in which file the byte at off lies.
func (s *Stream) Locate(off int64) vtape.Place {
	i, within := s.Find(off)
	p := s.parts[i]
	return vtape.Place{Label: p.Label, File: p.File, Offset: vtape.HeaderBytes + within, Left: p.Bytes - within}
}

// devices keeps the volumes of a copy that are open.
type devices struct {
	open    OpenDevice
	mu      sync.Mutex // guards byLabel, and calls of open
	byLabel map[catalog.Label]vtape.Device
}

func (d *devices) get(ctx context.Context, label catalog.Label) (vtape.Device, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if dev := d.byLabel[label]; dev != nil {
		return dev, nil
	}
	dev, err := d.open(ctx, label)
	if err != nil {
		return nil, fmt.Errorf("open volume %s: %w", label, err)
	}
	d.byLabel[label] = dev
	return dev, nil
}

// VerifyPart reads a part from its volume and compares header, size and checksums with the catalog. Checksums that the
// catalog does not know (0) are not compared. When a volume can be read in several ways (vtape.Redundant) and another one
// gives the right bytes, the error names the members of the volume that are wrong.
func VerifyPart(ctx context.Context, dev vtape.Device, p catalog.Part) error {
	err := verifyPart(ctx, dev, p)
	set, ok := dev.(vtape.Redundant)
	var wrong *wrongSum
	if !ok || !errors.As(err, &wrong) {
		return err
	}
	tried := 0
	for without, variant := range set.Variants() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if verifyPart(ctx, variant, p) == nil {
			return damage(p, vtape.HeaderBytes, p.Bytes, fmt.Errorf("%w; it is right without %s, which is wrong", wrong, without))
		}
		if tried++; tried == maxVariants {
			break
		}
	}
	return err
}

// maxVariants bounds how often a part is read to find out what is wrong: it is each member and each pair of a set of 15.
const maxVariants = 120

// wrongSum is a part's checksum that is not the one it was written with.
type wrongSum struct{ have, want uint32 }

func (e *wrongSum) Error() string { return fmt.Sprintf("checksum %08x, want %08x", e.have, e.want) }

func verifyPart(ctx context.Context, dev vtape.Device, p catalog.Part) error {
	sum, err := PartCRC(ctx, dev, p)
	if err == nil && p.CRC != 0 && sum != p.CRC {
		return damage(p, vtape.HeaderBytes, p.Bytes, &wrongSum{sum, p.CRC})
	}
	return err
}

// PartCRC reads a part from its volume and gives the CRC-32C of its data. Header and size must be those of the catalog.
func PartCRC(ctx context.Context, dev vtape.Device, p catalog.Part) (uint32, error) {
	r, err := openPart(ctx, dev, p, func(catalog.Part, error) bool { return false })
	if err != nil {
		return 0, err
	}
	defer r.Close() // it was only read
	var sum uint32
	buf := make([]byte, feedBytes)
	for off := int64(0); off < p.Bytes; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n, err := r.ReadAt(buf[:min(int64(len(buf)), p.Bytes-off)], off)
		if err != nil && err != io.EOF {
			return 0, err
		}
		sum = crc32.Update(sum, vtape.Castagnoli, buf[:n])
		off += int64(n)
	}
	return sum, nil
}

func damage(p catalog.Part, offset, length int64, err error) error {
	var known *vtape.Damage
	if errors.As(err, &known) {
		return err
	}
	return &vtape.Damage{Label: p.Label, File: p.File, Offset: offset, Length: length, Err: err}
}

// partReader reads the data of one part.
type partReader struct {
	vtape.PartReader
	p catalog.Part
}

// openPart opens the file of a part. Accept is asked whether a header that is not the one written will do.
func openPart(ctx context.Context, dev vtape.Device, p catalog.Part, accept func(catalog.Part, error) bool) (*partReader, error) {
	r, err := dev.Open(ctx, p.File)
	switch {
	case err == nil:
	case ctx.Err() != nil || errors.Is(err, vtape.ErrAbsent):
		return nil, fmt.Errorf("volume %s file %d: %w", p.Label, p.File, err)
	default:
		return nil, damage(p, 0, vtape.HeaderBytes, err)
	}
	err = checkHeader(r, p)
	if err != nil && accept(p, err) {
		err = nil
	}
	if n := r.SizeBytes(); err == nil && n != p.Bytes && !padded(p.Bytes, n) {
		err = damage(p, vtape.HeaderBytes+min(n, p.Bytes), 0, fmt.Errorf("%d bytes of data, want %d", n, p.Bytes))
	}
	if err != nil {
		_ = r.Close() // it was only read
		return nil, err
	}
	return &partReader{PartReader: r, p: p}, nil
}

// stripeUnit is what stripes of Amanda's parity sets are multiples of, in bytes; see package rait.
const stripeUnit = 32 << 10

// padded tells whether a part of that many bytes may have the size: a parity set in Amanda's form fills a part up with
// zeros to a whole stripe, and so does a member of a mirror that is read alone. Only the part's bytes are read then.
func padded(bytes, size int64) bool {
	return size%stripeUnit == 0 && size > bytes && size-bytes < vtape.PartAlign
}

// checkReadable makes sure that a file begins with the header of a file.
func checkReadable(r vtape.PartReader) error {
	_, err := vtape.ParseHeader(r.RawHeader())
	if err == nil && r.Header().Type == vtape.TypeTapeStart {
		err = errors.New("a label in the place of a part")
	}
	return err
}

// checkHeader makes sure that a file is the part it should be.
func checkHeader(r vtape.PartReader, p catalog.Part) error {
	h := r.Header()
	err := checkReadable(r)
	if err != nil {
		return damage(p, 0, vtape.HeaderBytes, err)
	}
	if sum := vtape.Checksum(r.RawHeader()); p.HeaderCRC != 0 && sum != p.HeaderCRC {
		err = fmt.Errorf("header has checksum %08x, want %08x", sum, p.HeaderCRC)
	} else if h.Type != vtape.TypeSplitFile && h.Type != vtape.TypeFile {
		err = fmt.Errorf("header of type %s", h.Type)
	} else if id := h.DumpID(); id != p.Dump {
		err = fmt.Errorf("file of dump %s, want %s", id, p.Dump)
	} else if n := partNumber(h); n != p.Number {
		err = fmt.Errorf("part %d, want %d", n, p.Number)
	}
	if err != nil {
		return damage(p, 0, vtape.HeaderBytes, err)
	}
	return nil
}

// ReadAt reads data; whatever goes wrong is damage of these bytes.
func (r *partReader) ReadAt(b []byte, off int64) (int, error) {
	n, err := r.PartReader.ReadAt(b, off)
	if n == len(b) || err == io.EOF && off+int64(n) >= r.p.Bytes {
		return n, err
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, damage(r.p, vtape.HeaderBytes+off, int64(len(b)), err)
}

// partNumber reads a header of type FILE, which old Amanda wrote to volumes, as part 1.
func partNumber(h vtape.Header) int { return max(1, h.Part) }
