package holding

import (
	"errors"
	"fmt"
	"strings"

	"holdfast/vtape"
)

// growDivisor makes a reservation that proves too small grow by a twentieth, 5 %.
const growDivisor = 20

// Reservation is room on one holding disk, promised to one dump. It grows with a dump that proves larger than
// expected, and ends with the dump.
type Reservation struct {
	h   *Holding
	dir int
	// bytes is what is promised, headers of chunks included; written what of it is on the disk. Guarded by h.mu.
	bytes, written int64
	// onFull is asked when a dump has outgrown it and there is no more room; nil: that is an error.
	onFull func(try func() error) error
}

// Reserve promises room for a dump of so many bytes on the holding disk that has most, or gives ErrNoRoom with the
// state of each. The reservation is handed to Create, or ended by Release.
func (h *Holding) Reserve(bytes int64) (*Reservation, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	bytes = h.onDisk(bytes)
	best, bestRoom := -1, int64(-1)
	var why []string
	for i, d := range h.dirs {
		room, err := h.room(i)
		switch {
		case err != nil:
			why = append(why, err.Error())
		case room < bytes:
			why = append(why, fmt.Sprintf("%s: %d bytes free, %d needed", d.Path, max(0, room), bytes))
		case room > bestRoom:
			best, bestRoom = i, room
		}
	}
	if len(h.dirs) == 0 {
		why = append(why, "none is configured")
	}
	if best < 0 {
		return nil, fmt.Errorf("%w: %s", ErrNoRoom, strings.Join(why, "; "))
	}
	r := &Reservation{h: h, dir: best, bytes: bytes}
	h.reservations[r] = true
	return r, nil
}

// onDisk is what a dump of so many bytes takes, with the headers of its chunks.
func (h *Holding) onDisk(bytes int64) int64 {
	data := h.chunkBytes - vtape.HeaderBytes
	chunks := max(1, (bytes+data-1)/data)
	return bytes + chunks*vtape.HeaderBytes
}

// room is what can still be promised of a holding disk: what may be used of it, less what is promised and not yet
// written. h.mu is held.
func (h *Holding) room(dir int) (int64, error) {
	d := h.dirs[dir]
	space, err := h.fs.Space(d.Path)
	if err != nil {
		return 0, err
	}
	room := space.Free
	if d.UseBytes < 0 {
		room += d.UseBytes
	}
	if d.UseBytes > 0 {
		used, err := h.used(d.Path)
		if err != nil {
			return 0, err
		}
		room = min(room, d.UseBytes-used)
	}
	return room - h.promised(dir), nil
}

// promised is what is promised of a holding disk and not yet written. h.mu is held.
func (h *Holding) promised(dir int) int64 {
	var sum int64
	for r := range h.reservations {
		if r.dir == dir {
			sum += max(0, r.bytes-r.written)
		}
	}
	return sum
}

// Path is the holding disk the room is on.
func (r *Reservation) Path() string { return r.h.dirs[r.dir].Path }

// Release gives the room back. It does nothing the second time, nor after the end of a dump created with it.
func (r *Reservation) Release() {
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	delete(r.h.reservations, r)
}

// Resize makes the reservation one for a dump of so many bytes: what is not needed is given back, and more is promised if
// there is room on its holding disk. With ErrNoRoom it stays as it was.
func (r *Reservation) Resize(bytes int64) error {
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	bytes = r.h.onDisk(bytes)
	if more := bytes - r.bytes; more > 0 {
		room, err := r.h.room(r.dir)
		if err != nil {
			return err
		}
		if room < more {
			return fmt.Errorf("%w: %s: %d bytes free, %d needed", ErrNoRoom, r.Path(), max(0, room), more)
		}
	}
	r.bytes = bytes
	return nil
}

// OnFull sets what is done when the dump has outgrown the reservation and there is no more room: wait calls try, as often as
// it wants to, until that gives no ErrNoRoom any more. Its error is that of the writer. It must be set before Create.
func (r *Reservation) OnFull(wait func(try func() error) error) { r.onFull = wait }

// claim makes sure that n more bytes are promised.
func (r *Reservation) claim(n int64) error {
	err := r.claimNow(n)
	if errors.Is(err, ErrNoRoom) && r.onFull != nil {
		return r.onFull(func() error { return r.claimNow(n) })
	}
	return err
}

// claimNow asks for growth in large steps, because each asks the file system; when no whole step is to be had, what there is
// will do.
func (r *Reservation) claimNow(n int64) error {
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	need := r.written + n - r.bytes
	if need <= 0 {
		return nil
	}
	room, err := r.h.room(r.dir)
	if err != nil {
		return err
	}
	if room < need {
		return fmt.Errorf("%w: %s: %d bytes free, %d needed", ErrNoRoom, r.Path(), max(0, room), need)
	}
	step := max(r.bytes/growDivisor, r.h.chunkBytes, need)
	r.bytes += min(step, room)
	return nil
}

// wrote counts bytes that are on the disk now.
func (r *Reservation) wrote(n int64) {
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	r.written += n
}
