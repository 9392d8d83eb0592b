package qcow2

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"sort"
)

// MaxImageBytes is the largest image a layout is made for: 1 PiB, within what QEMU opens (a refcount table of 8 MiB, an
// L1 table of 32 MiB) at 64 KiB clusters.
const MaxImageBytes = 1 << 50

// MaxBackingName is the longest backing file name the format permits, in bytes.
const MaxBackingName = 1023

const (
	l2EntryBytes     = 8
	refcountBytes    = 2
	refcountsInBlock = ClusterBytes / refcountBytes
	entriesInCluster = ClusterBytes / 8
	layoutHeader     = 112 // the length QEMU itself writes: up to the compression type, padded to 8
	sectorBytes      = 512 // virtual sizes are multiples of it
)

// Layout is the place of everything in a version 3 qcow2 file of 64 KiB clusters, without snapshots and with no header
// extension but the backing format: header, refcount table, refcount blocks, L1 table, L2 tables, then the data clusters
// in guest order, nothing left out between. Metadata are made when they are read, so a layout takes 12 bytes for each
// 512 MiB that hold something, besides its set. A layout is safe for concurrent use as long as its set is not changed.
type Layout struct {
	set          *Set
	backing      string
	virtualBytes int64

	// Regions, in clusters; the refcount table begins at cluster 1, after the header.
	tableClusters, blockClusters, l1Clusters int64

	l2Pages    []int32 // the pages of the set that have an L2 table, ascending
	dataBefore []int64 // data clusters before each of these pages
}

// NewLayout lays out a file that holds the clusters of set, for an image of imageBytes (rounded up to 512 in the file:
// the exact size must be kept elsewhere). With backing, the file name of a qcow2 image, the file is an overlay; without,
// clusters that are Zero are left out like those that are None, because both read as zeros. The set must not change
// afterwards.
func NewLayout(imageBytes int64, set *Set, backing string) (*Layout, error) {
	if imageBytes < 0 || imageBytes > MaxImageBytes {
		return nil, fmt.Errorf("lay out qcow2: image of %d bytes: want 0 to %d", imageBytes, int64(MaxImageBytes))
	}
	if want := NewSet(imageBytes).Clusters(); set.Clusters() != want {
		return nil, fmt.Errorf("lay out qcow2: image of %d bytes: set has %d clusters, want %d",
			imageBytes, set.Clusters(), want)
	}
	if len(backing) > MaxBackingName {
		return nil, fmt.Errorf("lay out qcow2: backing file name %.40q...: %d bytes long, at most %d are possible",
			backing, len(backing), MaxBackingName)
	}
	l := &Layout{
		set:          set,
		backing:      backing,
		virtualBytes: (imageBytes + sectorBytes - 1) / sectorBytes * sectorBytes,
		l1Clusters:   ceilDiv(int64(len(set.pages)), entriesInCluster),
	}
	l.findL2Tables()
	l.placeRefcounts()
	return l, nil
}

// findL2Tables notes which pages need an L2 table, and how much data lies before each.
func (l *Layout) findL2Tables() {
	var before int64
	for i := range l.set.pages {
		data, zero := l.set.pages[i].counts(int(l.set.pageLength(int64(i))))
		if data == 0 && (zero == 0 || l.backing == "") {
			continue
		}
		l.l2Pages = append(l.l2Pages, int32(i))
		l.dataBefore = append(l.dataBefore, before)
		before += int64(data)
	}
}

// placeRefcounts finds how many refcount blocks and table clusters there are. They count themselves, so the numbers
// grow until they suffice.
func (l *Layout) placeRefcounts() {
	for {
		blocks := ceilDiv(l.clusters(), refcountsInBlock)
		table := ceilDiv(blocks, entriesInCluster)
		if blocks == l.blockClusters && table == l.tableClusters {
			return
		}
		l.blockClusters, l.tableClusters = blocks, table
	}
}

// clusters is the length of the file.
func (l *Layout) clusters() int64 { return l.metadataClusters() + l.set.data }

func (l *Layout) metadataClusters() int64 { return l.firstL2() + int64(len(l.l2Pages)) }

func (l *Layout) firstBlock() int64 { return 1 + l.tableClusters }

func (l *Layout) firstL1() int64 { return l.firstBlock() + l.blockClusters }

func (l *Layout) firstL2() int64 { return l.firstL1() + l.l1Clusters }

// SizeBytes is the length of the whole file.
func (l *Layout) SizeBytes() int64 { return l.clusters() * ClusterBytes }

// MetadataBytes is the length of all that comes before the data: a multiple of 64 KiB.
func (l *Layout) MetadataBytes() int64 { return l.metadataClusters() * ClusterBytes }

// DataOffset is where in the file data cluster i of the set lies, counted from 0 in guest order.
func (l *Layout) DataOffset(i int64) int64 { return l.MetadataBytes() + i*ClusterBytes }

// ReadMetadata fills p with the metadata from off on. It never reads past the metadata: a range that is not inside gives
// io.ErrUnexpectedEOF and an undefined p.
func (l *Layout) ReadMetadata(p []byte, off int64) error {
	if off < 0 || off > l.MetadataBytes() || int64(len(p)) > l.MetadataBytes()-off {
		return fmt.Errorf("read qcow2 metadata: %d bytes at %d: %w", len(p), off, io.ErrUnexpectedEOF)
	}
	var whole []byte
	for len(p) > 0 {
		cluster, at := off/ClusterBytes, off%ClusterBytes
		if at == 0 && len(p) >= ClusterBytes {
			l.render(p[:ClusterBytes], cluster)
			p, off = p[ClusterBytes:], off+ClusterBytes
			continue
		}
		if whole == nil {
			whole = make([]byte, ClusterBytes)
		}
		l.render(whole, cluster)
		n := copy(p, whole[at:])
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// render writes one cluster of metadata to p, which is 64 KiB long.
func (l *Layout) render(p []byte, cluster int64) {
	clear(p)
	switch {
	case cluster >= l.firstL2():
		l.renderL2(p, int(cluster-l.firstL2()))
	case cluster >= l.firstL1():
		l.renderL1(p, cluster-l.firstL1())
	case cluster >= l.firstBlock():
		first := (cluster - l.firstBlock()) * refcountsInBlock
		n := min(refcountsInBlock, l.clusters()-first)
		for i := range n {
			binary.BigEndian.PutUint16(p[i*refcountBytes:], 1)
		}
	case cluster >= 1:
		first := (cluster - 1) * entriesInCluster
		n := min(entriesInCluster, l.blockClusters-first)
		for i := range n {
			binary.BigEndian.PutUint64(p[i*8:], uint64((l.firstBlock()+first+i)*ClusterBytes))
		}
	default:
		l.renderHeader(p)
	}
}

// renderHeader writes header, backing format and backing file name.
func (l *Layout) renderHeader(p []byte) {
	be := binary.BigEndian
	copy(p, magic)
	be.PutUint32(p[4:], 3)
	be.PutUint32(p[20:], uint32(bits.TrailingZeros(ClusterBytes)))
	be.PutUint64(p[24:], uint64(l.virtualBytes))
	be.PutUint32(p[36:], uint32(len(l.set.pages)))
	be.PutUint64(p[40:], uint64(l.firstL1()*ClusterBytes))
	be.PutUint64(p[48:], ClusterBytes)
	be.PutUint32(p[56:], uint32(l.tableClusters))
	be.PutUint32(p[96:], 4) // refcounts of 1<<4 bits
	be.PutUint32(p[100:], layoutHeader)
	if l.backing == "" {
		return // the zeros that follow end the header extensions
	}
	at := layoutHeader
	be.PutUint32(p[at:], extBackingFormat)
	be.PutUint32(p[at+4:], uint32(len("qcow2")))
	copy(p[at+8:], "qcow2")
	at += 8 + 8 + 8 // extension header, data padded to 8, and the extension that ends them
	be.PutUint64(p[8:], uint64(at))
	be.PutUint32(p[16:], uint32(len(l.backing)))
	copy(p[at:], l.backing)
}

// renderL1 writes cluster n of the L1 table.
func (l *Layout) renderL1(p []byte, n int64) {
	first := n * entriesInCluster
	index := sort.Search(len(l.l2Pages), func(i int) bool { return int64(l.l2Pages[i]) >= first })
	for ; index < len(l.l2Pages); index++ {
		i := int64(l.l2Pages[index]) - first
		if i >= entriesInCluster {
			return
		}
		binary.BigEndian.PutUint64(p[i*8:], uint64((l.firstL2()+int64(index))*ClusterBytes)|flagCopied)
	}
}

// renderL2 writes L2 table n: the offsets of a page's data clusters, which lie one after the other.
func (l *Layout) renderL2(p []byte, n int) {
	index := int64(l.l2Pages[n])
	pg := &l.set.pages[index]
	offset := uint64(l.DataOffset(l.dataBefore[n]))
	for i := range int(l.set.pageLength(index)) {
		switch pg.kind(i) {
		case Data:
			binary.BigEndian.PutUint64(p[i*l2EntryBytes:], offset|flagCopied)
			offset += ClusterBytes
		case Zero:
			if l.backing != "" {
				binary.BigEndian.PutUint64(p[i*l2EntryBytes:], flagZero)
			}
		}
	}
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }
