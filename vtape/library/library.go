// Package library is the shelf that volumes stand on: the numbered slots of a storage, which volume is in which, and
// which one is written next. On disk it is a library of Amanda's chg-disk:
//
//	ROOT/.holdfast-library    names the storage; absent when the file system is not mounted
//	ROOT/slot1, slot2, ...    a directory for each volume; see package vtape/dir
//	ROOT/data -> slotN        the slot loaded last for writing; Amanda's device `file:ROOT` reads it
//
// Its invariant: Pick never chooses a volume that the catalog does not know as it is, nor any labelled volume while a
// blank slot is left.
package library

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"holdfast/catalog"
	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/dir"
)

const (
	markerName  = ".holdfast-library"
	markerText  = "holdfast library of storage "
	currentLink = "data"
	// dirMode keeps others from what may be the disks of whole companies.
	dirMode fs.FileMode = 0o700
)

// Options of a library; they come from the configuration.
type Options struct {
	// Root is the library's directory, an absolute path.
	Root  string
	Slots int
	// Storage is the name of the storage; the library remembers whose it is.
	Storage string
	// Label is the template of new labels: one run of `%` stands for the number, so DEMO-%%% gives DEMO-001.
	Label string
	// CapacityBytes and ReserveFSBytes limit each volume; see dir.Options.
	CapacityBytes, ReserveFSBytes int64
}

// Library is an open library. It keeps no state: each call looks at the directories anew.
type Library struct {
	fsys vfs.FS
	opts Options
	// alone is set for a slot directory opened by itself: Root is the slot.
	alone bool
}

// Create makes the library, or what it lacks of one: root, slots, and last the marker. Nothing that is there is changed.
func Create(fsys vfs.FS, opts Options) error {
	if err := create(fsys, opts); err != nil {
		return fmt.Errorf("create library: %s: %w", opts.Root, err)
	}
	return nil
}

func create(fsys vfs.FS, opts Options) error {
	absent := checkMarker(fsys, opts)
	if absent != nil && !errors.Is(absent, vtape.ErrAbsent) {
		return absent
	}
	for n := 1; n <= opts.Slots; n++ {
		if err := vfs.MkdirAll(fsys, SlotPath(opts.Root, strconv.Itoa(n)), dirMode); err != nil {
			return err
		}
	}
	if absent == nil {
		return nil
	}
	marker := path.Join(opts.Root, markerName)
	return vfs.WriteFileDurable(fsys, marker, []byte(markerText+opts.Storage+"\n"), 0o600)
}

// Open opens a library made by Create. It gives vtape.ErrAbsent when the root or its marker is not there.
func Open(fsys vfs.FS, opts Options) (*Library, error) {
	if err := checkMarker(fsys, opts); err != nil {
		return nil, fmt.Errorf("open library: %s: %w", opts.Root, err)
	}
	return &Library{fsys: fsys, opts: opts}, nil
}

func checkMarker(fsys vfs.FS, opts Options) error {
	data, err := vfs.ReadFile(fsys, path.Join(opts.Root, markerName))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: no %s there: is its file system mounted, was the library made?", vtape.ErrAbsent, markerName)
	}
	if err != nil {
		return err
	}
	storage, ok := strings.CutPrefix(strings.TrimSuffix(string(data), "\n"), markerText)
	if !ok {
		return fmt.Errorf("%s is damaged: want %q, have %.80q", markerName, markerText+opts.Storage, data)
	}
	if storage != opts.Storage {
		return fmt.Errorf("the library is that of storage %q, not of %q", storage, opts.Storage)
	}
	return nil
}

// OpenReadOnly opens what somebody else may have made: a library (Amanda's has no marker), or a single slot's
// directory. Nothing can be written through it.
func OpenReadOnly(ctx context.Context, fsys vfs.FS, root string) (*Library, error) {
	fsys = vfs.Wrap(fsys, func(op vfs.Op) error {
		if op.Kind.Changes() {
			return syscall.EROFS
		}
		return nil
	})
	l := &Library{fsys: fsys, opts: Options{Root: root}}
	slots, err := l.slots()
	if err == nil && len(slots) == 0 {
		l.alone = true
		_, err = dir.New(fsys, root, dir.Options{}).ReadLabel(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("open volumes: %w", err)
	}
	return l, nil
}

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
}

// Inventory looks into every slot, in order. Trouble with a slot is in its Err; the error is for the library as a whole.
func (l *Library) Inventory(ctx context.Context) ([]SlotInfo, error) {
	slots, err := l.slots()
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	var list []SlotInfo
	at := make(map[catalog.Label]int) // index in list
	for _, slot := range slots {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("inventory: %s: %w", l.opts.Root, err)
		}
		info := l.look(ctx, slot)
		if other, ok := at[info.Label]; ok && info.Label != "" {
			info.Err = fmt.Errorf("label %s is also in slot %s", info.Label, list[other].Slot)
			list[other].Err = fmt.Errorf("label %s is also in slot %s", info.Label, slot)
		}
		at[info.Label] = len(list)
		list = append(list, info)
	}
	return list, nil
}

func (l *Library) look(ctx context.Context, slot string) SlotInfo {
	info := SlotInfo{Slot: slot}
	dev := l.device(slot)
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
	files, err := dev.Files(ctx)
	info.Err = err
	info.Files, info.Bytes = len(files), vtape.HeaderBytes
	for _, f := range files {
		info.Bytes += vtape.HeaderBytes + f.Bytes
	}
	return info
}

// slots names the slots in order: those that the options call for, and those that are there besides, so that volumes
// stay readable when the configuration asks for fewer slots than before.
func (l *Library) slots() ([]string, error) {
	if l.alone {
		return []string{path.Base(l.opts.Root)}, nil
	}
	entries, err := l.fsys.ReadDir(l.opts.Root)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, fmt.Errorf("%w: %w", vtape.ErrAbsent, err)
	}
	if err != nil {
		return nil, err
	}
	var numbers []int
	for n := 1; n <= l.opts.Slots; n++ {
		numbers = append(numbers, n)
	}
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), "slot")
		n, err := strconv.Atoi(digits)
		if ok && err == nil && n > l.opts.Slots && strconv.Itoa(n) == digits {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	slots := make([]string, len(numbers))
	for i, n := range numbers {
		slots[i] = strconv.Itoa(n)
	}
	return slots, nil
}

// SlotPath is the directory of a slot.
func SlotPath(root, slot string) string { return path.Join(root, "slot"+slot) }

func (l *Library) device(slot string) *dir.Device {
	at := l.opts.Root
	if !l.alone {
		at = SlotPath(l.opts.Root, slot)
	}
	return dir.New(l.fsys, at, dir.Options{CapacityBytes: l.opts.CapacityBytes, ReserveFSBytes: l.opts.ReserveFSBytes})
}

// Device gives the device of a slot, to read.
func (l *Library) Device(slot string) (vtape.Device, error) {
	slots, err := l.slots()
	if err != nil {
		return nil, fmt.Errorf("slot %s: %w", slot, err)
	}
	if !slices.Contains(slots, slot) {
		return nil, fmt.Errorf("slot %s: %s has no such slot", slot, l.opts.Root)
	}
	return l.device(slot), nil
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
		return info.Slot, l.device(info.Slot), nil
	}
	return "", nil, fmt.Errorf("load volume %s: %w: in no slot of %s", label, vtape.ErrAbsent, l.opts.Root)
}

// LoadForWriting gives the device of a slot and makes it the current one, for Amanda's eyes.
func (l *Library) LoadForWriting(slot string) (vtape.Device, error) {
	dev, err := l.Device(slot)
	if err != nil {
		return nil, err
	}
	if err := l.setCurrent(slot); err != nil {
		return nil, fmt.Errorf("load slot %s: %w", slot, err)
	}
	return dev, nil
}

func (l *Library) setCurrent(slot string) error {
	if l.alone {
		return syscall.EROFS
	}
	link := path.Join(l.opts.Root, currentLink)
	target := "slot" + slot
	if old, err := l.fsys.Readlink(link); err == nil && old == target {
		return nil
	}
	// Renamed into place, so that there is a current slot at every moment.
	draft := link + ".new"
	if err := l.fsys.Remove(draft); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := l.fsys.Symlink(target, draft); err != nil {
		return err
	}
	if err := l.fsys.Rename(draft, link); err != nil {
		return err
	}
	return l.fsys.SyncDir(l.opts.Root)
}
