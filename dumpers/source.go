// Package dumpers holds the contract of an image source, and the dump stream that is made from one.
//
// A source is pinned to one point of time; the point shows each of its disks as a block view; the dump stream is a
// qcow2 file written front to back from that view, in compressed frames, encrypted if asked. The base of the next
// incremental advances only at Commit, after the dump is durable; Abort puts everything back as it was.
package dumpers

import (
	"context"
	"errors"
	"io"

	"holdfast/catalog"
)

// Errors that callers branch on. A source wraps them with what and why.
var (
	// ErrInUse: another program holds the image locked, usually a running VM.
	ErrInUse = errors.New("image is in use")
	// ErrUnsupported: the image has a feature that cannot be read (named in the message).
	ErrUnsupported = errors.New("image format is not supported")
	// ErrDamaged: the image's own metadata contradict themselves or are cut short.
	ErrDamaged = errors.New("image is damaged")
)

// Source is one virtual machine (or one image) whose disks can be dumped. Methods may be called from several
// goroutines; Pin is called by one at a time.
type Source interface {
	// Describe looks at the source without changing anything: what `check` and the planner need.
	Describe(ctx context.Context) (Description, error)
	// Pin takes one point of time of the disks named (all of them for none). What is created outside is journalled
	// first. The caller ends the point with Commit or Abort, once.
	Pin(ctx context.Context, journal Journal, disks ...string) (Point, error)
	// Reap releases what an earlier crash left, by the journal. It is idempotent, and says what it released.
	Reap(ctx context.Context, journal Journal) ([]string, error)
}

// Description is what a source is.
type Description struct {
	Disks []DiskInfo
}

// DiskInfo describes one disk of a source.
type DiskInfo struct {
	Name string
	// Format of the image: "raw", "qcow2", "device".
	Format string
	// SizeBytes is the virtual size; AllocatedBytes how much of it may hold data: an upper bound of a full dump, but
	// a guess from samples for a device, which has no map.
	SizeBytes, AllocatedBytes int64
	// Identity changes when the image is replaced by another one under the same name.
	Identity string
	// Backing is the absolute path of the image this one is an overlay of; empty for none.
	Backing string
}

// Journal records outside resources before they are made, and forgets them after they are gone.
type Journal interface {
	Add(ctx context.Context, r catalog.Resource) error
	Done(ctx context.Context, id string) error
	Open(ctx context.Context, kind string) ([]catalog.Resource, error)
}

// Consistency is how good the point of time is, per disk.
type Consistency string

// The consistencies, best first.
const (
	ConsistentApplication Consistency = "application"
	ConsistentFS          Consistency = "filesystem"
	ConsistentCrash       Consistency = "crash"
	ConsistentOffline     Consistency = "offline"
	ConsistentUnknown     Consistency = "unknown"
)

// Point is a source at one point of time.
type Point interface {
	// Consistency of the disk, and a reason where it is less than could be.
	Consistency(disk string) (Consistency, string)
	// Metadata are named documents to keep with the dump (domain XML, image options); secrets never.
	Metadata() map[string][]byte
	// Disk opens a disk as a block view. The view is closed before Commit or Abort.
	Disk(ctx context.Context, disk string) (BlockView, error)
	// Commit makes this point the base of the next incremental. Called after the dump is durable and recorded.
	Commit(ctx context.Context) error
	// Abort forgets the point; the base before it stays the base.
	Abort(ctx context.Context) error
}

// ExtentKind says what a run of an image holds.
type ExtentKind uint8

// The kinds. Zero is not a hole, and a hole is not "unchanged".
const (
	// Data must be read to know.
	Data ExtentKind = iota
	// Zero reads as zeros.
	Zero
	// Inherited is the same as in the base image (an overlay's backing file), in a view opened on an overlay.
	Inherited
	// Unchanged is the same as at the base dump, by the source's own change tracking.
	Unchanged
)

// Extent is a run of the image: half open, sorted, without overlap. Start and Length are bytes; all but the image's
// last are multiples of 64 KiB.
type Extent struct {
	Start, Length int64
	Kind          ExtentKind
}

// BlockView is a disk at one point of time: size, map, bytes. ReadAt may be called concurrently and reads through an
// overlay's backing chain (so Inherited ranges can be read, too); past the end it gives io.EOF.
type BlockView interface {
	io.ReaderAt
	io.Closer
	// SizeBytes is the virtual size, to the byte.
	SizeBytes() int64
	// Extents calls yield for each extent in order until all of the image is covered or yield returns an error.
	Extents(ctx context.Context, yield func(Extent) error) error
	// Changed tells why the image may have changed since it was opened; empty when it surely has not. Called at the end
	// of a dump: a reason makes the dump strange.
	Changed() (string, error)
}
