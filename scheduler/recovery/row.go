package recovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"holdfast/catalog"
	"holdfast/vtape"
	"holdfast/vtape/library"
	"holdfast/vtape/rait"
)

// Slot is a medium that stands in a row.
type Slot struct {
	Name   string
	Device vtape.Device
}

// RowPlace is a place made of media that were named one by one, or found where there is no library to speak of. Name is what
// messages call it; the names of slots must differ.
func RowPlace(name string, slots []Slot) Place { return Place{Name: name, Shelf: row(slots)} }

// row is a Shelf for reading.
type row []Slot

// Device gives the medium in a slot.
func (r row) Device(slot string) (vtape.Device, error) {
	i := slices.IndexFunc(r, func(s Slot) bool { return s.Name == slot })
	if i < 0 {
		return nil, fmt.Errorf("slot %s: there is no such slot", slot)
	}
	return r[i].Device, nil
}

// Inventory looks at all media. A label that is there twice is an error of both, as in a library.
func (r row) Inventory(ctx context.Context) ([]library.SlotInfo, error) {
	var list []library.SlotInfo
	at := map[catalog.Label]int{}
	for _, s := range r {
		info := look(ctx, s)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if other, twice := at[info.Label]; twice && info.Label != "" {
			info.Err = fmt.Errorf("label %s is also in slot %s", info.Label, list[other].Slot)
			list[other].Err = fmt.Errorf("label %s is also in slot %s", info.Label, s.Name)
		}
		at[info.Label] = len(list)
		list = append(list, info)
	}
	return list, nil
}

func look(ctx context.Context, s Slot) library.SlotInfo {
	info := library.SlotInfo{Slot: s.Name}
	h, err := s.Device.ReadLabel(ctx)
	if err != nil {
		if info.Blank = errors.Is(err, vtape.ErrBlank); !info.Blank {
			info.Err = err
		}
		return info
	}
	info.Label, info.Stamp = h.Label, catalog.Stamp(h.Stamp)
	files, err := s.Device.Files(ctx)
	info.Err, info.Files, info.Bytes = err, len(files), vtape.HeaderBytes
	for _, f := range files {
		info.Bytes += vtape.HeaderBytes + f.Bytes
	}
	return info
}

// errSet: places that cannot be the members of one set.
var errSet = errors.New("not the members of one parity set")

// SetPlace is a parity set of Amanda's form or of ours: members in their order, nil for one that is missing. Volumes are
// put together of the slots of one name, or, where each member is a single volume, of these.
func SetPlace(ctx context.Context, name string, members []*Place, o rait.Options) (Place, error) {
	shelves := make([][]library.SlotInfo, len(members))
	alone := true
	for i, m := range members {
		if m == nil {
			continue
		}
		if m.Shelf == nil {
			return Place{}, fmt.Errorf("%s: %w: %s holds no volumes", name, errSet, m.Name)
		}
		inv, err := m.Shelf.Inventory(ctx)
		if err != nil {
			return Place{}, fmt.Errorf("%s: %s: %w", name, m.Name, err)
		}
		shelves[i] = inv
		alone = alone && len(inv) == 1
	}
	if o.Parity == 0 {
		o = asWritten(ctx, members, shelves, o)
	}
	var names []string
	for _, inv := range shelves {
		for _, s := range inv {
			if slot := slotName(s, alone); !slices.Contains(names, slot) {
				names = append(names, slot)
			}
		}
	}
	var slots []Slot
	for _, slot := range names {
		dev, err := set(members, shelves, o, func(s library.SlotInfo) bool { return slotName(s, alone) == slot })
		if err != nil {
			return Place{}, fmt.Errorf("%s: slot %s: %w", name, slot, err)
		}
		slots = append(slots, Slot{Name: slot, Device: dev})
	}
	p := RowPlace(name, slots)
	p.Storage = storageOfMembers(members)
	return p, nil
}

// asWritten takes from the first member that tells what kind of set it belongs to; in Amanda's form none does.
func asWritten(ctx context.Context, members []*Place, shelves [][]library.SlotInfo, o rait.Options) rait.Options {
	for i, inv := range shelves {
		for _, s := range inv {
			if s.Err != nil || s.Blank {
				continue
			}
			dev, err := members[i].Shelf.Device(s.Slot)
			if err != nil {
				continue
			}
			label, err := dev.ReadLabel(ctx)
			if err != nil {
				continue
			}
			if info, err := rait.ParseInfo(label.MemberLine); err == nil && info.Data+info.Parity == len(members) {
				o.Parity, o.ShardBytes = info.Parity, info.ShardBytes
				return o
			}
		}
	}
	return o
}

// slotName is what the slots of one volume have in common.
func slotName(s library.SlotInfo, alone bool) string {
	if alone {
		return "1"
	}
	return s.Slot
}

// storageOfMembers is the storage that all members say they belong to; empty when they do not.
func storageOfMembers(members []*Place) string {
	storage := ""
	for _, m := range members {
		switch {
		case m == nil || m.Storage == storage:
		case storage == "":
			storage = m.Storage
		default:
			return ""
		}
	}
	return storage
}

// set makes the set of the slots that are wanted.
func set(members []*Place, shelves [][]library.SlotInfo, o rait.Options, wanted func(library.SlotInfo) bool) (vtape.Device, error) {
	media := make([]rait.Member, len(members))
	for i, m := range members {
		media[i].Name = strconv.Itoa(i + 1)
		if m == nil {
			continue
		}
		media[i].Name += " (" + m.Name + ")"
		at := slices.IndexFunc(shelves[i], wanted)
		if at < 0 {
			continue
		}
		dev, err := m.Shelf.Device(shelves[i][at].Slot)
		if err != nil {
			return nil, err
		}
		media[i].Device = dev
	}
	return rait.New(media, o)
}
