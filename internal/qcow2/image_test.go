package qcow2_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"holdfast/internal/qcow2"
	"holdfast/internal/testtools"
)

// sample is a small file of our own layout: an overlay of 4 clusters, of which 0 and 2 are data and 1 is zero.
func sample(t testing.TB) []byte {
	t.Helper()
	set := qcow2.NewSet(4 * qcow2.ClusterBytes)
	set.Add(0, qcow2.Data)
	set.Add(1, qcow2.Zero)
	set.Add(2, qcow2.Data)
	l, err := qcow2.NewLayout(4*qcow2.ClusterBytes, set, "base.qcow2")
	if err != nil {
		t.Fatal(err)
	}
	file := make([]byte, l.SizeBytes())
	if _, err := (layoutFile{l}).ReadAt(file, 0); err != nil {
		t.Fatal(err)
	}
	return file
}

// Places in a sample: the L1 table is its fourth cluster, the L2 table its fifth.
const (
	sampleL1 = 3 * qcow2.ClusterBytes
	sampleL2 = 4 * qcow2.ClusterBytes
)

// put32 and put64 change a field of a file.
func put32(at int, v uint32) func([]byte) []byte {
	return func(p []byte) []byte { binary.BigEndian.PutUint32(p[at:], v); return p }
}

func put64(at int, v uint64) func([]byte) []byte {
	return func(p []byte) []byte { binary.BigEndian.PutUint64(p[at:], v); return p }
}

func cut(n int) func([]byte) []byte { return func(p []byte) []byte { return p[:n] } }

// Each field that lies is refused, with its name, before anything is read by it.
func TestOpenRefuses(t *testing.T) {
	extension := func(kind uint32, data string) func([]byte) []byte {
		return func(p []byte) []byte {
			put64(8, 0)(p)
			clear(p[112:200])
			put32(112, kind)(p)
			put32(116, uint32(len(data)))(p)
			copy(p[120:], data)
			return p
		}
	}
	feature := "\x00\x05speedy things" + strings.Repeat("\x00", 33)
	for _, test := range []struct {
		name   string
		change []func([]byte) []byte
		is     error
		want   string
	}{
		{"empty", []func([]byte) []byte{cut(0)}, qcow2.ErrDamaged, "file has 0 bytes"},
		{"cut in header", []func([]byte) []byte{cut(71)}, qcow2.ErrDamaged, "file has 71 bytes"},
		{"cut in version 3", []func([]byte) []byte{cut(100)}, qcow2.ErrDamaged, "ends in its header"},
		{"magic", []func([]byte) []byte{put32(0, 0)}, qcow2.ErrUnsupported, "not a qcow2 file"},
		{"version", []func([]byte) []byte{put32(4, 4)}, qcow2.ErrUnsupported, "version 4"},
		{"small cluster", []func([]byte) []byte{put32(20, 8)}, qcow2.ErrDamaged, "cluster of 2^8"},
		{"large cluster", []func([]byte) []byte{put32(20, 22)}, qcow2.ErrDamaged, "cluster of 2^22"},
		{"size", []func([]byte) []byte{put64(24, 1<<63)}, qcow2.ErrDamaged, "virtual size"},
		{"aes", []func([]byte) []byte{put32(32, 1)}, qcow2.ErrUnsupported, "encryption (AES)"},
		{"luks", []func([]byte) []byte{put32(32, 2)}, qcow2.ErrUnsupported, "encryption (LUKS)"},
		{"crypt", []func([]byte) []byte{put32(32, 9)}, qcow2.ErrUnsupported, "encryption (method 9)"},
		{"refcount table", []func([]byte) []byte{put64(48, 1)}, qcow2.ErrDamaged, "refcount table at offset 1 "},
		{"refcount order", []func([]byte) []byte{put32(96, 7)}, qcow2.ErrDamaged, "refcounts of 2^7"},
		{"header length", []func([]byte) []byte{put32(100, 103)}, qcow2.ErrDamaged, "header of 103 bytes"},
		{"long header", []func([]byte) []byte{put32(100, 65537)}, qcow2.ErrDamaged, "header of 65537 bytes"},
		{"backing length", []func([]byte) []byte{put32(16, 1024)}, qcow2.ErrDamaged, "name of 1024 bytes"},
		{"backing offset", []func([]byte) []byte{put64(8, 1<<63)}, qcow2.ErrDamaged, "at offset 9223372036854775808"},
		{"extension", []func([]byte) []byte{put32(116, 1<<31)}, qcow2.ErrDamaged, "does not end in the header"},
		{"corrupt", []func([]byte) []byte{put64(72, 2)}, qcow2.ErrDamaged, "marked as corrupt"},
		{"data file", []func([]byte) []byte{extension(0x44415441, "disk.data"), put64(72, 4)},
			qcow2.ErrUnsupported, `external data file "disk.data"`},
		{"unknown feature", []func([]byte) []byte{put64(72, 1<<63)}, qcow2.ErrUnsupported, "feature bit 63:"},
		{"named feature", []func([]byte) []byte{extension(0x6803f857, feature), put64(72, 1<<5)},
			qcow2.ErrUnsupported, `feature bit 5 ("speedy things")`},
		{"compression bit", []func([]byte) []byte{put64(72, 8)}, qcow2.ErrDamaged, "compression type 0 contradicts"},
		{"compression type", []func([]byte) []byte{put64(72, 8), put32(104, 2<<24)}, qcow2.ErrUnsupported, "compression type 2"},
		{"small extended", []func([]byte) []byte{put64(72, 16), put32(20, 13)}, qcow2.ErrDamaged, "extended L2 entries"},
		{"small L1", []func([]byte) []byte{put32(36, 0)}, qcow2.ErrDamaged, "is too small"},
		{"huge L1", []func([]byte) []byte{put32(36, 1<<32-1)}, qcow2.ErrDamaged, "33554432 bytes at most"},
		{"L1 offset", []func([]byte) []byte{put64(40, 512)}, qcow2.ErrDamaged, "not at a cluster's start"},
		{"L1 past the end", []func([]byte) []byte{put64(40, 1<<62)}, qcow2.ErrDamaged, "past the end"},
		{"cut before L1", []func([]byte) []byte{cut(sampleL1 + 7)}, qcow2.ErrDamaged, "past the end"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := sample(t)
			for _, change := range test.change {
				file = change(file)
			}
			_, err := qcow2.Open(bytes.NewReader(file), int64(len(file)))
			if !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q (%v)", err, test.want, test.is)
			}
		})
	}
}

// Tables that lie are found by the map and by reading alike, and nothing is handed out.
func TestTablesDamaged(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func([]byte) []byte
		want   string
	}{
		{"L2 past the end", put64(sampleL1, 1<<40), "L1 entry 0: L2 table at offset 1099511627776"},
		{"L2 misplaced", put64(sampleL1, 512), "L1 entry 0: L2 table at offset 512"},
		{"data past the end", put64(sampleL2+16, 1<<40), "offset 131072: data at offset 1099511627776"},
		{"data misplaced", put64(sampleL2+16, 512), "offset 131072: data at offset 512"},
		{"cut off", cut(7*qcow2.ClusterBytes - 1), "offset 131072: data at offset 393216 of the file goes past its end (458751"},
		{"cut off before L2", cut(5*qcow2.ClusterBytes - 1), "L2 table at offset 262144"},
		{"compressed past the end", put64(sampleL2+16, 1<<62|1<<40), "compressed data at offset 1099511627776"},
		{"zero flag in version 2", put32(4, 2), "zero flag in a version 2"},
		{"subclusters", func(p []byte) []byte { return put64(72, 16)(put64(sampleL2+8, 1<<32|1)(p)) }, "contradict"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := test.change(sample(t))
			m, err := qcow2.Open(bytes.NewReader(file), int64(len(file)))
			if err != nil {
				t.Fatal(err)
			}
			ignore := func(qcow2.Extent) error { return nil }
			err = m.Extents(t.Context(), 0, m.SizeBytes(), ignore)
			if !errors.Is(err, qcow2.ErrDamaged) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("map: error is %v, want %q", err, test.want)
			}
			if _, err := m.ReadAt(make([]byte, m.SizeBytes()), 0); !errors.Is(err, qcow2.ErrDamaged) {
				t.Errorf("read: error is %v", err)
			}
		})
	}
}

// A compressed cluster that does not decompress is damage, and is not kept: the next reader is told so, too.
func TestCompressedDamaged(t *testing.T) {
	testtools.Need(t, "qemu-img")
	for _, compression := range []string{"zlib", "zstd"} {
		dir := t.TempDir()
		raw, path := filepath.Join(dir, "raw"), filepath.Join(dir, "image")
		text := bytes.Repeat([]byte("this compresses well. "), 3*65536/22)
		if err := os.WriteFile(raw, text, 0o600); err != nil {
			t.Fatal(err)
		}
		qemuImg(t, "convert", "-c", "-O", "qcow2", "-o", "compression_type="+compression, raw, path)
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		entry := binary.BigEndian.Uint64(file[sampleL2:])
		fillRandom(rand.New(rand.NewPCG(1, 1)), file[entry&(1<<54-1):][:16])
		m, err := qcow2.Open(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 1, qcow2.ClusterBytes} {
			if got, err := m.ReadAt(make([]byte, n), 0); got != 0 || !errors.Is(err, qcow2.ErrDamaged) {
				t.Errorf("%s: read %d: %d, %v", compression, n, got, err)
			}
		}
		if _, err := m.ReadAt(make([]byte, 1), qcow2.ClusterBytes); err != nil {
			t.Errorf("%s: the cluster after the damaged one: %v", compression, err)
		}
	}
}

// A dirty image (lazy refcounts, not closed) is read, and says so; what a backing file fails with comes through.
func TestOverlayReads(t *testing.T) {
	file := put64(72, 1)(sample(t))
	m, err := qcow2.Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	h := m.Header()
	if !h.Dirty || h.Version != 3 || h.BackingName != "base.qcow2" || h.BackingFormat != "qcow2" || h.RefcountBits != 16 {
		t.Errorf("header is %+v", h)
	}
	p := []byte{1, 1}
	last := int64(4*qcow2.ClusterBytes - 1)
	if n, err := m.ReadAt(p, last); n != 1 || err != io.EOF || p[0] != 0 {
		t.Errorf("without a backing file: %d, %v, %v", n, err, p)
	}
	m.SetBacking(strings.NewReader(strings.Repeat("b", int(last))), last)
	if n, err := m.ReadAt(p, last-1); n != 2 || err != nil || string(p) != "b\x00" {
		t.Errorf("across the end of the backing file: %d, %v, %q", n, err, p)
	}
	m.SetBacking(strings.NewReader("short"), last)
	if _, err := m.ReadAt(p, last-1); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "backing file") {
		t.Errorf("backing file that became short: %v", err)
	}
	for _, off := range []int64{last + 1, 1 << 62} {
		if n, err := m.ReadAt(p, off); n != 0 || err != io.EOF {
			t.Errorf("at %d: %d, %v", off, n, err)
		}
	}
	if _, err := m.ReadAt(p, -1); err == nil {
		t.Error("a negative offset was read")
	}
}

// A walk ends with its context, and with what yield says.
func TestExtentsStop(t *testing.T) {
	file := sample(t)
	m, err := qcow2.Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	calls := 0
	err = m.Extents(t.Context(), 0, m.SizeBytes(), func(qcow2.Extent) error { calls++; return stop })
	if err != stop || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Extents(ctx, 0, 1, func(qcow2.Extent) error { return nil }); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	if err := m.Extents(t.Context(), 1, m.SizeBytes(), func(qcow2.Extent) error { return nil }); err == nil {
		t.Error("a range past the end was mapped")
	}
}

// countingReader counts the reads of a file.
type countingReader struct {
	io.ReaderAt
	reads atomic.Int64
}

func (r *countingReader) ReadAt(p []byte, off int64) (int, error) {
	r.reads.Add(1)
	return r.ReaderAt.ReadAt(p, off)
}

// Small reads of a compressed cluster decompress it once, even at the same time; an L2 table is read once.
func TestCompressedReadOnce(t *testing.T) {
	testtools.Need(t, "qemu-img")
	dir := t.TempDir()
	raw, path := filepath.Join(dir, "raw"), filepath.Join(dir, "image")
	if err := os.WriteFile(raw, bytes.Repeat([]byte("text "), 40000), 0o600); err != nil {
		t.Fatal(err)
	}
	qemuImg(t, "convert", "-c", "-O", "qcow2", raw, path)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := &countingReader{ReaderAt: bytes.NewReader(file)}
	m, err := qcow2.Open(r, int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	before := r.reads.Load()
	errs := make(chan error)
	for i := range 8 {
		go func() {
			_, err := m.ReadAt(make([]byte, 5), int64(i*5))
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := r.reads.Load() - before; n != 2 {
		t.Errorf("%d reads of the file, want one of the L2 table and one of the cluster", n)
	}
}
