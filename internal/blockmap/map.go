package blockmap

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"sort"
	"sync"
)

// cacheSegments is how many segments a map keeps at hand: up to 132 KiB each. Sequential users need one, and a few that run
// ahead of one another a few.
const cacheSegments = 8

// Map is a block map opened for reading. Its methods may be called concurrently.
type Map struct {
	r          io.ReaderAt
	imageBytes int64
	index      []entry

	mu    sync.Mutex
	cache []*Segment // guarded by mu; the one used last comes first
}

// Open opens the block map that takes all size bytes of r. Header and index are read and checked now, each segment when
// it is first needed. What is not a whole block map gives ErrDamaged.
func Open(r io.ReaderAt, size int64) (*Map, error) {
	if size < headerBytes+trailerBytes {
		return nil, fmt.Errorf("open block map: %w", damaged("cut short: %d bytes", size))
	}
	var head [headerBytes]byte
	if err := readAt(r, head[:], 0); err != nil {
		return nil, fmt.Errorf("open block map: %w", err)
	}
	imageBytes, err := decodeHeader(head[:])
	if err != nil {
		return nil, fmt.Errorf("open block map: %w", err)
	}
	index, err := readIndex(r, size, Clusters(imageBytes))
	if err != nil {
		return nil, fmt.Errorf("open block map: %w", err)
	}
	return &Map{r: r, imageBytes: imageBytes, index: index}, nil
}

// readIndex reads trailer and index. What it allocates is bounded by the size of the file: no segment is smaller than
// its index entry.
func readIndex(r io.ReaderAt, size, clusters int64) ([]entry, error) {
	var tail [trailerBytes]byte
	if err := readAt(r, tail[:], size-trailerBytes); err != nil {
		return nil, err
	}
	if string(tail[16:]) != tailMagic {
		return nil, damaged("no magic at its end: cut short")
	}
	at, segments := order.Uint64(tail[:]), int64(order.Uint32(tail[8:]))
	if segments > (size-headerBytes-trailerBytes)/(segmentBytes(1)+entryBytes) {
		return nil, damaged("trailer: %d segments in %d bytes", segments, size)
	}
	indexAt := size - trailerBytes - segments*entryBytes
	if at != uint64(indexAt) {
		return nil, damaged("trailer: index at byte %d, not at %d", at, indexAt)
	}
	p := make([]byte, segments*entryBytes, segments*entryBytes+trailerBytes)
	if err := readAt(r, p, indexAt); err != nil {
		return nil, err
	}
	if checksum(append(p, tail[:12]...)) != order.Uint32(tail[12:]) {
		return nil, damaged("index: wrong checksum")
	}
	return decodeIndex(p, indexAt, clusters)
}

// readAt fills p. An end that comes too early is damage.
func readAt(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return damaged("cut short at byte %d", off+int64(n))
	}
	return fmt.Errorf("at byte %d: %w", off+int64(n), err)
}

// ImageBytes is the size of the image.
func (m *Map) ImageBytes() int64 { return m.imageBytes }

// Lookup gives a cluster's digest; false for one that is zero, and for one past the image's end.
func (m *Map) Lookup(cluster int64) (Digest, bool, error) {
	if cluster < 0 || cluster >= Clusters(m.imageBytes) {
		return Digest{}, false, nil
	}
	s, err := m.Segment(cluster / SegmentClusters)
	if err != nil {
		return Digest{}, false, err
	}
	d, ok := s.Lookup(cluster)
	return d, ok, nil
}

// NextSegment gives the number of the first segment from number on that holds anything but zeros; false for none.
func (m *Map) NextSegment(number int64) (int64, bool) {
	i := m.find(number)
	if i == len(m.index) {
		return 0, false
	}
	return int64(m.index[i].segment), true
}

// find is the place in the index of the first segment from number on.
func (m *Map) find(number int64) int {
	return sort.Search(len(m.index), func(i int) bool { return int64(m.index[i].segment) >= number })
}

// Segment gives a segment by its number: clusters number*SegmentClusters and up. It is nil, which reads as zeros, where
// the image is zero or at its end. The caller may keep it as long as it likes.
func (m *Map) Segment(number int64) (*Segment, error) {
	i := m.find(number)
	if i == len(m.index) || int64(m.index[i].segment) != number {
		return nil, nil
	}
	if s := m.cached(number); s != nil {
		return s, nil
	}
	// Read without the lock; two that read the same segment at once do no harm.
	s, err := m.load(m.index[i])
	if err != nil {
		return nil, fmt.Errorf("read block map: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.cache) == cacheSegments {
		m.cache = m.cache[:cacheSegments-1]
	}
	m.cache = slices.Insert(m.cache, 0, s)
	return s, nil
}

// cached gives a segment of the cache and moves it to the front; nil for one that is not there.
func (m *Map) cached(number int64) *Segment {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, s := range m.cache {
		if s.number == number {
			copy(m.cache[1:i+1], m.cache[:i])
			m.cache[0] = s
			return s
		}
	}
	return nil
}

// load reads and checks a segment.
func (m *Map) load(e entry) (*Segment, error) {
	p := make([]byte, segmentBytes(e.digests))
	if err := readAt(m.r, p, e.offset); err != nil {
		return nil, err
	}
	body := p[:len(p)-4]
	if checksum(body) != order.Uint32(p[len(body):]) {
		return nil, damaged("segment %d: wrong checksum", e.segment)
	}
	if order.Uint32(body) != e.segment || order.Uint32(body[4:]) != e.digests {
		return nil, damaged("segment %d: another one lies in its place", e.segment)
	}
	s := &Segment{number: int64(e.segment)}
	if !s.decode(body, Clusters(m.imageBytes)) {
		return nil, damaged("segment %d: it contradicts itself", e.segment)
	}
	return s, nil
}

// Range calls yield for each cluster from first up to end (not included) that is not zero, in order, and stops at its
// first error. Stretches of zeros cost nothing.
func (m *Map) Range(first, end int64, yield func(cluster int64, d Digest) error) error {
	end = min(end, Clusters(m.imageBytes))
	for first < end {
		number, ok := m.NextSegment(first / SegmentClusters)
		if !ok {
			return nil
		}
		s, err := m.Segment(number)
		if err != nil {
			return err
		}
		stop := min(end, (number+1)*SegmentClusters)
		for c := max(first, number*SegmentClusters); c < stop; c++ {
			if d, ok := s.Lookup(c); ok {
				if err := yield(c, d); err != nil {
					return err
				}
			}
		}
		first = stop
	}
	return nil
}

// Segment is SegmentClusters clusters of a map. It does not change; a nil one is all zeros. It takes as much memory as
// it has digests: an image may have few in each of thousands of segments.
type Segment struct {
	number  int64
	present [bitmapBytes]byte
	fresh   [bitmapBytes]byte
	before  [bitmapBytes]uint16 // fresh bits before each byte of fresh
	digests []Digest
}

// Lookup gives a cluster's digest, false for a cluster that is zero. The cluster is counted from the image's start and
// must lie in this segment.
func (s *Segment) Lookup(cluster int64) (Digest, bool) {
	if s == nil {
		return Digest{}, false
	}
	i, bit := cluster%SegmentClusters/8, cluster%8
	if s.present[i]&(1<<bit) == 0 {
		return Digest{}, false
	}
	upTo := s.fresh[i] & (2<<bit - 1) // the digest is that of the last fresh cluster, this one included
	return s.digests[int(s.before[i])+bits.OnesCount8(upTo)-1], true
}

// decode takes a segment from the file, and tells whether it is in the one right form: bitmaps that fit each other, the
// digests and the image, and no digest that equals the one before it.
func (s *Segment) decode(body []byte, clusters int64) bool {
	copy(s.present[:], body[presentAt:freshAt])
	copy(s.fresh[:], body[freshAt:digestsAt])
	count, last := 0, int64(-1)
	for i, b := range s.fresh {
		p := s.present[i]
		if b&^p != 0 || count == 0 && p != 0 && bits.TrailingZeros8(b) != bits.TrailingZeros8(p) {
			return false // a digest of nothing, or a cluster without any digest before it
		}
		s.before[i] = uint16(count)
		count += bits.OnesCount8(b)
		if p != 0 {
			last = int64(i*8 + bits.Len8(p) - 1)
		}
	}
	p := body[digestsAt:]
	if count*digestBytes != len(p) || s.number*SegmentClusters+last >= clusters {
		return false
	}
	s.digests = make([]Digest, count)
	for i := range s.digests {
		s.digests[i] = Digest(p[i*digestBytes:])
		if i > 0 && s.digests[i] == s.digests[i-1] {
			return false
		}
	}
	return true
}
