// Package recovery brings dumps back: it opens a chain of levels as one disk, writes it to a file, a block device or a
// pipe, and proves dumps good where they lie.
//
// Its one invariant: no byte is handed out that was not checked. A cluster is compared with the digest taken when it
// was dumped; where there is no block map, the frame's own checksum stands for it, or that of the whole stream. A place that is damaged is left for
// another copy; when there is none, the restore stops and names the volume, the file and the bytes.
package recovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"

	"filippo.io/age"

	"holdfast/catalog"
	"holdfast/internal/blockmap"
	"holdfast/internal/vfs"
	"holdfast/vtape"
)

// Errors that callers branch on.
var (
	// ErrNoDump: the catalog or the media hold no such dump.
	ErrNoDump = errors.New("no such dump")
	// ErrNoCopy: the dump is known, but lies nowhere any more.
	ErrNoCopy = errors.New("no copy of the dump is left")
	// ErrNative: the dump is not one of our image streams; it can only be handed out as it was backed up.
	ErrNative = errors.New("not an image dump of holdfast")
)

// Catalog is what recovery asks of a catalog, or of media read without one.
type Catalog interface {
	// Dump gives one dump; ErrNoDump when it is unknown.
	Dump(ctx context.Context, id catalog.DumpID) (catalog.Dump, error)
	// Dumps gives all dumps of a DLE, or of all DLEs for nil, oldest first.
	Dumps(ctx context.Context, dle *catalog.DLE) ([]catalog.Dump, error)
	// Copies gives where a dump lies on volumes, complete copies first.
	Copies(ctx context.Context, id catalog.DumpID) ([]catalog.Copy, error)
	// Holding gives where a dump lies on the holding disk; nil when it does not.
	Holding(ctx context.Context, id catalog.DumpID) (*catalog.Holding, error)
}

// Documents is what a Catalog gives besides where it keeps the documents of dumps.
type Documents interface {
	// Metadata gives the documents that the source gave with a dump, by name; none where none are known.
	Metadata(ctx context.Context, id catalog.DumpID) (map[string][]byte, error)
}

// Site is everything a restore works with.
type Site struct {
	Catalog Catalog
	FS      vfs.FS
	// Device gives the device that holds a volume of a storage.
	Device func(ctx context.Context, storage string, label catalog.Label) (vtape.Device, error)
	// Rank orders storages by how soon they give what is read: of several copies that of the lowest rank is read first. Nil:
	// the copy that was written first.
	Rank func(storage string) int
	// Map opens the block map of a dump; fs.ErrNotExist when there is none.
	Map func(id catalog.DumpID) (*Map, error)
	// Identities decrypt; empty when there are none.
	Identities []age.Identity
	// Workers is how many cores to use; 0 for all.
	Workers int
	// Progress is told the image bytes done so far and in all; nil for none. It is called from several goroutines.
	Progress func(done, total int64)
	// Note is told what the user should know though the work goes on (a damaged copy was left out); nil for none.
	Note func(text string)
}

// Map is an open block map with what it holds open.
type Map struct {
	*blockmap.Map
	io.Closer
}

func (s *Site) note(format string, args ...any) {
	if s.Note != nil {
		s.Note(fmt.Sprintf(format, args...))
	}
}

func (s *Site) progress(done, total int64) {
	if s.Progress != nil {
		s.Progress(done, total)
	}
}

func (s *Site) workers() int {
	if s.Workers > 0 {
		return s.Workers
	}
	return runtime.GOMAXPROCS(0)
}
