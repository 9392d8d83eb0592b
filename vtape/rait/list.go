package rait

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"holdfast/vtape"
)

// Files lists the files that as many members hold as it takes to read them. In Amanda's form Bytes counts whole
// stripes: up to a stripe more than was written.
func (d *Device) Files(ctx context.Context) ([]vtape.File, error) {
	files, err := d.files(ctx)
	if err != nil {
		return nil, fmt.Errorf("list files: parity set: %w", err)
	}
	return files, nil
}

func (d *Device) files(ctx context.Context) ([]vtape.File, error) {
	sizes, err := d.sizes(ctx)
	if err != nil {
		return nil, err
	}
	var files []vtape.File
	for _, n := range slices.Sorted(maps.Keys(sizes)) {
		if len(sizes[n]) < d.data {
			continue
		}
		f := vtape.File{Number: n, Bytes: d.dataBytes(likeliest(sizes[n]))}
		if !d.amanda {
			if f.Bytes, err = d.trueBytes(ctx, f); err != nil {
				return nil, err
			}
		}
		files = append(files, f)
	}
	return files, nil
}

// sizes gives for each file number how long the file is on the members that have it.
func (d *Device) sizes(ctx context.Context) (map[int][]int64, error) {
	living, faults, err := d.living(ctx)
	if err != nil {
		return nil, err
	}
	lists := make([][]vtape.File, len(d.members))
	errs := d.each(living, func(i int) (err error) {
		lists[i], err = d.members[i].Device.Files(ctx)
		return err
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, i := range slices.Sorted(maps.Keys(errs)) {
		f := d.fault(i, 0, errs[i])
		d.tell(f)
		faults = append(faults, f)
	}
	if err := d.enough(len(living)-len(errs), faults); err != nil {
		return nil, err
	}
	sizes := map[int][]int64{}
	for _, list := range lists {
		for _, f := range list {
			sizes[f.Number] = append(sizes[f.Number], f.Bytes)
		}
	}
	return sizes, nil
}

// likeliest is the size that most members' files have; of those that equally many have, the largest, because files
// lose their ends more easily than they grow.
func likeliest(sizes []int64) int64 {
	count := map[int64]int{}
	for _, n := range sizes {
		count[n]++
	}
	best := int64(0)
	for n, c := range count {
		if c > count[best] || c == count[best] && n > best {
			best = n
		}
	}
	return best
}

// trueBytes is the length of a part as the headers of its members tell it.
func (d *Device) trueBytes(ctx context.Context, f vtape.File) (int64, error) {
	d.state.mu.Lock()
	n, known := d.state.bytes[f.Number]
	d.state.mu.Unlock()
	if known {
		return n, nil
	}
	r, err := d.open(ctx, f.Number)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if err != nil {
		return f.Bytes, nil // Open will tell
	}
	defer r.Close()
	d.state.mu.Lock()
	d.state.bytes[f.Number] = r.SizeBytes()
	d.state.mu.Unlock()
	return r.SizeBytes(), nil
}

// Room is how large a file may be at most (header included) that still fits on all members.
func (d *Device) Room(ctx context.Context) (int64, error) {
	room, err := d.room(ctx)
	if err != nil {
		return 0, fmt.Errorf("measure room: parity set: %w", err)
	}
	return room, nil
}

func (d *Device) room(ctx context.Context) (int64, error) {
	living, faults, err := d.living(ctx)
	if err != nil {
		return 0, err
	}
	rooms, errs := d.rooms(ctx, living)
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	least := int64(math.MaxInt64)
	for _, i := range living {
		if err := errs[i]; err != nil {
			faults = append(faults, d.fault(i, 0, err))
			continue
		}
		least = min(least, rooms[i])
	}
	if err := d.enough(len(rooms), faults); err != nil {
		return 0, err
	}
	if least < vtape.HeaderBytes {
		return least, nil
	}
	return d.roomFor(least), nil
}

// roomFor is the size of a part, header included, whose files take n bytes of each member.
func (f form) roomFor(n int64) int64 {
	n = min(n-vtape.HeaderBytes, math.MaxInt64/int64(2*f.data))
	return vtape.HeaderBytes + f.dataBytes(n)
}

// rooms asks members for their room.
func (d *Device) rooms(ctx context.Context, members []int) (rooms map[int]int64, errs map[int]error) {
	all := make([]int64, len(d.members))
	errs = d.each(members, func(i int) (err error) {
		all[i], err = d.members[i].Device.Room(ctx)
		return err
	})
	rooms = map[int]int64{}
	for _, i := range members {
		if errs[i] == nil {
			rooms[i] = all[i]
		}
	}
	return rooms, errs
}
