package dumpertest

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"holdfast/dumpers"
)

// Content is what the suite wants a disk to hold: the blocks, which do not overlap, and zeros elsewhere.
type Content struct {
	SizeBytes int64
	Blocks    []Block
}

// Block is a run of bytes.
type Block struct {
	Offset int64
	Data   []byte
}

// Bytes gives all of the contents.
func (c Content) Bytes() []byte {
	p := make([]byte, c.SizeBytes)
	for _, b := range c.Blocks {
		copy(p[b.Offset:], b.Data)
	}
	return p
}

// Fixture is a source with one disk of the contents asked for.
type Fixture struct {
	Source dumpers.Source
	Disk   string
	// Write changes the disk as its user would. The suite calls it only while no point is pinned.
	Write func(t *testing.T, off int64, p []byte)
}

// Factory makes a source for one test; what it needs to clean up it leaves to t.Cleanup. Sizes are multiples of 512.
type Factory func(t *testing.T, c Content) Fixture

// Run checks a kind of source against the contract.
func Run(t *testing.T, factory Factory) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *bench)
	}{
		{"describe", testDescribe},
		{"extents", testExtents},
		{"extents stop", testExtentsStop},
		{"read", testRead},
		{"read at once", testReadAtOnce},
		{"unknown disk", testUnknownDisk},
		{"points", testPoints},
		{"unchanged", testUnchanged},
		{"cancelled", testCancelled},
		{"reap", testReap},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newBench(t, factory)) })
	}
	for _, size := range []int64{512, pageBytes, pageBytes + 512, 64 * pageBytes} {
		t.Run("size", func(t *testing.T) {
			b := newBenchOf(t, factory, Content{SizeBytes: size})
			b.pinned(t, func(v dumpers.BlockView) { b.checkView(t, v) })
		})
	}
}

// bench is a fixture and what its disk ought to hold.
type bench struct {
	Fixture
	want    []byte
	journal *Journal
	rand    *rand.Rand
}

// newBench makes the disk most tests use: data at its start and end, alone, across a page's edge, zeros that were
// written, a long gap, a partial last page.
func newBench(t *testing.T, factory Factory) *bench {
	r := rand.New(rand.NewPCG(1, 2))
	c := Content{SizeBytes: 80*pageBytes + 3*512}
	for _, at := range []struct{ off, n int64 }{
		{0, 512}, {3*pageBytes - 512, 1024}, {10 * pageBytes, 5 * pageBytes}, {40*pageBytes + 4096, 4096}, {c.SizeBytes - 512, 512},
	} {
		c.Blocks = append(c.Blocks, Block{at.off, noise(r, at.n)})
	}
	c.Blocks = append(c.Blocks, Block{20 * pageBytes, make([]byte, 2*pageBytes)})
	return newBenchOf(t, factory, c)
}

func newBenchOf(t *testing.T, factory Factory, c Content) *bench {
	t.Helper()
	return &bench{Fixture: factory(t, c), want: c.Bytes(), journal: &Journal{}, rand: rand.New(rand.NewPCG(3, 4))}
}

func noise(r *rand.Rand, n int64) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

// change writes noise to the disk.
func (b *bench) change(t *testing.T, off, n int64) {
	t.Helper()
	p := noise(b.rand, n)
	copy(b.want[off:], p)
	b.Write(t, off, p)
}

// pin pins the disk.
func (b *bench) pin(t *testing.T) (dumpers.Point, dumpers.BlockView) {
	t.Helper()
	p, err := b.Source.Pin(t.Context(), b.journal, b.Disk)
	if err != nil {
		t.Fatal("pin:", err)
	}
	v, err := p.Disk(t.Context(), b.Disk)
	if err != nil {
		t.Fatal("disk:", err)
	}
	return p, v
}

// end closes the view, ends the point, and checks that nothing is left in the journal.
func (b *bench) end(t *testing.T, v dumpers.BlockView, end func(context.Context) error) {
	t.Helper()
	if err := v.Close(); err != nil {
		t.Error("close:", err)
	}
	if err := end(t.Context()); err != nil {
		t.Error("end of the point:", err)
	}
	if open, _ := b.journal.Open(t.Context(), ""); len(open) > 0 {
		t.Errorf("journal at the end of the point: %v, want nothing", open)
	}
}

// pinned runs a test on the disk of a point, which it then aborts.
func (b *bench) pinned(t *testing.T, test func(dumpers.BlockView)) {
	t.Helper()
	p, v := b.pin(t)
	test(v)
	b.end(t, v, p.Abort)
}

// checkView checks size, contents and extents.
func (b *bench) checkView(t *testing.T, v dumpers.BlockView) {
	t.Helper()
	if v.SizeBytes() != int64(len(b.want)) {
		t.Fatalf("size %d, want %d", v.SizeBytes(), len(b.want))
	}
	got := make([]byte, len(b.want))
	if n, err := v.ReadAt(got, 0); n != len(got) || err != nil && err != io.EOF {
		t.Fatalf("read all: %d %v", n, err)
	}
	if !bytes.Equal(got, b.want) {
		t.Error("the disk does not hold what was written")
	}
	for _, e := range extents(t, v) {
		if e.Kind == dumpers.Zero && len(bytes.Trim(b.want[e.Start:e.Start+e.Length], "\x00")) > 0 {
			t.Errorf("extent %+v is not zero", e)
		}
	}
	if why, err := v.Changed(); why != "" || err != nil {
		t.Errorf("changed: %q %v, but nothing has changed", why, err)
	}
}

// extents gives the extents of a view, checked for order, cover and alignment.
func extents(t *testing.T, v dumpers.BlockView) []dumpers.Extent {
	t.Helper()
	var list []dumpers.Extent
	end := int64(0)
	err := v.Extents(t.Context(), func(e dumpers.Extent) error {
		if e.Start != end || e.Length <= 0 || e.Kind > dumpers.Unchanged {
			t.Errorf("extent %+v after byte %d", e, end)
		}
		end = e.Start + e.Length
		if end%pageBytes != 0 && end != v.SizeBytes() {
			t.Errorf("extent %+v does not end with a block of 64 KiB", e)
		}
		list = append(list, e)
		return nil
	})
	if err != nil || end != v.SizeBytes() {
		t.Errorf("extents end at byte %d of %d: %v", end, v.SizeBytes(), err)
	}
	return list
}
