package library

import (
	"holdfast/internal/vfs"
	"holdfast/vtape/dir"
)

// StorageOf gives the name of the storage that the library in a directory says it is; empty when it says none, as
// Amanda's do.
func StorageOf(fsys vfs.FS, root string) string { return dir.StorageOf(fsys, root) }
