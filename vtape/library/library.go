// Package library is the shelf that volumes stand on, seen as volumes: which volume is in which slot, and which one is
// written next. What a shelf is made of, a directory, a bucket or a parity set of these, is the business of vtape.Shelf.
//
// Its invariant: Pick never chooses a volume that the catalog does not know as it is, nor one that must be kept; and it
// begins a new volume only when no written one may be used again.
package library

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"holdfast/catalog"
	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/dir"
)

// lookers is how many slots are looked into at the same time: enough for a bucket's round trips to overlap, and few enough
// not to be taken for an attack.
const lookers = 16

// Options of a library; they come from the configuration.
type Options struct {
	// Storage is the name of the storage.
	Storage string
	// Label is the template of new labels: one run of `%` stands for the number, so DEMO-%%% gives DEMO-001.
	Label string
	// Name is how messages call the library; empty: `storage` and its name.
	Name string
}

// Library is a library on a shelf. It keeps no state: each call looks at the shelf anew. It may be used by many
// goroutines.
type Library struct {
	shelf vtape.Shelf
	opts  Options
}

// New gives the library on a shelf. It does not look whether the shelf is there: Shelf.Check does.
func New(shelf vtape.Shelf, o Options) *Library {
	o.Name = cmp.Or(o.Name, "storage "+o.Storage)
	return &Library{shelf: shelf, opts: o}
}

// OpenReadOnly opens what somebody else may have made: a library in a directory (Amanda's has no marker), or a single
// slot's directory. Nothing can be written through it.
func OpenReadOnly(ctx context.Context, fsys vfs.FS, root string) (*Library, error) {
	fsys = vfs.Wrap(fsys, func(op vfs.Op) error {
		if op.Kind.Changes() {
			return syscall.EROFS
		}
		return nil
	})
	var shelf vtape.Shelf = dir.NewShelf(fsys, dir.ShelfOptions{Root: root})
	slots, err := shelf.Slots(ctx)
	if err == nil && len(slots) == 0 {
		shelf = dir.NewOneSlot(fsys, root)
		err = shelf.Check(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("open volumes: %w", err)
	}
	return New(shelf, Options{Name: root}), nil
}

// ErrDuplicate: the label is in two slots, and which of the volumes is the right one cannot be told.
var ErrDuplicate = errors.New("is also in slot")

// SlotInfo is what a look at a slot found.
type SlotInfo struct {
	// Slot is the slot's number as text, or the directory's name when a slot was opened alone.
	Slot string
	// Label and Stamp are the volume's; Stamp may be Amanda's "X" or "0" on a volume never written.
	Label catalog.Label
	Stamp catalog.Stamp
	// Blank is set when the slot can take a new label.
	Blank bool
	// Err is why the slot can be used for nothing: absent, foreign, unreadable, or a label that is in two slots.
	Err error
	// Bytes on the volume, headers included; Files counts its files after the label.
	Bytes int64
	Files int
	// Degraded are, on a parity set, the members whose label is not the volume's.
	Degraded []vtape.MemberFault
}

// Inventory looks into every slot, in order. Trouble with a slot is in its Err; the error is for the library as a whole.
func (l *Library) Inventory(ctx context.Context) ([]SlotInfo, error) {
	slots, err := l.survey(ctx)
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	list := l.lookAll(ctx, slots)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("inventory: %s: %w", l.opts.Name, err)
	}
	at := make(map[catalog.Label]int) // index in list
	for i, info := range list {
		if other, ok := at[info.Label]; ok && info.Label != "" {
			list[i].Err = fmt.Errorf("label %s %w %s", info.Label, ErrDuplicate, list[other].Slot)
			list[other].Err = fmt.Errorf("label %s %w %s", info.Label, ErrDuplicate, info.Slot)
		}
		at[info.Label] = i
	}
	return list, nil
}

// slotFiles is a slot to look into.
type slotFiles struct {
	vtape.Surveyed
	// known: what lies in it was told by the shelf.
	known bool
}

// survey names the slots, with what lies in them where the shelf can tell it all at once.
func (l *Library) survey(ctx context.Context) (list []slotFiles, err error) {
	if s, ok := l.shelf.(vtape.Surveyor); ok {
		found, err := s.Survey(ctx)
		for _, slot := range found {
			list = append(list, slotFiles{slot, true})
		}
		return list, err
	}
	slots, err := l.shelf.Slots(ctx)
	for _, slot := range slots {
		list = append(list, slotFiles{Surveyed: vtape.Surveyed{Slot: slot}})
	}
	return list, err
}

// lookAll looks into the slots, several at a time.
func (l *Library) lookAll(ctx context.Context, slots []slotFiles) []SlotInfo {
	list := make([]SlotInfo, len(slots))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(lookers, len(slots)) {
		wg.Go(func() {
			for i := range next {
				list[i] = l.look(ctx, slots[i])
			}
		})
	}
	for i := range slots {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	return list
}

func (l *Library) look(ctx context.Context, slot slotFiles) SlotInfo {
	info := SlotInfo{Slot: slot.Slot}
	if slot.known && slot.Blank {
		info.Blank = true
		return info
	}
	dev := l.shelf.Device(slot.Slot)
	h, err := dev.ReadLabel(ctx)
	if errors.Is(err, vtape.ErrBlank) {
		info.Blank = true
		return info
	}
	if err != nil {
		info.Err = err
		return info
	}
	info.Label, info.Stamp = h.Label, catalog.Stamp(h.Stamp)
	files := slot.Files
	if !slot.known {
		files, info.Err = dev.Files(ctx)
	}
	if d, ok := dev.(vtape.Degradable); ok {
		info.Degraded = d.Degraded()
	}
	info.Files, info.Bytes = len(files), vtape.HeaderBytes
	for _, f := range files {
		info.Bytes += vtape.HeaderBytes + f.Bytes
	}
	return info
}

// Device gives the device of a slot, to read. It does not look whether the slot is there: the device's operations show it.
func (l *Library) Device(slot string) (vtape.Device, error) {
	n, err := strconv.Atoi(slot)
	if _, alone := l.shelf.(*dir.OneSlot); !alone && (err != nil || n < 1 || strconv.Itoa(n) != slot) {
		return nil, fmt.Errorf("slot %q: slots are numbers from 1 on", slot)
	}
	return l.shelf.Device(slot), nil
}

// Load finds the volume with the label, to read. It gives vtape.ErrAbsent when the volume is in no slot.
func (l *Library) Load(ctx context.Context, label catalog.Label) (slot string, dev vtape.Device, err error) {
	inv, err := l.Inventory(ctx)
	if err != nil {
		return "", nil, err
	}
	for _, info := range inv {
		if info.Label != label {
			continue
		}
		if info.Err != nil {
			return "", nil, fmt.Errorf("load volume %s: slot %s: %w", label, info.Slot, info.Err)
		}
		return info.Slot, l.shelf.Device(info.Slot), nil
	}
	return "", nil, fmt.Errorf("load volume %s: %w: in no slot of %s", label, vtape.ErrAbsent, l.opts.Name)
}

// LoadForWriting gives the device of a slot and makes it the current one, for Amanda's eyes.
func (l *Library) LoadForWriting(ctx context.Context, slot string) (vtape.Device, error) {
	slots, err := l.shelf.Slots(ctx)
	if err != nil {
		return nil, fmt.Errorf("load slot %s: %w", slot, err)
	}
	if !slices.Contains(slots, slot) {
		return nil, fmt.Errorf("load slot %s: %s has no such slot", slot, l.opts.Name)
	}
	if err := l.shelf.SetCurrent(ctx, slot); err != nil {
		return nil, fmt.Errorf("load slot %s: %w", slot, err)
	}
	return l.shelf.Device(slot), nil
}
