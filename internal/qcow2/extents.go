package qcow2

import (
	"context"
	"encoding/binary"
	"fmt"
)

// ExtentKind says where the bytes of an extent are.
type ExtentKind uint8

// The kinds.
const (
	// ExtentUnallocated: not in this file; the backing file's bytes, or zeros where there is none.
	ExtentUnallocated ExtentKind = iota
	// ExtentData: in this file.
	ExtentData
	// ExtentZero: reads as zeros, whatever the backing file holds.
	ExtentZero
)

// Extent is a run of the virtual disk.
type Extent struct {
	// Start and Length are bytes of the virtual disk.
	Start, Length int64
	Kind          ExtentKind
	// Compressed data has no place of its own in the file.
	Compressed bool
	// HostOffset is where in the file data that is not compressed begins.
	HostOffset int64

	stored int64 // length in the file of a compressed cluster, before runs are joined
}

// Extents calls yield for the runs of a range in order. Runs that continue one another, in the file too, are joined.
// Data that the file is too short to hold gives ErrDamaged, so a walk over all of an image finds out whether it was
// cut off. The range must lie within the virtual size. An error of yield ends the walk and is returned as it is.
func (m *Image) Extents(ctx context.Context, start, length int64, yield func(Extent) error) error {
	if start < 0 || length < 0 || start > m.header.SizeBytes || length > m.header.SizeBytes-start {
		return fmt.Errorf("map qcow2 image: %d bytes at %d are not within %d", length, start, m.header.SizeBytes)
	}
	var last Extent
	err := m.walk(ctx, start, start+length, func(e Extent) error {
		if e.Compressed {
			e.HostOffset, e.stored = 0, 0
		}
		if last.continuedBy(e) {
			last.Length += e.Length
			return nil
		}
		done := last
		last = e
		if done.Length == 0 {
			return nil
		}
		return yield(done)
	})
	if err != nil || last.Length == 0 {
		return err
	}
	return yield(last)
}

// continuedBy tells whether e, which begins where x ends, can be joined to it.
func (x Extent) continuedBy(e Extent) bool {
	if x.Length == 0 || x.Kind != e.Kind || x.Compressed != e.Compressed {
		return false
	}
	return x.Kind != ExtentData || x.Compressed || x.HostOffset+x.Length == e.HostOffset
}

// walk calls yield for what the L2 entries from start up to end say. Clusters of plain data that lie one after the other
// are joined, so that they can be read at once; each compressed cluster comes alone.
func (m *Image) walk(ctx context.Context, start, end int64, yield func(Extent) error) error {
	for start < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, until, err := m.l2Slice(start)
		if err != nil {
			return fmt.Errorf("map qcow2 image: offset %d: %w", start, err)
		}
		if entries == nil {
			until = min(until, end)
			if err := yield(Extent{Start: start, Length: until - start}); err != nil {
				return err
			}
			start = until
			continue
		}
		if start, err = m.walkSlice(entries, start, end, yield); err != nil {
			return err
		}
	}
	return nil
}

// walkSlice does what walk does for a piece of one L2 table, and returns where it ends.
func (m *Image) walkSlice(entries []byte, start, end int64, yield func(Extent) error) (int64, error) {
	var run Extent
	add := func(e Extent) error {
		if run.continuedBy(e) && !e.Compressed {
			run.Length += e.Length
			return nil
		}
		done := run
		run = e
		if done.Length == 0 {
			return nil
		}
		return yield(done)
	}
	for size := m.header.l2EntryBytes(); start < end && len(entries) > 0; entries = entries[size:] {
		stop := min(end, (start/m.header.ClusterBytes+1)*m.header.ClusterBytes)
		var err error
		if m.header.ExtendedL2 {
			err = m.mapSubclusters(entries, start, stop, add)
		} else {
			err = m.mapCluster(binary.BigEndian.Uint64(entries), start, stop, add)
		}
		if err != nil {
			return 0, err
		}
		start = stop
	}
	return start, yield(run)
}

// mapCluster says what an L2 entry means for the range from start to stop of its cluster.
func (m *Image) mapCluster(entry uint64, start, stop int64, add func(Extent) error) error {
	e := Extent{Start: start, Length: stop - start}
	switch {
	case entry&flagCompressed != 0:
		return m.mapCompressed(entry, e, add)
	case entry&flagZero != 0 && m.header.Version < 3:
		return fmt.Errorf("map qcow2 image: offset %d: zero flag in a version 2 image: %w", start, ErrDamaged)
	case entry&flagZero != 0:
		e.Kind = ExtentZero
	case entry&offsetMask != 0:
		return m.mapData(entry, e, add)
	}
	return add(e)
}

// mapData finds the place of plain data.
func (m *Image) mapData(entry uint64, e Extent, add func(Extent) error) error {
	cluster := int64(entry & offsetMask)
	e.Kind = ExtentData
	e.HostOffset = cluster + e.Start%m.header.ClusterBytes
	if cluster%m.header.ClusterBytes != 0 {
		return fmt.Errorf("map qcow2 image: offset %d: data at offset %d of the file is not at a cluster's start: %w",
			e.Start, cluster, ErrDamaged)
	}
	if e.HostOffset > m.fileBytes-e.Length {
		return fmt.Errorf("map qcow2 image: offset %d: data at offset %d of the file goes past its end (%d bytes): %w",
			e.Start, e.HostOffset, m.fileBytes, ErrDamaged)
	}
	return add(e)
}

// mapCompressed finds place and length of a compressed cluster. Its length is known in sectors only, so it may seem to go
// past the end of the file: what is there is all there is.
func (m *Image) mapCompressed(entry uint64, e Extent, add func(Extent) error) error {
	offsetBits := 62 - (m.header.clusterBits - 8)
	e.Kind, e.Compressed = ExtentData, true
	e.HostOffset = int64(entry & (1<<offsetBits - 1))
	sectors := int64(entry&(flagCompressed-1)>>offsetBits) + 1
	if e.HostOffset >= m.fileBytes {
		return fmt.Errorf("map qcow2 image: offset %d: compressed data at offset %d of the file is past its end (%d bytes): %w",
			e.Start, e.HostOffset, m.fileBytes, ErrDamaged)
	}
	e.stored = min(sectors*sectorBytes-e.HostOffset%sectorBytes, m.fileBytes-e.HostOffset)
	return add(e)
}

// mapSubclusters says what an extended L2 entry means for the range from start to stop of its cluster.
func (m *Image) mapSubclusters(words []byte, start, stop int64, add func(Extent) error) error {
	entry, bitmap := binary.BigEndian.Uint64(words), binary.BigEndian.Uint64(words[8:])
	if entry&flagCompressed != 0 {
		return m.mapCompressed(entry, Extent{Start: start, Length: stop - start}, add)
	}
	allocated, zero := uint32(bitmap), uint32(bitmap>>32)
	if allocated&zero != 0 || allocated != 0 && entry&offsetMask == 0 {
		return fmt.Errorf("map qcow2 image: offset %d: subclusters %#016x contradict L2 entry %#016x: %w",
			start, bitmap, entry, ErrDamaged)
	}
	size := m.header.ClusterBytes / subclustersInItem
	for start < stop {
		i := start % m.header.ClusterBytes / size
		e := Extent{Start: start, Length: min(stop, (start/size+1)*size) - start}
		var err error
		switch {
		case allocated>>i&1 != 0:
			err = m.mapData(entry, e, add)
		case zero>>i&1 != 0:
			e.Kind = ExtentZero
			err = add(e)
		default:
			err = add(e)
		}
		if err != nil {
			return err
		}
		start += e.Length
	}
	return nil
}
