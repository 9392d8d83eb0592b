package rait

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"holdfast/vtape"
)

// opened is a file of one member.
type opened struct {
	r     vtape.PartReader
	h     vtape.Header // zero when it cannot be parsed
	shown []byte       // the header block as the set shows it
	info  Info
	other error // set when it is not the file that the others have
}

// Open opens a file on all members. The header is the one that most members have.
func (d *Device) Open(ctx context.Context, number int) (vtape.PartReader, error) {
	r, err := d.open(ctx, number)
	if err != nil {
		return nil, fmt.Errorf("open file %d: parity set: %w", number, err)
	}
	return r, nil
}

func (d *Device) open(ctx context.Context, number int) (*partReader, error) {
	if number < 0 {
		return nil, vtape.ErrNoFile
	}
	living, faults, err := d.living(ctx)
	if err != nil {
		return nil, err
	}
	r := &partReader{d: d, number: number, files: make([]*opened, len(d.members)), faults: faults}
	d.state.mu.Lock()
	r.label = d.state.label.Label
	d.state.mu.Unlock()
	errs := d.each(living, func(i int) error { return r.openMember(ctx, i) })
	nowhere := len(errs) == len(living)
	for _, i := range living {
		if err := errs[i]; err != nil {
			nowhere = nowhere && errors.Is(err, vtape.ErrNoFile)
			r.fault(i, err)
		}
	}
	err = ctx.Err()
	switch {
	case err != nil:
	case nowhere:
		err = vtape.ErrNoFile
	default:
		err = r.agree()
	}
	if err != nil {
		_ = r.Close() // it was only read
		return nil, err
	}
	return r, nil
}

func (r *partReader) openMember(ctx context.Context, member int) error {
	m, err := r.d.members[member].Device.Open(ctx, r.number)
	if err != nil {
		return err
	}
	o := &opened{r: m, h: m.Header(), shown: m.RawHeader()}
	r.files[member] = o
	if short := vtape.HeaderBytes - len(o.shown); short > 0 { // some devices do not fill the block up
		o.shown = append(slices.Clone(o.shown), make([]byte, short)...)
	}
	if o.h == (vtape.Header{}) {
		return nil
	}
	o.info, o.other = r.d.checkMember(o.h, member)
	if o.other != nil && errors.Is(o.other, errUnrepaired) {
		o.other = nil // a label; living has left the member out if it counts
	}
	if o.h.MemberLine != "" && o.other == nil {
		o.h.MemberLine = ""
		if o.shown, err = o.h.Block(); err != nil {
			o.other = err
		}
	}
	return nil
}

// agree finds header and size, and leaves out members that hold another file under the number.
func (r *partReader) agree() error {
	best := r.majority()
	for i, o := range r.files {
		switch {
		case o == nil || o == best && o.other == nil:
			continue
		case o.other == nil && o.h == (vtape.Header{}):
			r.suspect = append(r.suspect, i) // the data may be good
			r.note(i, FaultHeader, errors.New("the header cannot be read"))
			continue
		case o.other == nil && !sameFile(o.h, best.h):
			o.other = errors.New("is another file than the others have")
		case o.other == nil && string(o.shown) != string(best.shown):
			r.note(i, FaultHeader, errors.New("the header is not the one that the others have"))
		}
		if o.other != nil {
			r.note(i, FaultHeader, o.other)
			_ = o.r.Close() // it was only read
			r.files[i] = nil
		}
	}
	var sizes []int64
	for _, o := range r.files {
		if o != nil {
			sizes = append(sizes, o.r.SizeBytes())
		}
	}
	if err := r.d.enough(len(sizes), r.faults); err != nil {
		return err
	}
	r.header, r.raw = best.h, best.shown
	r.size = r.d.dataBytes(likeliest(sizes))
	if n, ok := r.told(); ok && !r.d.amanda {
		r.size = n
	}
	r.memberSize = r.d.memberBytes(r.size)
	for i, o := range r.files {
		if o == nil {
			continue
		}
		if n := o.r.SizeBytes(); n != r.memberSize && r.number > 0 {
			r.note(i, FaultShort, fmt.Errorf("%d bytes of data, want %d", n, r.memberSize))
		}
	}
	return nil
}

// majority is a member's file with the header that most have: first of those that can be parsed and are of the set.
func (r *partReader) majority() *opened {
	count := map[string]int{}
	for _, o := range r.files {
		if o != nil {
			count[string(o.shown)]++
		}
	}
	rank := func(o *opened) int {
		n := count[string(o.shown)]
		if o.h != (vtape.Header{}) {
			n += maxMembers
		}
		if o.other == nil {
			n += 2 * maxMembers
		}
		return n
	}
	var best *opened
	for _, o := range r.files {
		switch {
		case o == nil:
		case best == nil || rank(o) > rank(best):
			best = o
		case rank(o) == rank(best) && o.r.SizeBytes() > best.r.SizeBytes():
			best = o // rather than what is left of a part that was given up there
		}
	}
	return best
}

// sameFile tells whether two headers are of the same part, or of the same volume.
func sameFile(a, b vtape.Header) bool {
	return a.Type == b.Type && a.Label == b.Label && a.Stamp == b.Stamp && a.Host == b.Host && a.Disk == b.Disk &&
		a.Level == b.Level && a.Part == b.Part
}

// told is the part's length as most members tell it.
func (r *partReader) told() (n int64, ok bool) {
	count := map[int64]int{}
	for _, o := range r.files {
		if o != nil && o.info.Bytes != nil {
			count[*o.info.Bytes]++
		}
	}
	for size, c := range count {
		if !ok || c > count[n] || c == count[n] && size > n {
			n, ok = size, true
		}
	}
	return n, ok
}

// fault takes down what is the matter with a member.
func (r *partReader) fault(member int, err error) {
	f := r.d.fault(member, r.number, err)
	r.mu.Lock()
	known := slices.ContainsFunc(r.faults, func(o MemberFault) bool { return o.Index == member })
	if !known {
		r.faults = append(r.faults, f)
	}
	r.mu.Unlock()
	r.d.tell(f)
}

func (r *partReader) note(member int, kind FaultKind, err error) {
	r.fault(member, MemberFault{Member: r.d.members[member].Name, Index: member, Kind: kind, File: r.number, Err: err})
}

// Header is the one that most members have.
func (r *partReader) Header() vtape.Header { return r.header }

// RawHeader is the header block that most members have, without their line on the set.
func (r *partReader) RawHeader() []byte { return r.raw }

// SizeBytes is the part's length; in Amanda's form that of its stripes.
func (r *partReader) SizeBytes() int64 { return r.size }

// Close closes the members' files.
func (r *partReader) Close() error {
	var errs []error
	for _, o := range r.files {
		if o != nil {
			errs = append(errs, o.r.Close())
		}
	}
	return errors.Join(errs...)
}
