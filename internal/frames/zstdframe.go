package frames

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Parts of the zstd format (RFC 8878).
const (
	magicFrame        = 0xFD2FB528
	magicSkippable    = 0x184D2A50 // to 0x184D2A5F
	magicSkippableMax = magicSkippable + 15

	skippableHeaderBytes = 8
	maxFrameHeaderBytes  = 18
	blockHeaderBytes     = 3
	maxBlockBytes        = 128 << 10
	frameChecksumBytes   = 4

	descriptorAt       = 4 // offset of the frame header descriptor
	descriptorChecksum = 1 << 2
	descriptorSingle   = 1 << 5
	descriptorReserved = 1 << 3
)

// Reasons why a frame is refused. A frame of ours has all that is asked for here.
var (
	errNotFrame    = errors.New("no zstd frame here")
	errReserved    = errors.New("reserved bit set in the zstd frame")
	errDictionary  = errors.New("zstd frame needs a dictionary")
	errNoSize      = errors.New("zstd frame without content size")
	errNoChecksum  = errors.New("zstd frame without content checksum")
	errFrameTooBig = fmt.Errorf("zstd frame of more than %d bytes of content", FrameBytes)
	errBlock       = errors.New("impossible block in the zstd frame")
)

// frameHeader is what parseFrameHeader found.
type frameHeader struct {
	headerBytes int
	rawBytes    int
}

// parseFrameHeader reads the header of a data frame from the beginning of p, and refuses what this package does not
// write. A p too short for the header is errTruncated.
func parseFrameHeader(p []byte) (frameHeader, error) {
	if len(p) <= descriptorAt {
		return frameHeader{}, errTruncated
	}
	if binary.LittleEndian.Uint32(p) != magicFrame {
		return frameHeader{}, errNotFrame
	}
	d := p[descriptorAt]
	switch {
	case d&descriptorReserved != 0:
		return frameHeader{}, errReserved
	case d&3 != 0:
		return frameHeader{}, errDictionary
	case d&descriptorChecksum == 0:
		return frameHeader{}, errNoChecksum
	}
	at, sizeBytes := descriptorAt+1, [4]int{0, 2, 4, 8}[d>>6]
	switch {
	case d&descriptorSingle == 0:
		at++ // window descriptor; the window is bounded by the content
	case sizeBytes == 0:
		sizeBytes = 1
	}
	if sizeBytes == 0 {
		return frameHeader{}, errNoSize
	}
	if len(p) < at+sizeBytes {
		return frameHeader{}, errTruncated
	}
	size := contentSize(p[at : at+sizeBytes])
	if size > FrameBytes {
		return frameHeader{}, errFrameTooBig
	}
	return frameHeader{headerBytes: at + sizeBytes, rawBytes: int(size)}, nil
}

// contentSize decodes the Frame_Content_Size field: 1, 2, 4 or 8 bytes; two bytes count from 256.
func contentSize(p []byte) uint64 {
	switch len(p) {
	case 1:
		return uint64(p[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(p)) + 256
	case 4:
		return uint64(binary.LittleEndian.Uint32(p))
	}
	return binary.LittleEndian.Uint64(p)
}

// checkFrame tells whether a stored frame's header promises rawBytes of content.
func checkFrame(frame []byte, rawBytes int) error {
	h, err := parseFrameHeader(frame)
	if err != nil {
		return err
	}
	if h.rawBytes != rawBytes {
		return fmt.Errorf("zstd frame of %d bytes of content, not %d", h.rawBytes, rawBytes)
	}
	return nil
}

// maxStoredFrame bounds the stored length of a frame of rawBytes: what the encoders may need for bytes that do not
// compress, and no more.
func maxStoredFrame(rawBytes int64) int64 { return rawBytes + rawBytes/256 + 1024 }

// isSkippable tells whether a frame's magic number is one of the sixteen of skippable frames.
func isSkippable(magic uint32) bool { return magic >= magicSkippable && magic <= magicSkippableMax }

// appendSkippableHeader starts a skippable frame with a content of n bytes.
func appendSkippableHeader(dst []byte, magic uint32, n int64) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, magic)
	return binary.LittleEndian.AppendUint32(dst, uint32(n))
}
