package qcow2_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	reader "github.com/lima-vm/go-qcow2reader"

	"holdfast/internal/qcow2"
	"holdfast/internal/testtools"
)

// matrixCase is a way to make an image.
type matrixCase struct {
	options string
	// variant: plain and compressed are converted from a raw image; the others are created and written to.
	variant string
}

func (c matrixCase) String() string { return strings.ReplaceAll(c.options, ",", " ") + " " + c.variant }

// witnessed tells whether the second reader knows this kind of image: not extended L2, not zstd, and not a compressed cluster that
// ends the file, which is the rule in images of small clusters.
func (c matrixCase) witnessed() bool {
	switch {
	case strings.Contains(c.options, "extended_l2"), strings.Contains(c.options, "zstd"), c.variant == "raw backing", c.variant == "chain":
		return false
	case c.variant == "compressed":
		return strings.Contains(c.options, "=64k") || strings.Contains(c.options, "=2M")
	}
	return true
}

// matrix gives every version, cluster size and feature that goes with it.
func matrix() []matrixCase {
	var cases []matrixCase
	for _, size := range []string{"512", "4k", "64k", "2M"} {
		for _, compat := range []string{"0.10", "1.1"} {
			options := "compat=" + compat + ",cluster_size=" + size
			for _, variant := range []string{"plain", "compressed", "written", "preallocated", "raw backing", "chain"} {
				if size == "512" && compat == "0.10" && variant != "compressed" {
					continue // slow to make, and it differs from the others in nothing that is not tried there
				}
				cases = append(cases, matrixCase{options, variant})
			}
		}
		options := "compat=1.1,cluster_size=" + size
		cases = append(cases, matrixCase{options + ",compression_type=zstd", "compressed"},
			matrixCase{options + ",refcount_bits=1,lazy_refcounts=off", "written"})
		if size == "64k" || size == "2M" {
			for _, variant := range []string{"plain", "compressed", "written", "preallocated", "raw backing", "chain"} {
				cases = append(cases, matrixCase{options + ",extended_l2=on", variant})
			}
			cases = append(cases, matrixCase{options + ",extended_l2=on,compression_type=zstd", "chain"})
		}
	}
	return append(cases, matrixCase{"compat=1.1,cluster_size=16k,extended_l2=on", "written"})
}

// Every kind of image that qemu-img makes is read as qemu-img reads it: the same bytes, the same map.
func TestMatrixAgainstQEMU(t *testing.T) {
	testtools.Need(t, "qemu-img", "qemu-io")
	source := filepath.Join(t.TempDir(), "source")
	writeSource(t, source)
	for _, c := range matrix() {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			path := c.build(t, source)
			want := convert(t, path)
			m := openChain(t, path)
			checkBytes(t, m, want)
			checkMap(t, m, path)
			if c.witnessed() {
				checkWitness(t, path, want)
			}
		})
	}
}

const sourceBytes = 5<<20 + 512*7

// writeSource makes a raw image of runs of data (that compress well or not at all) and of zeros, of all lengths.
func writeSource(t *testing.T, path string) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(7, 7))
	image := make([]byte, sourceBytes)
	for at := 0; at < len(image); {
		run := image[at:min(len(image), at+512*(1+rnd.IntN(1<<rnd.IntN(11))))]
		switch rnd.IntN(4) {
		case 0, 1:
			fillRandom(rnd, run)
		case 2:
			copy(run, bytes.Repeat([]byte(fmt.Sprintf("text at %d, ", at)), len(run)/12+1))
		}
		at += len(run)
	}
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
}

// build makes the image of a case and returns its path.
func (c matrixCase) build(t *testing.T, source string) string {
	dir := t.TempDir()
	path := filepath.Join(dir, "top.qcow2")
	create := func(name string, args ...string) string {
		path := filepath.Join(dir, name)
		qemuImg(t, append([]string{"create", "-q", "-f", "qcow2", "-o"}, append(args, path, fmt.Sprint(sourceBytes))...)...)
		return path
	}
	switch c.variant {
	case "plain":
		qemuImg(t, "convert", "-O", "qcow2", "-o", c.options, source, path)
	case "compressed":
		qemuImg(t, "convert", "-c", "-O", "qcow2", "-o", c.options, source, path)
		qemuIO(t, path, "write -P 5 70000 3000", "write -z -u 2M 300k", "discard 3M 200k")
	case "written":
		create("top.qcow2", c.options)
		c.write(t, path)
	case "preallocated":
		create("top.qcow2", c.options+",preallocation=metadata")
		c.write(t, path)
	case "raw backing":
		// Shorter than the overlay, and not a whole number of clusters.
		base := filepath.Join(dir, "base.raw")
		content, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(base, content[:3<<20+512], 0o600); err != nil {
			t.Fatal(err)
		}
		create("top.qcow2", c.options, "-F", "raw", "-b", "base.raw")
		c.write(t, path)
	case "chain":
		qemuImg(t, "convert", "-c", "-O", "qcow2", "-o", c.options, source, filepath.Join(dir, "base.qcow2"))
		middle := create("middle.qcow2", c.options, "-F", "qcow2", "-b", "base.qcow2")
		qemuIO(t, middle, "write -P 9 1000000 400000", "write -z 2M 1M")
		create("top.qcow2", c.options, "-F", "qcow2", "-b", "middle.qcow2")
		c.write(t, path)
	}
	return path
}

// write puts data, zeros and discarded ranges into an image, on cluster boundaries and off them.
func (c matrixCase) write(t *testing.T, path string) {
	qemuIO(t, path, "write -P 1 0 512", "write -P 2 5k 1k", "write -P 3 100k 300k", "write -z 20k 4k", "write -z 300k 1M",
		"write -P 4 700k 1k", "write -P 6 2560k 2560k", "write -z -u 4M 128k", "discard 3M 256k", "write -P 7 5M 3584")
}

func qemuIO(t *testing.T, path string, commands ...string) {
	t.Helper()
	args := []string{"-f", "qcow2"}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	if out := runTool(t, "qemu-io", append(args, path)...); bytes.Contains(out, []byte("failed")) {
		t.Fatalf("qemu-io %q: %s", commands, out)
	}
}

// openChain opens an image with all that it rests on.
func openChain(t *testing.T, path string) *qcow2.Image {
	t.Helper()
	m := openFile(t, path)
	name, format := m.Backing()
	if name == "" {
		return m
	}
	path = filepath.Join(filepath.Dir(path), name)
	switch format {
	case "qcow2":
		base := openChain(t, path)
		m.SetBacking(base, base.SizeBytes())
	case "raw":
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		m.SetBacking(f, info.Size())
	default:
		t.Fatalf("backing format is %q", format)
	}
	return m
}

// checkBytes reads an image at once, and in random pieces from several goroutines.
func checkBytes(t *testing.T, m *qcow2.Image, want []byte) {
	t.Helper()
	got := make([]byte, len(want)+1)
	if n, err := m.ReadAt(got, 0); n != len(want) || err != io.EOF {
		t.Fatalf("read all: %d, %v; want %d, EOF", n, err, len(want))
	}
	if i := firstDifference(got, want); i >= 0 {
		t.Fatalf("byte %d is %#x, want %#x", i, got[i], want[i])
	}
	errs := make(chan error, 4)
	for seed := range cap(errs) {
		go func() { errs <- checkPieces(m, want, uint64(seed)) }()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func checkPieces(m *qcow2.Image, want []byte, seed uint64) error {
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 30 {
		off := rnd.IntN(len(want))
		p := make([]byte, rnd.IntN(1<<(1+rnd.IntN(18))))
		n, err := m.ReadAt(p, int64(off))
		if short := len(p) > len(want)-off; short != (err == io.EOF) || err != nil && !short {
			return fmt.Errorf("read %d at %d: %w", len(p), off, err)
		}
		if n != min(len(p), len(want)-off) || !bytes.Equal(p[:n], want[off:off+n]) {
			return fmt.Errorf("read %d at %d: %d bytes that differ", len(p), off, n)
		}
	}
	return nil
}

func firstDifference(got, want []byte) int {
	for i := range want {
		if got[i] != want[i] {
			return i
		}
	}
	return -1
}

// mapEntry is what `qemu-img map --output=json` says of a run.
type mapEntry struct {
	Start, Length, Depth int64
	Present, Zero, Data  bool
	Offset               *int64
}

// checkMap compares our extents with qemu-img's, sector by sector, as each side joins runs in its own way.
func checkMap(t *testing.T, m *qcow2.Image, path string) {
	t.Helper()
	var entries []mapEntry
	if err := json.Unmarshal(qemuImg(t, "map", "-f", "qcow2", "--output=json", path), &entries); err != nil {
		t.Fatal(err)
	}
	want := make([]string, (m.SizeBytes()+511)/512)
	for _, e := range entries {
		for at := e.Start; at < e.Start+e.Length; at += 512 {
			switch {
			case e.Depth > 0 || !e.Present:
				want[at/512] = "unallocated"
			case e.Data && e.Offset == nil:
				want[at/512] = "compressed"
			case e.Data:
				want[at/512] = fmt.Sprint("data at ", *e.Offset+at-e.Start)
			default:
				want[at/512] = "zero"
			}
		}
	}
	var next int64
	err := m.Extents(t.Context(), 0, m.SizeBytes(), func(e qcow2.Extent) error {
		if e.Start != next || e.Length <= 0 {
			return fmt.Errorf("extent at %d, %d bytes: want it at %d", e.Start, e.Length, next)
		}
		next += e.Length
		for at := e.Start; at < next; at += 512 {
			got := []string{"unallocated", fmt.Sprint("data at ", e.HostOffset+at-e.Start), "zero"}[e.Kind]
			if e.Compressed {
				got = "compressed"
			}
			if got != want[at/512] {
				return fmt.Errorf("offset %d is %s, want %s", at, got, want[at/512])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if next != m.SizeBytes() {
		t.Fatalf("extents end at %d, want %d", next, m.SizeBytes())
	}
}

// checkWitness reads an image with a second, unrelated reader.
func checkWitness(t *testing.T, path string, want []byte) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := reader.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Readable(); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, m.Size())
	if _, err := io.ReadFull(io.NewSectionReader(m, 0, m.Size()), got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the second reader sees other bytes")
	}
}
