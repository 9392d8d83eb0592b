package frames

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"sort"
)

// Parts of the zstd seekable format, version 0.1.0.
const (
	magicTable         = 0x184D2A5E
	magicFooter        = 0x8F92EAB1
	tableEntryBytes    = 8
	tableChecksumBytes = 4 // in an entry, when the descriptor says so
	tableFooterBytes   = 9

	tableChecksumFlag = 1 << 7
	tableReservedBits = 0x7C

	// padCRCBytes is the CRC-32C of the seek table, which opens the content of the pad frame.
	padCRCBytes = 4
	// maxFrames is the limit of the reference implementation: 128 TiB of raw bytes.
	maxFrames = 0x8000000
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Reasons not to believe a seek table.
var (
	errNoTable  = errors.New("no seek table at the end")
	errTable    = errors.New("seek table contradicts itself")
	errTableCRC = errors.New("seek table does not match its checksum")
	errTooMany  = fmt.Errorf("more than %d frames", maxFrames)
)

// frameEntry places one data frame: where its content lies in the raw stream, and it in the framed stream.
type frameEntry struct {
	raw, at     int64
	storedBytes uint32
	rawBytes    uint32
}

// index lists the data frames of a stream in order; raw ranges follow each other without gap.
type index []frameEntry

func (x index) rawBytes() int64 {
	if len(x) == 0 {
		return 0
	}
	last := x[len(x)-1]
	return last.raw + int64(last.rawBytes)
}

// find gives the frame that holds the raw byte at off, or -1.
func (x index) find(off int64) int {
	if off < 0 || off >= x.rawBytes() {
		return -1
	}
	return sort.Search(len(x), func(i int) bool { return x[i].raw > off }) - 1
}

// add appends a frame after checking the bounds that hold for every frame, wherever its sizes come from.
func (x index) add(at int64, storedBytes, rawBytes uint32) (index, error) {
	switch {
	case rawBytes == 0:
		return x, nil // a skippable or empty frame
	case rawBytes > FrameBytes:
		return x, errFrameTooBig
	case int64(storedBytes) > maxStoredFrame(int64(rawBytes)):
		return x, fmt.Errorf("frame of %d bytes stored for %d of content", storedBytes, rawBytes)
	case len(x) >= maxFrames:
		return x, errTooMany
	}
	return append(x, frameEntry{raw: x.rawBytes(), at: at, storedBytes: storedBytes, rawBytes: rawBytes}), nil
}

// tableWriter gathers the entries of a seek table, ready to be written: 8 bytes a frame is all that grows with a dump.
type tableWriter struct {
	entries []byte
	frames  int
}

func (t *tableWriter) add(storedBytes, rawBytes int64) error {
	if t.frames >= maxFrames-1 { // one is for the pad frame
		return errTooMany
	}
	if storedBytes > math.MaxUint32 || rawBytes > math.MaxUint32 {
		panic("frames: entry of a frame that was never made")
	}
	t.entries = binary.LittleEndian.AppendUint32(t.entries, uint32(storedBytes))
	t.entries = binary.LittleEndian.AppendUint32(t.entries, uint32(rawBytes))
	t.frames++
	return nil
}

// tail makes the end of a stream whose frames take framedBytes so far: pad frame, then seek table. headerBytes as for
// paddedBytes. The table's frame comes to far less than 4 GiB by maxFrames.
func (t *tableWriter) tail(framedBytes, headerBytes int64) (pad, table []byte, err error) {
	tableBytes := skippableHeaderBytes + int64(len(t.entries)) + tableEntryBytes + tableFooterBytes
	minBytes := framedBytes + skippableHeaderBytes + padCRCBytes + tableBytes
	padBytes := paddedBytes(minBytes, headerBytes) - framedBytes - tableBytes
	if err := t.add(padBytes, 0); err != nil {
		return nil, nil, err
	}
	table = appendSkippableHeader(make([]byte, 0, tableBytes), magicTable, tableBytes-skippableHeaderBytes)
	table = append(table, t.entries...)
	table = binary.LittleEndian.AppendUint32(table, uint32(t.frames))
	table = append(table, 0) // descriptor: no checksums, the frames have their own
	table = binary.LittleEndian.AppendUint32(table, magicFooter)

	pad = appendSkippableHeader(make([]byte, 0, padBytes), magicSkippable, padBytes-skippableHeaderBytes)
	pad = binary.LittleEndian.AppendUint32(pad, crc32.Checksum(table, castagnoli))
	return pad[:padBytes], table, nil // what make left zero stays zero
}
