package library_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/catalog"
	"holdfast/internal/testtools"
	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/library"
)

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func options(slots int) library.Options {
	return library.Options{Root: "/srv/vtapes", Slots: slots, Storage: "vtapes", Label: "DEMO-%%%", CapacityBytes: 4 << 20}
}

func create(t testing.TB, fsys vfs.FS, slots int) *library.Library {
	t.Helper()
	must(t, library.Create(fsys, options(slots)))
	l, err := library.Open(fsys, options(slots))
	must(t, err)
	return l
}

func label(t testing.TB, l *library.Library, slot string, label catalog.Label) vtape.Device {
	t.Helper()
	dev, err := l.LoadForWriting(slot)
	must(t, err)
	must(t, dev.Format(ctx, devicetest.Label(label)))
	return dev
}

// inventory shows each slot in a line.
func inventory(t testing.TB, l *library.Library) []string {
	t.Helper()
	inv, err := l.Inventory(ctx)
	must(t, err)
	var list []string
	for _, i := range inv {
		switch {
		case i.Err != nil:
			list = append(list, fmt.Sprintf("%s: %v", i.Slot, i.Err))
		case i.Blank:
			list = append(list, i.Slot+": blank")
		default:
			list = append(list, fmt.Sprintf("%s: %s %s %d files %d bytes", i.Slot, i.Label, i.Stamp, i.Files, i.Bytes))
		}
	}
	return list
}

func checkInventory(t testing.TB, l *library.Library, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, inventory(t, l)); diff != "" {
		t.Errorf("inventory (-want +got):\n%s", diff)
	}
}

func TestCreateAndInventory(t *testing.T) {
	m := vfs.NewMem()
	l := create(t, m, 3)
	checkInventory(t, l, "1: blank", "2: blank", "3: blank")
	dev := label(t, l, "2", "DEMO-001")
	devicetest.Write(t, dev, 1, devicetest.Header(1), make([]byte, 1000))
	devicetest.Write(t, dev, 2, devicetest.Header(2), nil)
	want := []string{"1: blank", "2: DEMO-001 20250102030405 2 files 99304 bytes", "3: blank"}
	checkInventory(t, l, want...)
	if room, err := dev.Room(ctx); err != nil || room != 4<<20-99304 {
		t.Errorf("room %d, %v", room, err)
	}
	// Created again, it loses nothing, and after loss of power all is there.
	must(t, library.Create(m, options(4)))
	want = append(want, "4: blank")
	after, err := library.Open(m.CrashClone(), options(4))
	must(t, err)
	checkInventory(t, after, want...)
	// Fewer slots in the configuration do not hide a volume.
	fewer, err := library.Open(m, options(1))
	must(t, err)
	checkInventory(t, fewer, want...)
}

// A library that is not there, is not one, or is another storage's, is told apart, and never made by Open.
func TestOpenErrors(t *testing.T) {
	m := vfs.NewMem()
	_, err := library.Open(m, options(1))
	if !errors.Is(err, vtape.ErrAbsent) || !strings.Contains(err.Error(), "/srv/vtapes") || !strings.Contains(err.Error(), "mounted") {
		t.Errorf("no root: %v", err)
	}
	must(t, vfs.MkdirAll(m, "/srv/vtapes/slot1", 0o700))
	if _, err = library.Open(m, options(1)); !errors.Is(err, vtape.ErrAbsent) {
		t.Errorf("no marker: %v", err)
	}
	create(t, m, 1)
	other := options(1)
	other.Storage = "cloud"
	for what, err := range map[string]error{"open": second(library.Open(m, other)), "create": library.Create(m, other)} {
		if err == nil || errors.Is(err, vtape.ErrAbsent) || !strings.Contains(err.Error(), `storage "vtapes", not of "cloud"`) {
			t.Errorf("%s another storage's library: %v", what, err)
		}
	}
	must(t, vfs.WriteFileDurable(m, "/srv/vtapes/.holdfast-library", []byte("garbage"), 0o600))
	for what, err := range map[string]error{"open": second(library.Open(m, options(1))), "create": library.Create(m, options(1))} {
		if err == nil || errors.Is(err, vtape.ErrAbsent) || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s with a damaged marker: %v", what, err)
		}
	}
}

func second(_ *library.Library, err error) error { return err }

// Whatever operation of Create fails, a later Create finishes it; the marker comes last.
func TestCreateFaultSweep(t *testing.T) {
	for n := 1; ; n++ {
		m := vfs.NewMem()
		reached := false
		err := library.Create(vfs.Wrap(m, func(op vfs.Op) error {
			if op.Kind.Changes() && op.N >= n {
				reached = true
				return syscall.EIO
			}
			return nil
		}), options(3))
		if (err == nil) == reached {
			t.Fatalf("operation %d: %v", n, err)
		}
		crashed := m.CrashClone()
		if l, err := library.Open(crashed, options(3)); err == nil {
			checkInventory(t, l, "1: blank", "2: blank", "3: blank")
		}
		checkInventory(t, create(t, crashed, 3), "1: blank", "2: blank", "3: blank")
		if !reached {
			return
		}
	}
}

// One bad slot does not hide the others, and says what is wrong with it.
func TestInventoryOfBadSlots(t *testing.T) {
	m := vfs.NewMem()
	l := create(t, m, 5)
	label(t, l, "1", "DEMO-001")
	label(t, l, "2", "DEMO-002")
	label(t, l, "4", "DEMO-001")
	must(t, vfs.WriteSynced(m, "/srv/vtapes/slot3/00001.x.y.0", nil, 0o600))
	must(t, vfs.RemoveAll(m, "/srv/vtapes/slot5"))
	checkInventory(t, l,
		"1: label DEMO-001 is also in slot 4",
		"2: DEMO-002 20250102030405 0 files 32768 bytes",
		"3: read label: /srv/vtapes/slot3: not a volume: no label, but a file 00001.x.y.0",
		"4: label DEMO-001 is also in slot 1",
		"5: read label: /srv/vtapes/slot5: volume is absent: no such file or directory",
	)
	if _, _, err := l.Load(ctx, "DEMO-001"); err == nil || !strings.Contains(err.Error(), "also in slot 4") {
		t.Errorf("load a label that is there twice: %v", err)
	}
	if slot, dev, err := l.Load(ctx, "DEMO-002"); err != nil || slot != "2" {
		t.Errorf("load: slot %s, %v", slot, err)
	} else if h, err := dev.ReadLabel(ctx); err != nil || h.Label != "DEMO-002" {
		t.Errorf("loaded %v, %v", h.Label, err)
	}
	if _, _, err := l.Load(ctx, "DEMO-009"); !errors.Is(err, vtape.ErrAbsent) || !strings.Contains(err.Error(), "DEMO-009") {
		t.Errorf("load what is not there: %v", err)
	}
	for _, slot := range []string{"0", "6", "x", "../slot1", "01", ""} {
		if _, err := l.Device(slot); err == nil {
			t.Errorf("slot %q: no error", slot)
		}
	}
	must(t, vfs.RemoveAll(m, "/srv/vtapes"))
	if _, err := l.Inventory(ctx); !errors.Is(err, vtape.ErrAbsent) {
		t.Errorf("inventory of a library that went away: %v", err)
	}
}

// The link that Amanda follows points to the slot loaded last for writing, at every moment, crashes included.
func TestCurrentLink(t *testing.T) {
	m := vfs.NewMem()
	must(t, library.Create(m, options(3)))
	current := func(fsys vfs.FS) string {
		target, err := fsys.Readlink("/srv/vtapes/data")
		if errors.Is(err, fs.ErrNotExist) {
			return "none"
		}
		must(t, err)
		return target
	}
	changes, last, now := 0, "none", "none"
	l, err := library.Open(vfs.Wrap(m, func(op vfs.Op) error {
		changes++
		for _, world := range []vfs.FS{m, m.CrashClone()} {
			if got := current(world); got != last && got != now {
				t.Errorf("before %s %s: %s", op.Kind, op.Path, got)
			}
		}
		return nil
	}), options(3))
	must(t, err)
	for _, slot := range []string{"2", "1", "1", "3"} {
		last, now = now, "slot"+slot
		_, err := l.LoadForWriting(slot)
		must(t, err)
		if got := current(m); got != now {
			t.Errorf("slot %s loaded, link to %s", slot, got)
		}
		_, err = l.Device("2")
		must(t, err)
		if got := current(m.CrashClone()); got != now {
			t.Errorf("slot %s loaded, after a crash link to %s", slot, got)
		}
	}
	// A draft that a crash left is no hindrance.
	must(t, m.Symlink("slot9", "/srv/vtapes/data.new"))
	last, now = now, "slot1"
	_, err = l.LoadForWriting("1")
	must(t, err)
}

func amandaFixture(t testing.TB, name string) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	testtools.Untar(t, "../testdata/"+name+".tar.gz", m, "/")
	return m
}

// Amanda's libraries and slots are read, and not written. The parts of a dump that spans volumes join to what Amanda
// says it is.
func TestAmandaLibrary(t *testing.T) {
	m := amandaFixture(t, "fxspan0")
	l, err := library.OpenReadOnly(ctx, m, "/fxspan0/vtapes")
	must(t, err)
	checkInventory(t, l,
		"1: FXASPAN0-01 20261121195044 2 files 196608 bytes",
		"2: FXASPAN0-02 20261121195044 2 files 196608 bytes",
		"3: FXASPAN0-03 20261121195044 2 files 188405 bytes",
		"4: FXASPAN0-04 20261121195044 1 files 65536 bytes",
	)
	var joined []byte
	var server vtape.CRC
	for n := 1; n <= 4; n++ {
		_, dev, err := l.Load(ctx, catalog.Label(fmt.Sprintf("FXASPAN0-%02d", n)))
		must(t, err)
		files, err := dev.Files(ctx)
		must(t, err)
		for _, f := range files {
			r, err := dev.Open(ctx, f.Number)
			must(t, err)
			data := make([]byte, r.SizeBytes())
			if n, err := r.ReadAt(data, 0); n != len(data) || err != nil && err != io.EOF {
				t.Fatal(n, err)
			}
			joined, server = append(joined, data...), r.Header().Server
			must(t, r.Close())
		}
	}
	if got := (vtape.CRC{Sum: vtape.Checksum(joined), Bytes: int64(len(joined))}); got != server {
		t.Errorf("joined: %+v, header says %+v", got, server)
	}
	dev, err := l.Device("1")
	must(t, err)
	if err := dev.Format(ctx, devicetest.Label("X")); !errors.Is(err, syscall.EROFS) {
		t.Errorf("format: %v", err)
	}
	if _, err := dev.Create(ctx, 9, devicetest.Header(1)); !errors.Is(err, syscall.EROFS) {
		t.Errorf("create: %v", err)
	}
	if _, err := l.LoadForWriting("1"); !errors.Is(err, syscall.EROFS) {
		t.Errorf("load for writing: %v", err)
	}
	if target, err := m.Readlink("/fxspan0/vtapes/data"); err != nil || target == "slot1" {
		t.Errorf("link moved to %s, %v", target, err)
	}
}

func TestSlotOpenedAlone(t *testing.T) {
	m := amandaFixture(t, "fxspan")
	l, err := library.OpenReadOnly(ctx, m, "/fxspan/vtapes/slot2")
	must(t, err)
	checkInventory(t, l, "slot2: FXASPAN-02 20261121195039 2 files 196608 bytes")
	if slot, _, err := l.Load(ctx, "FXASPAN-02"); err != nil || slot != "slot2" {
		t.Errorf("load: slot %s, %v", slot, err)
	}
	if _, err := l.LoadForWriting("slot2"); !errors.Is(err, syscall.EROFS) {
		t.Errorf("load for writing: %v", err)
	}
	for name, want := range map[string]error{
		"/fxspan/config": vtape.ErrBlank, "/none": vtape.ErrAbsent, "/fxspan/vtapes/state": vtape.ErrAbsent,
	} {
		if _, err := library.OpenReadOnly(ctx, m, name); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
