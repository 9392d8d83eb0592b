package rait

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"

	"holdfast/vtape"
)

// Create begins a file on all members that are there. One that fails then or later is left out from there on; when more
// fail than the set can do without, the part is lost. When the volume of one member ends, the part ends on all, at the
// same stripe.
func (d *Device) Create(ctx context.Context, number int, h vtape.Header) (vtape.PartWriter, error) {
	w, err := d.create(ctx, number, h)
	if err != nil {
		return nil, fmt.Errorf("create file %d: parity set: %w", number, err)
	}
	return w, nil
}

func (d *Device) create(ctx context.Context, number int, h vtape.Header) (*partWriter, error) {
	if number < 1 {
		return nil, errors.New("files are numbered from 1")
	}
	if _, err := d.memberHeader(h, 0, new(int64)).Block(); err != nil {
		return nil, err // no fault of a member
	}
	living, _, err := d.living(ctx)
	if err != nil {
		return nil, err
	}
	sizes, err := d.sizes(ctx)
	if err != nil {
		return nil, err
	}
	if len(sizes[number]) >= d.data {
		return nil, fs.ErrExist
	}
	if len(sizes[number]) > 0 {
		d.sweep(ctx, living, number)
	}
	w := &partWriter{
		d: d, number: number, first: h, header: h, ws: make([]vtape.PartWriter, len(d.members)),
		room: func(members []int) (map[int]int64, map[int]error) {
			return d.rooms(context.WithoutCancel(ctx), members)
		},
	}
	if err := w.begin(ctx, living); err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	return w, nil
}

// sweep removes what too few members hold of a file, left of a part that came to nothing.
func (d *Device) sweep(ctx context.Context, members []int, number int) {
	d.each(members, func(i int) error {
		if m, ok := d.members[i].Device.(vtape.Remover); ok {
			return m.Remove(ctx, number) // a member that cannot will refuse the new file
		}
		return nil
	})
}

// partWriter writes a part to the members. Data are gathered until a round is full.
type partWriter struct {
	d             *Device
	number        int
	first, header vtape.Header
	ws            []vtape.PartWriter // by member; nil where it is left out
	room          func(members []int) (map[int]int64, map[int]error)

	limit     int64         // how long the part may become
	size      int64         // of the part
	written   int64         // of it, on each member
	measureAt int64         // written, when room is to be measured again
	rooms     map[int]int64 // what each member had at the beginning
	buf       []byte        // data of the round that is being gathered
	scratch   [][]byte      // of shards
	err       error         // of the write that ended it
	closed    bool          // Close has done its work, or failed
	done      bool
}

// begin creates the file on the members.
func (w *partWriter) begin(ctx context.Context, members []int) error {
	rooms, errs := w.room(members)
	ws := make([]vtape.PartWriter, len(w.d.members))
	maps.Copy(errs, w.d.each(slices.Collect(maps.Keys(rooms)), func(i int) (err error) {
		ws[i], err = w.d.members[i].Device.Create(ctx, w.number, w.d.memberHeader(w.first, i, nil))
		return err
	}))
	copyWriters(w.ws, ws)
	if err := ctx.Err(); err != nil {
		return err
	}
	full := error(nil)
	var lost []MemberFault
	for i, err := range errs {
		w.ws[i] = nil
		if errors.Is(err, vtape.ErrEndOfMedium) {
			full = fmt.Errorf("member %s: %w", w.d.members[i].Name, err)
			continue
		}
		lost = append(lost, w.d.fault(i, w.number, err))
		w.d.drop(lost[len(lost)-1])
	}
	if err := cmp.Or(taken(lost), full); err != nil {
		return err
	}
	w.rooms, w.limit = rooms, math.MaxInt64
	for i, n := range rooms {
		if w.ws[i] != nil {
			w.limit = min(w.limit, w.d.roomFor(n)-vtape.HeaderBytes)
		}
	}
	w.measureNext()
	return w.enough()
}

// copyWriters keeps nil interfaces nil.
func copyWriters(to, from []vtape.PartWriter) {
	for i, f := range from {
		if f != nil {
			to[i] = f
		}
	}
}

func (w *partWriter) members() []int {
	var list []int
	for i, m := range w.ws {
		if m != nil {
			list = append(list, i)
		}
	}
	return list
}

// enough is nil while so many members take the part that it can be read.
func (w *partWriter) enough() error {
	living := w.members()
	if len(living) >= w.d.data {
		return nil
	}
	return w.d.enough(len(living), w.d.Faults())
}

// lose leaves out members that failed, and removes what they have of the part if they still can.
func (w *partWriter) lose(errs map[int]error) error {
	var lost []MemberFault
	for _, i := range slices.Sorted(maps.Keys(errs)) {
		_ = w.ws[i].Abort()
		w.ws[i] = nil
		lost = append(lost, w.d.fault(i, w.number, fmt.Errorf("write: %w", errs[i])))
		w.d.drop(lost[len(lost)-1])
	}
	return cmp.Or(taken(lost), w.enough())
}

// Write appends p, or as much of it as all members have room for.
func (w *partWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.done || w.closed {
		return 0, fmt.Errorf("write file %d: %w", w.number, fs.ErrClosed)
	}
	n := 0
	for n < len(p) && w.err == nil {
		if w.written >= w.measureAt {
			w.measure()
		}
		piece := p[n:min(len(p), n+int(w.d.round()*w.d.stripe())-len(w.buf))]
		if int64(len(piece)) > w.limit-w.size {
			piece = piece[:w.keep()-w.size]
			w.err = fmt.Errorf("write file %d: %w", w.number, vtape.ErrEndOfMedium)
		}
		if err := w.take(piece); err != nil {
			w.err = err
			return n, err
		}
		n += len(piece)
	}
	return n, w.err
}

// keep is how long the part is when it ends at the limit: aligned, but nothing is taken back.
func (w *partWriter) keep() int64 {
	limit := max(w.limit, w.size)
	return max(w.size, limit-limit%w.d.AlignBytes())
}

// take adds data that have room, at most what fills the round.
func (w *partWriter) take(p []byte) error {
	round := int(w.d.round() * w.d.stripe())
	if len(w.buf) == 0 && len(p) == round {
		w.size += int64(len(p))
		return w.flush(p)
	}
	if w.buf == nil {
		w.buf = make([]byte, 0, round)
	}
	w.buf = append(w.buf, p...)
	w.size += int64(len(p))
	if len(w.buf) < round {
		return nil
	}
	data := w.buf
	w.buf = w.buf[:0]
	return w.flush(data)
}

// flush writes a round, or what there is of one at the end of the part.
func (w *partWriter) flush(data []byte) error {
	shards := w.split(data)
	if err := w.d.codec.encode(shards); err != nil {
		return fmt.Errorf("write file %d: reckon parity: %w", w.number, err)
	}
	errs := w.d.each(w.members(), func(i int) error {
		n, err := w.ws[i].Write(shards[i])
		if err == nil && n < len(shards[i]) {
			err = errShortWrite
		}
		return err
	})
	w.written += int64(len(shards[0]))
	if err := w.lose(errs); err != nil {
		return fmt.Errorf("write file %d: parity set: %w", w.number, err)
	}
	return nil
}

var errShortWrite = errors.New("short write")

// split cuts a round into the members' shards; those of parity are to be filled. Data are copied only where they do
// not lie as they must.
func (w *partWriter) split(data []byte) [][]byte {
	f := w.d.form
	n := f.memberBytes(int64(len(data)))
	if w.scratch == nil {
		w.scratch = make([][]byte, f.members())
	}
	shards := make([][]byte, f.members())
	inPlace := f.round() == 1 && int64(len(data)) == f.stripe() || f.data == 1 && n == int64(len(data))
	for j := range shards {
		if f.data == 1 && inPlace {
			shards[j] = data
			continue
		}
		if j < f.data && inPlace {
			shards[j] = data[int64(j)*f.shard:][:f.shard]
			continue
		}
		if w.scratch[j] == nil {
			w.scratch[j] = make([]byte, f.round()*f.shard)
		}
		shards[j] = w.scratch[j][:n]
	}
	if !inPlace {
		f.scatter(shards[:f.data], data)
	}
	return shards
}

// scatter copies data to the data shards of as many stripes, and zeros to the rest of them.
func (f form) scatter(shards [][]byte, data []byte) {
	for at := int64(0); at < int64(len(shards[0])); at += f.shard {
		piece := min(f.shard, int64(len(shards[0]))-at)
		for _, s := range shards {
			n := copy(s[at:at+piece], data)
			clear(s[at+int64(n) : at+piece])
			data = data[n:]
		}
	}
}

// measure asks the members for their room again: when several share a file system, or somebody else fills it, they have
// less than at the beginning. A member's room that shrinks as it is written is counted as it was.
func (w *partWriter) measure() {
	rooms, _ := w.room(w.members())
	for i, now := range rooms {
		used := w.rooms[i] - now
		if own := w.written + vtape.HeaderBytes; used > own && own > 0 {
			left := int64(float64(max(0, now)) * float64(own) / float64(used))
			left = max(0, left-w.d.round()*w.d.shard)
			w.limit = min(w.limit, w.d.roomFor(vtape.HeaderBytes+w.written+left)-vtape.HeaderBytes)
		}
	}
	w.measureNext()
}

// measureNext is when half of the room is used, or after a GiB. The first time it is earlier: all members may share one
// file system, which nothing has shown yet.
func (w *partWriter) measureNext() {
	left := w.d.memberBytes(min(max(0, w.limit), math.MaxInt64/4)) - w.written
	if w.written == 0 {
		left /= int64(len(w.ws))
	}
	w.measureAt = w.written + min(max(left/2, roundBytes), 1<<30)
}

// SetHeader replaces the header that the members get when the part is closed.
func (w *partWriter) SetHeader(h vtape.Header) error {
	if w.done || w.closed {
		return fmt.Errorf("set header: file %d: %w", w.number, fs.ErrClosed)
	}
	if _, err := w.d.memberHeader(h, 0, &w.size).Block(); err != nil {
		return fmt.Errorf("set header: %w", err)
	}
	w.header = h
	return nil
}

// Close makes the part last on all members. One that fails is left out.
func (w *partWriter) Close() (headerCRC uint32, err error) {
	if w.done || w.closed {
		return 0, fmt.Errorf("close file %d: %w", w.number, fs.ErrClosed)
	}
	if w.err != nil && !errors.Is(w.err, vtape.ErrEndOfMedium) {
		return 0, fmt.Errorf("close after an error: %w", w.err)
	}
	w.closed = true
	if len(w.buf) > 0 {
		if err := w.flush(w.buf); err != nil {
			return 0, err
		}
	}
	if headerCRC, err = w.close(); err != nil {
		return 0, fmt.Errorf("close file %d: parity set: %w", w.number, err)
	}
	w.done = true
	return headerCRC, nil
}

func (w *partWriter) close() (headerCRC uint32, err error) {
	late := !w.d.amanda || w.header != w.first
	sums := make([]uint32, len(w.ws))
	errs := w.d.each(w.members(), func(i int) (err error) {
		if late {
			if err := w.ws[i].SetHeader(w.d.memberHeader(w.header, i, &w.size)); err != nil {
				return err
			}
		}
		sums[i], err = w.ws[i].Close()
		return err
	})
	if err := w.lose(errs); err != nil {
		return 0, err
	}
	d := w.d
	d.state.mu.Lock()
	d.state.bytes[w.number] = w.size
	d.state.mu.Unlock()
	return w.headerCRC(sums)
}

// headerCRC is the checksum of the header that the set will show. It is the first one where members could not replace it.
func (w *partWriter) headerCRC(sums []uint32) (uint32, error) {
	kept := 0
	for _, i := range w.members() {
		block, err := w.d.memberHeader(w.header, i, &w.size).Block()
		if err != nil {
			return 0, err
		}
		if sums[i] != vtape.Checksum(block) {
			kept++
		}
	}
	h := w.header
	if 2*kept > len(w.members()) {
		h = w.first
	}
	h.MemberLine = ""
	block, err := h.Block()
	return vtape.Checksum(block), err
}

// Abort removes the part from all members; after a Close that succeeded it does nothing.
func (w *partWriter) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	errs := w.d.each(w.members(), func(i int) error {
		if err := w.ws[i].Abort(); err != nil {
			return err
		}
		m, ok := w.d.members[i].Device.(vtape.Remover)
		if !w.closed || !ok {
			return nil
		}
		// Closed on this member, but on too few others.
		if err := m.Remove(context.Background(), w.number); !errors.Is(err, vtape.ErrNoFile) {
			return err
		}
		return nil
	})
	for _, i := range slices.Sorted(maps.Keys(errs)) {
		w.d.drop(w.d.fault(i, w.number, fmt.Errorf("abort: %w", errs[i])))
	}
	if err := w.enough(); err != nil && len(errs) > 0 {
		return fmt.Errorf("abort file %d: parity set: %w", w.number, err)
	}
	return nil
}
