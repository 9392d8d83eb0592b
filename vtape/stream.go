package vtape

import (
	"fmt"
	"io"

	"holdfast/catalog"
)

// Stream is a stored dump, all its parts or holding chunks joined. Its methods may be called concurrently. Errors of
// ReadAt say where the bytes lie.
type Stream interface {
	io.ReaderAt
	// Size is the number of bytes in all.
	Size() int64
	// Locate tells where the byte at off lies, so that damage found in an upper layer can be named.
	Locate(off int64) Place
}

// Place is where a byte of a stored dump lies: on a volume (Label and File) or on a holding disk (Path). Offset counts
// from the beginning of the file, header included; Left is how many bytes of the dump this file holds from there on.
type Place struct {
	Label  catalog.Label
	File   int
	Path   string
	Offset int64
	Left   int64
}

// String names the place as messages do.
func (p Place) String() string {
	if p.Path != "" {
		return fmt.Sprintf("%s: byte %d", p.Path, p.Offset)
	}
	return fmt.Sprintf("volume %s file %d: byte %d", p.Label, p.File, p.Offset)
}
