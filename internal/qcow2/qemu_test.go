package qcow2_test

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"holdfast/internal/qcow2"
)

// qemuImg runs qemu-img and returns what it printed.
func qemuImg(t testing.TB, args ...string) []byte {
	t.Helper()
	return runTool(t, "qemu-img", args...)
}

func runTool(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		var stderr []byte
		if exit, ok := err.(*exec.ExitError); ok {
			stderr = exit.Stderr
		}
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, out, stderr)
	}
	return out
}

// convert gives the content of an image as qemu-img reads it.
func convert(t testing.TB, path string) []byte {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "raw")
	qemuImg(t, "convert", "-f", "qcow2", "-O", "raw", path, raw)
	content, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// openFile opens a qcow2 file with our own reader.
func openFile(t testing.TB, path string) *qcow2.Image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	m, err := qcow2.Open(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func fillRandom(rnd *rand.Rand, p []byte) {
	var word [8]byte
	for len(p) > 0 {
		binary.LittleEndian.PutUint64(word[:], rnd.Uint64())
		p = p[copy(p, word[:]):]
	}
}
