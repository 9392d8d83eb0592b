package recovery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/catalog"
	"holdfast/internal/frames"
	"holdfast/internal/testtools"
	"holdfast/scheduler/recovery"
	"holdfast/vtape"
)

// target is a disk in memory.
type target struct {
	mu   sync.Mutex
	data []byte
}

func (t *target) WriteAt(p []byte, off int64) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return copy(t.data[off:off+int64(len(p))], p), nil
}

func (t *target) Zero(off, length int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.data[off : off+length])
	return nil
}

// same fails, naming the first byte that differs.
func same(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	t.Errorf("%s: %d bytes, want %d; the first that differs is %d (cluster %d)", what, len(got), len(want), at, at/cluster)
}

// checkAllWays restores a dump in every way there is and compares with the disk.
func checkAllWays(t testing.TB, s *store, d catalog.Dump, want []byte) {
	t.Helper()
	ctx := context.Background()
	c := s.open(d)
	if c.SizeBytes() != int64(len(want)) {
		t.Errorf("size %d, want %d", c.SizeBytes(), len(want))
	}
	fresh := &target{data: make([]byte, len(want))}
	s.must(c.WriteTo(ctx, fresh, true))
	same(t, "fresh target", fresh.data, want)
	used := &target{data: bytes.Repeat([]byte{0xa5}, len(want))}
	s.must(c.WriteTo(ctx, used, false))
	same(t, "target full of other things", used.data, want)
	var raw bytes.Buffer
	s.must(c.WriteRaw(ctx, &raw))
	same(t, "stream", raw.Bytes(), want)
	got := make([]byte, len(want))
	if _, err := io.NewSectionReader(c, 0, c.SizeBytes()).ReadAt(got, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	same(t, "read", got, want)
	checkQcow2(t, c, want)
}

// checkQcow2 has qemu-img check and read the qcow2 file that comes out.
func checkQcow2(t testing.TB, c *recovery.Chain, want []byte) {
	t.Helper()
	testtools.Need(t, "qemu-img")
	dir := t.TempDir()
	image, raw := filepath.Join(dir, "image.qcow2"), filepath.Join(dir, "raw")
	f, err := os.Create(image)
	if err == nil {
		err = errors.Join(c.WriteQcow2(context.Background(), f), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "-q", "-f", "qcow2", image}, {"convert", "-f", "qcow2", "-O", "raw", image, raw}} {
		if out, err := exec.Command("qemu-img", args...).CombinedOutput(); err != nil {
			t.Fatalf("qemu-img %v: %v\n%s", args, err, out)
		}
	}
	got, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	// A qcow2 file's size is a multiple of 512 bytes; the exact one is in the catalog.
	if len(got) < len(want) || len(got)-len(want) >= 512 || len(bytes.Trim(got[len(want):], "\x00")) > 0 {
		t.Fatalf("qcow2 of %d bytes, want %d", len(got), len(want))
	}
	same(t, "qcow2", got[:len(want)], want)
}

// TestSizes: disks of all sizes, odd ones and none, in each kind of stream.
func TestSizes(t *testing.T) {
	for _, size := range []int{0, 1, 511, 512, 4096, cluster - 1, cluster, cluster + 1, 5*cluster + 777, 40 * cluster} {
		for _, h := range []how{{vm: "fast"}, {vm: "plain", plain: true}, {vm: "secret", encrypt: true}, {vm: "plain-secret", plain: true, encrypt: true}} {
			t.Run(fmt.Sprintf("%d/%s", size, h.vm), func(t *testing.T) {
				s, content := newStore(t), disk(1, size)
				d := s.dump(content, h)
				if size%512 != 0 && size > cluster {
					checkQcow2(t, s.open(d), content)
				}
				c := s.open(d)
				used := &target{data: bytes.Repeat([]byte{0xa5}, size)}
				s.must(c.WriteTo(context.Background(), used, false))
				same(t, "target", used.data, content)
				var raw bytes.Buffer
				s.must(c.WriteRaw(context.Background(), &raw))
				same(t, "stream", raw.Bytes(), content)
				if len(s.notes) > 0 {
					t.Errorf("notes: %v", s.notes)
				}
			})
		}
	}
}

// TestChains: levels 0 to 3, and clones of bases that are as large, larger or smaller.
func TestChains(t *testing.T) {
	s := newStore(t)
	disks := [][]byte{disk(1, 23*cluster+100)}
	dumps := []catalog.Dump{s.dump(disks[0], how{vm: "web"})}
	for level := catalog.Level(1); level <= 3; level++ {
		disks = append(disks, changed(uint64(level), disks[level-1]))
		dumps = append(dumps, s.dump(disks[level], how{vm: "web", base: &dumps[level-1], level: level, plain: level == 2, encrypt: level == 3}))
	}
	for _, size := range []int{23*cluster + 100, 31 * cluster, 31*cluster - 5, 9 * cluster, 9*cluster + 13, 1, 0} {
		clone := resized(changed(9, disks[2]), size)
		full := s.dump(clone, how{vm: fmt.Sprintf("clone-%d", size), base: &dumps[2]})
		next := changed(10, clone)
		disks, dumps = append(disks, clone, next), append(dumps, full, s.dump(next, how{vm: full.DLE.VM, base: &full, level: 1}))
	}
	for i, d := range dumps {
		t.Run(fmt.Sprintf("%s level %d", d.DLE.VM, d.Level), func(t *testing.T) { checkAllWays(t, s, d, disks[i]) })
	}
	if len(s.notes) > 0 {
		t.Errorf("notes: %v", s.notes)
	}
}

// TestReadAt compares reads at random with the disk, many at once.
func TestReadAt(t *testing.T) {
	s := newStore(t)
	content := disk(1, 21*cluster+333)
	full := s.dump(content, how{vm: "web"})
	content = changed(2, content)
	c := s.open(s.dump(content, how{vm: "web", base: &full, level: 1}))
	var readers sync.WaitGroup
	for seed := range uint64(4) {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(seed, 2))
			for range 60 {
				off, length := r.Int64N(int64(len(content))+10), r.IntN(3*cluster)
				p := make([]byte, length)
				n, err := c.ReadAt(p, off)
				want := content[min(off, int64(len(content))):min(off+int64(length), int64(len(content)))]
				if !bytes.Equal(p[:n], want) || (err == nil) != (n == length) || err != nil && !errors.Is(err, io.EOF) {
					t.Errorf("seed %d: read %d bytes at %d: %d, %v", seed, length, off, n, err)
				}
			}
		})
	}
	readers.Wait()
	if n, err := c.ReadAt(make([]byte, 1), -1); n != 0 || err == nil {
		t.Errorf("read before the beginning: %d, %v", n, err)
	}
}

// TestOpenRefuses: each chain that cannot be opened, and what is said of it.
func TestOpenRefuses(t *testing.T) {
	base := func(s *store) (full, one, two catalog.Dump) {
		content := disk(1, 9*cluster)
		full = s.dump(content, how{vm: "web", encrypt: true})
		one = s.dump(changed(1, content), how{vm: "web", base: &full, level: 1})
		return full, one, s.dump(changed(2, content), how{vm: "web", base: &one, level: 2})
	}
	for _, c := range []struct {
		name   string
		change func(s *store, site *recovery.Site, full, one, two catalog.Dump)
		is     error
		want   string
	}{
		{"base not in the catalog", func(s *store, _ *recovery.Site, full, _, _ catalog.Dump) { s.dumps = s.dumps[1:] }, nil,
			"dump web/disk0/20250302010000/1: its base web/disk0/20250301010000/0 is not in the catalog"},
		{"base lies nowhere", func(s *store, _ *recovery.Site, _, one, _ catalog.Dump) { delete(s.copies, one.ID) }, recovery.ErrNoCopy,
			"web/disk0/20250302010000/1: "},
		{"base partial", func(s *store, _ *recovery.Site, _, _, _ catalog.Dump) {
			s.dumps[1].Status, s.dumps[1].Messages = catalog.StatusPartial, []string{"part 2 is missing"}
		}, nil, "dump web/disk0/20250302010000/1: cannot be used: it is partial: part 2 is missing"},
		{"no identity", func(_ *store, site *recovery.Site, _, _, _ catalog.Dump) { site.Identities = nil }, frames.ErrNoIdentity,
			"web/disk0/20250301010000/0: "},
		{"wrong identity", func(s *store, site *recovery.Site, _, _, _ catalog.Dump) {
			site.Identities = newStore(s.t).site().Identities
		}, frames.ErrNoIdentity, "web/disk0/20250301010000/0"},
		{"volume absent", func(s *store, _ *recovery.Site, _, _, two catalog.Dump) {
			label := string(s.copies[two.ID][0].Parts[0].Label)
			s.must(s.fs.Rename("/slots/"+label, "/slots/elsewhere"))
		}, vtape.ErrAbsent, "web/disk0/20250303010000/2: "},
		{"not one of our streams", func(s *store, _ *recovery.Site, _, _, _ catalog.Dump) { s.dumps[0].Program = "GNUTAR" }, recovery.ErrNative,
			"web/disk0/20250301010000/0: not an image dump of holdfast"},
		{"block map of another disk", func(s *store, _ *recovery.Site, _, _, two catalog.Dump) {
			other := s.dump(disk(1, 8*cluster), how{vm: "other"})
			s.maps[two.ID] = s.maps[other.ID]
		}, nil, "block map is of an image of 524288 bytes, the dump of one of 589824"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t)
			full, one, two := base(s)
			site := s.site()
			c.change(s, site, full, one, two)
			chain, err := site.OpenChain(context.Background(), two)
			if err == nil {
				chain.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v\nwant %s", err, c.want)
			}
		})
	}
}

// TestMaps: without a block map, or with a damaged one, a disk is restored all the same and that is said; with one that
// does not belong to the disk nothing is.
func TestMaps(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(s *store, d catalog.Dump)
		note   string
		err    string
	}{
		{"missing", func(s *store, d catalog.Dump) { delete(s.maps, d.ID) }, "no block map: blocks are checked by the frames' checksums only", ""},
		{"not a map", func(s *store, d catalog.Dump) { s.maps[d.ID] = []byte("nonsense") }, "block map left out", ""},
		{"cut short", func(s *store, d catalog.Dump) { s.maps[d.ID] = s.maps[d.ID][:len(s.maps[d.ID])-9] }, "block map", ""},
		{"of a disk with other bytes", func(s *store, d catalog.Dump) {
			s.maps[d.ID] = s.maps[s.dump(disk(77, 9*cluster), how{vm: "other"}).ID]
		}, "", "digest differs from the one taken when it was dumped"},
		{"of a disk with more data", func(s *store, d catalog.Dump) {
			full := bytes.Repeat([]byte{1}, 9*cluster)
			s.maps[d.ID] = s.maps[s.dump(full, how{vm: "other"}).ID]
		}, "", "no dump of the chain holds it"},
		{"of a disk of zeros", func(s *store, d catalog.Dump) {
			s.maps[d.ID] = s.maps[s.dump(make([]byte, 9*cluster), how{vm: "other"}).ID]
		}, "", "holds data, was zero when dumped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, content := newStore(t), disk(1, 9*cluster)
			d := s.dump(content, how{vm: "web"})
			c.change(s, d)
			chain := s.open(d)
			got := &target{data: make([]byte, len(content))}
			err := chain.WriteTo(context.Background(), got, true)
			if c.err == "" {
				s.must(err)
				same(t, "target", got.data, content)
			} else if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v, want %s", err, c.err)
			}
			if notes := strings.Join(s.notes, "\n"); !strings.Contains(notes, c.note) {
				t.Errorf("notes %q, want %s", notes, c.note)
			}
		})
	}
}

// TestReplicas: what is damaged in one place is read from another, and that is said; damage in all places stops the
// restore and names each.
func TestReplicas(t *testing.T) {
	for _, h := range []how{{vm: "fast"}, {vm: "plain", plain: true}, {vm: "secret", encrypt: true}} {
		t.Run(h.vm, func(t *testing.T) {
			s, content := newStore(t), disk(1, 20*cluster)
			d := s.dump(content, h)
			stored := s.stored(d)
			second := s.tape(d, stored, 0)
			s.breakPart(s.copies[d.ID][0])
			restoreAllWays(t, s, d, content)
			if len(s.notes) == 0 {
				t.Error("nothing is said of the damage")
			}
			s.hold(d, stored)
			s.breakPart(second)
			restoreAllWays(t, s, d, content)
			s.held[d.ID] = nil
			c, err := s.site().OpenChain(context.Background(), d)
			if err == nil {
				t.Cleanup(c.Close)
				err = c.WriteTo(context.Background(), &target{data: make([]byte, len(content))}, true)
			}
			if err == nil || !strings.Contains(err.Error(), "V001") || !strings.Contains(err.Error(), string(second.Parts[0].Label)) {
				t.Errorf("damaged in both places: %v", err)
			}
		})
	}
}

func restoreAllWays(t *testing.T, s *store, d catalog.Dump, content []byte) {
	t.Helper()
	c := s.open(d)
	got := &target{data: bytes.Repeat([]byte{0xa5}, len(content))}
	s.must(c.WriteTo(context.Background(), got, false))
	same(t, "target", got.data, content)
	var raw bytes.Buffer
	s.must(c.WriteRaw(context.Background(), &raw))
	same(t, "stream", raw.Bytes(), content)
}

// TestUnreadablePlaces: a place that cannot be opened is left for the next one, with a note.
func TestUnreadablePlaces(t *testing.T) {
	s, content := newStore(t), disk(1, 9*cluster)
	d := s.dump(content, how{vm: "web"})
	s.hold(d, s.stored(d))
	s.must(s.fs.Remove(s.held[d.ID].Chunks[0].Path))
	restoreAllWays(t, s, d, content)
	if notes := strings.Join(s.notes, "\n"); !strings.Contains(notes, "a copy is left out") || !strings.Contains(notes, "/holding/") {
		t.Errorf("notes %q", notes)
	}
	partial := catalog.Copy{Dump: d.ID, Storage: "main", Status: catalog.StatusPartial}
	s.copies[d.ID] = append([]catalog.Copy{partial}, s.copies[d.ID]...)
	s.held[d.ID], s.notes = nil, nil
	restoreAllWays(t, s, d, content)
	if diff := cmp.Diff([]string(nil), s.notes); diff != "" {
		t.Errorf("a partial copy is no news: %s", diff)
	}
}
