package taper_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/internal/testtools"
	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/dir"
	"holdfast/vtape/taper"
)

func clock() func() time.Time {
	var now time.Time
	return func() time.Time { now = now.Add(time.Second); return now }
}

func device(fsys vfs.FS, path string) vtape.Device { return dir.New(fsys, path, dir.Options{}) }

// Volumes that Amanda 3.5.1 wrote, put together by their headers: parts over several volumes, an empty last part, and
// parts written twice because a volume ended inside them.
func TestReadsAmandas(t *testing.T) {
	type dump struct {
		id     catalog.DumpID
		parts  string // label/file:bytes
		sha256 string
	}
	for _, c := range []struct {
		fixture string
		slots   int
		dumps   []dump
	}{
		{"fxbasic", 1, []dump{
			{"localhost/dir-etc/20261121195027/0", "FXABASIC-01/1:10240", "2dc2d7ec4ff14bdc9039160e9654915f3cbe731aa4b00b1c2158d255feb580eb"},
			{"localhost/img-root/20261121195027/0", "FXABASIC-01/2:65536 FXABASIC-01/3:37185", "01c546bf8436888595770509ee9df7d40c5afcc82f1d21636450597ebe1d66d4"},
			{"localhost/dir-etc/20261121195034/1", "FXABASIC-01/4:10240", "3b2cc7ce0d85a1a98e15fa351507687dcf658422d2456cd571e3a48f25a6a6ca"},
		}},
		{"fxspan", 3, []dump{
			{"localhost/bigdisk/20261121195039/0", "FXASPAN-01/1:65536 FXASPAN-01/2:32768 FXASPAN-02/1:65536 FXASPAN-02/2:32768 FXASPAN-03/1:59381", "edd658b99a14d34b739370fddb07daf0a614c3d43023247506558506e4328b4c"},
		}},
		{"fxspan0", 4, []dump{
			{"localhost/bigdisk/20261121195044/0", "FXASPAN0-01/1:65536 FXASPAN0-01/2:32768 FXASPAN0-02/1:65536 FXASPAN0-02/2:32768 FXASPAN0-03/1:65536 FXASPAN0-03/2:24565 FXASPAN0-04/1:0", "9d3c62df9eb5a2c107f746100b7e964b266f9562977561fabe618dd6a1ae553a"},
		}},
		{"fxspanp", 3, []dump{
			{"localhost/bigdisk/20261121195051/0", "FXASPANP-01/1:65536 FXASPANP-01/2:65536 FXASPANP-02/1:65536 FXASPANP-02/2:65536 FXASPANP-03/1:45069", "b9b70861d10b7fa1ea76bd76b0482c2ab365ad1a486dffdc13cba41f7c041889"},
		}},
	} {
		t.Run(c.fixture, func(t *testing.T) {
			mem := vfs.NewMem()
			testtools.Untar(t, "../testdata/"+c.fixture+".tar.gz", mem, "/")
			devices := make(map[catalog.Label]vtape.Device)
			var files []taper.File
			for slot := c.slots; slot > 0; slot-- { // the order is of no matter
				dev := device(mem, fmt.Sprintf("/%s/vtapes/slot%d", c.fixture, slot))
				label, on, damaged, err := taper.ReadVolume(t.Context(), dev)
				if err != nil || len(damaged) > 0 {
					t.Fatal(err, damaged)
				}
				devices[label.Label] = dev
				files = append(files, on...)
			}
			found := taper.FromHeaders(files)
			if len(found) != len(c.dumps) {
				t.Fatalf("%d dumps, want %d", len(found), len(c.dumps))
			}
			for i, f := range found {
				var parts []string
				for _, p := range f.Copy.Parts {
					parts = append(parts, fmt.Sprintf("%s/%d:%d", p.Label, p.File, p.Bytes))
				}
				if f.Copy.Dump != c.dumps[i].id || strings.Join(parts, " ") != c.dumps[i].parts || f.Err != nil {
					t.Errorf("found %s: %s (%v), want %+v", f.Copy.Dump, parts, f.Err, c.dumps[i])
				}
				s, err := taper.OpenCopy(t.Context(), f.Copy.Parts, func(_ context.Context, label catalog.Label) (vtape.Device, error) {
					return devices[label], nil
				})
				if err != nil {
					t.Fatal(err)
				}
				hash := sha256.New()
				if _, err := io.Copy(hash, io.NewSectionReader(s, 0, s.Size())); err != nil {
					t.Fatal(err)
				}
				if sum := hex.EncodeToString(hash.Sum(nil)); sum != c.dumps[i].sha256 {
					t.Errorf("%s: SHA-256 %s, want %s", f.Copy.Dump, sum, c.dumps[i].sha256)
				}
			}
		})
	}
}

// files makes files of one dump from "LABEL/FILE: part PART, N bytes", N in units of an alignment.
func files(on ...string) []taper.File {
	var list []taper.File
	for _, text := range on {
		var f taper.File
		var part int
		if _, err := fmt.Sscanf(text, "%1s%d: %d %d", (*string)(&f.Label), &f.Number, &part, &f.Bytes); err != nil {
			panic(err)
		}
		f.Bytes *= align
		f.Header = header("web01")
		f.Header.Image = nil
		f.Header.Type, f.Header.Part, f.Header.TotalParts = vtape.TypeSplitFile, part, -1
		f.WriteStamp = stamp
		list = append(list, f)
	}
	return list
}

func ours(list []taper.File) []taper.File {
	for i := range list {
		list[i].Header.Image = &vtape.ImageInfo{ImageBytes: 1 << 30}
	}
	return list
}

// Which files make up a copy, and what is missing.
func TestFromHeaders(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []taper.File
		bytes int64 // that the headers say; 0: nothing
		total int
		parts string // LABEL FILE of each
		err   string
	}{
		{"one part", files("A1: 1 5"), 5, 0, "A1", ""},
		{"nothing known of the end", files("A1: 1 5", "A2: 2 5"), 0, 0, "A1 A2", ""},
		{"total known", files("A1: 1 5", "A2: 2 5"), 0, 2, "A1 A2", ""},
		{"total not there", files("A1: 1 5", "A2: 2 5"), 0, 3, "A1 A2", "2 of 3 parts"},
		{"end missing", files("A1: 1 5", "A2: 2 5"), 11, 0, "A1 A2", "1310720 of 1441792 bytes"},
		{"too much", files("A1: 1 5", "A2: 2 5"), 9, 0, "A1 A2", "more is there"},
		{"beginning missing", files("A1: 2 5", "A2: 3 5"), 15, 0, "A1 A2", "part 1 is missing"},
		{"middle missing", files("A1: 1 5", "A2: 3 5"), 15, 0, "A1 A2", "part 2 is missing"},
		{"labels in another order", files("Z1: 1 5", "Z2: 2 5", "A1: 3 5", "M1: 4 5"), 20, 0, "Z1 Z2 A1 M1", ""},
		{"written again on the next volume", files("Z1: 1 5", "Z2: 2 3", "A1: 2 5", "A2: 3 1"), 11, 0, "Z1 A1 A2", ""},
		{"on two volumes", files("Z1: 1 5", "Z2: 2 3", "M1: 2 1", "A1: 2 5", "A2: 3 1"), 11, 0, "Z1 A1 A2", ""},
		{"the only part again", files("Z1: 1 3", "A1: 1 5"), 5, 0, "A1", ""},
		{"the last part again", files("Z1: 1 5", "B1: 2 1", "A1: 2 2"), 7, 0, "Z1 A1", ""},
		{"a second try of all on one volume", files("A1: 1 5", "A2: 2 5", "A3: 3 1", "A4: 1 5", "A5: 2 6"), 11, 0, "A4 A5", ""},
		{"ours, the last part missing", ours(files("A1: 1 5", "A2: 2 5")), 0, 0, "A1 A2", "the last part is missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i := range c.files {
				c.files[i].Header.Server = vtape.CRC{Sum: 1, Bytes: c.bytes * align}
				c.files[i].Header.TotalParts = max(c.total, -1)
			}
			slices.Reverse(c.files)
			other := files("X1: 1 1")
			other[0].WriteStamp = "20250103000000" // another copy of the same dump
			label := taper.File{Header: vtape.Header{Type: vtape.TypeTapeEnd}}
			found := taper.FromHeaders(append(append(other, label), c.files...))
			if len(found) != 2 {
				t.Fatalf("found %+v", found)
			}
			var parts []string
			for _, p := range found[0].Copy.Parts {
				parts = append(parts, fmt.Sprintf("%s%d", p.Label, p.File))
			}
			if strings.Join(parts, " ") != c.parts {
				t.Errorf("parts %v, want %s", parts, c.parts)
			}
			err := found[0].Err
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if (found[0].Copy.Status == catalog.StatusOK) != (c.err == "") {
				t.Errorf("status %s", found[0].Copy.Status)
			}
		})
	}
}

// written gives two volumes with a dump of three parts on them.
func written(t *testing.T) (*vfs.Mem, *shelf, taper.Result) {
	t.Helper()
	mem := vfs.NewMem()
	s := newShelf(mem, 2, 6*align)
	res, err := s.taper(2*align).Write(t.Context(), held("web01", random(5*align+100)))
	if err != nil || len(res.Parts) != 4 {
		t.Fatalf("%+v, error %v", res, err)
	}
	return mem, s, res
}

func TestLocate(t *testing.T) {
	_, s, res := written(t)
	r, err := taper.OpenCopy(t.Context(), res.Parts, s.open)
	if err != nil {
		t.Fatal(err)
	}
	last := res.Parts[3]
	want := vtape.Place{Label: last.Label, File: last.File, Offset: head + 3, Left: last.Bytes - 3}
	if got := r.Locate(last.Offset + 3); got != want {
		t.Errorf("located at %+v, want %+v", got, want)
	}
	if text := want.String(); text != "volume Night-02 file 1: byte 32771" {
		t.Errorf("place is called %q", text)
	}
}

// Whatever is wrong with a file is told with volume, file and range, and no other bytes are handed out.
func TestDamage(t *testing.T) {
	change := func(t *testing.T, mem *vfs.Mem, name string, change func([]byte) []byte) {
		raw, err := vfs.ReadFile(mem, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := vfs.WriteFileDurable(mem, name, change(raw), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flip := func(at int) func(b []byte) []byte {
		return func(b []byte) []byte { b[at] ^= 1; return b }
	}
	rewrite := func(edit func(*vtape.Header)) func(b []byte) []byte {
		return func(b []byte) []byte {
			h, err := vtape.ParseHeader(b[:head])
			if err != nil {
				t.Fatal(err)
			}
			edit(&h)
			block, err := h.Block()
			if err != nil {
				t.Fatal(err)
			}
			return append(block, b[head:]...)
		}
	}
	const bytes = 2 * align
	for _, c := range []struct {
		name           string
		damage         func(t *testing.T, mem *vfs.Mem, file string)
		scanned        bool // the header's checksum is not known
		readable       bool // only the part's checksum tells
		offset, length int64
		want           string
	}{
		{name: "bit in the header", length: head, want: "header has checksum", damage: func(t *testing.T, mem *vfs.Mem, f string) {
			change(t, mem, f, flip(20000))
		}},
		{name: "header gone", length: head, damage: func(t *testing.T, mem *vfs.Mem, f string) {
			change(t, mem, f, flip(1))
		}},
		{name: "file gone", length: head, want: "no such file", damage: func(t *testing.T, mem *vfs.Mem, f string) {
			if err := mem.Remove(f); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "cut short", offset: head + bytes - 7, want: "262137 bytes of data, want 262144", damage: func(t *testing.T, mem *vfs.Mem, f string) {
			change(t, mem, f, func(b []byte) []byte { return b[:len(b)-7] })
		}},
		{name: "cut inside the header", length: head, damage: func(t *testing.T, mem *vfs.Mem, f string) {
			change(t, mem, f, func(b []byte) []byte { return b[:100] })
		}},
		{name: "too long", offset: head + bytes, want: "want 262144", damage: func(t *testing.T, mem *vfs.Mem, f string) {
			change(t, mem, f, func(b []byte) []byte { return append(b, 0) })
		}},
		{name: "another dump", scanned: true, length: head, want: "file of dump web02", damage: func(t *testing.T, mem *vfs.Mem, f string) {
			change(t, mem, f, rewrite(func(h *vtape.Header) { h.Host = "web02" }))
		}},
		{name: "another part", scanned: true, length: head, want: "part 3, want 2", damage: func(t *testing.T, mem *vfs.Mem, f string) {
			change(t, mem, f, rewrite(func(h *vtape.Header) { h.Part = 3 }))
		}},
		{name: "a chunk", scanned: true, length: head, want: "header of type CONT_FILE", damage: func(t *testing.T, mem *vfs.Mem, f string) {
			change(t, mem, f, rewrite(func(h *vtape.Header) { h.Type = vtape.TypeContFile }))
		}},
		{name: "bit in the data", readable: true, offset: head, length: bytes, want: "checksum", damage: func(t *testing.T, mem *vfs.Mem, f string) {
			change(t, mem, f, flip(head+5000))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem, s, res := written(t)
			p := res.Parts[1]
			c.damage(t, mem, "/slot1/00002.web01.disk0.0")
			if c.scanned {
				p.HeaderCRC = 0
				res.Parts[1] = p
			}
			r, err := taper.OpenCopy(t.Context(), res.Parts, s.open)
			if err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 10)
			_, readErr := r.ReadAt(buf, p.Offset+50)
			if c.readable != (readErr == nil) {
				t.Errorf("read: %v", readErr)
			}
			if _, err := r.ReadAt(buf, res.Parts[0].Offset); err != nil {
				t.Errorf("the part before: %v", err)
			}
			for _, err := range []error{readErr, taper.VerifyPart(t.Context(), s.devices[p.Label], p)} {
				var d *vtape.Damage
				if err == nil && c.readable {
					continue
				}
				if !errors.As(err, &d) {
					t.Fatalf("error %v", err)
				}
				if d.Label != p.Label || d.File != p.File || d.Offset != c.offset || d.Length != c.length || !strings.Contains(err.Error(), c.want) {
					t.Errorf("damage %+v, want bytes %d+%d and %q", d, c.offset, c.length, c.want)
				}
			}
		})
	}
}

// A read that fails is damage of the bytes that were to be read.
func TestReadFails(t *testing.T) {
	mem, _, res := written(t)
	dead := false
	fsys := vfs.Wrap(mem, func(op vfs.Op) error {
		if op.Kind == vfs.OpRead && dead {
			return errInjected
		}
		return nil
	})
	r, err := taper.OpenCopy(t.Context(), res.Parts, func(context.Context, catalog.Label) (vtape.Device, error) {
		return device(fsys, "/slot1"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	if _, err := r.ReadAt(buf, 7); err != nil {
		t.Fatal(err)
	}
	dead = true
	_, err = r.ReadAt(buf, 7)
	var d *vtape.Damage
	if !errors.As(err, &d) || !errors.Is(err, errInjected) || d.File != 1 || d.Offset != head+7 || d.Length != 10 {
		t.Errorf("error %v", err)
	}
}

// A volume that is not there is no damage: it may be found.
func TestVolumeAbsent(t *testing.T) {
	_, _, res := written(t)
	for name, open := range map[string]taper.OpenDevice{
		"not given":       func(context.Context, catalog.Label) (vtape.Device, error) { return nil, vtape.ErrAbsent },
		"directory empty": func(context.Context, catalog.Label) (vtape.Device, error) { return device(vfs.NewMem(), "/no"), nil },
	} {
		r, err := taper.OpenCopy(t.Context(), res.Parts, open)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.ReadAt(make([]byte, 10), 0)
		var d *vtape.Damage
		if !errors.Is(err, vtape.ErrAbsent) || errors.As(err, &d) || !strings.Contains(err.Error(), "volume Night-01") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// Parts that do not follow one another are refused at once.
func TestOpenCopyChecksParts(t *testing.T) {
	_, s, res := written(t)
	edit := func(edit func(parts []catalog.Part) []catalog.Part) []catalog.Part {
		return edit(slices.Clone(res.Parts))
	}
	for name, parts := range map[string][]catalog.Part{
		"none":         nil,
		"first gone":   res.Parts[1:],
		"one gone":     edit(func(p []catalog.Part) []catalog.Part { return slices.Delete(p, 1, 2) }),
		"other offset": edit(func(p []catalog.Part) []catalog.Part { p[2].Offset++; return p }),
		"other dump":   edit(func(p []catalog.Part) []catalog.Part { p[1].Dump = id("web02"); return p }),
		"negative":     edit(func(p []catalog.Part) []catalog.Part { p[0].Bytes = -5; return p }),
	} {
		if _, err := taper.OpenCopy(t.Context(), parts, s.open); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
