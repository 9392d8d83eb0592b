package dumpers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"holdfast/catalog"
	"holdfast/dumpers"
	"holdfast/dumpers/dumpertest"
	"holdfast/internal/blockmap"
	"holdfast/internal/frames"
)

// sampleDisk is a disk with data in its first 20 clusters, and its full dump.
func sampleDisk(t testing.TB) (*dumpertest.Mem, *dump) {
	m := dumpertest.NewMem("vda", 40*cluster)
	m.Write(0, noise(1, 20*cluster))
	return m, take(t, m, dumpers.Job{Level: frames.Fast})
}

// TestLyingSource: a source that calls blocks unchanged or inherited which are not is found out by the sample, and the
// dump cannot be written; without a sample it is believed.
func TestLyingSource(t *testing.T) {
	for _, kind := range []dumpers.ExtentKind{dumpers.Unchanged, dumpers.Inherited} {
		m, full := sampleDisk(t)
		m.Claim(dumpers.Extent{Start: 0, Length: 40 * cluster, Kind: kind})
		m.Write(5*cluster+77, []byte{1, 2, 3})
		m.Write(30*cluster, []byte{1})
		view, end := pinned(t, m)
		defer end(false)
		job := dumpers.Job{View: view, Base: full.state, Parent: full.state, Backing: "full", Sample: 40}
		p, err := dumpers.Prepare(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"2 of 40 blocks", fmt.Sprintf("64 KiB at byte %d,", 5*cluster)} {
			if !strings.Contains(p.Mismatch(), want) {
				t.Errorf("mismatch %q does not say %q", p.Mismatch(), want)
			}
		}
		if _, err := p.Write(t.Context(), io.Discard, io.Discard); err == nil {
			t.Error("a refuted dump is written")
		}
		job.Sample = -1
		if p, err = dumpers.Prepare(t.Context(), job); err != nil || p.Mismatch() != "" || p.DataBytes() != 0 {
			t.Errorf("without a sample: %v, mismatch %q, %d bytes", err, p.Mismatch(), p.DataBytes())
		}
	}
}

// TestMovingImage: an image that changes between comparing and writing makes a strange dump, whose map still says what
// is in it. So does a source that says the image changed. All else is not strange, which take checks.
func TestMovingImage(t *testing.T) {
	for _, change := range []struct {
		name string
		data []byte
	}{{"other data", noise(3, 10)}, {"zeros", make([]byte, cluster)}} {
		t.Run(change.name, func(t *testing.T) {
			m, full := sampleDisk(t)
			m.Move()
			m.Write(3*cluster, noise(2, 2*cluster))
			view, end := pinned(t, m)
			defer end(false)
			p, err := dumpers.Prepare(t.Context(), dumpers.Job{View: view, Base: full.state, Backing: "full", Level: frames.Fast})
			if err != nil {
				t.Fatal(err)
			}
			if d := write(t, p); len(d.result.Strange) != 0 {
				t.Errorf("nothing has changed yet: %q", d.result.Strange)
			}
			m.Write(4*cluster, change.data)
			m.SetChanged("its time of modification changed")
			d := write(t, p)
			if s := d.result.Strange; len(s) != 2 || !strings.Contains(s[0], "did: 1, the first at byte 0") || s[1] != "its time of modification changed" {
				t.Errorf("strange: %q, want that the image changed, twice", s)
			}
			checkMap(t, d.state, m)
			if got := d.restore(t, full.restore(t, nil)); !bytes.Equal(got, read(t, m, 0, 40*cluster)) {
				t.Error("the dump does not restore to what was written")
			}
		})
	}
}

// TestReadErrors: a read error in either pass stops the dump with the byte of the image it happened at.
func TestReadErrors(t *testing.T) {
	m, full := sampleDisk(t)
	m.Write(7*cluster, noise(2, 3*cluster))
	view, end := pinned(t, m)
	defer end(false)
	bad := errors.New("input/output error")
	where := fmt.Sprintf("at byte %d:", 8*cluster)
	for _, base := range []*blockmap.Map{nil, full.state} {
		job := dumpers.Job{View: view, Base: base}
		if base != nil {
			job.Backing = "full"
		}
		p, err := dumpers.Prepare(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		m.Break(8*cluster, bad)
		if _, err := p.Write(t.Context(), io.Discard, io.Discard); !errors.Is(err, bad) || !strings.Contains(err.Error(), where) {
			t.Errorf("write: %v", err)
		}
		if _, err := dumpers.Prepare(t.Context(), job); base != nil && (!errors.Is(err, bad) || !strings.Contains(err.Error(), where)) {
			t.Errorf("prepare: %v", err)
		}
		m.Break(8*cluster, nil)
		write(t, p) // a second try succeeds
	}
}

// failAfter fails once more than n bytes were written.
type failAfter struct{ n int }

var errFull = errors.New("no space left")

func (w *failAfter) Write(p []byte) (int, error) {
	if w.n -= len(p); w.n < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// TestWriteErrors: neither output can fail unseen, at its start, in its course or at its end.
func TestWriteErrors(t *testing.T) {
	m, full := sampleDisk(t)
	view, end := pinned(t, m)
	defer end(false)
	p, err := dumpers.Prepare(t.Context(), dumpers.Job{View: view, Level: frames.Fast})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1000, len(full.stored) - 1} {
		if _, err := p.Write(t.Context(), &failAfter{n}, io.Discard); !errors.Is(err, errFull) {
			t.Errorf("room for %d bytes of stream: %v", n, err)
		}
	}
	for _, n := range []int{0, 64, len(full.mapFile) - 1} {
		if _, err := p.Write(t.Context(), io.Discard, &failAfter{n}); !errors.Is(err, errFull) {
			t.Errorf("room for %d bytes of map: %v", n, err)
		}
	}
}

// TestDamagedBase: a base map that fails its checks stops the dump; it is never taken for zeros.
func TestDamagedBase(t *testing.T) {
	m, full := sampleDisk(t)
	bad := bytes.Clone(full.mapFile)
	bad[64+100] ^= 1
	base, err := blockmap.Open(bytes.NewReader(bad), int64(len(bad)))
	if err != nil {
		t.Fatal(err)
	}
	view, end := pinned(t, m)
	defer end(false)
	_, err = dumpers.Prepare(t.Context(), dumpers.Job{View: view, Base: base, Backing: "full"})
	if !errors.Is(err, blockmap.ErrDamaged) {
		t.Errorf("prepare: %v", err)
	}
}

func TestRefusedJobs(t *testing.T) {
	m, full := sampleDisk(t)
	view, end := pinned(t, m)
	defer end(false)
	for _, job := range []dumpers.Job{
		{View: view, Base: full.state},
		{View: view, Backing: "full"},
		{View: fake{size: blockmap.MaxImageBytes + 1}},
		{View: fake{size: -1}},
		{View: view, Base: full.state, Backing: strings.Repeat("x", 2000)},
	} {
		if _, err := dumpers.Prepare(t.Context(), job); err == nil {
			t.Errorf("no error for %+v", job)
		}
	}
}

// fake is a view with the extents it is told, and reads that do what they are told.
type fake struct {
	size    int64
	extents []dumpers.Extent
	read    func(p []byte, off int64) (int, error)
	changed error
}

func (f fake) ReadAt(p []byte, off int64) (int, error) { return f.read(p, off) }
func (f fake) Close() error                            { return nil }
func (f fake) SizeBytes() int64                        { return f.size }
func (f fake) Changed() (string, error)                { return "", f.changed }
func (f fake) Extents(_ context.Context, yield func(dumpers.Extent) error) error {
	for _, e := range f.extents {
		if err := yield(e); err != nil {
			return err
		}
	}
	return nil
}

// TestBadExtents: extents that break the contract are refused, because a gap in them would be a gap in the dump.
func TestBadExtents(t *testing.T) {
	data := func(start, length int64) dumpers.Extent { return dumpers.Extent{Start: start, Length: length} }
	for name, list := range map[string][]dumpers.Extent{
		"none":         nil,
		"late":         {data(cluster, 3*cluster)},
		"gap":          {data(0, cluster), data(2*cluster, 2*cluster)},
		"overlap":      {data(0, 2*cluster), data(cluster, 3*cluster)},
		"too short":    {data(0, 3*cluster)},
		"too long":     {data(0, 5*cluster)},
		"unaligned":    {data(0, 512), data(512, 4*cluster-512)},
		"empty":        {data(0, 0), data(0, 4*cluster)},
		"negative":     {data(0, -cluster)},
		"unknown kind": {{Start: 0, Length: 4 * cluster, Kind: 9}},
	} {
		if _, err := dumpers.Prepare(t.Context(), dumpers.Job{View: fake{size: 4 * cluster, extents: list}}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestShrunkImage: an image that ends before its size is an error, not zeros.
func TestShrunkImage(t *testing.T) {
	view := fake{size: 4 * cluster, extents: []dumpers.Extent{{Length: 4 * cluster}}, read: func(p []byte, off int64) (int, error) {
		n := max(min(int64(len(p)), 2*cluster+5-off), 0)
		return int(n), io.EOF
	}}
	p, err := dumpers.Prepare(t.Context(), dumpers.Job{View: view})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Write(t.Context(), io.Discard, io.Discard)
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), fmt.Sprintf("at byte %d", 2*cluster+5)) {
		t.Errorf("write: %v", err)
	}
}

// TestUnknownChange: when a source cannot tell whether the image changed, the dump is strange.
func TestUnknownChange(t *testing.T) {
	gone := errors.New("image is gone")
	p, err := dumpers.Prepare(t.Context(), dumpers.Job{View: fake{changed: gone}})
	if err != nil {
		t.Fatal(err)
	}
	if d := write(t, p); len(d.result.Strange) != 1 || !strings.Contains(d.result.Strange[0], gone.Error()) {
		t.Errorf("strange: %q", d.result.Strange)
	}
}

// TestCancel: once the context ends, both passes end after the reads that are under way.
func TestCancel(t *testing.T) {
	m, full := sampleDisk(t)
	for _, base := range []*blockmap.Map{nil, full.state} {
		ctx, cancel := context.WithCancel(t.Context())
		reads := make(chan struct{}, 1000)
		view := fake{size: 1 << 30, extents: []dumpers.Extent{{Length: 1 << 30}}, read: func(p []byte, off int64) (int, error) {
			reads <- struct{}{}
			if off >= 8<<20 {
				cancel()
			}
			return m.ReadAt(p, 0)
		}}
		job := dumpers.Job{View: view, Base: base, Workers: 2}
		if base != nil {
			job.Backing = "full"
		}
		p, err := dumpers.Prepare(ctx, job)
		if err == nil {
			_, err = p.Write(ctx, io.Discard, io.Discard)
		}
		if !errors.Is(err, context.Canceled) || len(reads) > 20 {
			t.Errorf("%v after %d reads of 1 MiB, want an end soon after the ninth", err, len(reads))
		}
	}
}

// TestHugeImage: an image of 8 TiB of which little is used takes time and memory for what is used only, whatever kind
// of nothing the rest is.
func TestHugeImage(t *testing.T) {
	const size = 8 << 40
	allocated := func(do func()) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		do()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	base := dumpertest.NewMem("vda", size)
	used := []int64{0, 1 << 40, 5 << 40, size - cluster}
	for i, at := range used {
		base.Write(at, noise(uint64(i), cluster))
	}
	view, end := pinned(t, base)
	defer end(true)
	var full, one *dump
	prepared := func(job dumpers.Job) *dump {
		job.Level, job.Workers = frames.Fast, 2
		p, err := dumpers.Prepare(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		return write(t, p)
	}
	limit := uint64(64 << 20)
	if n := allocated(func() { full = prepared(dumpers.Job{View: view}) }); n > limit {
		t.Errorf("full: %d MiB allocated", n>>20)
	}
	for name, change := range map[string]func(*dumpertest.Mem){
		"zero":      func(m *dumpertest.Mem) {},
		"unchanged": func(m *dumpertest.Mem) { m.Claim(dumpers.Extent{Length: size, Kind: dumpers.Unchanged}) },
		"inherited": func(m *dumpertest.Mem) { m.Claim(dumpers.Extent{Length: size, Kind: dumpers.Inherited}) },
	} {
		m := dumpertest.NewMem("vda", size)
		for i, at := range used {
			m.Write(at, noise(uint64(i), cluster))
		}
		change(m)
		m.Write(2<<40, noise(9, 10))
		m.Claim(dumpers.Extent{Start: 2 << 40, Length: cluster, Kind: dumpers.Data})
		view, end := pinned(t, m)
		n := allocated(func() {
			one = prepared(dumpers.Job{View: view, Base: full.state, Parent: full.state, Backing: "full"})
		})
		end(false)
		if n > limit || one.result.ChangedBytes != cluster {
			t.Errorf("%s: %d MiB allocated, %d bytes changed", name, n>>20, one.result.ChangedBytes)
		}
		for i, at := range used {
			if d, _, err := one.state.Lookup(at / cluster); err != nil || d != blockmap.Sum(noise(uint64(i), cluster)) {
				t.Errorf("%s: block map at %d: %x %v", name, at, d, err)
			}
		}
	}
}

// TestProgress: it rises to the end, in both phases.
func TestProgress(t *testing.T) {
	m, full := sampleDisk(t)
	view, end := pinned(t, m)
	defer end(false)
	seen := map[string][]int64{}
	job := dumpers.Job{View: view, Base: full.state, Backing: "full", Progress: func(phase string, done, total int64) {
		seen[phase] = append(seen[phase], done, total)
	}}
	p, err := dumpers.Prepare(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	write(t, p)
	for phase, want := range map[string]int64{catalog.PhaseScan: 40 * cluster, catalog.PhaseDump: p.OrigBytes()} {
		var done []int64
		for i := 0; i < len(seen[phase]); i += 2 {
			done = append(done, seen[phase][i])
			if seen[phase][i+1] != want {
				t.Errorf("%s: total %d, want %d", phase, seen[phase][i+1], want)
			}
		}
		if len(done) == 0 || !slices.IsSorted(done) || done[len(done)-1] != want {
			t.Errorf("%s: %v, want a rise to %d", phase, done, want)
		}
	}
}

// TestSeed: the same seed reads the same sample, another one another.
func TestSeed(t *testing.T) {
	m, full := sampleDisk(t)
	m.Claim(dumpers.Extent{Length: 40 * cluster, Kind: dumpers.Unchanged})
	m.Write(rand.New(rand.NewPCG(1, 1)).Int64N(40)*cluster, []byte{1})
	view, end := pinned(t, m)
	defer end(false)
	caught := func(seed uint64) bool {
		p, err := dumpers.Prepare(t.Context(), dumpers.Job{View: view, Base: full.state, Backing: "full", Sample: 8, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		return p.Mismatch() != ""
	}
	count := 0
	for seed := range uint64(200) {
		first := caught(seed)
		if first != caught(seed) {
			t.Fatalf("seed %d reads another sample the second time", seed)
		}
		if first {
			count++
		}
	}
	if count < 20 || count > 65 { // one in five is expected
		t.Errorf("one changed block of 40 is in %d of 200 samples of 8", count)
	}
}
