package recovery_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"holdfast/catalog"
	"holdfast/dumpers"
	"holdfast/dumpers/dumpertest"
	"holdfast/internal/blockmap"
	"holdfast/internal/frames"
	"holdfast/internal/vfs"
	"holdfast/scheduler/recovery"
	"holdfast/vtape"
	"holdfast/vtape/dir"
	"holdfast/vtape/holding"
	"holdfast/vtape/rait"
	"holdfast/vtape/taper"
)

const cluster = 64 << 10

// store is a catalog in memory with media to match: volumes below /slots, a holding disk in /holding, block maps.
type store struct {
	t       testing.TB
	fs      *vfs.Mem
	dumps   []catalog.Dump
	copies  map[catalog.DumpID][]catalog.Copy
	held    map[catalog.DumpID]*catalog.Holding
	maps    map[catalog.DumpID][]byte
	headers map[catalog.DumpID]vtape.Header
	volumes int
	// set is how many members volumes lie on, and how many may be lost; zero: on none, in one directory.
	set    struct{ members, parity int }
	secret *age.X25519Identity

	mu    sync.Mutex // the program notes from several goroutines
	notes []string
}

func newStore(t testing.TB) *store {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	s := &store{
		t: t, fs: vfs.NewMem(), secret: id, copies: map[catalog.DumpID][]catalog.Copy{},
		held: map[catalog.DumpID]*catalog.Holding{}, maps: map[catalog.DumpID][]byte{}, headers: map[catalog.DumpID]vtape.Header{},
	}
	for _, name := range []string{"/slots", "/holding", "/out"} {
		s.must(s.fs.Mkdir(name, 0o700))
	}
	s.must(s.fs.SyncDir("/"))
	return s
}

func (s *store) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// Dump, Dumps, Copies and Holding make the store a recovery.Catalog.
func (s *store) Dump(_ context.Context, id catalog.DumpID) (catalog.Dump, error) {
	for _, d := range s.dumps {
		if d.ID == id {
			return d, nil
		}
	}
	return catalog.Dump{}, fmt.Errorf("%s: %w", id, recovery.ErrNoDump)
}

func (s *store) Dumps(_ context.Context, dle *catalog.DLE) ([]catalog.Dump, error) {
	var out []catalog.Dump
	for _, d := range s.dumps {
		if dle == nil || *dle == d.DLE {
			out = append(out, d)
		}
	}
	return out, nil
}

func (s *store) Copies(_ context.Context, id catalog.DumpID) ([]catalog.Copy, error) {
	return s.copies[id], nil
}

func (s *store) Holding(_ context.Context, id catalog.DumpID) (*catalog.Holding, error) {
	return s.held[id], nil
}

// site is the place to restore from. What it notes is added to notes.
func (s *store) site() *recovery.Site {
	return &recovery.Site{
		Catalog: s, FS: s.fs, Workers: 3, Identities: []age.Identity{s.secret},
		Device: func(_ context.Context, _ string, label catalog.Label) (vtape.Device, error) {
			return s.device(label, 0), nil
		},
		Map: func(id catalog.DumpID) (*recovery.Map, error) {
			data, ok := s.maps[id]
			if !ok {
				return nil, fmt.Errorf("map of %s: %w", id, fs.ErrNotExist)
			}
			m, err := blockmap.Open(bytes.NewReader(data), int64(len(data)))
			if err != nil {
				return nil, err
			}
			return &recovery.Map{Map: m, Closer: io.NopCloser(nil)}, nil
		},
		Note: func(text string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.notes = append(s.notes, text)
		},
	}
}

func (s *store) open(d catalog.Dump) *recovery.Chain {
	s.t.Helper()
	c, err := s.site().OpenChain(context.Background(), d)
	s.must(err)
	s.t.Cleanup(c.Close)
	return c
}

// member is the directory of a member of a volume.
func (s *store) member(label catalog.Label, i int) string {
	return fmt.Sprintf("/slots/%s/d%d", label, i+1)
}

// device is a volume, in one directory or on a set of them. A volume on a set holds two parts and is full then.
func (s *store) device(label catalog.Label, capacity int64) vtape.Device {
	if s.set.members == 0 {
		return dir.New(s.fs, "/slots/"+string(label), dir.Options{CapacityBytes: capacity})
	}
	o := rait.Options{Parity: s.set.parity}
	if s.set.parity > 1 {
		o.ShardBytes = 8 << 10
	}
	if capacity > 0 {
		data := int64(max(1, s.set.members-s.set.parity))
		capacity = 5*vtape.HeaderBytes + 2*max(vtape.HeaderBytes, (128<<10)/data)
	}
	var members []rait.Member
	for i := range s.set.members {
		members = append(members, rait.Member{
			Name: fmt.Sprintf("d%d", i+1), Device: dir.New(s.fs, s.member(label, i), dir.Options{CapacityBytes: capacity}),
		})
	}
	dev, err := rait.New(members, o)
	s.must(err)
	return dev
}

// how says how a dump is made: of which VM, on what, compressed and encrypted or not.
type how struct {
	vm      string
	base    *catalog.Dump
	level   catalog.Level
	plain   bool
	encrypt bool
	// nowhere keeps the dump off the volumes.
	nowhere bool
}

func stampAt(n int) catalog.Stamp {
	return catalog.NewStamp(time.Date(2025, 3, 1, 1, 0, 0, 0, time.UTC).AddDate(0, 0, n))
}

// dump makes a dump of a disk with this content and writes it to volumes, in parts of 128 KiB.
func (s *store) dump(content []byte, h how) catalog.Dump {
	s.t.Helper()
	d := catalog.Dump{
		DLE: catalog.DLE{VM: h.vm, Disk: "disk0"}, Stamp: stampAt(len(s.dumps)), Level: h.level, Status: catalog.StatusOK,
		ImageBytes: int64(len(content)), Program: catalog.ProgramImage, Compress: "zstd",
	}
	job := dumpers.Job{View: s.view(content), Level: frames.Fast, Workers: 2, Sample: -1}
	if h.plain {
		d.Compress, job.Level = "", frames.None
	}
	if h.encrypt {
		d.Encrypt, job.Recipients = "age", []age.Recipient{s.secret.Recipient()}
	}
	if h.base != nil {
		d.Base = h.base.ID
		m, err := s.site().Map(h.base.ID)
		s.must(err)
		job.Base, job.Backing = m.Map, catalog.StandardName(h.base.DLE, h.base.Stamp, h.base.Level)
	}
	d.ID = catalog.NewDumpID(d.DLE, d.Stamp, d.Level)
	p, err := dumpers.Prepare(context.Background(), job)
	s.must(err)
	var stored, blocks bytes.Buffer
	r, err := p.Write(context.Background(), &stored, &blocks)
	s.must(err)
	d.OrigBytes, d.NativeCRC, d.StoredBytes, d.StoredCRC = r.OrigBytes, r.NativeCRC, r.StoredBytes, r.StoredCRC
	d.ChangedBytes, d.MapDigest = r.ChangedBytes, r.MapDigest
	s.maps[d.ID], s.headers[d.ID] = blocks.Bytes(), headerOf(d)
	s.dumps = append(s.dumps, d)
	if !h.nowhere {
		s.tape(d, stored.Bytes(), 256<<10)
	}
	return d
}

func (s *store) view(content []byte) dumpers.BlockView {
	s.t.Helper()
	m := dumpertest.NewMem("disk0", int64(len(content)))
	for off := 0; off < len(content); off += cluster {
		// Of the clusters of zeros, every other one is allocated: a source may not know.
		if p := content[off:min(off+cluster, len(content))]; !blockmap.IsZero(p) || off/cluster%8 == 3 {
			m.Write(int64(off), p)
		}
	}
	point, err := m.Pin(context.Background(), nil, "disk0")
	s.must(err)
	v, err := point.Disk(context.Background(), "disk0")
	s.must(err)
	return v
}

func headerOf(d catalog.Dump) vtape.Header {
	h := vtape.Header{
		Stamp: string(d.Stamp), Host: d.DLE.VM, Disk: d.DLE.Disk, Level: d.Level, Compress: "N", Program: d.Program,
		Native: vtape.CRC{Sum: d.NativeCRC, Bytes: d.OrigBytes}, Server: vtape.CRC{Sum: d.StoredCRC, Bytes: d.StoredBytes},
		Image: &vtape.ImageInfo{Base: d.Base, ImageBytes: d.ImageBytes, OrigBytes: d.OrigBytes, StoredBytes: d.StoredBytes},
	}
	if d.Compress != "" {
		h.Compress, h.ServerCompress = ".zst", "/usr/bin/zstd"
	}
	if d.Encrypt != "" {
		h.Encrypted, h.ServerEncrypt, h.ServerDecryptOpt = true, "/usr/bin/age", "-d"
	}
	return h
}

// shelf gives the taper one new volume after the other.
type shelf struct {
	*store
	capacity int64
	parts    []catalog.Part
}

func (s *shelf) Next(ctx context.Context) (taper.Mounted, error) {
	s.volumes++
	label := catalog.Label(fmt.Sprintf("V%03d", s.volumes))
	if err := s.fs.Mkdir("/slots/"+string(label), 0o700); err != nil {
		return taper.Mounted{}, err
	}
	for i := range s.set.members {
		if err := s.fs.Mkdir(s.member(label, i), 0o700); err != nil {
			return taper.Mounted{}, err
		}
	}
	dev := s.device(label, s.capacity)
	err := dev.Format(ctx, vtape.Header{Type: vtape.TypeTapeStart, Stamp: string(stampAt(0)), Label: label})
	return taper.Mounted{Device: dev, Label: label, Slot: "1", Capacity: s.capacity, New: true}, err
}

func (s *shelf) VolumeStarted(context.Context, catalog.VolumeStarted) error { return nil }

func (s *shelf) PartWritten(_ context.Context, p catalog.Part, _ float64) error {
	s.parts = append(s.parts, p)
	return nil
}

func (s *shelf) VolumeFinished(context.Context, catalog.VolumeFinished, error) error { return nil }

// tape writes a stored stream to new volumes and records the copy.
func (s *store) tape(d catalog.Dump, stored []byte, volumeBytes int64) catalog.Copy {
	s.t.Helper()
	sh := &shelf{store: s, capacity: volumeBytes}
	tp := taper.New(taper.Options{Scan: sh, Feedback: sh, PartBytes: 128 << 10, Storage: "main", WriteStamp: d.Stamp, Clock: time.Now})
	_, err := tp.Write(context.Background(), taper.Dump{ID: d.ID, Header: s.headers[d.ID], Held: bytes.NewReader(stored), HeldBytes: int64(len(stored))})
	s.must(err)
	s.must(tp.Close(context.Background()))
	c := catalog.Copy{Dump: d.ID, Storage: "main", WriteStamp: d.Stamp, Status: catalog.StatusOK, Parts: sh.parts}
	s.copies[d.ID] = append(s.copies[d.ID], c)
	return c
}

// stored gives a dump's stream as it lies on its first copy.
func (s *store) stored(d catalog.Dump) []byte {
	s.t.Helper()
	r, err := taper.OpenCopy(context.Background(), s.copies[d.ID][0].Parts, func(_ context.Context, l catalog.Label) (vtape.Device, error) {
		return dir.New(s.fs, "/slots/"+string(l), dir.Options{}), nil
	})
	s.must(err)
	defer r.Close()
	data, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	s.must(err)
	return data
}

// hold puts a dump on the holding disk as well.
func (s *store) hold(d catalog.Dump, stored []byte) {
	s.t.Helper()
	h := holding.New(s.fs, holding.Options{Dirs: []holding.Dir{{Path: "/holding", UseBytes: 1 << 30}}})
	res, err := h.Reserve(int64(len(stored)))
	s.must(err)
	w, err := h.Create(d.Stamp, s.headers[d.ID], res)
	s.must(err)
	_, err = w.Write(stored)
	s.must(err)
	held, err := w.Finish(s.headers[d.ID])
	s.must(err)
	s.held[d.ID] = &held
}

// breakPart flips a bit in the middle of each part of a copy.
func (s *store) breakPart(c catalog.Copy) {
	s.t.Helper()
	for _, p := range c.Parts {
		names, err := s.fs.ReadDir("/slots/" + string(p.Label))
		s.must(err)
		for _, e := range names {
			var n int
			if _, err := fmt.Sscanf(e.Name(), "%05d.", &n); err != nil || n != p.File || e.Name() == "00000-lock" {
				continue
			}
			f, err := s.fs.OpenFile("/slots/"+string(p.Label)+"/"+e.Name(), 2, 0)
			s.must(err)
			b := []byte{0}
			off := int64(vtape.HeaderBytes) + p.Bytes/2
			_, err = f.ReadAt(b, off)
			s.must(err)
			b[0] ^= 0x10
			_, err = f.WriteAt(b, off)
			s.must(err)
			s.must(f.Close())
		}
	}
}

// disk makes the content of a disk: of every four clusters one is zeros, one is text, two are noise.
func disk(seed uint64, size int) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, size)
	for off := 0; off < size; off += cluster {
		part := b[off:min(off+cluster, size)]
		switch off / cluster % 4 {
		case 0:
			for i := range part {
				part[i] = "all work and no play "[i%21]
			}
		case 1, 2:
			noise(r, part)
		}
	}
	return b
}

func noise(r *rand.Rand, p []byte) {
	for i := range p {
		p[i] = byte(r.Uint32())
	}
}

// changed gives a copy of a disk with some clusters changed and some become zeros.
func changed(seed uint64, content []byte) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := bytes.Clone(content)
	for range max(1, len(b)/cluster/5) {
		off := r.IntN(max(1, len(b)/cluster)) * cluster
		part := b[min(off, len(b)):min(off+cluster, len(b))]
		if r.IntN(3) == 0 {
			clear(part)
		} else {
			noise(r, part)
		}
	}
	return b
}

// resized gives a copy of a disk cut short, or longer by zeros.
func resized(content []byte, size int) []byte {
	b := make([]byte, size)
	copy(b, content)
	return b
}
