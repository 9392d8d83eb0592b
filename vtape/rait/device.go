package rait

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"holdfast/vtape"
)

// Member is one of the devices that a set is made of.
type Member struct {
	// Name is how notes and errors call it.
	Name string
	// Device is nil when the member is missing.
	Device vtape.Device
}

// Options of a set.
type Options struct {
	// Parity is how many members may be lost: the last ones hold parity. 0 means 1.
	Parity int
	// ShardBytes is how much of a stripe lies on one member, in our own layout; 0 means 256 KiB. It must be 0 or 32768 in
	// Amanda's.
	ShardBytes int64
	// Note is told of each member that something is the matter with, once for each of its files. It may be called by
	// several goroutines. Nil: nobody wants to know.
	Note func(member string, err error)
}

// Device is a vtape.Device on a parity set.
type Device struct {
	form
	members []Member
	codec   *codec
	note    func(member string, err error)
	state   *state
	without []int // a variant leaves these members out
	scratch *sync.Pool
}

var (
	_ vtape.Device      = (*Device)(nil)
	_ vtape.Redundant   = (*Device)(nil)
	_ vtape.Striped     = (*Device)(nil)
	_ vtape.Degradable  = (*Device)(nil)
	_ vtape.PartChecker = (*Device)(nil)
)

// state is what has been learnt of the members. Variants share it.
type state struct {
	mu      sync.Mutex // guards all below; not held while a member works
	known   bool       // labels have been read
	label   vtape.Header
	faults  map[int]MemberFault // by member: of its label
	dropped map[int]MemberFault // by member: what made it unfit for more writing; until Format
	told    map[fileOf]bool
	bytes   map[int]int64 // true lengths of files, in our own layout
}

// fileOf is a file of a member.
type fileOf struct{ member, file int }

// New gives the device for a set. It does not look at the members.
func New(members []Member, o Options) (*Device, error) {
	d, err := newDevice(members, o)
	if err != nil {
		return nil, fmt.Errorf("parity set: %w", err)
	}
	return d, nil
}

func newDevice(members []Member, o Options) (*Device, error) {
	if len(members) < 2 {
		return nil, errNoMembers
	}
	for i, m := range members {
		if m.Name == "" || slices.ContainsFunc(members[:i], func(o Member) bool { return o.Name == m.Name }) {
			return nil, fmt.Errorf("member %d: name %q is empty or used twice", i+1, m.Name)
		}
	}
	f, err := newForm(len(members), o)
	if err != nil {
		return nil, err
	}
	c, err := newCodec(f)
	if err != nil {
		return nil, err
	}
	if o.Note == nil {
		o.Note = func(string, error) {}
	}
	size := int(f.round() * f.shard)
	return &Device{
		form: f, members: slices.Clone(members), codec: c, note: o.Note,
		state: &state{
			faults: map[int]MemberFault{}, dropped: map[int]MemberFault{}, told: map[fileOf]bool{}, bytes: map[int]int64{},
		},
		scratch: &sync.Pool{New: func() any { b := make([]byte, size); return &b }},
	}, nil
}

// Faults lists the members that are left out: missing, stale or foreign when the labels were read, or failed in
// writing since. They are to be repaired.
func (d *Device) Faults() []MemberFault {
	d.state.mu.Lock()
	defer d.state.mu.Unlock()
	all := maps.Clone(d.state.faults)
	maps.Copy(all, d.state.dropped)
	var list []MemberFault
	for _, i := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[i])
	}
	return list
}

// Degraded is Faults for those who know devices of any kind.
func (d *Device) Degraded() []vtape.MemberFault { return told(d.Faults()) }

// fault makes a fault of a member.
func (d *Device) fault(member, file int, err error) MemberFault {
	var known MemberFault
	if errors.As(err, &known) {
		return known
	}
	return MemberFault{Member: d.members[member].Name, Index: member, Kind: kindOf(err), File: file, Err: err}
}

// tell notes a fault, unless one of that member and file was noted already.
func (d *Device) tell(f MemberFault) {
	key := fileOf{f.Index, f.File}
	d.state.mu.Lock()
	known := d.state.told[key]
	d.state.told[key] = true
	d.state.mu.Unlock()
	if !known {
		d.note(f.Member, f)
	}
}

// drop leaves a member out from now on: it has failed while it was written to.
func (d *Device) drop(f MemberFault) {
	d.state.mu.Lock()
	_, known := d.state.dropped[f.Index]
	if !known {
		d.state.dropped[f.Index] = f
	}
	d.state.mu.Unlock()
	if !known {
		d.note(f.Member, f)
	}
}

// gone is why a member is left out; ok is false when it is not.
func (d *Device) gone(member int) (f MemberFault, ok bool) {
	if slices.Contains(d.without, member) {
		return d.fault(member, 0, errLeftOut), true
	}
	d.state.mu.Lock()
	defer d.state.mu.Unlock()
	if f, ok := d.state.dropped[member]; ok {
		return f, true
	}
	f, ok = d.state.faults[member]
	return f, ok
}

var errLeftOut = errors.New("left out")

// living gives the members that are not left out, once the labels are known, and the faults of the others. It is an
// error when they are too few.
func (d *Device) living(ctx context.Context) (living []int, faults []MemberFault, err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	d.state.mu.Lock()
	known := d.state.known
	d.state.mu.Unlock()
	if !known {
		if _, err := d.readLabel(ctx); err != nil && !errors.Is(err, vtape.ErrBlank) {
			return nil, nil, err
		}
	}
	for i := range d.members {
		if f, gone := d.gone(i); gone {
			faults = append(faults, f)
		} else {
			living = append(living, i)
		}
	}
	return living, faults, d.enough(len(living), faults)
}

// enough is nil when so many members are enough to read.
func (d *Device) enough(n int, faults []MemberFault) error {
	if n >= d.data {
		return nil
	}
	return &TooFew{Members: d.form.members(), Need: d.data, Faults: faults}
}

// each calls do for the members at the same time, and gives their errors by member.
func (d *Device) each(members []int, do func(member int) error) map[int]error {
	errs := make(map[int]error)
	var mu sync.Mutex // guards errs
	var wg sync.WaitGroup
	for _, i := range members {
		wg.Go(func() {
			if err := do(i); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs[i] = err
			}
		})
	}
	wg.Wait()
	return errs
}

// all are the members' places.
func (d *Device) all() []int {
	list := make([]int, len(d.members))
	for i := range list {
		list[i] = i
	}
	return list
}

// Variants gives devices that leave out each single member, then each pair, up to as many as the set can do without.
// Members that are left out anyway count.
func (d *Device) Variants() iter.Seq2[string, vtape.Device] {
	return func(yield func(string, vtape.Device) bool) {
		var there []int
		for i := range d.members {
			if _, gone := d.gone(i); !gone {
				there = append(there, i)
			}
		}
		for t := 1; len(there)-t >= d.data; t++ {
			for choice := range choices(len(there), t) {
				without := slices.Clone(d.without)
				var names []string
				for _, c := range choice {
					without = append(without, there[c])
					names = append(names, d.members[there[c]].Name)
				}
				if !yield(strings.Join(names, ", "), d.leavingOut(without)) {
					return
				}
			}
		}
	}
}

// leavingOut is the device without some members.
func (d *Device) leavingOut(members []int) *Device {
	v := *d
	v.without = members
	return &v
}
