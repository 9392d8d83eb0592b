// Package dir is the device for volumes in directories: a slot of Amanda's chg-disk, one directory that holds one
// volume, one file of the directory for each file of the volume. The layout is Amanda's; see package vtape for the
// content of the files.
//
//	00000.LABEL               header block of the label
//	00001.HOST.DISK.LEVEL     header block, then the bytes of the part; no trailer, no padding
//
// Reading goes by the number before the first dot alone. Other names are none of ours, and are left as they are.
//
// Its invariant: a part whose Close returned nil, and a label whose Format returned nil, survive loss of power.
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

	"holdfast/catalog"
	"holdfast/internal/vfs"
	"holdfast/vtape"
)

const (
	// fileMode is Amanda's: a volume is for the backup user only.
	fileMode fs.FileMode = 0o600
	// lockName is reserved by Amanda and survives erasing.
	lockName = "00000-lock"
	// newLabelName is where a label is written before it gets its name. It has no number, so it is never read.
	newLabelName = "new-label"
)

// Options of a device. The zero value sets no limits but the file system's.
type Options struct {
	// CapacityBytes is the length of the volume: the sum of its files, headers included. 0: no limit.
	CapacityBytes int64
	// ReserveFSBytes is how much of the file system must stay free, as seen when a file is begun.
	ReserveFSBytes int64
}

// Device is a vtape.Device on one slot's directory.
type Device struct {
	fsys vfs.FS
	path string
	opts Options
}

var _ vtape.Device = (*Device)(nil)

// New gives the device for the directory. It does not look at it: a directory that is not there shows as
// vtape.ErrAbsent in each operation.
func New(fsys vfs.FS, path string, opts Options) *Device {
	return &Device{fsys: fsys, path: path, opts: opts}
}

// entry is a file of the slot whose name begins with a number.
type entry struct {
	name string
	// number is -1 when Amanda would erase the file, but not read it.
	number int
	bytes  int64
}

// entries lists what belongs to the volume, in order of the numbers.
func (d *Device) entries(ctx context.Context) ([]entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	names, err := d.fsys.ReadDir(d.path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, fmt.Errorf("%w: %w", vtape.ErrAbsent, vfs.Cause(err))
	}
	if err != nil {
		return nil, err
	}
	var list []entry
	for _, n := range names {
		number, ok := parseName(n.Name())
		if !ok {
			continue
		}
		// Links to files are followed, as Amanda does.
		info, err := d.fsys.Stat(path.Join(d.path, n.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a dangling link, or just removed
		}
		if err != nil {
			return nil, err
		}
		if info.Mode().IsRegular() {
			list = append(list, entry{name: n.Name(), number: number, bytes: info.Size()})
		}
	}
	slices.SortStableFunc(list, func(a, b entry) int { return a.number - b.number })
	return list, nil
}

// parseName tells whether a file with this name belongs to the volume, and its number.
func parseName(name string) (number int, ok bool) {
	rest := strings.TrimLeft(name, "0123456789")
	digits := name[:len(name)-len(rest)]
	if digits == "" || rest == "" || name == lockName {
		return 0, false
	}
	switch rest[0] {
	case '.':
		n, err := strconv.ParseInt(digits, 10, 32)
		if err != nil {
			return -1, true
		}
		return int(n), true
	case '-':
		return -1, true
	}
	return 0, false
}

// find gives the one entry with the number.
func find(list []entry, number int) (entry, error) {
	var found []entry
	for _, e := range list {
		if e.number == number {
			found = append(found, e)
		}
	}
	switch len(found) {
	case 0:
		return entry{}, vtape.ErrNoFile
	case 1:
		return found[0], nil
	}
	return entry{}, sameNumber(found[0], found[1])
}

func sameNumber(a, b entry) error {
	return fmt.Errorf("%s and %s have the same number: one of them must go", a.name, b.name)
}

// labelOf takes the volume's label from the name of its label file, for messages.
func labelOf(list []entry) catalog.Label {
	e, err := find(list, 0)
	if err != nil {
		return ""
	}
	_, label, _ := strings.Cut(e.name, ".")
	return catalog.Label(label)
}

// ReadLabel reads the header of file 0.
func (d *Device) ReadLabel(ctx context.Context) (vtape.Header, error) {
	h, err := d.readLabel(ctx)
	if err != nil {
		return vtape.Header{}, fmt.Errorf("read label: %s: %w", d.path, err)
	}
	return h, nil
}

func (d *Device) readLabel(ctx context.Context) (vtape.Header, error) {
	list, err := d.entries(ctx)
	if err != nil {
		return vtape.Header{}, err
	}
	if len(list) == 0 {
		return vtape.Header{}, vtape.ErrBlank
	}
	e, err := find(list, 0)
	if errors.Is(err, vtape.ErrNoFile) {
		return vtape.Header{}, fmt.Errorf("%w: no label, but a file %s", vtape.ErrForeign, list[0].name)
	}
	if err != nil {
		return vtape.Header{}, err
	}
	r, err := d.open(e)
	if err != nil {
		return vtape.Header{}, err
	}
	if err := r.Close(); err != nil {
		return vtape.Header{}, err
	}
	h, err := vtape.ParseHeader(r.raw)
	if err != nil {
		return vtape.Header{}, fmt.Errorf("%w: %s: %w", vtape.ErrForeign, e.name, err)
	}
	if h.Type != vtape.TypeTapeStart {
		return vtape.Header{}, fmt.Errorf("%w: %s: has type %s", vtape.ErrForeign, e.name, h.Type)
	}
	return h, nil
}

// Files lists the files after the label.
func (d *Device) Files(ctx context.Context) ([]vtape.File, error) {
	list, err := d.entries(ctx)
	if err != nil {
		return nil, fmt.Errorf("list files: %s: %w", d.path, err)
	}
	var files []vtape.File
	for i, e := range list {
		if e.number < 1 {
			continue
		}
		if i > 0 && list[i-1].number == e.number {
			return nil, fmt.Errorf("list files: %s: %w", d.path, sameNumber(list[i-1], e))
		}
		files = append(files, vtape.File{Number: e.number, Bytes: max(0, e.bytes-vtape.HeaderBytes)})
	}
	return files, nil
}

// Room gives what fits until the capacity is reached, or until the file system is full if that comes first.
func (d *Device) Room(ctx context.Context) (int64, error) {
	list, err := d.entries(ctx)
	if err != nil {
		return 0, fmt.Errorf("measure room: %s: %w", d.path, err)
	}
	return d.room(list)
}

func (d *Device) room(list []entry) (int64, error) {
	space, err := d.fsys.Space(d.path)
	if err != nil {
		return 0, fmt.Errorf("measure room: %s: %w", d.path, err)
	}
	room := space.Free - d.opts.ReserveFSBytes
	if d.opts.CapacityBytes > 0 {
		left := d.opts.CapacityBytes
		for _, e := range list {
			left -= e.bytes
		}
		room = min(room, left)
	}
	return max(0, room), nil
}

// Format erases the volume's files and writes the label.
func (d *Device) Format(ctx context.Context, label vtape.Header) error {
	if err := d.format(ctx, label); err != nil {
		return fmt.Errorf("format volume %s: %s: %w", label.Label, d.path, err)
	}
	return nil
}

func (d *Device) format(ctx context.Context, label vtape.Header) error {
	if _, _, err := labelBlock(label); err != nil {
		return err
	}
	if err := d.erase(ctx); err != nil {
		return err
	}
	_, err := d.writeLabel(label)
	return err
}

// labelBlock gives a label's bytes and the name of its file.
func labelBlock(label vtape.Header) (name string, block []byte, err error) {
	if label.Type != vtape.TypeTapeStart {
		return "", nil, fmt.Errorf("header has type %s, want %s", label.Type, vtape.TypeTapeStart)
	}
	name = "00000." + string(label.Label)
	if strings.Contains(name, "/") || len(name) > 255 {
		return "", nil, errors.New("label cannot be a file name")
	}
	block, err = label.Block()
	return name, block, err
}

// writeLabel puts the label's file in its place and gives its name.
func (d *Device) writeLabel(label vtape.Header) (name string, err error) {
	name, block, err := labelBlock(label)
	if err != nil {
		return "", err
	}
	// Under its own name there is never half a label: that would make the slot foreign, and nobody would write to it.
	draft := path.Join(d.path, newLabelName)
	if err := vfs.WriteSynced(d.fsys, draft, block, fileMode); err != nil {
		return "", err
	}
	if err := d.fsys.Rename(draft, path.Join(d.path, name)); err != nil {
		return "", err
	}
	return name, d.fsys.SyncDir(d.path)
}

// erase removes the parts first and the label last, so that when it is cut short, the slot still shows the volume that
// was about to be overwritten, and not a heap of files that nobody dares to touch.
func (d *Device) erase(ctx context.Context) error {
	list, err := d.entries(ctx)
	if err != nil {
		return err
	}
	isLabel := func(e entry) bool { return e.number == 0 }
	labels := slices.DeleteFunc(slices.Clone(list), func(e entry) bool { return !isLabel(e) })
	parts := slices.DeleteFunc(list, isLabel)
	for _, group := range [][]entry{parts, labels} {
		for _, e := range group {
			if err := d.fsys.Remove(path.Join(d.path, e.name)); err != nil {
				return err
			}
		}
		if err := d.fsys.SyncDir(d.path); err != nil {
			return err
		}
	}
	return nil
}
