package rait_test

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"holdfast/internal/vfs"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/dir"
	"holdfast/vtape/rait"
)

// benchBytes is how much is written and read at a time.
const benchBytes = 64 << 20

// BenchmarkSet measures a set of 4+1 directories against plain copies of the same bytes to and from the same directories:
// in turn, all files at the same time on both sides, and with fsync on both. The ratio is of the medians.
func BenchmarkSet(b *testing.B) {
	data := devicetest.Data(1, benchBytes)
	root := b.TempDir()
	var list []rait.Member
	var dirs []string
	for i := range 5 {
		path := filepath.Join(root, member(i))
		must(b, os.Mkdir(path, 0o755))
		dirs = append(dirs, path)
		list = append(list, rait.Member{Name: member(i)[1:], Device: dir.New(vfs.OS(), path, dir.Options{})})
	}
	open := func(without ...int) *rait.Device {
		members := slices.Clone(list)
		for _, i := range without {
			members[i].Device = nil
		}
		d, err := rait.New(members, rait.Options{})
		must(b, err)
		return d
	}
	plain := func(do func(path string)) {
		var wg sync.WaitGroup
		for _, d := range dirs {
			wg.Go(func() { do(filepath.Join(d, "copy")) })
		}
		wg.Wait()
	}
	shard := data[:len(data)/4]
	set := open()
	erase := func() {
		must(b, set.Format(ctx, devicetest.Label("DEMO-001")))
		plain(func(path string) { _ = os.Remove(path) })
	}
	write := func() {
		d := set
		w, err := d.Create(ctx, 1, devicetest.Header(1))
		must(b, err)
		for rest := data; len(rest) > 0; rest = rest[1<<20:] {
			_, err := w.Write(rest[:1<<20])
			must(b, err)
		}
		_, err = w.Close()
		must(b, err)
	}
	b.Run("write", func(b *testing.B) {
		compare(b, erase, write, func() { plain(func(path string) { copyTo(b, path, shard) }) })
	})
	for name, without := range map[string][]int{"read": nil, "degraded-read": {1}} {
		b.Run(name, func(b *testing.B) {
			d := open(without...)
			compare(b, func() {}, func() {
				r, err := d.Open(ctx, 1)
				must(b, err)
				n, err := readAll(r, r.SizeBytes())
				must(b, err)
				if n != benchBytes {
					b.Fatalf("%d bytes", n)
				}
				must(b, r.Close())
			}, func() {
				plain(func(path string) {
					if filepath.Dir(path) == dirs[4] {
						return // four of them hold as much as was written
					}
					f, err := os.Open(path)
					must(b, err)
					_, err = readAll(f, int64(len(shard)))
					must(b, err)
					must(b, f.Close())
				})
			})
		})
	}
}

// compare runs both in turn, after what is not measured, and reports how long the first takes as a multiple of the second.
func compare(b *testing.B, before, ours, theirs func()) {
	b.SetBytes(benchBytes)
	var a, c []time.Duration
	for b.Loop() {
		before()
		both := []func(){func() { a = append(a, timed(ours)) }, func() { c = append(c, timed(theirs)) }}
		if len(a)%2 == 1 { // who comes second finds the disk busier
			slices.Reverse(both)
		}
		both[0]()
		both[1]()
	}
	slices.Sort(a)
	slices.Sort(c)
	b.ReportMetric(float64(a[len(a)/2])/float64(c[len(c)/2]), "of-plain-copy")
}

func timed(do func()) time.Duration {
	start := time.Now()
	do()
	return time.Since(start)
}

func copyTo(b *testing.B, path string, data []byte) {
	f, err := os.Create(path)
	must(b, err)
	for rest := data; len(rest) > 0; {
		n := min(len(rest), 256<<10)
		_, err := f.Write(rest[:n])
		must(b, err)
		rest = rest[n:]
	}
	must(b, f.Sync())
	must(b, f.Close())
}

func readAll(r io.ReaderAt, size int64) (n int64, err error) {
	buf := make([]byte, 1<<20)
	for n < size && err == nil {
		var k int
		k, err = r.ReadAt(buf[:min(int64(len(buf)), size-n)], n)
		n += int64(k)
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}
