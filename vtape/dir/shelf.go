package dir

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

	"holdfast/internal/vfs"
	"holdfast/vtape"
)

const (
	markerName  = ".holdfast-library"
	markerText  = "holdfast library of storage "
	currentLink = "data"
	// dirMode keeps others from what may be the disks of whole companies.
	dirMode fs.FileMode = 0o700
)

// ShelfOptions of a shelf; they come from the configuration.
type ShelfOptions struct {
	// Root is the library's directory, an absolute path.
	Root string
	// Slots is the number of slots that there are to be. Those that are there besides are listed, too.
	Slots int
	// Storage is the name of the storage; the shelf remembers whose it is.
	Storage string
	// CapacityBytes and ReserveFSBytes limit each volume; see Options.
	CapacityBytes, ReserveFSBytes int64
}

// Shelf is a library's directory, as Amanda's chg-disk has it:
//
//	ROOT/.holdfast-library    names the storage; absent when the file system is not mounted
//	ROOT/slot1, slot2, ...    a directory for each volume
//	ROOT/data -> slotN        the slot loaded last for writing; Amanda's device `file:ROOT` reads it
//
// It keeps no state: each call looks at the directories anew.
type Shelf struct {
	fsys vfs.FS
	opts ShelfOptions
}

var _ vtape.Shelf = (*Shelf)(nil)

// NewShelf gives the shelf in a directory. It does not look at it.
func NewShelf(fsys vfs.FS, opts ShelfOptions) *Shelf { return &Shelf{fsys: fsys, opts: opts} }

// Create makes root, slots, and last the marker. Nothing that is there is changed; another storage's shelf is refused.
func (s *Shelf) Create(context.Context) error {
	if err := s.create(); err != nil {
		return fmt.Errorf("create library: %s: %w", s.opts.Root, err)
	}
	return nil
}

func (s *Shelf) create() error {
	marked, err := s.readMarker()
	if err != nil {
		return err
	}
	for n := 1; n <= s.opts.Slots; n++ {
		if err := vfs.MkdirAll(s.fsys, SlotPath(s.opts.Root, strconv.Itoa(n)), dirMode); err != nil {
			return err
		}
	}
	if marked {
		return nil
	}
	marker := path.Join(s.opts.Root, markerName)
	return vfs.WriteFileDurable(s.fsys, marker, []byte(markerText+s.opts.Storage+"\n"), 0o600)
}

// Check gives vtape.ErrAbsent when the root or its marker is not there: then its file system is not mounted, or the
// library was never made, and nothing may be written. The library of another storage, such as the disk that takes turns
// with this one, is ErrAbsent, too.
func (s *Shelf) Check(context.Context) error {
	marked, err := s.readMarker()
	if err == nil && !marked {
		err = fmt.Errorf("%w: no %s there: is its file system mounted, was the library made?", vtape.ErrAbsent, markerName)
	}
	if errors.Is(err, errOther) {
		err = fmt.Errorf("%w: %w", vtape.ErrAbsent, err)
	}
	if err != nil {
		return fmt.Errorf("open library: %s: %w", s.opts.Root, err)
	}
	return nil
}

var errOther = errors.New("another library is there")

// readMarker tells whether the marker is there. The error is errOther when it is another storage's.
func (s *Shelf) readMarker() (bool, error) {
	data, err := vfs.ReadFile(s.fsys, path.Join(s.opts.Root, markerName))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	storage, ok := strings.CutPrefix(strings.TrimSuffix(string(data), "\n"), markerText)
	if !ok {
		return false, fmt.Errorf("%s is damaged: want %q, have %.80q", markerName, markerText+s.opts.Storage, data)
	}
	if storage != s.opts.Storage {
		return false, fmt.Errorf("%w: that of storage %q, not of %q", errOther, storage, s.opts.Storage)
	}
	return true, nil
}

// StorageOf gives the name of the storage that the library in a directory says it is; empty when it says none, as
// Amanda's do.
func StorageOf(fsys vfs.FS, root string) string {
	data, err := vfs.ReadFile(fsys, path.Join(root, markerName))
	if err != nil {
		return ""
	}
	storage, ok := strings.CutPrefix(strings.TrimSuffix(string(data), "\n"), markerText)
	if !ok {
		return ""
	}
	return storage
}

// Slots lists those that the options call for, and those that are there besides, so that volumes stay readable when the
// configuration asks for fewer slots than before.
func (s *Shelf) Slots(context.Context) ([]string, error) {
	entries, err := s.fsys.ReadDir(s.opts.Root)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, fmt.Errorf("%w: %w", vtape.ErrAbsent, err)
	}
	if err != nil {
		return nil, err
	}
	var numbers []int
	for n := 1; n <= s.opts.Slots; n++ {
		numbers = append(numbers, n)
	}
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), "slot")
		n, err := strconv.Atoi(digits)
		if ok && err == nil && n > s.opts.Slots && strconv.Itoa(n) == digits {
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

// Device gives the volume's device in a slot.
func (s *Shelf) Device(slot string) vtape.Device {
	return New(s.fsys, SlotPath(s.opts.Root, slot), Options{CapacityBytes: s.opts.CapacityBytes, ReserveFSBytes: s.opts.ReserveFSBytes})
}

// SetCurrent points the link `data` at the slot, for Amanda's eyes.
func (s *Shelf) SetCurrent(_ context.Context, slot string) error {
	link := path.Join(s.opts.Root, currentLink)
	target := "slot" + slot
	if old, err := s.fsys.Readlink(link); err == nil && old == target {
		return nil
	}
	// Renamed into place, so that there is a current slot at every moment.
	draft := link + ".new"
	if err := s.fsys.Remove(draft); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.fsys.Symlink(target, draft); err != nil {
		return err
	}
	if err := s.fsys.Rename(draft, link); err != nil {
		return err
	}
	return s.fsys.SyncDir(s.opts.Root)
}

// OneSlot is a slot's directory taken by itself, as a shelf with one slot that has the directory's name. Nothing can be
// written to it.
type OneSlot struct {
	fsys vfs.FS
	path string
}

var _ vtape.Shelf = (*OneSlot)(nil)

// NewOneSlot gives the shelf of one directory.
func NewOneSlot(fsys vfs.FS, dir string) *OneSlot { return &OneSlot{fsys: fsys, path: dir} }

// Check makes sure that there is a volume.
func (o *OneSlot) Check(ctx context.Context) error {
	_, err := o.Device("").ReadLabel(ctx)
	return err
}

// Create is refused.
func (o *OneSlot) Create(context.Context) error { return syscall.EROFS }

// Slots gives the one name.
func (o *OneSlot) Slots(context.Context) ([]string, error) { return []string{path.Base(o.path)}, nil }

// Device gives the one device, whatever the slot.
func (o *OneSlot) Device(string) vtape.Device { return New(o.fsys, o.path, Options{}) }

// SetCurrent is refused.
func (o *OneSlot) SetCurrent(context.Context, string) error { return syscall.EROFS }
