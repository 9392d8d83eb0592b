package file_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/dumpers"
	"holdfast/dumpers/file"
	"holdfast/internal/testtools"
)

const block = 64 << 10

// runTool runs a program and wants it to succeed.
func runTool(t testing.TB, name string, args ...string) string {
	t.Helper()
	testtools.Need(t, name)
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// qemuIO changes a qcow2 image as a guest would.
func qemuIO(t testing.TB, path string, commands ...string) {
	t.Helper()
	args := []string{"-f", "qcow2"}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	if out := runTool(t, "qemu-io", append(args, path)...); strings.Contains(out, "failed") {
		t.Fatalf("qemu-io %q: %s", commands, out)
	}
}

// opened starts a qemu-io that has an image open until the test or the returned function ends it.
func opened(t *testing.T, args ...string) (end func()) {
	t.Helper()
	testtools.Need(t, "qemu-io")
	cmd := exec.Command("qemu-io", args...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func() {
		if ended {
			return
		}
		ended = true
		stdin.Close()
		io.Copy(io.Discard, stdout)
		if err := cmd.Wait(); err != nil {
			t.Errorf("qemu-io %q: %v\n%s", args, err, stderr.String())
		}
	}
	t.Cleanup(end)
	if _, err := bufio.NewReader(stdout).ReadString('>'); err != nil {
		t.Fatalf("qemu-io %q: no prompt: %v\n%s", args, err, stderr.String())
	}
	return end
}

func write(t testing.TB, path string, p []byte) string {
	t.Helper()
	if err := os.WriteFile(path, p, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// overwrite changes a file in place.
func overwrite(t testing.TB, path string, off int64, p []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(p, off); err != nil {
		t.Fatal(err)
	}
}

func noise(seed uint64, n int) []byte {
	p, rnd := make([]byte, n), rand.New(rand.NewPCG(seed, 0))
	for i := range p {
		p[i] = byte(rnd.Uint32())
	}
	return p
}

func source(t testing.TB, path, format string) *file.Source {
	t.Helper()
	s, err := file.New(file.Options{Disk: "root", Path: path, Format: format})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pin pins an image until the test, or the returned function, ends the point.
func pin(t testing.TB, path, format string) (v dumpers.BlockView, end func()) {
	t.Helper()
	p, err := source(t, path, format).Pin(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func() {
		if ended {
			return
		}
		ended = true
		if err := p.Abort(context.Background()); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(end)
	if v, err = p.Disk(t.Context(), "root"); err != nil {
		t.Fatal(err)
	}
	return v, end
}

// inDir gives the path of a name in a new directory.
func inDir(t testing.TB, name string) string { return filepath.Join(t.TempDir(), name) }

// mapOf writes the extents of a view, in blocks: "data 0+2, zero 2+5".
func mapOf(t testing.TB, v dumpers.BlockView) string {
	t.Helper()
	var list []string
	err := v.Extents(t.Context(), func(e dumpers.Extent) error {
		kind := []string{"data", "zero", "inherited", "unchanged"}[e.Kind]
		list = append(list, fmt.Sprintf("%s %d+%d", kind, e.Start/block, (e.Length+block-1)/block))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, ", ")
}
