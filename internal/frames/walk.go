package frames

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
)

// loadIndex finds the data frames. The seek table is believed when its checksum, which the pad frame holds, vouches
// for it. Otherwise the frames themselves are asked: rebuilt then says what was wrong, unless the table proves right
// (a file of another program). What cannot be found after damage is not in the index.
func loadIndex(src source) (x index, rebuilt error) {
	s := new(scratch)
	table, vouched, tableErr := readTable(src, s)
	if tableErr == nil && vouched {
		return table, nil
	}
	w := walker{src: src, scratch: s}
	x, walkErr := w.walk()
	switch {
	case tableErr == nil && walkErr == nil && slices.Equal(x, table):
		return x, nil
	case tableErr == nil:
		tableErr = errTableCRC
	}
	if walkErr != nil {
		return x, fmt.Errorf("seek table: %w; frames found up to byte %d: %w", tableErr, w.at, walkErr)
	}
	return x, fmt.Errorf("seek table: %w; made anew from the frames", tableErr)
}

// readTable reads the seek table at the end of the stream. Its allocations are bounded by the stream's length.
func readTable(src source, s *scratch) (x index, vouched bool, err error) {
	size := src.sizeBytes()
	if size < skippableHeaderBytes+tableFooterBytes {
		return nil, false, errNoTable
	}
	p, err := src.read(s, nil, size-tableFooterBytes, tableFooterBytes)
	if err != nil {
		return nil, false, err
	}
	frames, descriptor, magic := int64(binary.LittleEndian.Uint32(p)), p[4], binary.LittleEndian.Uint32(p[5:])
	if magic != magicFooter {
		return nil, false, errNoTable
	}
	entryBytes := int64(tableEntryBytes)
	if descriptor&tableChecksumFlag != 0 {
		entryBytes += tableChecksumBytes
	}
	start := size - tableFooterBytes - frames*entryBytes - skippableHeaderBytes
	if descriptor&tableReservedBits != 0 || frames > maxFrames || start < 0 {
		return nil, false, errTable
	}
	t := tableReader{src: src, scratch: s, start: start, entryBytes: entryBytes}
	return t.read()
}

// tableReader goes through a table in pieces of bounded length.
type tableReader struct {
	src        source
	scratch    *scratch
	start      int64 // of the table's frame
	entryBytes int64
	frames     index
	at         int64 // end of the frames so far
	last       int64 // length of the last one if it is not a data frame
}

func (t *tableReader) read() (index, bool, error) {
	const piece = 8192 // entries
	size := t.src.sizeBytes()
	head, err := t.src.read(t.scratch, nil, t.start, skippableHeaderBytes)
	if err != nil {
		return nil, false, err
	}
	length := int64(binary.LittleEndian.Uint32(head[4:]))
	if binary.LittleEndian.Uint32(head) != magicTable || length != size-t.start-skippableHeaderBytes {
		return nil, false, errTable
	}
	sum := crc32.Update(0, castagnoli, head)
	end := size - tableFooterBytes
	for off := t.start + skippableHeaderBytes; off < end; {
		p, err := t.src.read(t.scratch, nil, off, min(end-off, piece*t.entryBytes))
		if err != nil {
			return nil, false, err
		}
		off += int64(len(p))
		sum = crc32.Update(sum, castagnoli, p)
		if err := t.entries(p); err != nil {
			return nil, false, err
		}
	}
	if t.at != t.start {
		return nil, false, errTable
	}
	footer, err := t.src.read(t.scratch, nil, end, tableFooterBytes)
	if err != nil {
		return nil, false, err
	}
	vouched, err := t.vouched(crc32.Update(sum, castagnoli, footer))
	return t.frames, vouched, err
}

func (t *tableReader) entries(p []byte) (err error) {
	for ; len(p) > 0; p = p[t.entryBytes:] {
		stored, raw := binary.LittleEndian.Uint32(p), binary.LittleEndian.Uint32(p[4:])
		if t.frames, err = t.frames.add(t.at, stored, raw); err != nil {
			return fmt.Errorf("%w: %w", errTable, err)
		}
		t.last = 0
		if raw == 0 {
			t.last = int64(stored)
		}
		if t.at += int64(stored); t.at > t.start {
			return errTable
		}
	}
	return nil
}

// vouched tells whether a pad frame stands before the table and holds this sum.
func (t *tableReader) vouched(sum uint32) (bool, error) {
	if t.last < skippableHeaderBytes+padCRCBytes {
		return false, nil
	}
	p, err := t.src.read(t.scratch, nil, t.start-t.last, skippableHeaderBytes+padCRCBytes)
	if err != nil {
		return false, err
	}
	return binary.LittleEndian.Uint32(p) == magicSkippable &&
		int64(binary.LittleEndian.Uint32(p[4:])) == t.last-skippableHeaderBytes &&
		binary.LittleEndian.Uint32(p[skippableHeaderBytes:]) == sum, nil
}

// walker finds frames by their headers and those of their blocks, without decoding. It reads front to back.
type walker struct {
	src     source
	scratch *scratch
	at      int64 // end of the frames found
	window  []byte
	from    int64 // where the window begins
}

// windowBytes holds the headers of several blocks, and a few encrypted chunks.
const windowBytes = 256 << 10

// walk lists the frames up to the seek table's, or up to the one where the error is.
func (w *walker) walk() (x index, err error) {
	for size := w.src.sizeBytes(); ; {
		if w.at == size {
			return x, fmt.Errorf("no seek table follows: %w", errTruncated)
		}
		head, err := w.peek(w.at, min(maxFrameHeaderBytes, size-w.at))
		if err != nil {
			return x, err
		}
		if len(head) < skippableHeaderBytes {
			return x, errTruncated
		}
		var raw int
		var stored int64
		magic := binary.LittleEndian.Uint32(head)
		if isSkippable(magic) {
			stored = skippableHeaderBytes + int64(binary.LittleEndian.Uint32(head[4:]))
		} else if stored, raw, err = w.frame(head); err != nil {
			return x, err
		}
		switch {
		case stored > size-w.at:
			return x, errTruncated
		case magic == magicTable && stored == size-w.at:
			return x, nil
		}
		if x, err = x.add(w.at, uint32(stored), uint32(raw)); err != nil {
			return x, err
		}
		w.at += stored
	}
}

// frame measures the data frame that begins with head.
func (w *walker) frame(head []byte) (stored int64, raw int, err error) {
	h, err := parseFrameHeader(head)
	if err != nil {
		return 0, 0, err
	}
	stored = int64(h.headerBytes)
	for last := false; !last; {
		p, err := w.peek(w.at+stored, blockHeaderBytes)
		if err != nil {
			return 0, 0, err
		}
		block := uint32(p[0]) | uint32(p[1])<<8 | uint32(p[2])<<16
		n, kind := int64(block>>3), block>>1&3
		last = block&1 != 0
		if kind == 3 || n > maxBlockBytes {
			return 0, 0, errBlock
		}
		if kind == 1 {
			n = 1 // one byte, repeated
		}
		if stored += blockHeaderBytes + n; stored > maxStoredFrame(int64(h.rawBytes)) {
			return 0, 0, errBlock
		}
	}
	return stored + frameChecksumBytes, h.rawBytes, nil
}

// peek gives n bytes at off, valid until the next call. Where a whole window cannot be read, as next to damage, it
// reads only what is asked for.
func (w *walker) peek(off, n int64) ([]byte, error) {
	if rest := w.src.sizeBytes() - off; n > rest {
		return nil, errTruncated
	} else if off < w.from || off+n > w.from+int64(len(w.window)) {
		window, err := w.src.read(w.scratch, nil, off, min(windowBytes, rest))
		if err != nil {
			window, err = w.src.read(w.scratch, nil, off, n)
		}
		if err != nil {
			w.window = nil
			return nil, err
		}
		w.window, w.from = window, off
	}
	return w.window[off-w.from:][:n], nil
}
