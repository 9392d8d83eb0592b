package qcow2_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	reader "github.com/lima-vm/go-qcow2reader"

	"holdfast/internal/qcow2"
)

// A compressed image from front to back, by this reader and by the one that is the tests' witness.
func BenchmarkReadCompressed(b *testing.B) {
	raw := filepath.Join(b.TempDir(), "raw")
	var text bytes.Buffer
	for i := 0; text.Len() < 16<<20; i++ {
		fmt.Fprintf(&text, "line %d of a log that is like many others, %x\n", i, i*i*7919)
	}
	if err := os.WriteFile(raw, text.Bytes()[:16<<20], 0o600); err != nil {
		b.Fatal(err)
	}
	for _, compression := range []string{"zlib", "zstd"} {
		path := raw + "." + compression
		qemuImg(b, "convert", "-c", "-O", "qcow2", "-o", "compression_type="+compression, raw, path)
		b.Run(compression, func(b *testing.B) {
			m := openFile(b, path)
			readAll(b, m, m.SizeBytes())
		})
	}
	b.Run("zlib, go-qcow2reader", func(b *testing.B) {
		f, err := os.Open(raw + ".zlib")
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		m, err := reader.Open(f)
		if err != nil {
			b.Fatal(err)
		}
		readAll(b, m, m.Size())
	})
}

func readAll(b *testing.B, r io.ReaderAt, size int64) {
	p := make([]byte, 1<<20)
	b.SetBytes(size)
	for b.Loop() {
		for off := int64(0); off < size; off += int64(len(p)) {
			if _, err := r.ReadAt(p, off); err != nil && err != io.EOF {
				b.Fatal(err)
			}
		}
	}
}

// A fragmented image of 64 GiB, no two neighbours alike, is mapped.
func BenchmarkExtents(b *testing.B) {
	set := qcow2.NewSet(64 << 30)
	for c := int64(0); c < set.Clusters(); c += 2 {
		set.Add(c, qcow2.Data)
	}
	l, err := qcow2.NewLayout(64<<30, set, "")
	if err != nil {
		b.Fatal(err)
	}
	metadata := make([]byte, l.MetadataBytes())
	if err := l.ReadMetadata(metadata, 0); err != nil {
		b.Fatal(err)
	}
	m, err := qcow2.Open(bytes.NewReader(metadata), l.SizeBytes())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(set.Clusters()), "clusters/op")
	for b.Loop() {
		if err := m.Extents(b.Context(), 0, m.SizeBytes(), func(qcow2.Extent) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
