package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"testing"
	"time"
)

// usage is what a child process took.
type usage struct {
	wall, cpu time.Duration
	peakBytes int64 // of resident memory
}

// program builds the program as it is delivered.
func program(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "holdfast")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	return path
}

// spend runs a child process to its end.
func spend(t testing.TB, cmd *exec.Cmd) usage {
	t.Helper()
	start := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", cmd.Args, err, out)
	}
	u := usage{wall: time.Since(start), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	u.peakBytes = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10 // Linux counts it in KiB
	return u
}

const memorySite = `
state: state
in-parallel: 4
holding: [{dir: holding, chunk: 64MiB}]
storage:
  vtapes: {device: dir, path: vtapes, slots: 4, volume-size: 4GiB, part-size: 64MiB, label: "MEM-%%%", run-volumes: 1, keep-volumes: 1}
dles:
  - {vm: a, disk: disk0, image: a.raw, format: raw}
  - {vm: b, disk: disk0, image: b.raw, format: raw}
  - {vm: c, disk: disk0, image: c.raw, format: raw}
  - {vm: d, disk: disk0, image: d.raw, format: raw}
`

const (
	memoryBar       = 300_000_000
	memoryImageSize = 8 << 40
	memorySpots     = 1024 // stretches of data in an image, spread over all of it
	memorySpotBytes = 64 << 10
)

// Nights, verification and restores of images of 8 TiB, four at once, take little memory: the program's peak of resident
// memory, measured on itself as a process, stays below the bar. It believes to have 16 cores.
func TestMemoryOfHugeImages(t *testing.T) {
	n := newNights(t, t.TempDir(), memorySite)
	vms := []string{"a", "b", "c", "d"}
	for i, vm := range vms {
		n.scatter(vm+".raw", 1, uint64(i))
	}
	binary := program(t)
	// What a child is first measured at is the memory of the process that starts it.
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Fatalf("forget the peak of this process: %v", err)
	}
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command(binary, append([]string{"--config", n.config}, args...)...)
		cmd.Env = append(os.Environ(), "GOMAXPROCS=16", "GOGC=", "GOMEMLIMIT=")
		u := spend(t, cmd)
		t.Logf("%s: %d MB, %.1f s", args[0], u.peakBytes/1e6, u.wall.Seconds())
		if u.peakBytes > memoryBar {
			t.Errorf("%v took %d bytes of memory, at most %d", args, u.peakBytes, int64(memoryBar))
		}
	}
	run("run", "--now", "2026-03-01 01:00")
	for i, vm := range vms {
		n.scatter(vm+".raw", 8, uint64(i+len(vms)))
	}
	run("run", "--now", "2026-03-02 01:00")
	run("verify")
	run("restore", "a", "--to", n.path("a.restored"))
	n.sameSpots("a.raw", "a.restored")
	run("restore", "b", "--to", n.path("b.restored"), "--format", "qcow2")
	run("restore", "c", "--level", "0", "--to", n.path("c.restored"))
}

// scatter writes noise to every nth of the spots of a huge image, which it makes if need be. A spot lies across the
// clusters of a dump.
func (n *nights) scatter(name string, nth int, seed uint64) {
	n.Helper()
	f, err := os.OpenFile(n.path(name), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		n.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(memoryImageSize); err != nil {
		n.Fatalf("%v: a file system that takes files of 8 TiB is needed (set TMPDIR)", err)
	}
	noise := rand.NewChaCha8([32]byte{byte(seed)})
	spot := make([]byte, memorySpotBytes)
	for i := 0; i < memorySpots; i += nth {
		noise.Read(spot)
		if _, err := f.WriteAt(spot, spotOffset(i)); err != nil {
			n.Fatal(err)
		}
	}
}

func spotOffset(i int) int64 {
	return int64(i)*(memoryImageSize/memorySpots) + int64(i)*4096%(1<<20)
}

// sameSpots compares two images where they hold data, and makes sure that they hold no more.
func (n *nights) sameSpots(image, restored string) {
	n.Helper()
	for _, name := range []string{image, restored} {
		info, err := os.Stat(n.path(name))
		if err != nil {
			n.Fatal(err)
		}
		if used := info.Sys().(*syscall.Stat_t).Blocks * 512; info.Size() != memoryImageSize || used > 3*memorySpots*memorySpotBytes {
			n.Errorf("%s: %d bytes, %d of them used", name, info.Size(), used)
		}
	}
	if err := compareSpots(n.path(image), n.path(restored)); err != nil {
		n.Error(err)
	}
}

func compareSpots(one, other string) error {
	a, err := os.Open(one)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := os.Open(other)
	if err != nil {
		return err
	}
	defer b.Close()
	p, q := make([]byte, memorySpotBytes), make([]byte, memorySpotBytes)
	for i := range memorySpots {
		off := spotOffset(i)
		if _, err := a.ReadAt(p, off); err != nil {
			return err
		}
		if _, err := b.ReadAt(q, off); err != nil {
			return err
		}
		if string(p) != string(q) {
			return fmt.Errorf("%s differs from %s in the 64 KiB at byte %d", other, one, off)
		}
	}
	return nil
}
