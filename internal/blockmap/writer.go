package blockmap

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
)

// Writer writes a block map front to back. It is used by one goroutine. The first error stays, and is what each later
// call returns.
type Writer struct {
	w       io.Writer
	sum     hash.Hash
	err     error
	last    int64 // the cluster last named, -1 before the first
	end     int64 // clusters of the image
	offset  int64
	index   []entry
	segment []byte // of the cluster last named; its checksum is not yet there
	digest  Digest // of the cluster last named
}

// NewWriter begins the block map of an image of imageBytes, at most MaxImageBytes. The header goes to w at once; an
// error there is told by the next call.
func NewWriter(w io.Writer, imageBytes int64) *Writer {
	b := &Writer{w: w, sum: sha256.New(), last: -1, end: Clusters(imageBytes)}
	if imageBytes < 0 || imageBytes > MaxImageBytes {
		b.err = fmt.Errorf("write block map: an image of %d bytes, at most %d are possible", imageBytes, int64(MaxImageBytes))
		return b
	}
	b.segment = make([]byte, 0, segmentBytes(SegmentClusters))
	b.write(encodeHeader(imageBytes))
	return b
}

// Data names the digest of a cluster that is not zero. Clusters come in rising order; those never named are zero.
func (b *Writer) Data(cluster int64, d Digest) error {
	if b.err != nil {
		return b.err
	}
	if cluster <= b.last || cluster >= b.end {
		b.err = fmt.Errorf("write block map: cluster %d after %d, of %d", cluster, b.last, b.end)
		return b.err
	}
	number := cluster / SegmentClusters
	if len(b.segment) == 0 || number != b.last/SegmentClusters {
		if err := b.flush(); err != nil {
			return err
		}
		b.segment = b.segment[:digestsAt]
		clear(b.segment)
		order.PutUint32(b.segment, uint32(number))
	}
	bit := cluster % SegmentClusters
	if len(b.segment) == digestsAt || d != b.digest {
		b.segment[freshAt+bit/8] |= 1 << (bit % 8)
		b.segment = append(b.segment, d[:]...)
	}
	b.segment[presentAt+bit/8] |= 1 << (bit % 8)
	b.last, b.digest = cluster, d
	return nil
}

// Close writes what is left, and gives the SHA-256 of the whole file in hex, as sha256sum prints it. It does not close
// the writer below.
func (b *Writer) Close() (string, error) {
	if err := b.flush(); err != nil {
		return "", err
	}
	b.write(appendTail(nil, b.index, b.offset))
	if b.err != nil {
		return "", b.err
	}
	b.err = fmt.Errorf("write block map: it is closed")
	return hex.EncodeToString(b.sum.Sum(nil)), nil
}

// flush writes the segment in work, if there is one.
func (b *Writer) flush() error {
	if b.err != nil || len(b.segment) == 0 {
		return b.err
	}
	digests := uint32((len(b.segment) - digestsAt) / digestBytes)
	order.PutUint32(b.segment[4:], digests)
	b.index = append(b.index, entry{segment: order.Uint32(b.segment), digests: digests, offset: b.offset})
	b.write(order.AppendUint32(b.segment, checksum(b.segment)))
	b.segment = b.segment[:0]
	return b.err
}

func (b *Writer) write(p []byte) {
	if b.err != nil {
		return
	}
	if _, err := b.w.Write(p); err != nil {
		b.err = fmt.Errorf("write block map: at byte %d: %w", b.offset, err)
		return
	}
	b.sum.Write(p) // a hash never fails to write
	b.offset += int64(len(p))
}
