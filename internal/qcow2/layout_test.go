package qcow2_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"holdfast/internal/qcow2"
	"holdfast/internal/testtools"
)

// layoutFile shows a layout as the file it describes; each data cluster is filled with its own number.
type layoutFile struct{ *qcow2.Layout }

func (f layoutFile) ReadAt(p []byte, off int64) (int, error) {
	for done := 0; done < len(p); {
		at := off + int64(done)
		if at >= f.SizeBytes() {
			return done, io.EOF
		}
		if metadata := f.MetadataBytes(); at < metadata {
			n := int(min(int64(len(p)-done), metadata-at))
			if err := f.ReadMetadata(p[done:done+n], at); err != nil {
				return done, err
			}
			done += n
			continue
		}
		p[done] = byte((at - f.MetadataBytes()) / qcow2.ClusterBytes)
		done++
	}
	return len(p), nil
}

// writeDump makes a dump file of image, a file of size bytes, whose clusters are of the kinds set says.
func writeDump(t *testing.T, path string, image *os.File, set *qcow2.Set, backing string) {
	t.Helper()
	info, err := image.Stat()
	if err != nil {
		t.Fatal(err)
	}
	l, err := qcow2.NewLayout(info.Size(), set, backing)
	if err != nil {
		t.Fatal(err)
	}
	file := make([]byte, l.MetadataBytes(), l.SizeBytes())
	if err := l.ReadMetadata(file, 0); err != nil {
		t.Fatal(err)
	}
	var data int64
	for c, k, ok := set.Next(0); ok; c, k, ok = set.Next(c + 1) {
		if k != qcow2.Data {
			continue
		}
		if at := l.DataOffset(data); at != int64(len(file)) {
			t.Fatalf("cluster %d: layout puts it at %d, want %d", c, at, len(file))
		}
		cluster := make([]byte, qcow2.ClusterBytes)
		if _, err := image.ReadAt(cluster, c*qcow2.ClusterBytes); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		file = append(file, cluster...)
		data++
	}
	if int64(len(file)) != l.SizeBytes() {
		t.Fatalf("file has %d bytes, layout says %d", len(file), l.SizeBytes())
	}
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A full dump and two overlays upon it open in qemu-img as a chain, pass its check, and read as the image does; and our
// own reader finds in each file the set it was made from.
func TestLayoutChainInQEMU(t *testing.T) {
	testtools.Need(t, "qemu-img")
	names := []string{"vm.disk.0.qcow2", "vm.disk, 1 ü.qcow2", "vm.disk.2.qcow2"}
	for _, size := range []int64{0, 1, 65536, 3<<20 + 12345, 2<<30 + 1} {
		dir := t.TempDir()
		rnd := rand.New(rand.NewPCG(uint64(size), 0))
		image, err := os.Create(filepath.Join(dir, "image"))
		if err != nil {
			t.Fatal(err)
		}
		defer image.Close()
		if err := image.Truncate(size); err != nil {
			t.Fatal(err)
		}
		for level, name := range names {
			set := changeClusters(t, image, size, rnd)
			backing := ""
			if level > 0 {
				backing = names[level-1]
			}
			path := filepath.Join(dir, name)
			writeDump(t, path, image, set, backing)
			qemuImg(t, "check", path)
			qemuImg(t, "compare", "-f", "raw", "-F", "qcow2", image.Name(), path)
			m := openFile(t, path)
			if want := (size + 511) / 512 * 512; m.SizeBytes() != want {
				t.Fatalf("virtual size is %d, want %d", m.SizeBytes(), want)
			}
			wantSet(t, m, set, backing != "")
		}
	}
}

// changeClusters writes some clusters of an image anew, with random bytes or zeros, and returns which.
func changeClusters(t *testing.T, image *os.File, size int64, rnd *rand.Rand) *qcow2.Set {
	t.Helper()
	set := qcow2.NewSet(size)
	for range min(set.Clusters(), 20) {
		c, k := rnd.Int64N(set.Clusters()), qcow2.Kind(1+rnd.IntN(2))
		set.Add(c, k)
		cluster := make([]byte, min(qcow2.ClusterBytes, size-c*qcow2.ClusterBytes))
		if k == qcow2.Data {
			fillRandom(rnd, cluster)
		}
		if _, err := image.WriteAt(cluster, c*qcow2.ClusterBytes); err != nil {
			t.Fatal(err)
		}
	}
	return set
}

// wantSet checks that reading a dump file gives the set back; without a backing file, zeros are not told from nothing.
func wantSet(t *testing.T, m *qcow2.Image, want *qcow2.Set, overlay bool) {
	t.Helper()
	got, err := m.Set(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.DataClusters() != want.DataClusters() {
		t.Fatalf("%d data clusters, want %d", got.DataClusters(), want.DataClusters())
	}
	for c, k, ok := want.Next(0); ok; c, k, ok = want.Next(c + 1) {
		if k == qcow2.Zero && !overlay {
			k = qcow2.None
		}
		if got.Kind(c) != k {
			t.Fatalf("cluster %d: kind %d, want %d", c, got.Kind(c), k)
		}
	}
}

// An 8 TiB image with little in it needs little memory, however often its metadata are read.
func TestLayoutSparse(t *testing.T) {
	const size = 8 << 40
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	set := qcow2.NewSet(size)
	set.AddRange(0, set.Clusters(), qcow2.Zero)
	for c := int64(0); c < set.Clusters(); c += 1 << 20 {
		set.AddRange(c, 3, qcow2.Data)
	}
	l, err := qcow2.NewLayout(size, set, "")
	if err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 1<<20)
	for off := int64(0); off < l.MetadataBytes(); off += int64(len(buffer)) {
		if err := l.ReadMetadata(buffer[:min(int64(len(buffer)), l.MetadataBytes()-off)], off); err != nil {
			t.Fatal(err)
		}
	}
	m, err := qcow2.Open(layoutFile{l}, l.SizeBytes())
	if err != nil {
		t.Fatal(err)
	}
	wantSet(t, m, set, false)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
		t.Errorf("%d bytes were allocated, want at most 16 MiB", used)
	}
	if l.MetadataBytes() > 16<<20 {
		t.Errorf("%d bytes of metadata for 128 L2 tables", l.MetadataBytes())
	}
}

// The worst case: no two neighbours alike. The refcounts take a dozen blocks.
func TestLayoutFragmented(t *testing.T) {
	const size = 64 << 30
	set := qcow2.NewSet(size)
	for c := range set.Clusters() {
		set.Add(c, qcow2.Kind((c+c/7)%3))
	}
	for _, backing := range []string{"", "base.qcow2"} {
		l, err := qcow2.NewLayout(size, set, backing)
		if err != nil {
			t.Fatal(err)
		}
		m, err := qcow2.Open(layoutFile{l}, l.SizeBytes())
		if err != nil {
			t.Fatal(err)
		}
		wantSet(t, m, set, backing != "")
		if name, _ := m.Backing(); name != backing {
			t.Errorf("backing file is %q, want %q", name, backing)
		}
		checkRefcounts(t, l)
	}
}

// checkRefcounts wants a count of 1 for each cluster of the file and none past its end, by the tables as a reader finds
// them. The file is too large to be handed to qemu-img.
func checkRefcounts(t *testing.T, l *qcow2.Layout) {
	t.Helper()
	read := func(off, n int64) []byte {
		p := make([]byte, n)
		if err := l.ReadMetadata(p, off); err != nil {
			t.Fatal(err)
		}
		return p
	}
	header := read(0, 104)
	table := read(int64(binary.BigEndian.Uint64(header[48:])), int64(binary.BigEndian.Uint32(header[56:]))*qcow2.ClusterBytes)
	var counted int64
	for ; len(table) > 0; table = table[8:] {
		block := int64(binary.BigEndian.Uint64(table))
		if block == 0 {
			continue
		}
		for counts := read(block, qcow2.ClusterBytes); len(counts) > 0; counts = counts[2:] {
			if binary.BigEndian.Uint16(counts) == 1 {
				counted++
			}
		}
	}
	if want := l.SizeBytes() / qcow2.ClusterBytes; counted != want {
		t.Errorf("%d clusters have a refcount of 1, want %d", counted, want)
	}
}

// Metadata read in any pieces are the same.
func TestReadMetadataPieces(t *testing.T) {
	const size = 3 << 30
	set := qcow2.NewSet(size)
	for c := int64(0); c < set.Clusters(); c += 5 {
		set.Add(c, qcow2.Data)
	}
	l, err := qcow2.NewLayout(size, set, "base.qcow2")
	if err != nil {
		t.Fatal(err)
	}
	whole := make([]byte, l.MetadataBytes())
	if err := l.ReadMetadata(whole, 0); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		off := rnd.Int64N(l.MetadataBytes())
		p := make([]byte, min(l.MetadataBytes()-off, rnd.Int64N(200_000)))
		fillRandom(rnd, p)
		if err := l.ReadMetadata(p, off); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(p, whole[off:off+int64(len(p))]) {
			t.Fatalf("%d bytes at %d differ", len(p), off)
		}
	}
	for _, off := range []int64{-1, l.MetadataBytes(), l.MetadataBytes() - 1, 1 << 62} {
		if err := l.ReadMetadata(make([]byte, 2), off); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("2 bytes at %d: %v", off, err)
		}
	}
}

func TestNewLayoutRefuses(t *testing.T) {
	for _, test := range []struct {
		size    int64
		set     *qcow2.Set
		backing string
		want    string
	}{
		{-1, qcow2.NewSet(0), "", "image of -1 bytes"},
		{qcow2.MaxImageBytes + 1, qcow2.NewSet(0), "", "image of 1125899906842625 bytes"},
		{65537, qcow2.NewSet(65536), "", "set has 1 clusters, want 2"},
		{65536, qcow2.NewSet(65536), strings.Repeat("n", 1024), "1024 bytes long"},
	} {
		_, err := qcow2.NewLayout(test.size, test.set, test.backing)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error is %v, want %q", err, test.want)
		}
	}
}

// The metadata of a terabyte, all of it data, as the dump stream reads them.
func BenchmarkReadMetadata(b *testing.B) {
	const size = 1 << 40
	set := qcow2.NewSet(size)
	for c := int64(0); c < set.Clusters(); c += 2 {
		set.Add(c, qcow2.Data)
	}
	l, err := qcow2.NewLayout(size, set, "")
	if err != nil {
		b.Fatal(err)
	}
	p := make([]byte, qcow2.ClusterBytes)
	b.SetBytes(int64(len(p)))
	for i := 0; b.Loop(); i++ {
		off := int64(i) * qcow2.ClusterBytes % l.MetadataBytes()
		if err := l.ReadMetadata(p, off); err != nil {
			b.Fatal(err)
		}
	}
}
