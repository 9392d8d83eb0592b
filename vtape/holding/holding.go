package holding

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"
	"syscall"

	"holdfast/internal/vfs"
	"holdfast/vtape"
)

// ErrNoRoom: no holding disk has the room. The caller takes the dump directly to a volume.
var ErrNoRoom = errors.New("no room on the holding disk")

const (
	// DefaultChunkBytes is the size of a chunk when none is given, header included.
	DefaultChunkBytes = 1 << 30
	// minChunkBytes leaves a chunk as much data as header.
	minChunkBytes = 2 * vtape.HeaderBytes

	tmpSuffix = ".tmp"
)

// Options say where dumps are held.
type Options struct {
	Dirs []Dir
	// ChunkBytes is the size of a full chunk, header included; 0 for the default, and never below 64 KiB.
	ChunkBytes int64
}

// Dir is one holding disk: a directory that exists.
type Dir struct {
	Path string
	// UseBytes > 0: hold at most that much, with what earlier runs left. 0: all that is free. < 0: leave that much free.
	UseBytes int64
}

// Holding is the holding disks of a configuration.
type Holding struct {
	fs         vfs.FS
	dirs       []Dir
	chunkBytes int64
	spawn      func(func()) // runs a chunk's sync beside the writing of the next

	// mu guards the fields below and those of the reservations. It also keeps run directories from being removed as
	// empty while a dump is being created in them.
	mu           sync.Mutex
	reservations map[*Reservation]bool
	claimed      map[string]bool // final paths of the chunks being written
}

// New gives the holding disks. It touches nothing: a directory that is missing shows when room is asked for.
func New(fsys vfs.FS, o Options) *Holding {
	if o.ChunkBytes == 0 {
		o.ChunkBytes = DefaultChunkBytes
	}
	return &Holding{
		fs:           fsys,
		dirs:         o.Dirs,
		chunkBytes:   max(o.ChunkBytes, minChunkBytes),
		spawn:        func(f func()) { go f() },
		reservations: make(map[*Reservation]bool),
		claimed:      make(map[string]bool),
	}
}

// Usage is how full one holding disk is, in bytes. Room is what a dump could still reserve, Promised what is reserved and not
// written yet.
type Usage struct {
	Path                 string
	Used, Room, Promised int64
	// Err is why the holding disk cannot be used; nil when it can.
	Err error
}

// Usage tells how full each holding disk is.
func (h *Holding) Usage() []Usage {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []Usage
	for i, d := range h.dirs {
		u := Usage{Path: d.Path}
		u.Used, u.Err = h.used(d.Path)
		if u.Err == nil {
			u.Room, u.Err = h.room(i)
			u.Promised = h.promised(i)
		}
		all = append(all, u)
	}
	return all
}

// Total is what the holding disk takes in all.
func (u Usage) Total() int64 { return u.Used + u.Room + u.Promised }

// used counts what lies in the run directories below dir.
func (h *Holding) used(dir string) (int64, error) {
	runs, err := runDirs(h.fs, dir)
	if err != nil {
		return 0, err
	}
	var total int64
	for _, run := range runs {
		entries, err := h.fs.ReadDir(run)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		for _, e := range entries {
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // renamed or removed meanwhile
			}
			if err != nil {
				return 0, err
			}
			total += info.Size()
		}
	}
	return total, nil
}

// runDirs lists the directories of runs below dir, the oldest first.
func runDirs(fsys vfs.FS, dir string) ([]string, error) {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var runs []string
	for _, e := range entries {
		if e.IsDir() && isRunName(e.Name()) {
			runs = append(runs, path.Join(dir, e.Name()))
		}
	}
	return runs, nil
}

// isRunName knows a stamp, and the bare date that Amanda writes without usetimestamps.
func isRunName(name string) bool {
	if len(name) != len("20060102150405") && len(name) != len("20060102") {
		return false
	}
	for _, c := range name {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// noRoom gives an error of a full file system the meaning callers branch on.
func noRoom(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrNoRoom, err)
	}
	return err
}
