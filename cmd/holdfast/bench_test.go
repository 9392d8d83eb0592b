package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"holdfast/dumpers"
	"holdfast/dumpers/dumpertest"
	"holdfast/dumpers/file"
	"holdfast/internal/blockmap"
	"holdfast/internal/frames"
	"holdfast/internal/testtools"
)

// BenchmarkProgram measures the program as it is delivered against the tools that do the same work in their own way:
// always in turn, on the same files, in the same minutes, so that what else the machine does hits both. Both sides end
// with their output on the disk (fsync). Images are made of this machine's own files. docs/performance.md explains the
// lines. It takes a few minutes and some 8 GB below TMPDIR.
func BenchmarkProgram(b *testing.B) {
	testtools.Need(b, "qemu-img", "zstd", "tar")
	w := &workshop{B: b, dir: b.TempDir(), binary: program(b), files: machineFiles(b)}
	fmt.Printf("\n%d cores; medians of pairs run in turn; seconds of holdfast, of the other\n", runtime.NumCPU())
	w.image("big.raw", 2<<30)
	w.full()
	w.scan()
	w.restore()
	for _, name := range []string{"big.raw", "big.qcow2", "big.zst"} {
		w.remove(name)
	}
	w.sixImages()
}

// workshop is where the benchmark works.
type workshop struct {
	*testing.B
	dir, binary string
	files       io.Reader
}

func (w *workshop) path(name string) string { return filepath.Join(w.dir, name) }

func (w *workshop) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *workshop) remove(names ...string) {
	for _, name := range names {
		w.must(os.RemoveAll(w.path(name)))
	}
}

// machineFiles streams this machine's own files, over and over.
func machineFiles(b *testing.B) io.Reader {
	ctx, stop := context.WithCancel(context.Background())
	r, w := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			tar := exec.CommandContext(ctx, "tar", "-C", "/", "-cf", "-", "usr")
			tar.Stdout = w
			_ = tar.Run() // a file that changes meanwhile is no matter
		}
	}()
	b.Cleanup(func() {
		stop()
		r.Close()
		<-ended
	})
	return r
}

// image makes a raw image of which about half holds data, in stretches of 64 KiB to 8 MiB.
func (w *workshop) image(name string, size int64) {
	w.Helper()
	f, err := os.Create(w.path(name))
	w.must(err)
	defer f.Close()
	w.must(f.Truncate(size))
	random := rand.New(rand.NewPCG(1, uint64(size)))
	for off := int64(0); off < size; {
		length := min(int64(1+random.IntN(128))*blockmap.ClusterBytes, size-off)
		_, err := io.CopyN(io.NewOffsetWriter(f, off), w.files, length)
		w.must(err)
		off += length + int64(1+random.IntN(128))*blockmap.ClusterBytes
	}
	w.must(f.Sync())
}

// run runs the program on a site of the workshop.
func (w *workshop) run(site string, args ...string) usage {
	w.Helper()
	return spend(w, exec.Command(w.binary, append([]string{"--config", w.path(site + "/holdfast.yaml")}, args...)...))
}

// tool runs another program and syncs its output.
func (w *workshop) tool(output, name string, args ...string) usage {
	w.Helper()
	u := spend(w, exec.Command(name, args...))
	synced := w.itself(func() {
		f, err := os.OpenFile(output, os.O_RDWR, 0)
		w.must(err)
		w.must(f.Sync())
		w.must(f.Close())
	})
	return usage{wall: u.wall + synced.wall, cpu: u.cpu + synced.cpu}
}

// pairs runs two sides in turn and gives the medians over the rounds of: how many times as fast ours is, CPU seconds of
// ours by those of theirs, and the wall seconds of each.
func (w *workshop) pairs(rounds int, theirs, ours func() usage) (speed, cpu, theirWall, ourWall float64) {
	var speeds, cpus, theirWalls, ourWalls []float64
	for range rounds {
		syscall.Sync() // what earlier steps have left to be written is not theirs to wait for
		a := theirs()
		syscall.Sync()
		b := ours()
		speeds = append(speeds, a.wall.Seconds()/b.wall.Seconds())
		cpus = append(cpus, b.cpu.Seconds()/a.cpu.Seconds())
		theirWalls, ourWalls = append(theirWalls, a.wall.Seconds()), append(ourWalls, b.wall.Seconds())
	}
	return median(speeds), median(cpus), median(theirWalls), median(ourWalls)
}

func median(of []float64) float64 {
	slices.Sort(of)
	return (of[(len(of)-1)/2] + of[len(of)/2]) / 2
}

// comparison is a line of the output: rounds, and the least that our speed should be by theirs.
type comparison struct {
	what   string
	rounds int
	aim    float64
}

// print runs pairs and prints the line about them.
func (c comparison) print(w *workshop, theirs, ours func() usage) {
	w.Helper()
	speed, cpu, theirWall, ourWall := w.pairs(c.rounds, theirs, ours)
	fmt.Printf("%-54s speed %5.2f x (%.2f s, %.2f s), aim %.2f: %-6s  CPU %.2f x\n",
		c.what, speed, ourWall, theirWall, c.aim, verdict(speed >= c.aim), cpu)
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "MISSED"
}

const benchSite = `
state: state
storage:
  vtapes: {device: dir, path: vtapes, slots: 4, volume-size: 4GiB, part-size: 1GiB, label: "BENCH-%%%", run-volumes: 1, keep-volumes: 1}
dump-types: {default: {compress: default, holding: never}}
dles: [{vm: big, disk: disk0, image: ../big.raw, format: raw}]
`

// site makes a fresh site for the big image.
func (w *workshop) site() {
	w.remove("site")
	w.must(os.Mkdir(w.path("site"), 0o700))
	newNights(w, w.path("site"), benchSite)
}

// full is a night of one image straight to a volume, by a conversion to qcow2 and its compression.
func (w *workshop) full() {
	comparison{"full dump by qemu-img convert and zstd -T0 -3", 5, 1}.print(w, func() usage {
		w.remove("big.qcow2", "big.zst")
		u := spend(w, exec.Command("qemu-img", "convert", "-f", "raw", "-O", "qcow2", w.path("big.raw"), w.path("big.qcow2")))
		z := w.tool(w.path("big.zst"), "zstd", "-q", "-T0", "-3", w.path("big.qcow2"), "-o", w.path("big.zst"))
		return usage{wall: u.wall + z.wall, cpu: u.cpu + z.cpu}
	}, func() usage {
		w.site()
		return w.run("site", "run", "--now", "2026-03-01 01:00")
	})
}

// restore gets the image out of the volume, by decompressing its qcow2 form.
func (w *workshop) restore() {
	comparison{"restore to a file by zstd -d", 7, 0.9}.print(w, func() usage {
		w.remove("plain")
		return w.tool(w.path("plain"), "zstd", "-q", "-d", w.path("big.zst"), "-o", w.path("plain"))
	}, func() usage {
		w.remove("restored")
		return w.run("site", "restore", "big", "--to", w.path("restored"))
	})
	if out, err := exec.Command("cmp", w.path("big.raw"), w.path("restored")).CombinedOutput(); err != nil {
		w.Errorf("restored image: %s", out)
	}
	w.remove("plain", "restored", "site")
}

// scan finds that nothing has changed in the image, by reading and hashing its data on all cores.
func (w *workshop) scan() {
	source, err := file.New(file.Options{Disk: "disk0", Path: w.path("big.raw"), Format: file.FormatRaw})
	w.must(err)
	point, err := source.Pin(w.Context(), &dumpertest.Journal{}, "disk0")
	w.must(err)
	view, err := point.Disk(w.Context(), "disk0")
	w.must(err)
	defer view.Close()
	full, err := dumpers.Prepare(w.Context(), dumpers.Job{View: view, Level: frames.None})
	w.must(err)
	var state bytes.Buffer
	_, err = full.Write(w.Context(), io.Discard, &state)
	w.must(err)
	base, err := blockmap.Open(bytes.NewReader(state.Bytes()), int64(state.Len()))
	w.must(err)
	comparison{"scan of an unchanged image by reading and hashing", 15, 0.85}.print(w, func() usage {
		return w.itself(func() { w.readAndHash(view) })
	}, func() usage {
		return w.itself(func() {
			p, err := dumpers.Prepare(w.Context(), dumpers.Job{View: view, Base: base, Backing: "base"})
			w.must(err)
			if p.DataBytes() != 0 {
				w.Fatalf("%d bytes have changed", p.DataBytes())
			}
		})
	})
}

// itself measures something that this process does.
func (w *workshop) itself(do func()) usage {
	var before, after syscall.Rusage
	w.must(syscall.Getrusage(syscall.RUSAGE_SELF, &before))
	start := time.Now()
	do()
	u := usage{wall: time.Since(start)}
	w.must(syscall.Getrusage(syscall.RUSAGE_SELF, &after))
	u.cpu = time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	return u
}

// readAndHash is the least a scan can do: all cores read the data, 1 MiB at a time, and hash each cluster.
func (w *workshop) readAndHash(view dumpers.BlockView) {
	var pieces []dumpers.Extent
	w.must(view.Extents(w.Context(), func(e dumpers.Extent) error {
		for ; e.Kind == dumpers.Data && e.Length > 0; e.Start, e.Length = e.Start+1<<20, e.Length-1<<20 {
			pieces = append(pieces, dumpers.Extent{Start: e.Start, Length: min(e.Length, 1<<20)})
		}
		return nil
	}))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			buf := make([]byte, 1<<20)
			for i := next.Add(1) - 1; i < int64(len(pieces)); i = next.Add(1) - 1 {
				p := buf[:pieces[i].Length]
				if _, err := view.ReadAt(p, pieces[i].Start); err != nil {
					w.Error(err)
					return
				}
				for ; len(p) > 0; p = p[min(len(p), blockmap.ClusterBytes):] {
					blockmap.Sum(p[:min(len(p), blockmap.ClusterBytes)])
				}
			}
		})
	}
	wg.Wait()
}

// sixStep is one thing done with the six images, by zstd over all the image data. The aim is the part of zstd's time it
// may take: half of what the best other backup program took, on the machine and in the hour where both were measured.
type sixStep struct {
	what              string
	aim               float64
	wall, cpu, stored []float64 // by zstd's; stored is of both nights
	wallSeconds       []float64
	peakBytes         int64
}

func (s *sixStep) add(u, zstd usage, stored float64) {
	s.wallSeconds = append(s.wallSeconds, u.wall.Seconds())
	s.wall = append(s.wall, u.wall.Seconds()/zstd.wall.Seconds())
	s.cpu = append(s.cpu, u.cpu.Seconds()/zstd.cpu.Seconds())
	s.stored = append(s.stored, stored)
	s.peakBytes = max(s.peakBytes, u.peakBytes)
}

func (s *sixStep) print() {
	wall := median(s.wall)
	fmt.Printf("six images: %-16s wall %.2f x of zstd's (%.2f s), aim %.2f: %-6s  CPU %.2f x  stored %.2f x  memory %d MB\n",
		s.what, wall, median(s.wallSeconds), s.aim, verdict(wall <= s.aim), median(s.cpu), median(s.stored), s.peakBytes/1e6)
}

// sixImages is a small site's two nights, restore and check, by zstd -3 -T2 over all the image data: six images of
// 512 MiB, half of them data, three of them copies of the first with 5 % changed; 3 % more before the second night.
func (w *workshop) sixImages() {
	images := w.makeSix()
	steps := []*sixStep{
		{what: "first night", aim: 0.68}, {what: "second night", aim: 0.38},
		{what: "restore of one", aim: 0.11}, {what: "verify of all", aim: 0.29},
	}
	var walls, sizes []float64
	for round := range 3 {
		w.remove("z", "six")
		w.must(os.Mkdir(w.path("z"), 0o700))
		syscall.Sync()
		z := spend(w, exec.Command("zstd", append([]string{"-q", "-3", "-T2", "--output-dir-flat", w.path("z")}, images...)...))
		start := time.Now()
		syscall.Sync()
		z.wall += time.Since(start)
		walls, sizes = append(walls, z.wall.Seconds()), append(sizes, w.bytesBelow("z")/1e6)
		for i, u := range w.sixSteps(images, uint64(round)) {
			steps[i].add(u.usage, z, u.stored/w.bytesBelow("z"))
		}
	}
	fmt.Printf("six images: zstd -3 -T2 over all their data takes %.2f s and stores %.0f MB\n", median(walls), median(sizes))
	for _, s := range steps {
		s.print()
	}
}

// makeSix makes the images and gives their paths.
func (w *workshop) makeSix() (images []string) {
	w.must(os.Mkdir(w.path("images"), 0o700))
	for i, name := range []string{"one", "two", "three", "copy1", "copy2", "copy3"} {
		image := "images/" + name + ".raw"
		images = append(images, w.path(image))
		if i < 3 {
			w.image(image, 512<<20)
			continue
		}
		if out, err := exec.Command("cp", "--sparse=always", images[0], images[i]).CombinedOutput(); err != nil {
			w.Fatalf("copy image: %v: %s", err, out)
		}
		w.change(image, 5, uint64(i))
	}
	return images
}

// storing is what a step took, and the bytes on the volumes after it.
type storing struct {
	usage
	stored float64
}

// sixSteps makes a site of the images and does two nights on it, a restore and a check.
func (w *workshop) sixSteps(images []string, round uint64) (steps []storing) {
	w.must(os.Mkdir(w.path("six"), 0o700))
	w.run("six", "init", "--images", w.path("images"))
	step := func(args ...string) {
		syscall.Sync()
		steps = append(steps, storing{w.run("six", args...), w.bytesBelow("six/vtapes")})
	}
	step("run", "--now", "2026-03-01 01:00")
	for i := range images {
		w.change("images/"+filepath.Base(images[i]), 3, 100*(round+1)+uint64(i))
	}
	step("run", "--now", "2026-03-02 01:00")
	step("restore", "copy1", "--to", w.path("six/restored"))
	if out, err := exec.Command("cmp", w.path("images/copy1.raw"), w.path("six/restored")).CombinedOutput(); err != nil {
		w.Errorf("restored image: %s", out)
	}
	step("verify")
	return steps
}

// change overwrites as many clusters as make up percent of an image's data with files of this machine.
func (w *workshop) change(image string, percent int, seed uint64) {
	w.Helper()
	f, err := os.OpenFile(w.path(image), os.O_RDWR, 0)
	w.must(err)
	defer f.Close()
	info, err := f.Stat()
	w.must(err)
	random := rand.New(rand.NewPCG(2, seed))
	clusters := info.Size() / blockmap.ClusterBytes
	for left := clusters / 2 * int64(percent) / 100; left > 0; left-- {
		off := random.Int64N(clusters) * blockmap.ClusterBytes
		_, err := io.CopyN(io.NewOffsetWriter(f, off), w.files, blockmap.ClusterBytes)
		w.must(err)
	}
	w.must(f.Sync())
}

func (w *workshop) bytesBelow(dir string) (sum float64) {
	w.must(filepath.Walk(w.path(dir), func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			sum += float64(info.Size())
		}
		return err
	}))
	return sum
}
