package taper_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/dir"
	"holdfast/vtape/taper"
)

const (
	align = vtape.PartAlign
	head  = vtape.HeaderBytes
	stamp = catalog.Stamp("20250102030405")
)

// shelf is a row of empty volumes that are all the same size, and what the catalog is told of them.
type shelf struct {
	fs       vfs.FS
	capacity int64
	volumes  int
	given    int
	devices  map[catalog.Label]vtape.Device

	parts    []catalog.Part
	events   []string
	fail     error // of PartWritten
	failNext error
}

func newShelf(fsys vfs.FS, volumes int, capacity int64) *shelf {
	return &shelf{fs: fsys, capacity: capacity, volumes: volumes, devices: make(map[catalog.Label]vtape.Device)}
}

func (s *shelf) Next(ctx context.Context) (taper.Mounted, error) {
	if s.failNext != nil {
		return taper.Mounted{}, s.failNext
	}
	if s.given == s.volumes {
		return taper.Mounted{}, fmt.Errorf("%w: all %d are used", taper.ErrNoVolume, s.volumes)
	}
	s.given++
	label := catalog.Label(fmt.Sprintf("Night-%02d", s.given))
	slot := fmt.Sprint(s.given)
	mem := s.fs
	if err := vfs.MkdirAll(mem, "/slot"+slot, 0o755); err != nil {
		return taper.Mounted{}, err
	}
	dev := dir.New(mem, "/slot"+slot, dir.Options{CapacityBytes: s.capacity})
	if err := dev.Format(ctx, vtape.Header{Type: vtape.TypeTapeStart, Stamp: string(stamp), Label: label}); err != nil {
		return taper.Mounted{}, err
	}
	s.devices[label] = dev
	return taper.Mounted{Device: dev, Label: label, Slot: slot, Capacity: s.capacity, NextFile: 1, New: true}, nil
}

func (s *shelf) VolumeStarted(_ context.Context, v catalog.VolumeStarted) error {
	s.events = append(s.events, fmt.Sprintf("start %s slot %s", v.Label, v.Slot))
	return nil
}

func (s *shelf) PartWritten(ctx context.Context, p catalog.Part, _ float64) error {
	if s.fail != nil {
		return s.fail
	}
	s.parts = append(s.parts, p)
	s.events = append(s.events, fmt.Sprintf("part %d on %s file %d: %d bytes", p.Number, p.Label, p.File, p.Bytes))
	return ctx.Err()
}

func (s *shelf) VolumeFinished(_ context.Context, v catalog.VolumeFinished, cause error) error {
	failed := ""
	if cause != nil {
		failed = " failed"
	}
	s.events = append(s.events, fmt.Sprintf("end %s: %d files, %d bytes%s", v.Label, v.Files, v.Bytes, failed))
	return nil
}

func (s *shelf) open(_ context.Context, label catalog.Label) (vtape.Device, error) {
	dev := s.devices[label]
	if dev == nil {
		return nil, vtape.ErrAbsent
	}
	return dev, nil
}

func (s *shelf) taper(partBytes int64) *taper.Taper {
	var now time.Time
	return taper.New(taper.Options{
		Scan: s, Feedback: s, PartBytes: partBytes, Storage: "main", WriteStamp: stamp,
		Clock: func() time.Time { now = now.Add(time.Second); return now },
	})
}

func random(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(uint64(n), 1))
	for i := 0; i+8 <= n; i += 8 {
		for j, v := 0, r.Uint64(); j < 8; j, v = j+1, v>>8 {
			b[i+j] = byte(v)
		}
	}
	return b
}

func header(vm string) vtape.Header {
	return vtape.Header{
		Type: vtape.TypeFile, Stamp: string(stamp), Host: vm, Disk: "disk0", Compress: ".zst", Program: catalog.ProgramImage,
		Image: &vtape.ImageInfo{ImageBytes: 1 << 30}, ContFilename: "/hold/x",
	}
}

func id(vm string) catalog.DumpID {
	return catalog.NewDumpID(catalog.DLE{VM: vm, Disk: "disk0"}, stamp, 0)
}

func held(vm string, content []byte) taper.Dump {
	h := header(vm)
	h.Server = vtape.CRC{Sum: vtape.Checksum(content), Bytes: int64(len(content))}
	return taper.Dump{ID: id(vm), Header: h, Held: bytes.NewReader(content), HeldBytes: int64(len(content))}
}

// stream hides that the reader could go back.
func stream(vm string, from io.Reader) taper.Dump {
	return taper.Dump{ID: id(vm), Header: header(vm), Stream: struct{ io.Reader }{from}, Final: func() vtape.Header {
		h := header(vm)
		h.OrigKiB, h.Native = 77, vtape.CRC{Sum: 7, Bytes: 77 << 10}
		return h
	}}
}

// check reads a copy back by the catalog, verifies its parts, and finds it again by the headers alone.
func (s *shelf) check(t *testing.T, res taper.Result, content []byte) {
	t.Helper()
	if res.Bytes != int64(len(content)) || res.CRC != vtape.Checksum(content) || res.Seconds <= 0 {
		t.Fatalf("result %+v, of %d bytes with %08x", res, len(content), vtape.Checksum(content))
	}
	r, err := taper.OpenCopy(t.Context(), res.Parts, s.open)
	if err != nil {
		t.Fatal(err)
	}
	var _ vtape.Stream = r
	if got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size())); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("other bytes than were written (%d of %d), error %v", len(got), len(content), err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for i, p := range res.Parts {
		if err := taper.VerifyPart(t.Context(), s.devices[p.Label], p); err != nil {
			t.Fatal(err)
		}
		if p.Bytes == 0 && len(content) > 0 || p.Bytes%align != 0 && i+1 < len(res.Parts) {
			t.Fatalf("part %d has %d bytes", p.Number, p.Bytes)
		}
	}
	s.checkFound(t, res)
}

// checkFound compares what the headers tell with what the catalog knows.
func (s *shelf) checkFound(t *testing.T, res taper.Result) {
	t.Helper()
	var files []taper.File
	for _, dev := range s.devices {
		_, on, damaged, err := taper.ReadVolume(t.Context(), dev)
		if err != nil || len(damaged) > 0 {
			t.Fatal(err, damaged)
		}
		files = append(files, on...)
	}
	for _, f := range taper.FromHeaders(files) {
		if f.Copy.Dump != res.Parts[0].Dump {
			continue
		}
		if f.Err != nil || f.Copy.Status != catalog.StatusOK || len(f.Copy.Parts) != len(res.Parts) {
			t.Fatalf("found %+v, want %d parts", f, len(res.Parts))
		}
		for i, p := range f.Copy.Parts {
			want := res.Parts[i]
			p.Storage, p.CRC = want.Storage, want.CRC
			if p != want {
				t.Fatalf("found part %+v, want %+v", p, want)
			}
		}
		return
	}
	t.Fatalf("%s is not found", res.Parts[0].Dump)
}

// A dump goes over as many volumes as it takes, wherever they end, and is the same afterwards.
func TestSpanning(t *testing.T) {
	content := random(9*align + 1234)
	for _, partBytes := range []int64{0, align, 3*align - 5} {
		for capacity := int64(2*head + align); capacity < int64(len(content))+16*head; capacity += head * 3 / 2 {
			for name, d := range map[string]taper.Dump{
				"held": held("web01", content), "stream": stream("web01", bytes.NewReader(content)),
			} {
				t.Run(fmt.Sprintf("%s, parts of %d, volumes of %d", name, partBytes, capacity), func(t *testing.T) {
					s := newShelf(vfs.NewMem(), 12, capacity)
					res, err := s.taper(partBytes).Write(t.Context(), d)
					if err != nil {
						t.Fatal(err)
					}
					s.check(t, res, content)
					for label, dev := range s.devices {
						if room, err := dev.Room(t.Context()); err != nil || room < 0 {
							t.Errorf("volume %s: room %d, error %v", label, room, err)
						}
					}
					if len(res.Volumes) != len(s.devices) {
						t.Errorf("dump on %v, %d volumes used", res.Volumes, len(s.devices))
					}
				})
			}
		}
	}
}

// More than the buffer holds, in writes of all sizes.
func TestLargeStream(t *testing.T) {
	content := random(40*align + 99)
	s := newShelf(vfs.NewMem(), 3, 17*align)
	res, err := s.taper(5*align).Write(t.Context(), stream("web01", &dribble{content, 1}))
	if err != nil {
		t.Fatal(err)
	}
	s.check(t, res, content)
}

type dribble struct {
	rest []byte
	n    int
}

func (d *dribble) Read(p []byte) (int, error) {
	if len(d.rest) == 0 {
		return 0, io.EOF
	}
	d.n = d.n*5%100003 + 1
	n := copy(p[:min(len(p), d.n)], d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// Dumps of one run follow one another on a volume; an empty one has one empty part.
func TestSeveralDumps(t *testing.T) {
	s := newShelf(vfs.NewMem(), 5, 6*align)
	tp := s.taper(2 * align)
	contents := map[string][]byte{"a": random(3*align + 5), "b": nil, "c": random(2 * align), "d": random(align)}
	results := make(map[string]taper.Result)
	for _, vm := range []string{"a", "b", "c", "d"} {
		res, err := tp.Write(t.Context(), held(vm, contents[vm]))
		if err != nil {
			t.Fatal(err)
		}
		results[vm] = res
	}
	if err := errors.Join(tp.Close(t.Context()), tp.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	for vm, res := range results {
		s.check(t, res, contents[vm])
	}
	want := []string{
		"start Night-01 slot 1",
		"part 1 on Night-01 file 1: 262144 bytes", "part 2 on Night-01 file 2: 131077 bytes",
		"part 1 on Night-01 file 3: 0 bytes",
		"part 1 on Night-01 file 4: 131072 bytes",
		"end Night-01: 4 files, 688133 bytes",
		"start Night-02 slot 2",
		"part 2 on Night-02 file 1: 131072 bytes",
		"part 1 on Night-02 file 2: 131072 bytes",
		"end Night-02: 2 files, 360448 bytes",
	}
	equal(t, s.events, want)
}

func equal(t *testing.T, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Errorf("got\n%q\nwant\n%q", got, want)
			return
		}
	}
}

// The last part of a stream says what was not known before.
func TestHeaders(t *testing.T) {
	content := random(3 * align)
	s := newShelf(vfs.NewMem(), 1, 0)
	res, err := s.taper(2*align).Write(t.Context(), stream("web01", bytes.NewReader(content)))
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range res.Parts {
		r, err := s.devices[p.Label].Open(t.Context(), p.File)
		if err != nil {
			t.Fatal(err)
		}
		h := r.Header()
		if h.Type != vtape.TypeSplitFile || h.Part != i+1 || h.TotalParts != -1 || h.ContFilename != "" || h.Partial {
			t.Errorf("header %+v", h)
		}
		want := vtape.CRC{}
		if i == 1 {
			want = vtape.CRC{Sum: vtape.Checksum(content), Bytes: int64(len(content))}
		}
		if h.Server != want || (h.OrigKiB == 77) != (i == 1) || h.Image.StoredBytes != want.Bytes {
			t.Errorf("part %d: header %+v", i+1, h)
		}
	}
	s.check(t, res, content)
}
