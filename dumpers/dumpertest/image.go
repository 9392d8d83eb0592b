package dumpertest

import (
	"maps"
	"slices"

	"holdfast/dumpers"
)

// pageBytes is the unit of extents, and of what an image keeps.
const pageBytes = 64 << 10

// image is the contents of a disk. Pages do not change once they are in an image, so a copy of the map is a copy of the
// image; a page that is nil is zero and hides what the backing image has there.
type image struct {
	sizeBytes int64
	pages     map[int64]*[pageBytes]byte
	backing   *image
}

func (m *image) clone() *image {
	return &image{sizeBytes: m.sizeBytes, pages: maps.Clone(m.pages), backing: m.backing}
}

// page gives a page's bytes; nil for zeros.
func (m *image) page(i int64) *[pageBytes]byte {
	for at := m; at != nil; at = at.backing {
		if p, ok := at.pages[i]; ok || at.backing == nil {
			return p
		}
	}
	return nil
}

// read fills p, which lies inside of the image.
func (m *image) read(p []byte, off int64) {
	for len(p) > 0 {
		i, at := off/pageBytes, off%pageBytes
		n := min(int64(len(p)), pageBytes-at)
		if page := m.page(i); page != nil {
			copy(p[:n], page[at:])
		} else {
			clear(p[:n])
		}
		p, off = p[n:], off+n
	}
}

// write puts p, which lies inside of the image, into new pages.
func (m *image) write(p []byte, off int64) {
	for len(p) > 0 {
		i, at := off/pageBytes, off%pageBytes
		page := new([pageBytes]byte)
		if old := m.page(i); old != nil {
			*page = *old
		}
		n := copy(page[at:], p)
		m.pages[i] = page
		p, off = p[n:], off+int64(n)
	}
}

// kind says what page i is, to a source that remembers base (nil: it remembers nothing).
func (m *image) kind(i int64, base *image) dumpers.ExtentKind {
	page, own := m.pages[i]
	if base != nil {
		if old, had := base.pages[i]; had == own && old == page {
			return dumpers.Unchanged
		}
	}
	switch {
	case own && page != nil:
		return dumpers.Data
	case !own && m.backing != nil:
		return dumpers.Inherited
	}
	return dumpers.Zero
}

// extents gives the extents of the image, of which claims, the last one first, hide what is there.
func (m *image) extents(base *image, claims []dumpers.Extent) []dumpers.Extent {
	end := (m.sizeBytes + pageBytes - 1) / pageBytes
	edges := []int64{0, end}
	for _, at := range []*image{m, base} {
		if at == nil {
			continue
		}
		for i := range at.pages {
			edges = append(edges, i, i+1)
		}
	}
	for _, c := range claims {
		edges = append(edges, c.Start/pageBytes, (c.Start+c.Length+pageBytes-1)/pageBytes)
	}
	slices.Sort(edges)
	edges = slices.Compact(edges)

	var list []dumpers.Extent
	for n, i := range edges {
		if i >= end {
			break
		}
		kind := m.kind(i, base)
		for _, c := range claims {
			if start := i * pageBytes; c.Start <= start && start < c.Start+c.Length {
				kind = c.Kind
			}
		}
		start, stop := i*pageBytes, min(edges[n+1]*pageBytes, m.sizeBytes)
		if last := len(list) - 1; last >= 0 && list[last].Kind == kind {
			list[last].Length = stop - list[last].Start
			continue
		}
		list = append(list, dumpers.Extent{Start: start, Length: stop - start, Kind: kind})
	}
	return list
}
