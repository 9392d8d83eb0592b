package rait

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"holdfast/catalog"
	"holdfast/vtape"
)

// Check reads a file from all members and reckons its parity. It tells which members lack it, have it short, with
// another header, or wrong. With one member of parity it can be seen that bytes are wrong, but not on which member: then
// the fault has Index -1, and CheckPart can say more. An error is one of the set as a whole: too few members.
func (d *Device) Check(ctx context.Context, file int) ([]MemberFault, error) {
	return d.Examine(ctx, catalog.Part{File: file})
}

// CheckPart is Examine for those who know devices of any kind.
func (d *Device) CheckPart(ctx context.Context, p catalog.Part) ([]vtape.MemberFault, error) {
	faults, err := d.Examine(ctx, p)
	return told(faults), err
}

// Examine is Check for a part whose checksum is known (0: it is not): where parity cannot tell which members are
// wrong, those are named without which the checksum is right.
func (d *Device) Examine(ctx context.Context, p catalog.Part) ([]MemberFault, error) {
	faults, err := d.check(ctx, p)
	if err != nil {
		return faults, fmt.Errorf("check file %d: parity set: %w", p.File, err)
	}
	return faults, nil
}

func (d *Device) check(ctx context.Context, p catalog.Part) ([]MemberFault, error) {
	r, err := d.open(ctx, p.File)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	c := &checking{r: r, wrong: map[int]bool{}}
	if err := c.stripes(ctx); err != nil {
		return r.faults, err
	}
	faults := slices.Clone(r.faults)
	for _, i := range d.all() {
		if c.wrong[i] {
			faults = append(faults, MemberFault{
				Member: d.members[i].Name, Index: i, Kind: FaultWrong, File: p.File, Err: errParity,
			})
		}
	}
	if !c.unlocated && (p.CRC == 0 || len(c.wrong) > 0) {
		return faults, nil
	}
	found, err := d.findWrong(ctx, p, c.unlocated)
	return append(faults, found...), err
}

var errParity = errors.New("parity does not agree")

// checking is the parity of one file being checked.
type checking struct {
	r         *partReader
	wrong     map[int]bool // members found to be wrong
	unlocated bool         // parity does not agree, and it cannot be told why
}

func (c *checking) stripes(ctx context.Context) error {
	f := c.r.d.form
	bufs := make([][]byte, f.members())
	for at := int64(0); at < c.r.memberSize; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(f.round()*f.shard, c.r.memberSize-at)
		shards, there := c.readAll(bufs, at, n)
		if there < f.data {
			return c.r.tooFew()
		}
		if !c.r.d.codec.locateIn(shards, c.wrong) {
			c.unlocated = true
		}
		at += n
	}
	return nil
}

// readAll reads n bytes of each member; those that cannot be read are nil.
func (c *checking) readAll(bufs [][]byte, at, n int64) (shards [][]byte, there int) {
	shards = make([][]byte, len(bufs))
	var members []int
	for i, o := range c.r.files {
		if o != nil {
			members = append(members, i)
			bufs[i] = slices.Grow(bufs[i][:0], int(n))[:n]
		}
	}
	errs := c.r.d.each(members, func(i int) error { return c.r.readMember(i, bufs[i], at) })
	for _, i := range members {
		if err := errs[i]; err != nil {
			c.r.fault(i, err)
			continue
		}
		shards[i] = bufs[i]
		there++
	}
	return shards, there
}

// findWrong looks by the part's checksum for the members that are wrong.
func (d *Device) findWrong(ctx context.Context, p catalog.Part, unlocated bool) ([]MemberFault, error) {
	lost := MemberFault{Index: -1, Kind: FaultWrong, File: p.File, Err: errParity}
	if p.CRC == 0 {
		return []MemberFault{lost}, nil
	}
	ok, err := d.sumAgrees(ctx, p)
	if err != nil {
		return nil, err
	}
	if ok {
		// What was read of data is right; what was not read must be wrong, if anything is.
		var faults []MemberFault
		for i := d.data; unlocated && i < d.form.members(); i++ {
			faults = append(faults, MemberFault{Member: d.members[i].Name, Index: i, Kind: FaultWrong, File: p.File, Err: errParity})
		}
		if d.parity > 1 && unlocated {
			faults = []MemberFault{lost}
		}
		return faults, nil
	}
	for _, v := range d.Variants() {
		v := v.(*Device)
		if ok, err := v.sumAgrees(ctx, p); err != nil || !ok {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			continue
		}
		var faults []MemberFault
		for _, i := range v.without[len(d.without):] {
			faults = append(faults, MemberFault{
				Member: d.members[i].Name, Index: i, Kind: FaultWrong, File: p.File,
				Err: errors.New("without it, the part has its checksum"),
			})
		}
		return faults, nil
	}
	lost.Err = fmt.Errorf("checksum is not %08x, whichever members are left out", p.CRC)
	return []MemberFault{lost}, nil
}

// sumAgrees reads a part and tells whether it has its checksum.
func (d *Device) sumAgrees(ctx context.Context, p catalog.Part) (bool, error) {
	r, err := d.open(ctx, p.File)
	if err != nil {
		return false, err
	}
	defer r.Close()
	if p.Bytes > r.size {
		return false, nil
	}
	sum := crc32.New(vtape.Castagnoli)
	buf := make([]byte, d.round()*d.stripe())
	for off := int64(0); off < p.Bytes; {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n, err := r.ReadAt(buf[:min(int64(len(buf)), p.Bytes-off)], off)
		if err != nil && err != io.EOF {
			return false, err
		}
		_, _ = sum.Write(buf[:n]) // a hash never fails
		off += int64(n)
	}
	return sum.Sum32() == p.CRC, nil
}
