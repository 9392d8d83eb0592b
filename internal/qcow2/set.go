package qcow2

import (
	"fmt"
	"math/bits"
)

// ClusterBytes is the cluster size of the files this package lays out, and the unit of a Set.
const ClusterBytes = 65536

// pageClusters is how many clusters one L2 table of a 64 KiB-cluster file maps, and so what a page of a Set covers.
const pageClusters = ClusterBytes / l2EntryBytes

// Kind says what a file holds of a cluster.
type Kind uint8

// The kinds.
const (
	// None: nothing; the cluster is the backing file's, or zeros where there is none.
	None Kind = iota
	// Data: its bytes.
	Data
	// Zero: the fact that it reads as zeros, whatever the backing file holds.
	Zero
)

// Set says for each cluster of an image what a file holds of it. It is kept in pages of 8192 clusters, and a page whose
// clusters are all alike costs only its place in the list: an 8 TiB image takes 256 KiB if sparse, 32 MiB at worst.
// A Set must not be changed while others read it.
type Set struct {
	clusters   int64
	data, zero int64 // how many clusters are of each kind
	pages      []page
}

// page holds the kinds of 8192 clusters. Without maps, all of them are of the kind given by uniform.
type page struct {
	uniform Kind
	maps    *pageMaps
}

// pageMaps has one bit for each cluster in each map; at most one of the two is set.
type pageMaps struct {
	data, zero [pageClusters / 64]uint64
}

// NewSet makes an empty set for an image of imageBytes, the last cluster of which may be cut short. A negative size
// counts as none.
func NewSet(imageBytes int64) *Set {
	clusters := max(imageBytes, 0) / ClusterBytes
	if imageBytes > 0 && imageBytes%ClusterBytes != 0 {
		clusters++
	}
	return &Set{clusters: clusters, pages: make([]page, (clusters+pageClusters-1)/pageClusters)}
}

// Clusters is how many clusters the image has.
func (s *Set) Clusters() int64 { return s.clusters }

// DataClusters is how many clusters are Data.
func (s *Set) DataClusters() int64 { return s.data }

// ZeroClusters is how many clusters are Zero.
func (s *Set) ZeroClusters() int64 { return s.zero }

// Add sets the kind of one cluster, replacing what it was. A cluster outside of the image is a programmer's error.
func (s *Set) Add(cluster int64, k Kind) { s.AddRange(cluster, 1, k) }

// AddRange sets the kind of n clusters from first on.
func (s *Set) AddRange(first, n int64, k Kind) {
	if first < 0 || n < 0 || first > s.clusters || n > s.clusters-first {
		panic(fmt.Sprintf("qcow2: clusters %d+%d are outside of a set of %d", first, n, s.clusters))
	}
	for end := first + n; first < end; {
		index := first / pageClusters
		base := index * pageClusters
		stop := min(end, base+s.pageLength(index))
		s.setInPage(index, int(first-base), int(stop-base), k)
		first = stop
	}
}

// pageLength is how many clusters page index holds: 8192 but for the image's last.
func (s *Set) pageLength(index int64) int64 {
	return min(pageClusters, s.clusters-index*pageClusters)
}

// setInPage sets the clusters from lo up to hi of a page.
func (s *Set) setInPage(index int64, lo, hi int, k Kind) {
	p := &s.pages[index]
	length := int(s.pageLength(index))
	data, zero := p.counts(length)
	switch {
	case lo == 0 && hi == length:
		*p = page{uniform: k}
	case p.maps == nil && p.uniform == k:
		return
	default:
		p.split(length)
		p.maps.set(lo, hi, k)
	}
	newData, newZero := p.counts(length)
	s.data += int64(newData - data)
	s.zero += int64(newZero - zero)
}

// split gives a page its maps.
func (p *page) split(length int) {
	if p.maps != nil {
		return
	}
	p.maps = &pageMaps{}
	p.maps.set(0, length, p.uniform)
}

// set gives the clusters from lo up to hi the kind k, a word of 64 at a time.
func (m *pageMaps) set(lo, hi int, k Kind) {
	for lo < hi {
		word, bit := lo/64, lo%64
		n := min(64-bit, hi-lo)
		mask := ^uint64(0) >> (64 - n) << bit
		m.data[word] &^= mask
		m.zero[word] &^= mask
		switch k {
		case Data:
			m.data[word] |= mask
		case Zero:
			m.zero[word] |= mask
		}
		lo += n
	}
}

// counts tells how many of a page's clusters are of each kind.
func (p *page) counts(length int) (data, zero int) {
	if p.maps == nil {
		switch p.uniform {
		case Data:
			return length, 0
		case Zero:
			return 0, length
		}
		return 0, 0
	}
	for i := range p.maps.data {
		data += bits.OnesCount64(p.maps.data[i])
		zero += bits.OnesCount64(p.maps.zero[i])
	}
	return data, zero
}

// Kind gives the kind of a cluster; None for one outside of the image.
func (s *Set) Kind(cluster int64) Kind {
	if cluster < 0 || cluster >= s.clusters {
		return None
	}
	return s.pages[cluster/pageClusters].kind(int(cluster % pageClusters))
}

func (p *page) kind(i int) Kind {
	if p.maps == nil {
		return p.uniform
	}
	bit := uint64(1) << (i % 64)
	switch {
	case p.maps.data[i/64]&bit != 0:
		return Data
	case p.maps.zero[i/64]&bit != 0:
		return Zero
	}
	return None
}

// Next finds the first cluster from there on that is not None; ok is false when there is none.
func (s *Set) Next(from int64) (cluster int64, k Kind, ok bool) {
	from = max(from, 0)
	for from < s.clusters {
		index := from / pageClusters
		p := &s.pages[index]
		if i := p.next(int(from % pageClusters)); i >= 0 {
			cluster = index*pageClusters + int64(i)
			return cluster, p.kind(i), true
		}
		from = (index + 1) * pageClusters
	}
	return 0, None, false
}

// next finds the first cluster of a page from i on that is not None; -1 when there is none.
func (p *page) next(i int) int {
	if p.maps == nil {
		if p.uniform == None {
			return -1
		}
		return i
	}
	mask := ^uint64(0) << (i % 64)
	for word := i / 64; word < len(p.maps.data); word++ {
		if held := (p.maps.data[word] | p.maps.zero[word]) & mask; held != 0 {
			return word*64 + bits.TrailingZeros64(held)
		}
		mask = ^uint64(0)
	}
	return -1
}

// Without gives a new set with the clusters of s that are None in o: what is left to fetch of an older file when a newer
// one already gave those in o. Clusters past the end of o stay.
func (s *Set) Without(o *Set) *Set {
	left := &Set{clusters: s.clusters, pages: make([]page, len(s.pages))}
	for i := range s.pages {
		length := int(s.pageLength(int64(i)))
		left.pages[i] = s.pages[i].without(o.page(i), length)
		data, zero := left.pages[i].counts(length)
		left.data += int64(data)
		left.zero += int64(zero)
	}
	return left
}

// page gives a page, an empty one past the end.
func (s *Set) page(i int) page {
	if i >= len(s.pages) {
		return page{}
	}
	// The kinds of a short last page end with the image, so a uniform one must not stand for 8192 clusters.
	p, length := s.pages[i], s.pageLength(int64(i))
	if p.maps == nil && p.uniform != None && length < pageClusters {
		p.split(int(length))
	}
	return p
}

// without gives p less what o holds, sharing nothing with either.
func (p page) without(o page, length int) page {
	if o.maps == nil && o.uniform != None || p.maps == nil && p.uniform == None {
		return page{}
	}
	if o.maps == nil && p.maps == nil {
		return p
	}
	left := page{maps: &pageMaps{}}
	if p.maps != nil {
		*left.maps = *p.maps
	} else {
		left.maps.set(0, length, p.uniform)
	}
	if o.maps == nil {
		return left
	}
	for i := range left.maps.data {
		held := o.maps.data[i] | o.maps.zero[i]
		left.maps.data[i] &^= held
		left.maps.zero[i] &^= held
	}
	return left
}
