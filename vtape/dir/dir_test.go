package dir_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/catalog"
	"holdfast/internal/testtools"
	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/dir"
)

const slot = "/lib/slot1"

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newSlot(t testing.TB) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	must(t, vfs.MkdirAll(m, slot, 0o700))
	return m
}

func put(t testing.TB, fsys vfs.FS, name string, data []byte) {
	t.Helper()
	must(t, vfs.WriteSynced(fsys, slot+"/"+name, data, 0o600))
}

func block(t testing.TB, h vtape.Header) []byte {
	t.Helper()
	b, err := h.Block()
	must(t, err)
	return b
}

func names(t testing.TB, fsys vfs.FS) string {
	t.Helper()
	entries, err := fsys.ReadDir(slot)
	must(t, err)
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

func TestConformance(t *testing.T) {
	t.Run("OS", func(t *testing.T) {
		devicetest.Run(t, func(t testing.TB, capacity int64) vtape.Device {
			return dir.New(vfs.OS(), t.TempDir(), dir.Options{CapacityBytes: capacity})
		})
	})
	t.Run("Mem", func(t *testing.T) {
		devicetest.Run(t, func(t testing.TB, capacity int64) vtape.Device {
			return dir.New(newSlot(t), slot, dir.Options{CapacityBytes: capacity})
		})
	})
	// The file system ends before the volume does.
	t.Run("FullFileSystem", func(t *testing.T) {
		devicetest.Run(t, func(t testing.TB, capacity int64) vtape.Device {
			m := newSlot(t)
			m.SetCapacity(capacity)
			return dir.New(m, slot, dir.Options{})
		})
	})
}

// boaster tells of more free space than there is, as when others fill the file system meanwhile.
type boaster struct{ vfs.FS }

func (b boaster) Space(string) (vfs.Space, error) {
	return vfs.Space{Total: 1 << 40, Free: 1 << 40}, nil
}

// A file system that turns out to be full in the middle of a write ends the volume just as its capacity does: whole
// alignments stay, nothing that an earlier Write took is lost, and no stray bytes are behind the part.
func TestFileSystemFullUnawares(t *testing.T) {
	for _, tc := range []struct{ free, first, second, wantSecond int }{
		{5*vtape.PartAlign + 100, 0, 4 << 20, 5 * vtape.PartAlign},
		{5*vtape.PartAlign + 100, vtape.PartAlign, 4 << 20, 4 * vtape.PartAlign},
		{vtape.PartAlign + 100, vtape.PartAlign, vtape.PartAlign, 0},
		{2*vtape.PartAlign - 50, vtape.PartAlign + 100, vtape.PartAlign, 0},
		{3*vtape.PartAlign + 50, vtape.PartAlign + 100, 4 << 20, 2*vtape.PartAlign - 100},
		{10, 0, 500, 0},
		{10, 0, 0, 0},
	} {
		m := newSlot(t)
		dev := dir.New(boaster{m}, slot, dir.Options{})
		must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
		m.SetCapacity(2*vtape.HeaderBytes + int64(tc.free))
		w, err := dev.Create(ctx, 1, devicetest.Header(1))
		must(t, err)
		data := devicetest.Data(1, tc.first+tc.second)
		n, err := w.Write(data[:tc.first])
		if n != tc.first || err != nil {
			t.Errorf("%+v: first write: %d, %v", tc, n, err)
		}
		n, err = w.Write(data[tc.first:])
		if n != tc.wantSecond || tc.second > 0 && (!errors.Is(err, vtape.ErrEndOfMedium) || !errors.Is(err, syscall.ENOSPC)) {
			t.Errorf("%+v: second write: %d, %v", tc, n, err)
		}
		if _, err := w.Close(); err != nil {
			t.Errorf("%+v: %v", tc, err)
		}
		devicetest.Check(t, dev, 1, devicetest.Header(1), data[:tc.first+tc.wantSecond])
	}
}

// When not even the header fits, there is no file.
func TestFileSystemFullUnawaresAtCreate(t *testing.T) {
	m := newSlot(t)
	dev := dir.New(boaster{m}, slot, dir.Options{})
	must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
	m.SetCapacity(vtape.HeaderBytes + 100)
	if _, err := dev.Create(ctx, 1, devicetest.Header(1)); !errors.Is(err, vtape.ErrEndOfMedium) {
		t.Errorf("create: %v", err)
	}
	if got := names(t, m); got != "00000.DEMO-001" {
		t.Errorf("left: %s", got)
	}
}

func TestLayout(t *testing.T) {
	m := newSlot(t)
	dev := dir.New(m, slot, dir.Options{})
	must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
	h := devicetest.Header(1)
	h.Host, h.Disk = "web:01", `C:\disk/0 ä`
	devicetest.Write(t, dev, 1, h, []byte("data"))
	if got := names(t, m); got != "00000.DEMO-001 00001.web_01.C__disk_0 ä.1" {
		t.Errorf("names: %s", got)
	}
	for name, want := range map[string][]byte{
		"00000.DEMO-001":             block(t, devicetest.Label("DEMO-001")),
		"00001.web_01.C__disk_0 ä.1": append(block(t, h), "data"...),
	} {
		got, err := vfs.ReadFile(m, slot+"/"+name)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d, %v", name, len(got), len(want), err)
		}
		if info, err := m.Stat(slot + "/" + name); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
}

// Reading goes by the number alone, and what does not belong to the volume is not seen.
func TestForeignFileNames(t *testing.T) {
	m := newSlot(t)
	label, h := block(t, devicetest.Label("DEMO-001")), block(t, devicetest.Header(1))
	put(t, m, "0.lab", label)
	put(t, m, "1.x", append(h, "one"...))
	put(t, m, "0000002.anything", append(h, "two"...))
	put(t, m, "elsewhere", append(h, "linked"...))
	must(t, m.Symlink(slot+"/elsewhere", slot+"/00007.link"))
	must(t, m.Symlink(slot+"/nothing", slot+"/00008.dangling"))
	must(t, m.Mkdir(slot+"/00009.directory", 0o700))
	put(t, m, "00004.short", h[:500])
	for _, name := range []string{"README", "00003-dash", "00000-lock", "00001", "12", "99999999999.big", ".5"} {
		put(t, m, name, []byte("x"))
	}
	dev := dir.New(m, slot, dir.Options{})
	if got, err := dev.ReadLabel(ctx); err != nil || got.Label != "DEMO-001" {
		t.Errorf("label %+v, %v", got, err)
	}
	files, err := dev.Files(ctx)
	must(t, err)
	want := []vtape.File{{Number: 1, Bytes: 3}, {Number: 2, Bytes: 3}, {Number: 4}, {Number: 7, Bytes: 6}}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Error(diff)
	}
	devicetest.Check(t, dev, 7, devicetest.Header(1), []byte("linked"))
	devicetest.Check(t, dev, 4, devicetest.Header(1), nil)

	must(t, dev.Format(ctx, devicetest.Label("DEMO-002")))
	if got, want := names(t, m), ".5 00000-lock 00000.DEMO-002 00001 00008.dangling 00009.directory 12 README elsewhere"; got != want {
		t.Errorf("left after erasing: %s\nwant: %s", got, want)
	}
}

// Each way a slot can be wrong has its error, which names the slot and the file.
func TestBadSlots(t *testing.T) {
	label, h := block(t, devicetest.Label("DEMO-001")), block(t, devicetest.Header(1))
	for name, tc := range map[string]struct {
		files map[string][]byte
		want  error
		says  string
	}{
		"blank":          {nil, vtape.ErrBlank, slot},
		"only a readme":  {map[string][]byte{"README": nil}, vtape.ErrBlank, slot},
		"no label":       {map[string][]byte{"00001.a.b.0": h}, vtape.ErrForeign, "00001.a.b.0"},
		"empty label":    {map[string][]byte{"00000.A": nil}, vtape.ErrForeign, "00000.A"},
		"garbage label":  {map[string][]byte{"00000.A": bytes.Repeat([]byte("x"), 40000)}, vtape.ErrForeign, "00000.A"},
		"part as label":  {map[string][]byte{"00000.A": h}, vtape.ErrForeign, "SPLIT_FILE"},
		"damaged label":  {map[string][]byte{"00000.A": label[:20]}, vtape.ErrForeign, "stamp"},
		"two labels":     {map[string][]byte{"00000.A": label, "0.B": label}, nil, "0.B and 00000.A"},
		"unpadded label": {map[string][]byte{"00000.A": []byte("AMANDA: TAPESTART DATE X TAPE A")}, errNone, ""},
	} {
		m := newSlot(t)
		for file, data := range tc.files {
			put(t, m, file, data)
		}
		_, err := dir.New(m, slot, dir.Options{}).ReadLabel(ctx)
		if tc.want == errNone {
			must(t, err)
			continue
		}
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var errNone = errors.New("no error")

func TestAbsent(t *testing.T) {
	m := newSlot(t)
	put(t, m, "file", nil)
	for _, name := range []string{"/lib/slot2", slot + "/file"} {
		dev := dir.New(m, name, dir.Options{})
		_, err := dev.ReadLabel(ctx)
		_, err2 := dev.Files(ctx)
		_, err3 := dev.Create(ctx, 1, devicetest.Header(1))
		_, err4 := dev.Open(ctx, 1)
		_, err5 := dev.Room(ctx)
		err6 := dev.Format(ctx, devicetest.Label("DEMO-001"))
		for i, err := range []error{err, err2, err3, err4, err5, err6} {
			if !errors.Is(err, vtape.ErrAbsent) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: call %d: %v", name, i, err)
			}
		}
	}
}

func TestDamagedFiles(t *testing.T) {
	m := newSlot(t)
	put(t, m, "00000.DEMO-001", block(t, devicetest.Label("DEMO-001")))
	put(t, m, "00001.a.b.0", make([]byte, 50_000))
	put(t, m, "00002.a.b.0", block(t, devicetest.Label("DEMO-001")))
	put(t, m, "00003.a.b.0", block(t, devicetest.Header(1)))
	put(t, m, "00003.c.d.0", block(t, devicetest.Header(1)))
	put(t, m, "00004.a.b.0", append(block(t, devicetest.Header(1)), "0123456789"...))
	dev := dir.New(m, slot, dir.Options{})
	for number, want := range map[int]vtape.HeaderType{1: "", 2: vtape.TypeTapeStart} {
		r, err := dev.Open(ctx, number)
		must(t, err)
		if got := r.Header().Type; got != want {
			t.Errorf("file %d: header of type %q, want %q", number, got, want)
		}
		must(t, r.Close())
	}
	_, err := dev.Open(ctx, 3)
	_, err2 := dev.Files(ctx)
	for _, err := range []error{err, err2} {
		if err == nil || !strings.Contains(err.Error(), "00003.a.b.0 and 00003.c.d.0") {
			t.Errorf("two files with one number: %v", err)
		}
	}
	// A disk that cannot read shows as damage of the bytes that were asked for.
	reads := 0
	bad := vfs.Wrap(m, func(op vfs.Op) error {
		if op.Kind == vfs.OpRead {
			if reads++; reads > 1 {
				return syscall.EIO
			}
		}
		return nil
	})
	r, err := dir.New(bad, slot, dir.Options{}).Open(ctx, 4)
	must(t, err)
	_, err = r.ReadAt(make([]byte, 4), 3)
	want := "volume DEMO-001 file 4: bytes 32771 to 32774: read /lib/slot1/00004.a.b.0: input/output error"
	if err == nil || err.Error() != want || !errors.Is(err, syscall.EIO) {
		t.Errorf("read: %v\nwant: %s", err, want)
	}
}

func TestLabelThatIsNoFileName(t *testing.T) {
	m := newSlot(t)
	dev := dir.New(m, slot, dir.Options{})
	must(t, dev.Format(ctx, devicetest.Label("OLD")))
	for _, label := range []catalog.Label{"../x", catalog.Label(strings.Repeat("x", 250)), "two words", ""} {
		if err := dev.Format(ctx, devicetest.Label(label)); err == nil {
			t.Errorf("label %q: no error", label)
		}
	}
	if got := names(t, m); got != "00000.OLD" {
		t.Errorf("a label that cannot be written has erased the volume: %s", got)
	}
}

// A volume for which only the file system has no room says so: the administrator looks for another cause.
func TestFullVolumeOrFileSystem(t *testing.T) {
	for _, tc := range []struct {
		capacity, free int64
		want           string
	}{
		{1 << 20, 100 << 10, "create file 1: /lib/slot1: end of volume: no space left on device"},
		{0, 100 << 10, "create file 1: /lib/slot1: end of volume: no space left on device"},
		{100 << 10, 1 << 30, "create file 1: /lib/slot1: end of volume"},
	} {
		m := newSlot(t)
		m.SetCapacity(tc.free)
		dev := dir.New(m, slot, dir.Options{CapacityBytes: tc.capacity})
		must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
		if _, err := dev.Create(ctx, 1, devicetest.Header(1)); !errors.Is(err, vtape.ErrEndOfMedium) || err.Error() != tc.want {
			t.Errorf("%+v: %v", tc, err)
		}
	}
}

func TestReserve(t *testing.T) {
	m := newSlot(t)
	m.SetCapacity(1 << 20)
	dev := dir.New(m, slot, dir.Options{CapacityBytes: 1 << 30, ReserveFSBytes: 600 << 10})
	must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
	if got, err := dev.Room(ctx); err != nil || got != (1<<20)-(600<<10)-vtape.HeaderBytes {
		t.Errorf("room %d, %v", got, err)
	}
	w, err := dev.Create(ctx, 1, devicetest.Header(1))
	must(t, err)
	n, err := w.Write(make([]byte, 1<<20))
	if n != 2*vtape.PartAlign || !errors.Is(err, vtape.ErrEndOfMedium) {
		t.Errorf("write: %d, %v", n, err)
	}
}

// A write error other than a full disk ends the part for good.
func TestWriteError(t *testing.T) {
	m := newSlot(t)
	dev := dir.New(m, slot, dir.Options{})
	must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
	bad := vfs.Wrap(m, func(op vfs.Op) error {
		if op.Kind == vfs.OpWrite && op.N > 2 {
			return syscall.EIO
		}
		return nil
	})
	w, err := dir.New(bad, slot, dir.Options{}).Create(ctx, 1, devicetest.Header(1))
	must(t, err)
	for range 2 {
		if n, err := w.Write([]byte("x")); n != 0 || !errors.Is(err, syscall.EIO) || errors.Is(err, vtape.ErrEndOfMedium) {
			t.Errorf("write: %d, %v", n, err)
		}
	}
	if _, err := w.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("close: %v", err)
	}
	must(t, w.Abort())
	if got := names(t, m); got != "00000.DEMO-001" {
		t.Errorf("left: %s", got)
	}
}

// The order of operations is what makes a part last: bytes, then name, then nil.
func TestOperationOrder(t *testing.T) {
	var log []string
	m := newSlot(t)
	put(t, m, "00000.OLD", block(t, devicetest.Label("OLD")))
	put(t, m, "00001.old.x.0", block(t, devicetest.Header(1)))
	dev := dir.New(vfs.Wrap(m, func(op vfs.Op) error {
		if op.Kind.Changes() {
			op.Path, op.To = strings.TrimPrefix(op.Path, "/lib/"), strings.TrimPrefix(op.To, "/lib/")
			log = append(log, strings.TrimSpace(fmt.Sprintf("%s %s %s", op.Kind, op.Path, op.To)))
		}
		return nil
	}), slot, dir.Options{})
	must(t, dev.Format(ctx, devicetest.Label("NEW")))
	devicetest.Write(t, dev, 1, devicetest.Header(1), []byte("data"))
	want := []string{
		"remove slot1/00001.old.x.0", "syncdir slot1",
		"remove slot1/00000.OLD", "syncdir slot1",
		"create slot1/new-label", "write slot1/new-label", "sync slot1/new-label",
		"rename slot1/new-label slot1/00000.NEW", "syncdir slot1",
		"create slot1/00001.web01.sys tem_0.1", "write slot1/00001.web01.sys tem_0.1",
		"write slot1/00001.web01.sys tem_0.1", "sync slot1/00001.web01.sys tem_0.1", "syncdir slot1",
	}
	if diff := cmp.Diff(want, log); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Amanda's own slots read as they should.
func TestAmandaSlot(t *testing.T) {
	const root = "/fxbasic/vtapes/slot1"
	m := vfs.NewMem()
	testtools.Untar(t, "../testdata/fxbasic.tar.gz", m, "/")
	dev := dir.New(m, root, dir.Options{})
	label, err := dev.ReadLabel(ctx)
	if err != nil || label.Label != "FXABASIC-01" {
		t.Errorf("%+v, %v", label, err)
	}
	files, err := dev.Files(ctx)
	must(t, err)
	want := []vtape.File{{Number: 1, Bytes: 10240}, {Number: 2, Bytes: 65536}, {Number: 3, Bytes: 37185}, {Number: 4, Bytes: 10240}}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Error(diff)
	}
	for n, crc := range map[int]uint32{1: 0x97cea56b, 4: 0xf2e07ded} {
		r, err := dev.Open(ctx, n)
		must(t, err)
		data, err := io.ReadAll(io.NewSectionReader(r, 0, r.SizeBytes()))
		must(t, err)
		if got := vtape.Checksum(data); got != crc || r.Header().Server.Sum != crc {
			t.Errorf("file %d: CRC %08x, header says %08x, want %08x", n, got, r.Header().Server.Sum, crc)
		}
		must(t, r.Close())
	}
}

// The real file system's flags and modes are those of package os; this shows that a slot on disk has private files.
func TestModeOnDisk(t *testing.T) {
	root := t.TempDir()
	dev := dir.New(vfs.OS(), root, dir.Options{})
	must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
	info, err := os.Stat(root + "/00000.DEMO-001")
	if err != nil || info.Mode() != fs.FileMode(0o600) {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
