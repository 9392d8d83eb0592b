package holding_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/catalog"
	"holdfast/internal/testtools"
	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/holding"
)

// Dumps that Amanda 3.5.1 left on its holding disk are read, from another place than their headers say.
func TestReadsAmandas(t *testing.T) {
	mem := vfs.NewMem()
	testtools.Untar(t, "../testdata/fxhold.tar.gz", mem, "/moved")
	want := map[string]struct {
		bytes  int64
		chunks int
		sha256 string
	}{
		"holdimg":    {102409, 4, "05e9051e2f5dd7e10a7f27ad8fbef51928ce4d4bb0ff9454aecda5a4a83d1fa7"},
		"odd name:x": {10240, 1, "da7a66b520cce65cc8cc4316fbef30b76b27ac7909fbc02d92def5cc3e2f15e9"},
	}
	for _, dir := range []string{"/moved/fxhold/holding", "/moved/fxhold/holding/20261121195115"} {
		found, err := holding.Scan(mem, dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) != len(want) {
			t.Fatalf("%s: %d dumps, want %d", dir, len(found), len(want))
		}
		for _, f := range found {
			w := want[f.Header.Disk]
			if f.Err != nil || f.Bytes() != w.bytes || len(f.Holding.Chunks) != w.chunks || f.Header.Stamp != "20261121195115" {
				t.Errorf("%s: %+v", f.Header.Disk, f)
			}
			r, err := holding.Open(mem, f.Holding)
			if err != nil {
				t.Fatal(err)
			}
			got, err := readAll(r)
			if err != nil {
				t.Fatal(err)
			}
			if sum := sha256.Sum256(got); hex.EncodeToString(sum[:]) != w.sha256 {
				t.Errorf("%s: SHA-256 %x, want %s", f.Header.Disk, sum, w.sha256)
			}
			if f.Header.Server.Sum != vtape.Checksum(got) {
				t.Errorf("%s: CRC %08x, header says %08x", f.Header.Disk, vtape.Checksum(got), f.Header.Server.Sum)
			}
		}
	}
}

func put(t testing.TB, fsys vfs.FS, name string, content []byte) {
	t.Helper()
	if err := vfs.WriteFileDurable(fsys, name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// rewrite replaces the header of a chunk.
func rewrite(t testing.TB, fsys vfs.FS, name string, change func(*vtape.Header)) {
	t.Helper()
	raw, err := vfs.ReadFile(fsys, name)
	if err != nil {
		t.Fatal(err)
	}
	head, err := vtape.ParseHeader(raw[:vtape.HeaderBytes])
	if err != nil {
		t.Fatal(err)
	}
	change(&head)
	block, err := head.Block()
	if err != nil {
		t.Fatal(err)
	}
	put(t, fsys, name, append(block, raw[vtape.HeaderBytes:]...))
}

// A dump that lacks something is found, and says what; the others are not touched by it.
func TestScanTellsDamage(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, mem *vfs.Mem, chunks []catalog.HoldingChunk)
		want   string
	}{
		{"chunk missing", func(t *testing.T, mem *vfs.Mem, chunks []catalog.HoldingChunk) {
			if err := mem.Remove(chunks[1].Path); err != nil {
				t.Fatal(err)
			}
		}, "web01.disk0.0.1"},
		{"a circle", func(t *testing.T, mem *vfs.Mem, chunks []catalog.HoldingChunk) {
			rewrite(t, mem, chunks[2].Path, func(h *vtape.Header) { h.ContFilename = chunks[1].Path })
		}, "circle"},
		{"to itself", func(t *testing.T, mem *vfs.Mem, chunks []catalog.HoldingChunk) {
			rewrite(t, mem, chunks[0].Path, func(h *vtape.Header) { h.ContFilename = chunks[0].Path })
		}, "circle"},
		{"to the directory", func(t *testing.T, mem *vfs.Mem, chunks []catalog.HoldingChunk) {
			rewrite(t, mem, chunks[0].Path, func(h *vtape.Header) { h.ContFilename = "/a/.." })
		}, "holding chunk"},
		{"chunk of another dump", func(t *testing.T, mem *vfs.Mem, chunks []catalog.HoldingChunk) {
			rewrite(t, mem, chunks[1].Path, func(h *vtape.Header) { h.Disk = "disk1" })
		}, "chunk of dump web01/disk1"},
		{"chunk is a first one", func(t *testing.T, mem *vfs.Mem, chunks []catalog.HoldingChunk) {
			rewrite(t, mem, chunks[0].Path, func(h *vtape.Header) { h.ContFilename = "/x/web02.disk0.0" })
		}, "header of type FILE, want CONT_FILE"},
		{"end cut off", func(t *testing.T, mem *vfs.Mem, chunks []catalog.HoldingChunk) {
			rewrite(t, mem, chunks[1].Path, func(h *vtape.Header) { h.ContFilename = "" })
		}, "its header says"},
		{"no header", func(t *testing.T, mem *vfs.Mem, chunks []catalog.HoldingChunk) {
			put(t, mem, chunks[0].Path, []byte("not one of ours"))
		}, "web01.disk0.0: shorter than a header"},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := newDisk(t)
			h := newHolding(mem)
			bad := mustHold(t, h, header("web01", "disk0", 0), random(3*data))
			good := mustHold(t, h, header("web02", "disk0", 0), random(5))
			put(t, mem, disk+"/20250102030405/pid", []byte("123\n"))
			c.damage(t, mem, bad.Chunks)
			found, err := holding.Scan(mem, disk)
			if err != nil {
				t.Fatal(err)
			}
			if len(found) != 2 || found[1].Err != nil || found[1].Holding.Dump != good.Dump {
				t.Fatalf("found %+v", found)
			}
			if err := found[0].Err; err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			before := ls(t, mem)
			if gone, err := h.Reap(func(string) bool { return false }); err != nil || len(gone) > 0 {
				t.Errorf("reaped %v, error %v", gone, err)
			}
			if diff := cmp.Diff(before, ls(t, mem)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestScanOfNothing(t *testing.T) {
	if _, err := holding.Scan(vfs.NewMem(), "/no"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	mem := newDisk(t)
	put(t, mem, disk+"/README", []byte("text"))
	if found, err := holding.Scan(mem, disk); err != nil || len(found) > 0 {
		t.Errorf("found %v, error %v", found, err)
	}
}

// Reap takes what is of no use, and nothing else.
func TestReap(t *testing.T) {
	mem := newDisk(t)
	h := newHolding(mem)
	whole := mustHold(t, h, header("web01", "disk0", 0), random(2*data))
	known := mustHold(t, h, header("web02", "disk0", 0), random(2*data))
	orphan := mustHold(t, h, header("web03", "disk0", 0), random(3*data))
	for _, held := range []catalog.Holding{known, orphan} {
		if err := mem.Remove(held.Chunks[0].Path); err != nil {
			t.Fatal(err)
		}
	}
	dir := path.Dir(whole.Chunks[0].Path)
	put(t, mem, dir+"/torn.tmp", []byte("AMANDA: FI"))
	put(t, mem, dir+"/pid", nil)
	put(t, mem, dir+"/README", random(vtape.HeaderBytes))
	if err := vfs.MkdirAll(mem, disk+"/20250101000000", 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, mem, disk+"/mine.tmp", nil)

	res, err := h.Reserve(data)
	if err != nil {
		t.Fatal(err)
	}
	writing, err := h.Create(run, header("web04", "disk0", 0), res)
	if err != nil {
		t.Fatal(err)
	}
	// README has lost its header, for all we can know: while it is there, only unfinished chunks go.
	for _, want := range [][]string{{dir + "/torn.tmp"}, paths(orphan)[1:]} {
		gone, err := h.Reap(func(name string) bool { return slices.Contains(paths(known), name) })
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, gone); diff != "" {
			t.Error(diff)
		}
		if len(want) == 1 {
			if err := mem.Remove(dir + "/README"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := writing.Write(random(data + 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := writing.Finish(header("web04", "disk0", 0)); err != nil {
		t.Fatal(err)
	}
	checkHeld(t, mem, whole, random(2*data))
	left := ls(t, mem)
	if !slices.Contains(left, "web02.disk0.0.1") || slices.Contains(left, "20250101000000/") {
		t.Errorf("left: %v", left)
	}
	if _, err := mem.Stat(disk + "/mine.tmp"); err != nil {
		t.Error("took a file outside of the runs' directories")
	}
}

func TestMovedDirectory(t *testing.T) {
	mem := newDisk(t)
	content := random(3*data + 1)
	held := mustHold(t, newHolding(mem), header("web01", "disk0", 0), content)
	if err := mem.Rename(path.Dir(held.Chunks[0].Path), "/elsewhere"); err != nil {
		t.Fatal(err)
	}
	found, err := holding.Scan(mem, "/elsewhere")
	if err != nil || len(found) != 1 || found[0].Err != nil {
		t.Fatalf("found %+v, error %v", found, err)
	}
	r, err := holding.Open(mem, found[0].Holding)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readAll(r); err != nil || !bytes.Equal(got, content) {
		t.Errorf("other bytes than were written, error %v", err)
	}
}
