// Package vfs is the file system as holdfast's durable writers see it: the holding disk, vtapes in directories and
// block maps are written through it, so that tests can fail the n-th operation and cut the power after any.
//
// Its invariant: what is not synced may be lost. A file's bytes last after File.Sync, its name after SyncDir of its
// directory.
package vfs

import (
	"io"
	"io/fs"
)

// File is an open file. ReadAt and WriteAt may be called concurrently.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Seeker
	io.Closer
	Name() string
	Stat() (fs.FileInfo, error)
	Truncate(sizeBytes int64) error
	Sync() error
}

// Space is the room of a file system in bytes; Free is what this user may still write.
type Space struct {
	Total, Free int64
}

// FS is a tree of files with absolute, slash-separated paths. Errors name the path or paths, as those of
// package os do, and match fs.ErrNotExist, fs.ErrExist and syscall.ENOSPC.
type FS interface {
	// OpenFile opens with the flags of package os.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	Mkdir(name string, perm fs.FileMode) error
	// Remove removes a file, a symbolic link or an empty directory.
	Remove(name string) error
	Rename(from, to string) error
	Symlink(target, name string) error
	Readlink(name string) (string, error)
	// ReadDir lists a directory sorted by name.
	ReadDir(name string) ([]fs.DirEntry, error)
	Stat(name string) (fs.FileInfo, error)
	Lstat(name string) (fs.FileInfo, error)
	// SyncDir makes creations, renames and removals in the directory last.
	SyncDir(name string) error
	Space(name string) (Space, error)
}
