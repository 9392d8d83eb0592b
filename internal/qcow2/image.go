package qcow2

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

const (
	// sliceBytes is how much of an L2 table is read at once; cachedSlices how many of these are kept: 4 MiB, which maps
	// 32 GiB of 64 KiB clusters.
	sliceBytes   = 64 << 10
	cachedSlices = 64
	// cachedBytes bounds the decompressed clusters that are kept, and minCached their number from below.
	cachedBytes = 8 << 20
	minCached   = 4
	maxCached   = 128
)

// Image reads one qcow2 file. The backing file it names is not opened: SetBacking gives it one. Methods but SetBacking
// may be called from several goroutines.
type Image struct {
	r         io.ReaderAt
	fileBytes int64
	header    Header
	l1        []byte

	slices   *cache // pieces of L2 tables
	clusters *cache // decompressed clusters
	inflate  sync.Pool
	buffers  sync.Pool

	backing      io.ReaderAt
	backingBytes int64
}

// Open reads header and L1 table of a qcow2 file of fileBytes. It gives ErrUnsupported for what cannot be read (not a
// qcow2 file, encryption, an external data file, unknown features) and ErrDamaged for tables that cannot be right.
func Open(r io.ReaderAt, fileBytes int64) (*Image, error) {
	header, err := readHeader(r, fileBytes)
	if err != nil {
		return nil, fmt.Errorf("read qcow2 header: %w", err)
	}
	m := &Image{
		r:         r,
		fileBytes: fileBytes,
		header:    header,
		l1:        make([]byte, header.l1Entries*8),
		slices:    newCache(cachedSlices),
		clusters:  newCache(int(min(maxCached, max(minCached, cachedBytes/header.ClusterBytes)))),
	}
	if err := readFull(r, m.l1, header.l1Offset); err != nil {
		return nil, fmt.Errorf("read qcow2 L1 table: %w", err)
	}
	return m, nil
}

// Header gives what the image says about itself.
func (m *Image) Header() Header { return m.header }

// SizeBytes is the virtual size.
func (m *Image) SizeBytes() int64 { return m.header.SizeBytes }

// Backing gives name and format of the backing file as the image has them; empty where it has none.
func (m *Image) Backing() (name, format string) { return m.header.BackingName, m.header.BackingFormat }

// SetBacking makes unallocated ranges read from r, an image of sizeBytes, and as zeros past its end. It is called before
// the first read.
func (m *Image) SetBacking(r io.ReaderAt, sizeBytes int64) { m.backing, m.backingBytes = r, sizeBytes }

// Set gives the clusters this file holds. It is for files of 64 KiB clusters such as a Layout makes; others give
// ErrUnsupported.
func (m *Image) Set(ctx context.Context) (*Set, error) {
	if m.header.ClusterBytes != ClusterBytes || m.header.ExtendedL2 {
		return nil, fmt.Errorf("read qcow2 clusters: %d bytes each, extended L2 %t: want %d and no extended L2: %w",
			m.header.ClusterBytes, m.header.ExtendedL2, ClusterBytes, ErrUnsupported)
	}
	set := NewSet(m.header.SizeBytes)
	err := m.Extents(ctx, 0, m.header.SizeBytes, func(e Extent) error {
		first, n := e.Start/ClusterBytes, ceilDiv(e.Length, ClusterBytes)
		switch e.Kind {
		case ExtentData:
			set.AddRange(first, n, Data)
		case ExtentZero:
			set.AddRange(first, n, Zero)
		}
		return nil
	})
	return set, err
}

// l2Slice gives the piece of an L2 table that maps guest offset at, beginning with the entry of at itself; nil where
// there is no L2 table, with the guest offset up to which there is none.
func (m *Image) l2Slice(at int64) (entries []byte, until int64, err error) {
	h := &m.header
	covers := h.ClusterBytes * h.l2Entries() // by one L2 table
	index := at / covers
	table := int64(binary.BigEndian.Uint64(m.l1[index*8:]) & offsetMask)
	if table == 0 {
		return nil, (index + 1) * covers, nil
	}
	if table%h.ClusterBytes != 0 || table > m.fileBytes-h.ClusterBytes {
		return nil, 0, fmt.Errorf("L1 entry %d: L2 table at offset %d is not a whole cluster of the file (%d bytes): %w",
			index, table, m.fileBytes, ErrDamaged)
	}
	size := min(h.ClusterBytes, sliceBytes)
	within := at % covers / h.ClusterBytes * h.l2EntryBytes()
	key := table + within/size*size
	slice, err := m.slices.get(key, func() ([]byte, error) {
		p := make([]byte, size)
		return p, readFull(m.r, p, key)
	})
	if err != nil {
		return nil, 0, fmt.Errorf("L1 entry %d: %w", index, err)
	}
	return slice[within%size:], 0, nil
}
