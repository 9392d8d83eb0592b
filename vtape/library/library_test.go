package library_test

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	"holdfast/vtape/library"
)

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func shelf(fsys vfs.FS, slots int) *dir.Shelf {
	return dir.NewShelf(fsys, dir.ShelfOptions{Root: "/srv/vtapes", Slots: slots, Storage: "vtapes", CapacityBytes: 4 << 20})
}

func open(fsys vfs.FS, slots int) *library.Library {
	return library.New(shelf(fsys, slots), library.Options{Storage: "vtapes", Label: "DEMO-%%%"})
}

func create(t testing.TB, fsys vfs.FS, slots int) *library.Library {
	t.Helper()
	s := shelf(fsys, slots)
	must(t, s.Create(ctx))
	must(t, s.Check(ctx))
	return open(fsys, slots)
}

func label(t testing.TB, l *library.Library, slot string, label catalog.Label) vtape.Device {
	t.Helper()
	dev, err := l.LoadForWriting(ctx, slot)
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
	must(t, shelf(m, 4).Create(ctx))
	want = append(want, "4: blank")
	crashed := m.CrashClone()
	must(t, shelf(crashed, 4).Check(ctx))
	checkInventory(t, open(crashed, 4), want...)
	// Fewer slots in the configuration do not hide a volume.
	checkInventory(t, open(m, 1), want...)
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
		if _, err := l.Device(slot); err == nil && slot != "6" {
			t.Errorf("slot %q: no error", slot)
		}
		if _, err := l.LoadForWriting(ctx, slot); err == nil {
			t.Errorf("slot %q loaded for writing", slot)
		}
	}
	must(t, vfs.RemoveAll(m, "/srv/vtapes"))
	if _, err := l.Inventory(ctx); !errors.Is(err, vtape.ErrAbsent) {
		t.Errorf("inventory of a library that went away: %v", err)
	}
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
	if _, err := l.LoadForWriting(ctx, "1"); !errors.Is(err, syscall.EROFS) {
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
	if _, err := l.LoadForWriting(ctx, "slot2"); !errors.Is(err, syscall.EROFS) {
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
