package nbd_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/nbd"
	"holdfast/internal/testtools"
)

// BenchmarkStream reads an export of 512 MiB from qemu-nbd, by turns with nbdcopy, which does the same in C. Reported are
// the ratios of the least wall times and of the least processor times, below 1 where this is the faster one.
func BenchmarkStream(b *testing.B) {
	const size = 512 << 20
	name := filepath.Join(b.TempDir(), "disk.raw")
	if err := os.WriteFile(name, noise(1, size), 0o600); err != nil {
		b.Fatal(err)
	}
	s := serve(b, "unix", "qemu-nbd", "-r", "-t", "-e", "16", "-f", "raw", "-x", "d", name)
	for _, piece := range []int{256 << 10, 512 << 10, 1 << 20} {
		for _, connections := range []int{1, 4} {
			b.Run(fmt.Sprintf("piece=%dK/connections=%d", piece>>10, connections), func(b *testing.B) {
				benchStream(b, s, nbd.Options{Connections: connections}, nbd.StreamOptions{PieceBytes: piece})
			})
		}
	}
}

func benchStream(b *testing.B, s *server, o nbd.Options, so nbd.StreamOptions) {
	testtools.Need(b, "nbdcopy")
	c := s.open("nbd", "d", o)
	b.SetBytes(c.SizeBytes())
	b.ReportAllocs()
	var ours, theirs cost
	for b.Loop() {
		ours.least(func() { readAll(b, c, so) }, syscall.RUSAGE_SELF)
		b.StopTimer()
		theirs.least(func() { run(b, "nbdcopy", s.uri("nbd", "d"), "null:") }, syscall.RUSAGE_CHILDREN)
		b.StartTimer()
	}
	b.ReportMetric(float64(ours.wall)/float64(theirs.wall), "wall-of-nbdcopy")
	b.ReportMetric(float64(ours.cpu)/float64(theirs.cpu), "cpu-of-nbdcopy")
	b.ReportMetric(float64(c.SizeBytes())/1e6/ours.cpu.Seconds(), "MB/cpu-s")
}

func readAll(b *testing.B, c *nbd.Client, o nbd.StreamOptions) {
	n := int64(0)
	err := c.Stream(b.Context(), o, whole(c), func(p nbd.Piece) error {
		n += int64(len(p.Data))
		return nil
	})
	if err != nil || n != c.SizeBytes() {
		b.Fatalf("%d bytes: %v", n, err)
	}
}

// cost is the least that something has taken.
type cost struct{ wall, cpu time.Duration }

func (c *cost) least(do func(), who int) {
	start, used := time.Now(), processor(who)
	do()
	wall, cpu := time.Since(start), processor(who)-used
	if c.wall == 0 || wall < c.wall {
		c.wall = wall
	}
	if c.cpu == 0 || cpu < c.cpu {
		c.cpu = cpu
	}
}

func processor(who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
