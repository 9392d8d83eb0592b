package rait_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast/catalog"
	"holdfast/internal/testtools"
	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/devicetest"
)

// written is what a set must give back: parts by their file numbers.
type written map[int][]byte

// part is what the catalog would know of a file.
func (w written) part(number int) catalog.Part {
	return catalog.Part{Label: "DEMO-001", File: number, Bytes: int64(len(w[number])), CRC: vtape.Checksum(w[number])}
}

func (w written) parts() (list []catalog.Part) {
	for n := 1; n <= len(w); n++ {
		list = append(list, w.part(n))
	}
	return list
}

// fill labels a set and writes two parts, of several stripes and an odd end.
func (x *set) fill() written {
	x.Helper()
	d := x.open()
	must(x, d.Format(ctx, devicetest.Label("DEMO-001")))
	w := written{1: devicetest.Data(1, 3*int(d.AlignBytes())), 2: devicetest.Data(2, vtape.PartAlign+12345)}
	for n := 1; n <= len(w); n++ {
		devicetest.Write(x, d, n, devicetest.Header(n), w[n])
	}
	return w
}

// read gives a part as a reader with its checksum gets it: when the bytes are wrong, from the first variant that has
// them right.
func read(d vtape.Device, p catalog.Part) (data []byte, without string, err error) {
	data, err = readOnce(d, p)
	if !errors.Is(err, errSum) {
		return data, "", err
	}
	for without, v := range d.(vtape.Redundant).Variants() {
		if data, err := readOnce(v, p); err == nil {
			return data, without, nil
		}
	}
	return nil, "", err
}

var errSum = errors.New("wrong checksum")

func readOnce(d vtape.Device, p catalog.Part) ([]byte, error) {
	r, err := d.Open(ctx, p.File)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.NewSectionReader(r, 0, p.Bytes))
	switch {
	case err != nil:
		return nil, err
	case int64(len(data)) < p.Bytes:
		return nil, io.ErrUnexpectedEOF
	case vtape.Checksum(data) != p.CRC:
		return nil, errSum
	}
	return data, nil
}

// harm is something that happens to a member, or to one of its files.
type harm string

const (
	gone       harm = "gone"      // the member's directory
	lost       harm = "lost"      // a file
	cut        harm = "cut"       // a file, in the middle
	headless   harm = "headless"  // a file, inside its header block
	flipped    harm = "flipped"   // bytes in the middle of a file
	badHead    harm = "bad head"  // bytes of the header
	unlabelled harm = "unlabeled" // the label
)

var harms = []harm{gone, lost, cut, headless, flipped, badHead, unlabelled}

// wrong tells whether reading shows no error, only other bytes.
func (h harm) wrong() bool { return h == flipped }

// doTo does harm to file 1 of a member, or to the member.
func (h harm) doTo(t testing.TB, fsys vfs.FS, i int) {
	t.Helper()
	names, err := fsys.ReadDir(member(i))
	must(t, err)
	find := func(prefix string) string {
		for _, n := range names {
			if strings.HasPrefix(n.Name(), prefix) {
				return path.Join(member(i), n.Name())
			}
		}
		t.Fatalf("no file %s", prefix)
		return ""
	}
	change := func(do func(f vfs.File) error) {
		f, err := fsys.OpenFile(find("00001."), os.O_RDWR, 0)
		must(t, err)
		must(t, do(f))
		must(t, f.Close())
	}
	switch h {
	case gone:
		must(t, fsys.Rename(member(i), member(i)+".gone"))
	case lost:
		must(t, fsys.Remove(find("00001.")))
	case unlabelled:
		must(t, fsys.Remove(find("00000.")))
	case cut:
		change(func(f vfs.File) error { return f.Truncate(vtape.HeaderBytes + 20_000) })
	case headless:
		change(func(f vfs.File) error { return f.Truncate(100) })
	case flipped:
		change(func(f vfs.File) error { return flip(f, vtape.HeaderBytes+10_000) })
	case badHead:
		change(func(f vfs.File) error { return flip(f, 3) })
	}
}

func flip(f vfs.File, off int64) error {
	b := make([]byte, 4)
	if _, err := f.ReadAt(b, off); err != nil {
		return err
	}
	for i := range b {
		b[i] ^= 0x55
	}
	_, err := f.WriteAt(b, off)
	return err
}

// eachChoice calls do for every choice of t members.
func eachChoice(n, t int, do func(choice []int)) {
	var rec func(from int, choice []int)
	rec = func(from int, choice []int) {
		if len(choice) == t {
			do(choice)
			return
		}
		for i := from; i < n; i++ {
			rec(i+1, append(slices.Clone(choice), i))
		}
	}
	rec(0, nil)
}

// In each form, whatever happens to up to m members: every part comes back bit by bit. When it happens to one more, the
// part does not come back, and the error names the members; the other part is still there.
func TestLossSweep(t *testing.T) {
	for _, s := range []shape{{2, 1}, {3, 1}, {4, 1}, {5, 1}, {7, 1}, {6, 2}, {3, 2}} {
		t.Run(s.String(), func(t *testing.T) {
			x := newSet(t, s)
			x.shard = 4096
			if s.parity == 1 && s.members <= 5 {
				x.shard = 0
			}
			parts := x.fill()
			for n := 1; n <= s.parity+1; n++ {
				eachChoice(s.members, n, func(choice []int) {
					for k, h := range harms {
						mixed := []harm{h, harms[(k+choice[0]+n)%len(harms)], h}
						x.lose(choice, mixed[:n], parts)
					}
				})
			}
		})
	}
}

// A large set, with losses by chance.
func TestLossesOfLargeSet(t *testing.T) {
	const seed = 1
	rng := rand.New(rand.NewPCG(seed, seed))
	x := newSet(t, shape{14, 4})
	x.shard = 4096
	parts := x.fill()
	for range 60 {
		n := 1 + rng.IntN(5)
		var did []harm
		for range n {
			did = append(did, harms[rng.IntN(len(harms))])
		}
		x.lose(rng.Perm(14)[:n], did, parts)
	}
}

// lose does harm to some members of a copy of the set and reads all parts.
func (x *set) lose(choice []int, did []harm, parts written) {
	x.Helper()
	y := *x
	y.fsys = x.fsys.(*vfs.Mem).CrashClone()
	for k, i := range choice {
		did[k].doTo(x, y.fsys, i)
	}
	y.notes = nil
	d := y.open()
	// A header that cannot be read is no loss: what is behind it is used when it is needed.
	losses, wrong := 0, 0
	for _, h := range did {
		if h != badHead {
			losses++
		}
		if h.wrong() {
			wrong++
		}
	}
	data, _, err := read(d, parts.part(1))
	switch {
	case losses <= x.parity && (err != nil || !bytes.Equal(data, parts[1])):
		x.Errorf("%v of members %v: %v", did, choice, err)
	case losses > x.parity && err == nil && (!bytes.Equal(data, parts[1]) || !slices.Contains(did, cut)):
		x.Errorf("%v of members %v: no error", did, choice)
	case losses > x.parity && err == nil: // where one is cut, the other is right
	case losses > x.parity && wrong == 0:
		said := err.Error() + strings.Join(y.notes, "")
		for k, i := range choice {
			alone := (did[k] == cut || did[k] == headless) && x.members-x.parity == 1 // nothing tells how long it was, but the catalog
			if !alone && did[k] != badHead && !strings.Contains(said, member(i)[1:]) {
				x.Errorf("%v of members %v: the error does not name %s: %v", did, choice, member(i), err)
			}
		}
	case wrong < len(did) && len(y.notes) == 0:
		x.Errorf("%v of members %v: nothing was noted", did, choice)
	}
	if x.Failed() {
		x.FailNow()
	}
}

// amandaDumps are the dumps of the fixtures: their files, and length and SHA-256 of the streams.
var amandaDumps = []struct {
	fixture string
	members int
	files   []int
	bytes   int64
	sum     string
}{
	{"fxrait2", 2, []int{3}, 10240, "d34145435adb17777ba3def8c8c111330385995756c426d0ae10dc1054fdc44a"},
	{"fxrait2", 2, []int{1, 2}, 155725, "7f5761311d05bb15158fe3e01d083cf99fc7c4cc76d3e48b69151fb79f717547"},
	{"fxrait3", 3, []int{3}, 10240, "56a3df3fecd3abd67242c11a51ee190571b0015812060c75e1d5d19208895ada"},
	{"fxrait3", 3, []int{1, 2}, 156749, "1c95c7bbde8bb4c1585fe67f65b8e76354039b5e648723b8fdb2af1bdf9c27a3"},
	{"fxrait5", 5, []int{3}, 10240, "33f07144f569e99151f62aafc4ec54b05c6b162bd7f75672a3c800b448839172"},
	{"fxrait5", 5, []int{1, 2}, 158797, "f11265ed0800bf6c4fc0a87265f15a24d1f30f66f7fcead2782bb9338d19e702"},
}

func amandaSet(t testing.TB, fixture string, members int) *set {
	t.Helper()
	x := &set{TB: t, shape: shape{members, 1}, fsys: vfs.NewMem()}
	testtools.Untar(t, filepath.Join("../testdata", fixture+".tar.gz"), x.fsys, "/")
	for i := range members {
		must(t, x.fsys.Rename(fmt.Sprintf("/%s/d%d/slot1", fixture, i+1), member(i)))
	}
	return x
}

// dump reads the files of a dump, joined.
func dump(d vtape.Device, files []int, size int64) ([]byte, error) {
	var all []byte
	for _, n := range files {
		r, err := d.Open(ctx, n)
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(io.NewSectionReader(r, 0, r.SizeBytes()))
		if err := errors.Join(err, r.Close()); err != nil {
			return nil, err
		}
		all = append(all, data...)
	}
	return all[:min(int64(len(all)), size)], nil
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// What Amanda wrote comes back bit by bit: with all members, without each, and with each file of each lost, cut short or
// wrong; a wrong one is found by the dump's checksum.
func TestAmandaFixtures(t *testing.T) {
	for _, tc := range amandaDumps {
		x := amandaSet(t, tc.fixture, tc.members)
		try := func(what string, without ...int) {
			d := x.open(without...)
			data, err := dump(d, tc.files, tc.bytes)
			if err == nil && sumOf(data) == tc.sum {
				return
			}
			for _, v := range d.Variants() {
				if data, err := dump(v, tc.files, tc.bytes); err == nil && sumOf(data) == tc.sum {
					return
				}
			}
			t.Errorf("%s files %v, %s: %v, SHA-256 %s of %d bytes", tc.fixture, tc.files, what, err, sumOf(data), len(data))
		}
		try("whole")
		for i := range tc.members {
			try("without "+member(i), i)
			names, err := x.fsys.ReadDir(member(i))
			must(t, err)
			for _, n := range names {
				name := path.Join(member(i), n.Name())
				data, restore := x.keep(name)
				must(t, x.fsys.Remove(name))
				try("without " + name)
				restore()
				for what, change := range map[string]func(f vfs.File) error{
					"cut":     func(f vfs.File) error { return f.Truncate(40_000) },
					"flipped": func(f vfs.File) error { return flip(f, min(32_700+int64(i)*40, int64(len(data))-4)) },
				} {
					f, err := x.fsys.OpenFile(name, os.O_RDWR, 0)
					must(t, err)
					must(t, errors.Join(change(f), f.Close()))
					try(what + " " + name)
					restore()
				}
			}
		}
	}
}

// keep gives a file's bytes, and what puts it back.
func (x *set) keep(name string) (data []byte, restore func()) {
	data, err := vfs.ReadFile(x.fsys, name)
	must(x, err)
	return data, func() { must(x, vfs.WriteSynced(x.fsys, name, data, 0o600)) }
}

// What we write is byte for byte what Amanda wrote: its own parts, written again.
func TestSameBytesAsAmanda(t *testing.T) {
	for members, fixture := range map[int]string{2: "fxrait2", 3: "fxrait3", 5: "fxrait5"} {
		theirs := amandaSet(t, fixture, members)
		from := theirs.open()
		label, err := from.ReadLabel(ctx)
		must(t, err)
		ours := newSet(t, shape{members, 1})
		to := ours.open()
		must(t, to.Format(ctx, label))
		files, err := from.Files(ctx)
		must(t, err)
		for _, f := range files {
			r, err := from.Open(ctx, f.Number)
			must(t, err)
			data, err := io.ReadAll(io.NewSectionReader(r, 0, r.SizeBytes()))
			must(t, err)
			if data = bytes.TrimRight(data, "\x00"); len(data) == 0 {
				t.Fatal("a part of zeros shows nothing")
			}
			devicetest.Write(t, to, f.Number, r.Header(), data)
			must(t, r.Close())
		}
		compared := 0
		for i := range members {
			names, err := theirs.fsys.ReadDir(member(i))
			must(t, err)
			for _, n := range names {
				want, err := vfs.ReadFile(theirs.fsys, path.Join(member(i), n.Name()))
				must(t, err)
				got, err := vfs.ReadFile(ours.fsys, path.Join(member(i), n.Name()))
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %s of %s differs: %v", fixture, n.Name(), member(i), err)
				}
				compared++
			}
		}
		if compared != 4*members {
			t.Errorf("%s: %d files compared", fixture, compared)
		}
	}
}
