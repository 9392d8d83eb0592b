package blockmap_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/zeebo/blake3"
	"pgregory.net/rapid"

	"holdfast/internal/blockmap"
)

// digest makes a digest that is easy to tell from others.
func digest(n byte) blockmap.Digest { return blockmap.Digest{0: n, 15: 0xff} }

// write makes a map file of an image of the given size from the digests of its clusters.
func write(t testing.TB, imageBytes int64, clusters []int64, digests map[int64]blockmap.Digest) []byte {
	t.Helper()
	var file bytes.Buffer
	w := blockmap.NewWriter(&file, imageBytes)
	for _, c := range clusters {
		if err := w.Data(c, digests[c]); err != nil {
			t.Fatal(err)
		}
	}
	sum, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(file.Bytes()); sum != hex.EncodeToString(want[:]) {
		t.Fatalf("digest of the file: %s, want %x", sum, want)
	}
	return file.Bytes()
}

func open(t testing.TB, file []byte) *blockmap.Map {
	t.Helper()
	m, err := blockmap.Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// sample is a small file with all that the format knows: runs of one digest, a gap, a left-out segment, a last cluster.
func sample(t testing.TB) (file []byte, clusters []int64, digests map[int64]blockmap.Digest) {
	digests = map[int64]blockmap.Digest{
		0: digest(1), 1: digest(1), 2: digest(2), 5: digest(2), 8191: digest(3),
		8192: digest(3), 8193: {}, 3*8192 + 7: digest(4),
	}
	clusters = []int64{0, 1, 2, 5, 8191, 8192, 8193, 3*8192 + 7}
	return write(t, (3*8192+8)*blockmap.ClusterBytes-1, clusters, digests), clusters, digests
}

func TestSum(t *testing.T) {
	cluster := bytes.Repeat([]byte("holdfast"), blockmap.ClusterBytes/8)
	want := blake3.Sum256(cluster)
	if got := blockmap.Sum(cluster); !bytes.Equal(got[:], want[:16]) {
		t.Errorf("digest %x, want the start of %x", got, want)
	}
	for _, n := range []int{0, 1, 512, 4096, blockmap.ClusterBytes - 1} {
		padded := make([]byte, blockmap.ClusterBytes)
		copy(padded, cluster[:n])
		if blockmap.Sum(cluster[:n]) != blockmap.Sum(padded) {
			t.Errorf("a cluster of %d bytes is not taken as padded with zeros", n)
		}
	}
}

func TestIsZero(t *testing.T) {
	p := make([]byte, 3*4096+5)
	for _, n := range []int{0, 1, 8, 4096, 4097, len(p)} {
		if !blockmap.IsZero(p[:n]) {
			t.Errorf("%d zeros are not zero", n)
		}
	}
	for _, at := range []int{0, 1, 4095, 4096, 8191, len(p) - 1} {
		p[at] = 1
		if blockmap.IsZero(p) {
			t.Errorf("a one at byte %d is not seen", at)
		}
		p[at] = 0
	}
}

func TestSample(t *testing.T) {
	file, clusters, digests := sample(t)
	// Header, three segments with 3, 2 and 1 digests, index, trailer.
	if want := 64 + 3*2060 + 6*16 + 3*8 + 24; len(file) != want {
		t.Errorf("file of %d bytes, want %d", len(file), want)
	}
	m := open(t, file)
	for c := int64(-1); c < 5*8192; c++ {
		d, ok, err := m.Lookup(c)
		want, wantOK := digests[c]
		if err != nil || ok != wantOK || d != want {
			t.Fatalf("cluster %d: %x %v %v, want %x %v", c, d, ok, err, want, wantOK)
		}
	}
	var got []int64
	collect := func(c int64, d blockmap.Digest) error {
		if d != digests[c] {
			t.Errorf("range: cluster %d: %x, want %x", c, d, digests[c])
		}
		got = append(got, c)
		return nil
	}
	if err := m.Range(0, 1<<40, collect); err != nil || fmt.Sprint(got) != fmt.Sprint(clusters) {
		t.Errorf("range: %v %v, want %v", got, err, clusters)
	}
	got = nil
	if err := m.Range(2, 8192, collect); err != nil || fmt.Sprint(got) != fmt.Sprint(clusters[2:5]) {
		t.Errorf("range: %v %v, want %v", got, err, clusters[2:5])
	}
	for from, want := range map[int64]int64{0: 0, 1: 1, 2: 3, 3: 3} {
		if got, ok := m.NextSegment(from); !ok || got != want {
			t.Errorf("next segment from %d: %d %v, want %d", from, got, ok, want)
		}
	}
	if got, ok := m.NextSegment(4); ok {
		t.Errorf("next segment from 4: %d, want none", got)
	}
}

func TestWriterRefuses(t *testing.T) {
	for _, tt := range []struct {
		name       string
		imageBytes int64
		clusters   []int64
	}{
		{"twice", 1 << 20, []int64{3, 3}},
		{"backwards", 1 << 20, []int64{3, 2}},
		{"negative", 1 << 20, []int64{-1}},
		{"past the end", 1 << 20, []int64{16}},
		{"in an empty image", 0, []int64{0}},
		{"image too big", blockmap.MaxImageBytes + 1, []int64{0}},
		{"negative image", -1, []int64{0}},
	} {
		w := blockmap.NewWriter(io.Discard, tt.imageBytes)
		var err error
		for _, c := range tt.clusters {
			err = w.Data(c, digest(1))
		}
		if err == nil {
			t.Errorf("%s: no error", tt.name)
		}
		if _, again := w.Close(); again != err {
			t.Errorf("%s: close gives %v, want the first error %v", tt.name, again, err)
		}
	}
}

// TestWriterTellsWriteErrors: an error of the writer below at any byte is told, at the latest by Close.
func TestWriterTellsWriteErrors(t *testing.T) {
	file, clusters, digests := sample(t)
	for _, room := range []int{0, 63, 64, 3000, len(file) - 30, len(file) - 1} {
		w := blockmap.NewWriter(&limited{room: room}, (3*8192+8)*blockmap.ClusterBytes)
		for _, c := range clusters {
			if w.Data(c, digests[c]) != nil {
				break
			}
		}
		if _, err := w.Close(); !errors.Is(err, errFull) {
			t.Errorf("room for %d bytes: %v", room, err)
		}
	}
}

var errFull = errors.New("no space left")

type limited struct{ room int }

func (l *limited) Write(p []byte) (int, error) {
	if l.room -= len(p); l.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// readAll looks at each cluster of a map file, and gives them back; the error is that of Open or of the first read.
func readAll(file []byte) (imageBytes int64, clusters []int64, digests map[int64]blockmap.Digest, err error) {
	m, err := blockmap.Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return 0, nil, nil, err
	}
	digests = map[int64]blockmap.Digest{}
	err = m.Range(0, 1<<62, func(c int64, d blockmap.Digest) error {
		clusters, digests[c] = append(clusters, c), d
		return nil
	})
	return m.ImageBytes(), clusters, digests, err
}

// TestDamage: no flipped bit and no cut goes unseen.
func TestDamage(t *testing.T) {
	file, _, _ := sample(t)
	for at := range file {
		file[at] ^= 1 << (at % 8)
		if _, _, _, err := readAll(file); !errors.Is(err, blockmap.ErrDamaged) {
			t.Fatalf("a flipped bit in byte %d: %v", at, err)
		}
		file[at] ^= 1 << (at % 8)
	}
	for n := range file {
		if _, _, _, err := readAll(file[:n]); !errors.Is(err, blockmap.ErrDamaged) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, _, _, err := readAll(append(file, 0)); !errors.Is(err, blockmap.ErrDamaged) {
		t.Fatalf("a byte too many: %v", err)
	}
}

// TestReadError: an error of the medium is told as it is, not as damage.
func TestReadError(t *testing.T) {
	file, _, _ := sample(t)
	for _, at := range []int64{0, 64, int64(len(file)) - 1} {
		m, err := blockmap.Open(failing{bytes.NewReader(file), at}, int64(len(file)))
		if err == nil {
			_, _, err = m.Lookup(0)
		}
		if !errors.Is(err, iotest.ErrTimeout) || errors.Is(err, blockmap.ErrDamaged) {
			t.Errorf("error at byte %d: %v", at, err)
		}
	}
}

// failing fails reads that touch byte at.
type failing struct {
	io.ReaderAt
	at int64
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off <= f.at && f.at < off+int64(len(p)) {
		return 0, iotest.ErrTimeout
	}
	return f.ReaderAt.ReadAt(p, off)
}

func TestConcurrentLookup(t *testing.T) {
	digests := map[int64]blockmap.Digest{}
	var clusters []int64
	for c := int64(0); c < 40*8192; c += 4096 {
		clusters, digests[c] = append(clusters, c), digest(byte(c>>12))
	}
	m := open(t, write(t, 40*8192*blockmap.ClusterBytes, clusters, digests))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range clusters {
				c := clusters[(i*7+g)%len(clusters)]
				if d, ok, err := m.Lookup(c); d != digests[c] || !ok || err != nil {
					t.Errorf("cluster %d: %x %v %v, want %x", c, d, ok, err, digests[c])
				}
			}
		})
	}
	wg.Wait()
}

// TestRoundTrip: what was written is what is read, for maps of all kinds.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		imageBytes := rapid.Int64Range(0, 5*8192*blockmap.ClusterBytes).Draw(r, "image")
		end := blockmap.Clusters(imageBytes)
		digests := map[int64]blockmap.Digest{}
		var clusters []int64
		for c := int64(0); ; {
			c += rapid.OneOf(rapid.Int64Range(0, 3), rapid.Int64Range(0, 20000)).Draw(r, "gap")
			run := rapid.OneOf(rapid.Int64Range(1, 3), rapid.Int64Range(1, 9000)).Draw(r, "run")
			d := digest(rapid.ByteRange(1, 3).Draw(r, "digest"))
			for ; run > 0 && c < end; run, c = run-1, c+1 {
				clusters, digests[c] = append(clusters, c), d
			}
			if c >= end {
				break
			}
		}
		size, got, gotDigests, err := readAll(write(t, imageBytes, clusters, digests))
		if err != nil || size != imageBytes || fmt.Sprint(got) != fmt.Sprint(clusters) {
			r.Fatalf("%d bytes, %d clusters, %v; want %d, %d", size, len(got), err, imageBytes, len(clusters))
		}
		for c, d := range digests {
			if gotDigests[c] != d {
				r.Fatalf("cluster %d: %x, want %x", c, gotDigests[c], d)
			}
		}
	})
}

// FuzzOpen: nothing that is read makes a reader fail otherwise than with an error, and what is accepted is the one
// encoding of what it says.
func FuzzOpen(f *testing.F) {
	file, _, _ := sample(f)
	f.Add(file)
	f.Add(write(f, 0, nil, nil))
	f.Add(write(f, 1<<50, []int64{1<<34 - 1}, map[int64]blockmap.Digest{1<<34 - 1: digest(1)}))
	f.Fuzz(func(t *testing.T, file []byte) {
		size, clusters, digests, err := readAll(file)
		if err != nil {
			return
		}
		if again := write(t, size, clusters, digests); !bytes.Equal(again, file) {
			t.Errorf("a file of %d bytes is read, but written otherwise", len(file))
		}
	})
}

func BenchmarkSum(b *testing.B) {
	p := bytes.Repeat([]byte("holdfast"), blockmap.ClusterBytes/8)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		blockmap.Sum(p)
	}
}

func BenchmarkRange(b *testing.B) {
	digests := map[int64]blockmap.Digest{}
	var clusters []int64
	for c := range int64(4 * 8192) {
		clusters, digests[c] = append(clusters, c), digest(byte(c))
	}
	m := open(b, write(b, 4*8192*blockmap.ClusterBytes, clusters, digests))
	b.SetBytes(4 * 8192 * blockmap.ClusterBytes)
	for b.Loop() {
		if err := m.Range(0, 1<<40, func(int64, blockmap.Digest) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
