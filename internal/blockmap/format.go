package blockmap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// SegmentClusters is the number of clusters in a segment, the unit that is read, checked and cached.
const SegmentClusters = 8192

// MaxImageBytes bounds the image, and so what a hostile file can make a reader do. qcow2 files of 64 KiB clusters end
// at 2 PiB in QEMU.
const MaxImageBytes = 1 << 50

const (
	headerBytes  = 64
	bitmapBytes  = SegmentClusters / 8
	presentAt    = 8
	freshAt      = presentAt + bitmapBytes
	digestsAt    = freshAt + bitmapBytes
	digestBytes  = len(Digest{})
	entryBytes   = 8
	trailerBytes = 24

	headMagic = "HFBLKMAP"
	tailMagic = "HFMAPEND"
	algorithm = "blake3"
	version   = 1
)

// ErrDamaged: the file is not a whole block map. What is wrong, and where, is in the message.
var ErrDamaged = errors.New("block map is damaged")

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	order      = binary.LittleEndian
)

// entry is a segment's place in the file.
type entry struct {
	segment, digests uint32
	offset           int64
}

// segmentBytes is the size of a segment of n digests in the file.
func segmentBytes(digests uint32) int64 {
	return int64(digestsAt) + int64(digests)*int64(digestBytes) + crc32.Size
}

func checksum(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

func encodeHeader(imageBytes int64) []byte {
	h := make([]byte, headerBytes)
	copy(h, headMagic)
	order.PutUint32(h[8:], version)
	order.PutUint32(h[12:], ClusterBytes)
	order.PutUint64(h[16:], uint64(imageBytes))
	copy(h[24:56], algorithm)
	order.PutUint32(h[56:], uint32(digestBytes))
	order.PutUint32(h[60:], checksum(h[:60]))
	return h
}

// decodeHeader gives the size of the image.
func decodeHeader(h []byte) (int64, error) {
	if string(h[:8]) != headMagic {
		return 0, damaged("no magic at its start")
	}
	if order.Uint32(h[60:]) != checksum(h[:60]) {
		return 0, damaged("header: wrong checksum")
	}
	if v := order.Uint32(h[8:]); v != version {
		return 0, fmt.Errorf("version %d of the format: this program knows only %d", v, version)
	}
	size := order.Uint64(h[16:])
	if size > MaxImageBytes {
		return 0, damaged("header: an image of %d bytes", size)
	}
	if string(h) != string(encodeHeader(int64(size))) {
		return 0, damaged("header: other clusters or digests than version %d has", version)
	}
	return int64(size), nil
}

// appendTail appends index and trailer of a file whose segments end at offset indexAt.
func appendTail(p []byte, index []entry, indexAt int64) []byte {
	start := len(p)
	for _, e := range index {
		p = order.AppendUint32(p, e.segment)
		p = order.AppendUint32(p, e.digests)
	}
	p = order.AppendUint64(p, uint64(indexAt))
	p = order.AppendUint32(p, uint32(len(index)))
	p = order.AppendUint32(p, checksum(p[start:]))
	return append(p, tailMagic...)
}

// decodeIndex reads the entries of an index that begins at indexAt, and checks that the segments fill the file and lie
// in the image.
func decodeIndex(p []byte, indexAt, clusters int64) ([]entry, error) {
	index := make([]entry, 0, len(p)/entryBytes)
	at, next := int64(headerBytes), int64(0)
	for ; len(p) > 0; p = p[entryBytes:] {
		e := entry{segment: order.Uint32(p), digests: order.Uint32(p[4:]), offset: at}
		first := int64(e.segment) * SegmentClusters
		if int64(e.segment) < next || first >= clusters || e.digests == 0 || e.digests > SegmentClusters {
			return nil, damaged("index: segment %d with %d digests", e.segment, e.digests)
		}
		next = int64(e.segment) + 1
		at += segmentBytes(e.digests)
		index = append(index, e)
	}
	if at != indexAt {
		return nil, damaged("index: segments end at byte %d, not at %d", at, indexAt)
	}
	return index, nil
}
