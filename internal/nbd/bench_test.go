package nbd_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"holdfast/internal/nbd"
)

// BenchmarkStream reads an export of 512 MiB from qemu-nbd, and compares with nbdcopy, which does the same in C: the ratio
// of the times is reported, below 1 when this is faster.
func BenchmarkStream(b *testing.B) {
	const size = 512 << 20
	name := filepath.Join(b.TempDir(), "disk.raw")
	if err := os.WriteFile(name, noise(1, size), 0o600); err != nil {
		b.Fatal(err)
	}
	s := serve(b, "unix", "qemu-nbd", "-r", "-t", "-e", "16", "-f", "raw", "-x", "d", name)
	for _, piece := range []int{128 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20} {
		for _, connections := range []int{1, 2, 4} {
			b.Run(fmt.Sprintf("piece=%dK/connections=%d", piece>>10, connections), func(b *testing.B) {
				benchStream(b, s, nbd.Options{Connections: connections}, nbd.StreamOptions{PieceBytes: piece})
			})
		}
	}
}

func benchStream(b *testing.B, s *server, o nbd.Options, so nbd.StreamOptions) {
	c, err := nbd.Open(b.Context(), s.uri("nbd", "d"), o)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	all := func(yield func(nbd.Span) error) error { return yield(nbd.Span{Length: c.SizeBytes()}) }
	b.SetBytes(c.SizeBytes())
	b.ReportAllocs()
	for b.Loop() {
		n := int64(0)
		err := c.Stream(b.Context(), so, all, func(p nbd.Piece) error {
			n += int64(len(p.Data))
			return nil
		})
		if err != nil || n != c.SizeBytes() {
			b.Fatalf("%d bytes: %v", n, err)
		}
	}
	ours := b.Elapsed() / time.Duration(b.N)
	if _, err := exec.LookPath("nbdcopy"); err != nil {
		return
	}
	b.StopTimer()
	start := time.Now()
	run(b, "nbdcopy", s.uri("nbd", "d"), "null:")
	b.ReportMetric(float64(ours)/float64(time.Since(start)), "of-nbdcopy")
}

// BenchmarkReadAt reads with several readers, as a dump's workers do.
func BenchmarkReadAt(b *testing.B) {
	s := serve(b, "unix", "nbdkit", "-f", "-r", "memory", "512M")
	c := s.open("nbd", "", nbd.Options{})
	const piece, readers = 1 << 20, 4
	b.SetBytes(c.SizeBytes())
	b.ReportAllocs()
	for b.Loop() {
		var all sync.WaitGroup
		for r := range int64(readers) {
			all.Go(func() {
				p := make([]byte, piece)
				for off := r * piece; off < c.SizeBytes(); off += readers * piece {
					if _, err := c.ReadAt(p, off); err != nil {
						b.Error(err)
					}
				}
			})
		}
		all.Wait()
	}
}
