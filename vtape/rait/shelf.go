package rait

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"holdfast/vtape"
)

// ShelfMember is one of the shelves that a set of shelves is made of.
type ShelfMember struct {
	// Name is how notes and errors call it.
	Name  string
	Shelf vtape.Shelf
}

// Shelf is a vtape.Shelf over several: slot N of the set is slot N of each member.
type Shelf struct {
	members []ShelfMember
	opts    Options
	probe   *Device // for what sets have to say, it has no media

	mu     sync.Mutex    // guards absent
	absent map[int]error // by member: what Check found
}

var _ vtape.Shelf = (*Shelf)(nil)

// NewShelf gives the shelf. It does not look at the members.
func NewShelf(members []ShelfMember, o Options) (*Shelf, error) {
	media := make([]Member, len(members))
	for i, m := range members {
		media[i].Name = m.Name
	}
	probe, err := newDevice(media, o)
	if err != nil {
		return nil, fmt.Errorf("parity set of shelves: %w", err)
	}
	return &Shelf{members: slices.Clone(members), opts: o, probe: probe, absent: map[int]error{}}, nil
}

// Check passes while no more members are absent or in error than the set can do without. Those are noted, and left out
// of the devices made after.
func (s *Shelf) Check(ctx context.Context) error {
	errs := s.each(func(m vtape.Shelf) error { return m.Check(ctx) })
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	s.absent = errs
	s.mu.Unlock()
	return s.enough("check shelf", errs)
}

// Create makes all members, or what they lack. It is an error when more fail than the set can do without.
func (s *Shelf) Create(ctx context.Context) error {
	errs := s.each(func(m vtape.Shelf) error { return m.Create(ctx) })
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.enough("create shelf", errs)
}

// Slots lists the slots that as many members have as it takes to read a volume.
func (s *Shelf) Slots(ctx context.Context) ([]string, error) {
	lists := make([][]string, len(s.members))
	errs := s.eachIndex(func(i int) (err error) {
		lists[i], err = s.members[i].Shelf.Slots(ctx)
		return err
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.enough("list slots", errs); err != nil {
		return nil, err
	}
	count := map[string]int{}
	var order []string
	for _, list := range lists {
		at := 0
		for _, slot := range list {
			if count[slot]++; count[slot] > 1 {
				at = slices.Index(order, slot) + 1
				continue
			}
			order = slices.Insert(order, at, slot) // after the one that it comes after on its member
			at++
		}
	}
	return slices.DeleteFunc(order, func(slot string) bool { return count[slot] < s.probe.data }), nil
}

// Device gives the set of the members' media in the slot. It is a *Device.
func (s *Shelf) Device(slot string) vtape.Device {
	media := make([]Member, len(s.members))
	s.mu.Lock()
	for i, m := range s.members {
		media[i].Name = m.Name
		if s.absent[i] == nil {
			media[i].Device = m.Shelf.Device(slot)
		}
	}
	s.mu.Unlock()
	d, err := newDevice(media, s.opts)
	if err != nil {
		panic(err) // NewShelf has made one of the same
	}
	return d
}

// SetCurrent tells all members. It is an error when more fail than the set can do without.
func (s *Shelf) SetCurrent(ctx context.Context, slot string) error {
	errs := s.each(func(m vtape.Shelf) error { return m.SetCurrent(ctx, slot) })
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.enough("set current slot", errs)
}

func (s *Shelf) each(do func(m vtape.Shelf) error) map[int]error {
	return s.eachIndex(func(i int) error { return do(s.members[i].Shelf) })
}

func (s *Shelf) eachIndex(do func(i int) error) map[int]error {
	return s.probe.each(s.probe.all(), func(i int) error {
		if s.members[i].Shelf == nil {
			return vtape.ErrAbsent
		}
		return do(i)
	})
}

// enough notes the errors, and gives one when they are too many.
func (s *Shelf) enough(what string, errs map[int]error) error {
	var faults []MemberFault
	for _, i := range slices.Sorted(maps.Keys(errs)) {
		f := s.probe.fault(i, 0, errs[i])
		faults = append(faults, f)
		s.probe.tell(f)
	}
	err := s.probe.enough(len(s.members)-len(errs), faults)
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: parity set: %w", what, err)
	}
	return err
}
