package holding_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"holdfast/vtape"
	"holdfast/vtape/holding"
)

const head = vtape.HeaderBytes

func mustReserve(t *testing.T, h *holding.Holding, bytes int64) *holding.Reservation {
	t.Helper()
	res, err := h.Reserve(bytes)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func room(t *testing.T, h *holding.Holding) int64 {
	t.Helper()
	u := h.Usage()
	if len(u) != 1 || u[0].Err != nil {
		t.Fatalf("usage %+v", u)
	}
	return u[0].Room
}

// What is promised counts headers, is not promised twice, and what is written of it counts once.
func TestReserve(t *testing.T) {
	const capacity = 20 * head
	for _, c := range []struct {
		name string
		use  int64
		room int64
	}{
		{"all", 0, capacity},
		{"that much", 12 * head, 12 * head},
		{"more than there is", 40 * head, capacity},
		{"all but that much", -5 * head, 15 * head},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := newDisk(t)
			mem.SetCapacity(capacity)
			h := holding.New(mem, holding.Options{Dirs: []holding.Dir{{Path: disk, UseBytes: c.use}}, ChunkBytes: chunk})
			h.SyncInline()
			if got := room(t, h); got != c.room {
				t.Fatalf("room %d, want %d", got, c.room)
			}
			res := mustReserve(t, h, data+1) // two chunks
			if got, want := room(t, h), c.room-data-1-2*head; got != want {
				t.Errorf("room %d after a reservation, want %d", got, want)
			}
			if _, err := h.Reserve(c.room - data - 4*head + 1); !errors.Is(err, holding.ErrNoRoom) {
				t.Errorf("one byte too many: %v", err)
			}
			w, err := h.Create(run, header("web01", "disk0", 0), res)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(random(100)); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Finish(header("web01", "disk0", 0)); err != nil {
				t.Fatal(err)
			}
			if got, want := room(t, h), min(c.room, capacity-head-100+min(c.use, 0)); c.use <= 0 && got != want {
				t.Errorf("room %d after a dump that came out small, want %d", got, want)
			}
			if u := h.Usage()[0]; u.Used != head+100 || u.Path != disk {
				t.Errorf("usage %+v", u)
			}
			res = mustReserve(t, h, 5)
			res.Release()
			res.Release()
			if got := room(t, h); c.use == 12*head && got != c.room-head-100 {
				t.Errorf("room %d", got)
			}
		})
	}
}

func TestReserveTakesTheRoomiest(t *testing.T) {
	mem := newDisk(t)
	for _, dir := range []string{"/a", "/b"} {
		if err := mem.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h := holding.New(mem, holding.Options{Dirs: []holding.Dir{
		{Path: "/missing"}, {Path: "/a", UseBytes: 3 * head}, {Path: "/b", UseBytes: 4 * head},
	}})
	for _, want := range []string{"/b", "/a"} {
		if res := mustReserve(t, h, head); res.Path() != want {
			t.Errorf("on %s, want %s", res.Path(), want)
		}
	}
	_, err := h.Reserve(4 * head)
	if !errors.Is(err, holding.ErrNoRoom) {
		t.Fatal(err)
	}
	for _, want := range []string{"/missing: no such file", "/a: 32768 bytes free, 163840 needed", "/b: 65536 bytes free"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q says nothing of %q", err, want)
		}
	}
	if u := h.Usage(); u[0].Err == nil || u[1].Room != head {
		t.Errorf("usage %+v", u)
	}
	if _, err := holding.New(mem, holding.Options{}).Reserve(1); !errors.Is(err, holding.ErrNoRoom) {
		t.Errorf("no holding disk: %v", err)
	}
}

// A dump that outgrows its reservation gets more while there is more, and is told at once when there is none.
func TestGrowth(t *testing.T) {
	mem := newDisk(t)
	h := holding.New(mem, holding.Options{Dirs: []holding.Dir{{Path: disk, UseBytes: 30 * head}}, ChunkBytes: chunk})
	h.SyncInline()
	other := mustReserve(t, h, 6*head) // with the headers of two chunks, 8
	w, err := h.Create(run, header("web01", "disk0", 0), mustReserve(t, h, 0))
	if err != nil {
		t.Fatal(err)
	}
	piece := random(9 * head) // more than the buffer of the writer; 12 on the disk, of 22
	wrote := 0
	for err == nil {
		_, err = w.Write(piece)
		wrote++
	}
	if !errors.Is(err, holding.ErrNoRoom) || wrote != 2 {
		t.Errorf("after %d pieces: %v", wrote, err)
	}
	if _, again := w.Finish(header("web01", "disk0", 0)); again != err {
		t.Errorf("finish: %v", again)
	}
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	other.Release()
	if got := room(t, h); got != 30*head {
		t.Errorf("room %d after the end, want all", got)
	}
	if left := ls(t, mem); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// The file system may be full although room was promised: another program wrote to it.
func TestFileSystemFull(t *testing.T) {
	content := random(2*data + 50)
	for capacity := int64(0); ; capacity += head / 2 {
		mem := newDisk(t)
		h := newHolding(mem)
		res := mustReserve(t, h, int64(len(content)))
		mem.SetCapacity(capacity + 1)
		_, err := holdOn(h, res, header("web01", "disk0", 0), content)
		if err == nil {
			if capacity < int64(len(content))+2*head {
				t.Errorf("fits into %d bytes", capacity)
			}
			return
		}
		if !errors.Is(err, holding.ErrNoRoom) || !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("capacity %d: %v", capacity, err)
		}
		if left := ls(t, mem); len(left) > 0 {
			t.Fatalf("capacity %d: left: %v", capacity, left)
		}
	}
}

// A reservation gives back what is not needed, and takes more only if there is room.
func TestResize(t *testing.T) {
	const capacity = 20 * head
	mem := newDisk(t)
	mem.SetCapacity(capacity)
	h := newHolding(mem)
	res := mustReserve(t, h, 4*head)
	for _, c := range []struct {
		bytes, taken int64
		err          error
	}{{head, 2 * head, nil}, {2 * head, 3 * head, nil}, {30 * head, 3 * head, holding.ErrNoRoom}, {0, head, nil}} {
		if err := res.Resize(c.bytes); !errors.Is(err, c.err) {
			t.Errorf("to %d: %v", c.bytes, err)
		}
		if got, want := room(t, h), capacity-c.taken; got != want {
			t.Errorf("to %d: room %d, want %d", c.bytes, got, want)
		}
	}
}

// A dump that has outgrown its reservation asks for room, and goes on when there is some.
func TestOnFull(t *testing.T) {
	mem := newDisk(t)
	mem.SetCapacity(12 * head)
	h := newHolding(mem)
	other := mustReserve(t, h, 6*head)
	res := mustReserve(t, h, head)
	asked := 0
	res.OnFull(func(try func() error) error {
		asked++
		if err := try(); !errors.Is(err, holding.ErrNoRoom) {
			t.Errorf("the first try: %v", err)
		}
		other.Release()
		return try()
	})
	content := random(5 * head)
	held, err := holdOn(h, res, header("web01", "disk0", 0), content)
	if err != nil || asked != 1 {
		t.Fatalf("asked %d times, %v", asked, err)
	}
	checkHeld(t, mem, held, content)
}
