package main

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"holdfast/configs"
	"holdfast/internal/vfs"
	nightly "holdfast/scheduler/run"
)

// nights is a small site: a directory with a configuration, images, holding disk and vtapes, on which nights are run.
type nights struct {
	testing.TB
	dir, config string
}

// newNights writes the configuration into dir, and makes what it names. Paths in it count from dir.
func newNights(t testing.TB, dir, config string) *nights {
	t.Helper()
	n := &nights{TB: t, dir: dir, config: filepath.Join(dir, "holdfast.yaml")}
	n.write("holdfast.yaml", []byte(config))
	cfg, err := configs.Load(n.config, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := (nightly.Opener{FS: vfs.OS(), Now: time.Now}).Create(t.Context(), cfg.MainStorage()); err != nil {
		t.Fatal(err)
	}
	for _, h := range cfg.Holding {
		if err := os.Mkdir(h.Dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// night runs the program's `run` at a time of the local clock.
func (n *nights) night(now string, args ...string) {
	n.Helper()
	args = append([]string{"--config", n.config, "run", "--now", now}, args...)
	if code, report, stderr := holdfast(n, args...); code != 0 {
		n.Fatalf("run at %s: exit %d: %s%s", now, code, stderr, report)
	}
}

func (n *nights) path(name string) string { return filepath.Join(n.dir, name) }

func (n *nights) write(name string, data []byte) {
	n.Helper()
	if err := os.WriteFile(n.path(name), data, 0o644); err != nil {
		n.Fatal(err)
	}
}

// rawImage makes a sparse raw image of 4 MiB that holds noise from 1 MiB on.
func (n *nights) rawImage(name string, noiseBytes int) {
	n.Helper()
	n.write(name, nil)
	if err := os.Truncate(n.path(name), 4<<20); err != nil {
		n.Fatal(err)
	}
	n.change(name, 1<<20, noiseBytes)
}

// change writes noise into a raw image. The noise is the same each time, and another for each name and place.
func (n *nights) change(name string, at int64, length int) {
	n.Helper()
	f, err := os.OpenFile(n.path(name), os.O_WRONLY, 0)
	if err != nil {
		n.Fatal(err)
	}
	defer f.Close()
	seed := [32]byte{byte(at >> 16)}
	copy(seed[1:], name)
	noise := make([]byte, length)
	if _, err := rand.NewChaCha8(seed).Read(noise); err != nil {
		n.Fatal(err)
	}
	if _, err := f.WriteAt(noise, at); err != nil {
		n.Fatal(err)
	}
}

// keep copies a file, to compare with later.
func (n *nights) keep(name, as string) {
	n.Helper()
	data, err := os.ReadFile(n.path(name))
	if err != nil {
		n.Fatal(err)
	}
	n.write(as, data)
}

// sameDisk fails the test unless a disk reads like a kept image; both are files of the site.
func (n *nights) sameDisk(image, imageFormat, disk, diskFormat string) {
	n.Helper()
	cmd := exec.Command("qemu-img", "compare", "-f", imageFormat, "-F", diskFormat, n.path(image), n.path(disk))
	if out, err := cmd.CombinedOutput(); err != nil {
		n.Errorf("%s: %v: %s", disk, err, out)
	}
}
