package qcow2_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"holdfast/internal/qcow2"
)

// FuzzOpen: whatever the bytes, opening, mapping and reading end with an answer or an error, without a panic and without
// memory that the length of the file does not justify; and map and reading agree on what is damaged.
func FuzzOpen(f *testing.F) {
	f.Add(sample(f))
	seeds, err := filepath.Glob("testdata/*.qcow2")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds in testdata: %v", err)
	}
	for _, seed := range seeds {
		file, err := os.ReadFile(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		m, err := qcow2.Open(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			if !errors.Is(err, qcow2.ErrDamaged) && !errors.Is(err, qcow2.ErrUnsupported) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		const most = 4 << 20
		length := min(m.SizeBytes(), most)
		var next int64
		mapErr := m.Extents(t.Context(), 0, length, func(e qcow2.Extent) error {
			if e.Start != next || e.Length <= 0 || e.Start+e.Length > length {
				t.Fatalf("extent %+v after %d", e, next)
			}
			next += e.Length
			return nil
		})
		if mapErr == nil && next != length {
			t.Fatalf("extents end at %d, want %d", next, length)
		}
		n, err := m.ReadAt(make([]byte, length), 0)
		if mapErr != nil && err == nil && length > 0 {
			t.Fatalf("%d bytes were read where the map says: %v", n, mapErr)
		}
		if err != nil && err != io.EOF && !errors.Is(err, qcow2.ErrDamaged) {
			t.Fatalf("error of no kind: %v", err)
		}
		if _, err := m.Set(t.Context()); err == nil && m.Header().ClusterBytes != qcow2.ClusterBytes {
			t.Fatalf("a set of clusters of %d bytes", m.Header().ClusterBytes)
		}
	})
}
