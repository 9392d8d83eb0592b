package library

import (
	"path"
	"strings"

	"holdfast/internal/vfs"
)

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
