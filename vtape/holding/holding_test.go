package holding_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"holdfast/catalog"
	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/holding"
)

const (
	disk  = "/hold"
	run   = catalog.Stamp("20250102030405")
	chunk = 4 * vtape.HeaderBytes // 96 KiB of data
	data  = chunk - vtape.HeaderBytes
)

func newDisk(t testing.TB) *vfs.Mem {
	t.Helper()
	mem := vfs.NewMem()
	if err := vfs.MkdirAll(mem, disk, 0o755); err != nil {
		t.Fatal(err)
	}
	return mem
}

func newHolding(fsys vfs.FS) *holding.Holding {
	h := holding.New(fsys, holding.Options{Dirs: []holding.Dir{{Path: disk}}, ChunkBytes: chunk})
	h.SyncInline()
	return h
}

func header(vm, name string, level catalog.Level) vtape.Header {
	return vtape.Header{
		Stamp: string(run), Host: vm, Disk: name, Level: level, Compress: ".zst", Program: catalog.ProgramImage,
		Image: &vtape.ImageInfo{ImageBytes: 1 << 30},
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(uint64(n), 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// hold writes a dump in one go, and aborts it when it fails, as a run does.
func hold(h *holding.Holding, head vtape.Header, content []byte) (catalog.Holding, error) {
	res, err := h.Reserve(int64(len(content)))
	if err != nil {
		return catalog.Holding{}, err
	}
	return holdOn(h, res, head, content)
}

func holdOn(h *holding.Holding, res *holding.Reservation, head vtape.Header, content []byte) (catalog.Holding, error) {
	w, err := h.Create(run, head, res)
	if err != nil {
		return catalog.Holding{}, err
	}
	if _, err := w.Write(content); err != nil {
		return catalog.Holding{}, errors.Join(err, w.Abort())
	}
	head.OrigKiB = 7
	held, err := w.Finish(head)
	if err != nil {
		return held, errors.Join(err, w.Abort())
	}
	return held, w.Abort() // does nothing now
}

func mustHold(t testing.TB, h *holding.Holding, head vtape.Header, content []byte) catalog.Holding {
	t.Helper()
	held, err := hold(h, head, content)
	if err != nil {
		t.Fatal(err)
	}
	return held
}

func readAll(r *holding.Reader) ([]byte, error) {
	return io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
}

// openFound opens the dump that begins with the chunk named first without a catalog.
func openFound(fsys vfs.FS, first string) (*holding.Reader, error) {
	found, err := holding.Scan(fsys, path.Dir(first))
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		if f.Holding.Chunks[0].Path == first && f.Err != nil {
			return nil, f.Err
		}
		if f.Holding.Chunks[0].Path == first {
			return holding.Open(fsys, f.Holding)
		}
	}
	return nil, fmt.Errorf("%s: not found", first)
}

// checkHeld reads a dump back in both ways.
func checkHeld(t testing.TB, fsys vfs.FS, held catalog.Holding, want []byte) {
	t.Helper()
	for name, open := range map[string]func() (*holding.Reader, error){
		"known": func() (*holding.Reader, error) { return holding.Open(fsys, held) },
		"found": func() (*holding.Reader, error) { return openFound(fsys, held.Chunks[0].Path) },
	} {
		r, err := open()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := readAll(r)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%s: other bytes than were written (%d, want %d), error %v", name, len(got), len(want), err)
		}
		if err := r.Verify(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		head := r.Header()
		if sum := (vtape.CRC{Sum: vtape.Checksum(want), Bytes: int64(len(want))}); head.Server != sum {
			t.Fatalf("header has %v, want %v", head.Server, sum)
		}
		if head.OrigKiB != 7 || head.Image == nil || head.Image.StoredBytes != int64(len(want)) {
			t.Fatalf("header %+v", head)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// ls lists all files below the holding disk.
func ls(t testing.TB, fsys vfs.FS) []string {
	t.Helper()
	var names []string
	runs, err := fsys.ReadDir(disk)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		if !r.IsDir() {
			continue
		}
		names = append(names, r.Name()+"/")
		files, err := fsys.ReadDir(disk + "/" + r.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			names = append(names, f.Name())
		}
	}
	return names
}

// Chunks are cut where they should be: nothing, one byte less, exactly full, one byte more, several.
func TestChunkBorders(t *testing.T) {
	for _, c := range []struct{ bytes, chunks int }{
		{0, 1}, {1, 1}, {data - 1, 1}, {data, 1}, {data + 1, 2}, {2 * data, 2}, {2*data + 1, 3}, {7*data + 5, 8},
	} {
		t.Run(fmt.Sprint(c.bytes), func(t *testing.T) {
			mem := newDisk(t)
			content := random(c.bytes)
			held := mustHold(t, newHolding(mem), header("web01", "disk0", 0), content)
			if len(held.Chunks) != c.chunks {
				t.Fatalf("%d chunks, want %d", len(held.Chunks), c.chunks)
			}
			if want := catalog.DumpID("web01/disk0/20250102030405/0"); held.Dump != want {
				t.Errorf("dump %s, want %s", held.Dump, want)
			}
			checkHeld(t, mem.CrashClone(), held, content)
		})
	}
}

// The bytes may come in pieces of any size.
func TestSmallWrites(t *testing.T) {
	mem := newDisk(t)
	h := newHolding(mem)
	content := random(3*data + 77)
	res, err := h.Reserve(10)
	if err != nil {
		t.Fatal(err)
	}
	w, err := h.Create(run, header("web01", "disk0", 0), res)
	if err != nil {
		t.Fatal(err)
	}
	for rest, n := content, 1; len(rest) > 0; n = n*3 + 1 {
		n = min(n, len(rest))
		if _, err := w.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	final := header("web01", "disk0", 0)
	final.OrigKiB = 7
	held, err := w.Finish(final)
	if err != nil {
		t.Fatal(err)
	}
	checkHeld(t, mem, held, content)
}

// What the media must look like for Amanda.
func TestLayout(t *testing.T) {
	mem := newDisk(t)
	held := mustHold(t, newHolding(mem), header("web01", "disk 0:x", 1), random(2*data+9))
	dir := disk + "/20250102030405"
	want := []string{dir + "/web01.disk 0_x.1", dir + "/web01.disk 0_x.1.1", dir + "/web01.disk 0_x.1.2"}
	for i, c := range held.Chunks {
		if c.Path != want[i] {
			t.Errorf("chunk %d is %s, want %s", i, c.Path, want[i])
		}
		raw, err := vfs.ReadFile(mem, c.Path)
		if err != nil {
			t.Fatal(err)
		}
		block := raw[:vtape.HeaderBytes]
		if sum := vtape.Checksum(block); sum != c.HeaderCRC {
			t.Errorf("%s: header checksum %08x, recorded %08x", c.Path, sum, c.HeaderCRC)
		}
		if sum := vtape.Checksum(raw[vtape.HeaderBytes:]); sum != c.CRC {
			t.Errorf("%s: checksum %08x, recorded %08x", c.Path, sum, c.CRC)
		}
		head, err := vtape.ParseHeader(block)
		if err != nil {
			t.Fatal(err)
		}
		next := ""
		if i+1 < len(want) {
			next = want[i+1]
		}
		if head.ContFilename != next {
			t.Errorf("%s: CONT_FILENAME %q, want %q", c.Path, head.ContFilename, next)
		}
		if i > 0 && (head.Type != vtape.TypeContFile || head.Server != vtape.CRC{} || head.OrigKiB != 0) {
			t.Errorf("%s: header %+v", c.Path, head)
		}
	}
	info, err := mem.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("run directory has mode %v, error %v", info.Mode(), err)
	}
}

// Names that Amanda's scheme gives twice: the second dump gets another, and each stays what it is.
func TestNamesThatMeet(t *testing.T) {
	mem := newDisk(t)
	h := newHolding(mem)
	long := strings.Repeat("ä", 120) // 240 bytes, within what a header holds
	dumps := []struct {
		head vtape.Header
		held catalog.Holding
	}{
		{head: header("a", "b", 0)},   // a.b.0, a.b.0.1
		{head: header("a", "b.0", 1)}, // a.b.0.1 is taken
		{head: header("a.b", "c", 0)},
		{head: header("a", "b.c", 0)},
		{head: header("a/b", "c", 0)},
		{head: header("a:b", "c", 0)},
		{head: header(long, "c", 0)},
		{head: header(long, "d", 0)},
	}
	for i := range dumps {
		dumps[i].held = mustHold(t, h, dumps[i].head, random(data+i+1))
	}
	for i, d := range dumps {
		checkHeld(t, mem, d.held, random(data+i+1))
	}
	found, err := holding.Scan(mem, disk)
	if err != nil || len(found) != len(dumps) {
		t.Errorf("found %d dumps of %d, error %v", len(found), len(dumps), err)
	}
	for _, f := range found {
		if f.Err != nil {
			t.Error(f.Err)
		}
	}
}

// Several dumps at once, released while others are created: a run's directory is there when it is needed.
func TestManyAtOnce(t *testing.T) {
	mem := newDisk(t)
	h := holding.New(mem, holding.Options{Dirs: []holding.Dir{{Path: disk}}, ChunkBytes: chunk})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 20 {
				content := random(g*data/3 + i)
				held, err := hold(h, header(fmt.Sprintf("vm%d", g%3), "disk0", catalog.Level(i%2)), content)
				if err != nil {
					t.Error(err)
					return
				}
				r, err := holding.Open(mem, held)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := readAll(r); err != nil || !bytes.Equal(got, content) {
					t.Errorf("other bytes than were written, error %v", err)
				}
				if err := errors.Join(r.Close(), h.Release(held)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if left := ls(t, mem); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestReadAtAndLocate(t *testing.T) {
	mem := newDisk(t)
	content := random(2*data + 100)
	held := mustHold(t, newHolding(mem), header("web01", "disk0", 0), content)
	r, err := holding.Open(mem, held)
	if err != nil {
		t.Fatal(err)
	}
	var _ vtape.Stream = r
	buf := make([]byte, 300)
	if _, err := r.ReadAt(buf, data-150); err != nil || !bytes.Equal(buf, content[data-150:data+150]) {
		t.Errorf("over the border: %v", err)
	}
	if n, err := r.ReadAt(buf, 2*data); n != 100 || err != io.EOF {
		t.Errorf("over the end: %d, %v", n, err)
	}
	want := vtape.Place{Path: held.Chunks[1].Path, Offset: vtape.HeaderBytes + 5, Left: data - 5}
	if got := r.Locate(data + 5); got != want {
		t.Errorf("located at %+v, want %+v", got, want)
	}
}

// What is wrong with a chunk is told with its name, by Open or by the read that meets it.
func TestDamage(t *testing.T) {
	write := func(t *testing.T, mem *vfs.Mem, name string, change func([]byte) []byte) {
		raw, err := vfs.ReadFile(mem, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := vfs.WriteFileDurable(mem, name, change(raw), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 4; return b }
	}
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
		found  bool // is seen without a catalog, too
		want   string
	}{
		{"one byte short", func(b []byte) []byte { return b[:len(b)-1] }, true, "bytes"},
		{"one byte more", func(b []byte) []byte { return append(b, 0) }, true, "bytes"},
		{"only half a header", func(b []byte) []byte { return b[:20000] }, true, "20000 bytes"},
		{"bit in the header's text", flip(3), true, ""},
		{"bit in the header's padding", flip(30000), false, "header has checksum"},
		{"bit in the data", flip(40000), false, "checksum"},
	} {
		for i := range 3 {
			t.Run(fmt.Sprintf("%s, chunk %d", c.name, i), func(t *testing.T) {
				mem := newDisk(t)
				held := mustHold(t, newHolding(mem), header("web01", "disk0", 0), random(3*data))
				bad := held.Chunks[i].Path
				write(t, mem, bad, c.change)
				r, err := holding.Open(mem, held)
				if err == nil {
					err = r.Verify(t.Context())
				}
				if err == nil || !strings.Contains(err.Error(), bad) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want one of %s with %q", err, bad, c.want)
				}
				_, err = openFound(mem, held.Chunks[0].Path)
				if c.found != (err != nil) {
					t.Errorf("found: error %v", err)
				}
			})
		}
	}
}

// A chunk that shrinks under an open reader is an error, not an early end.
func TestChunkShrinks(t *testing.T) {
	mem := newDisk(t)
	held := mustHold(t, newHolding(mem), header("web01", "disk0", 0), random(data))
	r, err := holding.Open(mem, held)
	if err != nil {
		t.Fatal(err)
	}
	f, err := mem.OpenFile(held.Chunks[0].Path, 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(vtape.HeaderBytes + 10); err != nil {
		t.Fatal(err)
	}
	_, err = readAll(r)
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), held.Chunks[0].Path) {
		t.Errorf("error %v", err)
	}
}

func TestWriterAfterItsEnd(t *testing.T) {
	mem := newDisk(t)
	h := newHolding(mem)
	res, err := h.Reserve(1)
	if err != nil {
		t.Fatal(err)
	}
	w, err := h.Create(run, header("web01", "disk0", 0), res)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Abort(), w.Abort()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("write: %v", err)
	}
	if _, err := w.Finish(header("web01", "disk0", 0)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("finish: %v", err)
	}
	if left := ls(t, mem); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestRelease(t *testing.T) {
	mem := newDisk(t)
	h := newHolding(mem)
	one := mustHold(t, h, header("web01", "disk0", 0), random(3*data))
	two := mustHold(t, h, header("web02", "disk0", 0), random(10))
	for range 2 { // the second time there is nothing to do
		if err := h.Release(one); err != nil {
			t.Fatal(err)
		}
	}
	checkHeld(t, mem, two, random(10))
	if err := h.Release(two); err != nil {
		t.Fatal(err)
	}
	if left := ls(t, mem); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if err := h.Release(two); err != nil {
		t.Errorf("when its directory is gone: %v", err)
	}
	if err := h.Release(catalog.Holding{}); err != nil {
		t.Errorf("nothing: %v", err)
	}
}

func paths(held ...catalog.Holding) []string {
	var all []string
	for _, h := range held {
		for _, c := range h.Chunks {
			all = append(all, c.Path)
		}
	}
	slices.Sort(all)
	return all
}
