package dumpers_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"holdfast/dumpers"
	"holdfast/dumpers/dumpertest"
	"holdfast/internal/blockmap"
	"holdfast/internal/frames"
	"holdfast/internal/qcow2"
	"holdfast/internal/testtools"
)

const cluster = blockmap.ClusterBytes

// dump is a dump as it would lie in the state directory and on a volume.
type dump struct {
	prepared *dumpers.Prepared
	result   dumpers.Result
	stored   []byte // the stream
	mapFile  []byte
	state    *blockmap.Map
}

// tester is what *testing.T and *rapid.T share.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// pinned gives a view of a source as it is now, and what ends its point.
func pinned(t testing.TB, m *dumpertest.Mem) (view dumpers.BlockView, end func(commit bool)) {
	t.Helper()
	p, err := m.Pin(t.Context(), &dumpertest.Journal{})
	if err != nil {
		t.Fatal(err)
	}
	if view, err = p.Disk(t.Context(), "vda"); err != nil {
		t.Fatal(err)
	}
	return view, func(commit bool) {
		t.Helper()
		err := view.Close()
		if commit && err == nil {
			err = p.Commit(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// take makes a dump of a source and commits it.
func take(t testing.TB, m *dumpertest.Mem, job dumpers.Job) *dump {
	t.Helper()
	view, end := pinned(t, m)
	defer end(true)
	job.View = view
	p, err := dumpers.Prepare(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	if p.Mismatch() != "" {
		t.Fatalf("an honest source is not believed: %s", p.Mismatch())
	}
	d := write(t, p)
	if len(d.result.Strange) > 0 {
		t.Errorf("strange: %q", d.result.Strange)
	}
	checkMap(t, d.state, m)
	return d
}

// write writes a prepared dump, and checks the result against what was written.
func write(t testing.TB, p *dumpers.Prepared) *dump {
	t.Helper()
	var stored, mapFile bytes.Buffer
	result, err := p.Write(t.Context(), &stored, &mapFile)
	if err != nil {
		t.Fatal(err)
	}
	d := &dump{prepared: p, result: result, stored: stored.Bytes(), mapFile: mapFile.Bytes()}
	if d.state, err = blockmap.Open(bytes.NewReader(d.mapFile), int64(len(d.mapFile))); err != nil {
		t.Fatal(err)
	}
	crc := crc32.Checksum(d.stored, crc32.MakeTable(crc32.Castagnoli))
	sum := sha256.Sum256(d.mapFile)
	if result.StoredBytes != int64(len(d.stored)) || result.StoredCRC != crc || result.MapDigest != hex.EncodeToString(sum[:]) ||
		result.ImageBytes != d.state.ImageBytes() || result.ChangedBytes != p.DataBytes() {
		t.Errorf("result %+v does not fit what was written", result)
	}
	return d
}

// checkMap checks that a map is the state of the whole disk.
func checkMap(t tester, state *blockmap.Map, m *dumpertest.Mem) {
	t.Helper()
	p := make([]byte, cluster)
	for c := range blockmap.Clusters(state.ImageBytes()) {
		clear(p)
		if _, err := m.ReadAt(p, c*cluster); err != nil && err != io.EOF {
			t.Fatalf("%v", err)
		}
		d, data, err := state.Lookup(c)
		if err != nil || data == blockmap.IsZero(p) || data && d != blockmap.Sum(p) {
			t.Fatalf("block map: cluster %d: %x %v %v is not what the disk holds", c, d, data, err)
		}
	}
}

// decode gives the qcow2 file of a stream, by other programs' means.
func (d *dump) decode(t tester, identities ...age.Identity) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(d.stored)
	var err error
	if len(identities) > 0 {
		if r, err = age.Decrypt(r, identities...); err != nil {
			t.Fatalf("decrypt: %v", err)
		}
	}
	z, err := zstd.NewReader(r)
	if err != nil {
		t.Fatalf("decompress: %v", err)
	}
	defer z.Close()
	file, err := io.ReadAll(z)
	if err != nil {
		t.Fatalf("decompress: %v", err)
	}
	crc := crc32.Checksum(file, crc32.MakeTable(crc32.Castagnoli))
	if n := int64(len(file)); n != d.prepared.OrigBytes() || n != d.result.OrigBytes || crc != d.result.NativeCRC {
		t.Errorf("stream of %d bytes, crc %08x; announced %d; result %+v", n, crc, d.prepared.OrigBytes(), d.result)
	}
	return file
}

// restore lays what a dump holds over the image of its base.
func (d *dump) restore(t tester, image []byte) []byte {
	t.Helper()
	file, size := d.decode(t), d.result.ImageBytes
	set := d.prepared.Set()
	padded := make([]byte, blockmap.Clusters(size)*cluster)
	copy(padded, image)
	data := file[int64(len(file))-set.DataClusters()*cluster:]
	for at := int64(0); ; at++ {
		c, kind, ok := set.Next(at)
		if !ok {
			return padded[:size]
		}
		at = c
		clear(padded[c*cluster : (c+1)*cluster])
		if kind == qcow2.Data {
			copy(padded[c*cluster:], data[:cluster])
			data = data[cluster:]
		}
	}
}

// folder holds dumps under their standard names, as an administrator would lay them out.
type folder struct {
	t   *testing.T
	dir string
}

func newFolder(t *testing.T) folder {
	testtools.Need(t, "qemu-img")
	return folder{t, t.TempDir()}
}

// put decodes a dump into the folder, and checks that qemu-img reads from it what the source holds.
func (f folder) put(name string, d *dump, m *dumpertest.Mem) {
	f.t.Helper()
	file := d.decode(f.t)
	if err := os.WriteFile(filepath.Join(f.dir, name), file, 0o600); err != nil {
		f.t.Fatal(err)
	}
	if got, want := binary.BigEndian.Uint64(file[24:]), (d.result.ImageBytes+511)/512*512; got != uint64(want) {
		f.t.Errorf("%s: virtual size %d, want %d", name, got, want)
	}
	f.qemu("check", "-f", "qcow2", name)
	f.export(m, d.result.ImageBytes)
	f.qemu("compare", "-f", "raw", "-F", "qcow2", "want.raw", name)
}

// export writes the disk of a source to want.raw, with holes for zeros, and rounded up to sectors as qcow2 sizes are.
func (f folder) export(m *dumpertest.Mem, size int64) {
	f.t.Helper()
	raw, err := os.Create(filepath.Join(f.dir, "want.raw"))
	if err != nil {
		f.t.Fatal(err)
	}
	defer raw.Close()
	if err := raw.Truncate((size + 511) / 512 * 512); err != nil {
		f.t.Fatal(err)
	}
	for off := int64(0); off < size; off += 1 << 20 {
		p := read(f.t, m, off, min(1<<20, size-off))
		if blockmap.IsZero(p) {
			continue
		}
		if _, err := raw.WriteAt(p, off); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f folder) qemu(args ...string) {
	f.t.Helper()
	cmd := exec.Command("qemu-img", args...)
	cmd.Dir = f.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		f.t.Fatalf("qemu-img %q: %v\n%s", args, err, out)
	}
}

// noise is n bytes that do not compress.
func noise(seed uint64, n int64) []byte {
	p := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	r.Read(p)
	return p
}

// TestLevels: a full and two levels over it, of an image with a partial last cluster, open as a chain in qemu-img.
func TestLevels(t *testing.T) {
	const size = 70*cluster + 1234
	m := dumpertest.NewMem("vda", size)
	m.Write(0, noise(1, 20*cluster))
	m.Write(40*cluster, make([]byte, 3*cluster)) // zeros that the source calls data
	m.Write(size-10, noise(2, 10))
	f := newFolder(t)

	full := take(t, m, dumpers.Job{Level: frames.Fast})
	f.put("web.vda.20260101000000.0.qcow2", full, m)
	if got := full.result.ChangedBytes; got != 24*cluster {
		t.Errorf("full: %d bytes of data, want those of all data extents", got)
	}

	m.Write(3*cluster+5, noise(3, 10))
	m.Write(6*cluster, make([]byte, 2*cluster)) // zeros written over data
	m.Discard(10*cluster, 3*cluster)
	m.Write(30*cluster, noise(4, cluster))
	m.Write(15*cluster, noise(5, cluster))
	one := take(t, m, dumpers.Job{Level: frames.Default, Base: full.state, Backing: "web.vda.20260101000000.0.qcow2"})
	f.put("web.vda.20260102000000.1.qcow2", one, m)
	if set := one.prepared.Set(); set.DataClusters() != 3 || set.ZeroClusters() != 5 {
		t.Errorf("level 1: %d data and %d zero clusters, want 3 and 5", set.DataClusters(), set.ZeroClusters())
	}

	m.Write(size-1, []byte{9})
	m.Write(11*cluster, noise(6, 1))
	two := take(t, m, dumpers.Job{Level: frames.Best, Base: one.state, Backing: "web.vda.20260102000000.1.qcow2"})
	f.put("web.vda.20260103000000.2.qcow2", two, m)
	if set := two.prepared.Set(); set.DataClusters() != 2 || set.ZeroClusters() != 0 {
		t.Errorf("level 2: %d data and %d zero clusters, want 2 and 0", set.DataClusters(), set.ZeroClusters())
	}

	none := take(t, m, dumpers.Job{Level: frames.Fast, Base: two.state, Backing: "web.vda.20260103000000.2.qcow2"})
	f.put("web.vda.20260104000000.3.qcow2", none, m)
	if none.result.ChangedBytes != 0 || !bytes.Equal(none.mapFile, two.mapFile) {
		t.Errorf("level 3: %d bytes changed, or another map; nothing has changed", none.result.ChangedBytes)
	}
}

// TestClones: overlays of a base image, of its size, larger and smaller, and copies that have drifted from it, are dumped
// as overlays of its dump, at level 0 and later.
func TestClones(t *testing.T) {
	const baseSize = 40*cluster + 1000 // in qcow2 1024
	for _, tt := range []struct {
		name    string
		size    int64
		drifted bool
	}{
		{"same size", baseSize, false},
		{"larger", 60*cluster + 512, false},
		{"smaller", 20*cluster + 512, false},
		{"drifted copy", baseSize, true},
		{"drifted and larger", 60 * cluster, true},
		{"drifted and smaller", 20*cluster + 512, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFolder(t)
			base := dumpertest.NewMem("vda", baseSize)
			base.Write(0, noise(1, 30*cluster))
			base.Write(baseSize-700, noise(2, 700))
			golden := take(t, base, dumpers.Job{Level: frames.Fast})
			f.put("base.qcow2", golden, base)

			clone, parent := dumpertest.NewOverlay("vda", tt.size, base), golden.state
			if tt.drifted {
				clone, parent = dumpertest.NewMem("vda", tt.size), nil
				clone.Write(0, read(t, base, 0, min(tt.size, baseSize)))
			}
			clone.Write(5*cluster, noise(3, 100))
			clone.Discard(7*cluster, cluster)
			clone.Write(tt.size-9, noise(4, 9))
			zero := take(t, clone, dumpers.Job{Level: frames.Fast, Base: golden.state, Parent: parent, Backing: "base.qcow2"})
			f.put("clone.0.qcow2", zero, clone)
			if got := zero.result.ChangedBytes; got != 2*cluster {
				t.Errorf("level 0 of a clone: %d bytes, want the two clusters that differ", got)
			}

			clone.Write(9*cluster, noise(5, cluster))
			clone.Write(5*cluster, read(t, base, 5*cluster, cluster)) // back to what the base has
			one := take(t, clone, dumpers.Job{Level: frames.Fast, Base: zero.state, Parent: parent, Backing: "clone.0.qcow2"})
			f.put("clone.1.qcow2", one, clone)
			if got := one.result.ChangedBytes; got != 2*cluster {
				t.Errorf("level 1 of a clone: %d bytes, want the two clusters that differ", got)
			}
		})
	}
}

// TestFlattenedClone: without a base the dump of an overlay holds all of it and stands alone.
func TestFlattenedClone(t *testing.T) {
	base := dumpertest.NewMem("vda", 20*cluster)
	base.Write(3*cluster, noise(1, 9*cluster))
	clone := dumpertest.NewOverlay("vda", 20*cluster, base)
	clone.Write(5*cluster, noise(2, 100))
	newFolder(t).put("clone.qcow2", take(t, clone, dumpers.Job{Level: frames.Fast}), clone)
}

// TestInheritedAgain: an overlay that gave up a change, so that its base shows through again, is compared by the maps
// alone, and the cluster is dumped.
func TestInheritedAgain(t *testing.T) {
	base := dumpertest.NewMem("vda", 20*cluster)
	base.Write(3*cluster, noise(1, 9*cluster))
	golden := take(t, base, dumpers.Job{Level: frames.Fast})
	clone := dumpertest.NewOverlay("vda", 20*cluster, base)
	clone.Write(2*cluster, noise(2, 3*cluster))
	clone.Discard(10*cluster, cluster)
	zero := take(t, clone, dumpers.Job{Level: frames.Fast, Base: golden.state, Parent: golden.state, Backing: "base"})
	one := take(t, dumpertest.NewOverlay("vda", 20*cluster, base),
		dumpers.Job{Level: frames.Fast, Base: zero.state, Parent: golden.state, Backing: "zero"})
	if set := one.prepared.Set(); set.DataClusters() != 3 || set.ZeroClusters() != 1 || set.Kind(2) != qcow2.Zero {
		t.Errorf("%d data and %d zero clusters, want 3 and 1", set.DataClusters(), set.ZeroClusters())
	}
	if want := read(t, base, 0, 20*cluster); !bytes.Equal(one.restore(t, zero.restore(t, golden.restore(t, nil))), want) {
		t.Error("the chain does not give the image")
	}
}

// TestInheritedApart: maps that hold other segments each are compared in all of them.
func TestInheritedApart(t *testing.T) {
	const size, segment = 4 << 30, 512 << 20
	base := dumpertest.NewMem("vda", size)
	base.Write(3*segment, noise(1, cluster))
	base.Write(6*segment, noise(1, cluster))
	golden := take(t, base, dumpers.Job{Level: frames.Fast})
	clone := dumpertest.NewOverlay("vda", size, base)
	clone.Write(segment, noise(2, cluster))
	clone.Write(5*segment, noise(2, cluster))
	clone.Discard(6*segment, cluster)
	zero := take(t, clone, dumpers.Job{Level: frames.Fast, Base: golden.state, Parent: golden.state, Backing: "base"})
	set := take(t, dumpertest.NewOverlay("vda", size, base),
		dumpers.Job{Level: frames.Fast, Base: zero.state, Parent: golden.state, Backing: "zero"}).prepared.Set()
	want := map[int64]qcow2.Kind{segment: qcow2.Zero, 5 * segment: qcow2.Zero, 6 * segment: qcow2.Data}
	for at, kind := range want {
		if got := set.Kind(at / cluster); got != kind {
			t.Errorf("cluster at byte %d: kind %d, want %d", at, got, kind)
		}
	}
	if n := set.DataClusters() + set.ZeroClusters(); n != int64(len(want)) {
		t.Errorf("%d clusters, want %d", n, len(want))
	}
}

// TestLarge: several segments of the block map and L2 tables, changed in some of them.
func TestLarge(t *testing.T) {
	const size = 2<<30 + 512
	m := dumpertest.NewMem("vda", size)
	for _, at := range []int64{0, 512<<20 - cluster, 512 << 20, 1100 << 20, size - 512} {
		m.Write(at, noise(uint64(at>>20), 512))
	}
	f := newFolder(t)
	full := take(t, m, dumpers.Job{Level: frames.Fast})
	f.put("full", full, m)
	m.Write(1500<<20, noise(7, 20*cluster))
	m.Discard(512<<20, cluster)
	m.Write(1100<<20, noise(8, 17))
	f.put("one", take(t, m, dumpers.Job{Level: frames.Fast, Base: full.state, Backing: "full"}), m)
}

// TestEncryptedAndPlain: the stream in its other forms.
func TestEncryptedAndPlain(t *testing.T) {
	m := dumpertest.NewMem("vda", 30*cluster)
	m.Write(cluster, noise(1, 20*cluster))
	plain := take(t, m, dumpers.Job{Level: frames.None})
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	secret := take(t, m, dumpers.Job{Level: frames.Fast, Recipients: []age.Recipient{key.Recipient()}})
	file := secret.decode(t, key)
	if !bytes.HasPrefix(plain.stored, file) || !blockmap.IsZero(plain.stored[len(file):]) {
		t.Error("the plain stream is not the qcow2 file and zeros")
	}
	if !bytes.Equal(plain.mapFile, secret.mapFile) {
		t.Error("the block map depends on the form of the stream")
	}
}

// TestRandomChains: whatever happens to an image, each dump of it restores to what it was, for sources that track
// changes and those that do not, overlays and images on their own.
func TestRandomChains(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		size := rapid.Int64Range(1, 40*cluster).Draw(r, "size")
		base := dumpertest.NewMem("vda", rapid.Int64Range(1, 40*cluster).Draw(r, "base size"))
		edit(r, base)
		m := dumpertest.NewMem("vda", size)
		job := dumpers.Job{Level: frames.Fast, Workers: 2}
		var chain []*dump // by level; the image of each dump is the next one's base
		var images [][]byte
		if rapid.Bool().Draw(r, "overlay") {
			golden := take(t, base, job)
			m = dumpertest.NewOverlay("vda", size, base)
			job.Parent = golden.state
			chain, images = append(chain, golden), append(images, read(r, base, 0, golden.result.ImageBytes))
		}
		tracks := rapid.Bool().Draw(r, "tracks")
		for range rapid.IntRange(1, 5).Draw(r, "dumps") {
			edit(r, m)
			var image []byte
			if job.Base, job.Backing = nil, ""; len(chain) > 0 {
				// A source tracks changes since the dump before; others may go back to a lower level.
				level := len(chain)
				if !tracks {
					level = rapid.IntRange(1, len(chain)).Draw(r, "level")
				}
				chain, images = chain[:level], images[:level]
				job.Base, job.Backing, image = chain[level-1].state, fmt.Sprint(level-1), images[level-1]
			}
			d := take(t, m, job)
			want := read(t, m, 0, size)
			if !bytes.Equal(d.restore(r, image), want) {
				r.Fatalf("dump %d does not restore", len(chain))
			}
			chain, images = append(chain, d), append(images, want)
			if tracks {
				m.Track()
			}
		}
	})
}

// edit writes and discards at random.
func edit(r *rapid.T, m *dumpertest.Mem) {
	info, err := m.Describe(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	size := info.Disks[0].SizeBytes
	for range rapid.IntRange(0, 6).Draw(r, "edits") {
		off := rapid.Int64Range(0, size-1).Draw(r, "at")
		n := min(rapid.Int64Range(1, 4*cluster).Draw(r, "bytes"), size-off)
		switch rapid.IntRange(0, 3).Draw(r, "how") {
		case 0:
			m.Discard(off, n)
		case 1:
			m.Write(off, make([]byte, n))
		default:
			m.Write(off, noise(rapid.Uint64Range(0, 3).Draw(r, "noise"), n))
		}
	}
}

func read(t tester, m *dumpertest.Mem, off, n int64) []byte {
	t.Helper()
	p := make([]byte, n)
	if _, err := m.ReadAt(p, off); err != nil {
		t.Fatalf("%v", err)
	}
	return p
}
