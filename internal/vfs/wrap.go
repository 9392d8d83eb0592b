package vfs

import (
	"io/fs"
	"os"
	"sync"
)

// OpKind says what an operation does.
type OpKind string

// The operations that change something or make it last. "create" is an open that may create or empties the file.
const (
	OpCreate   OpKind = "create"
	OpWrite    OpKind = "write"
	OpTruncate OpKind = "truncate"
	OpSync     OpKind = "sync"
	OpMkdir    OpKind = "mkdir"
	OpRemove   OpKind = "remove"
	OpRename   OpKind = "rename"
	OpSymlink  OpKind = "symlink"
	OpSyncDir  OpKind = "syncdir"
)

// The operations that only look.
const (
	OpOpen     OpKind = "open"
	OpRead     OpKind = "read"
	OpReadDir  OpKind = "readdir"
	OpReadlink OpKind = "readlink"
	OpStat     OpKind = "stat"
	OpSpace    OpKind = "space"
)

// Changes tells whether the operation changes something or makes it last.
func (k OpKind) Changes() bool {
	switch k {
	case OpOpen, OpRead, OpReadDir, OpReadlink, OpStat, OpSpace:
		return false
	}
	return true
}

// Op is one operation about to be done.
type Op struct {
	Kind OpKind
	Path string
	// To is the new name in a rename.
	To string
	// N counts from 1 over the operations of a wrapped FS; those that change and those that only look are counted
	// apart, so that a sweep over changes does not move when code reads more.
	N int
}

// Wrap gives an FS that calls hook before each operation on fsys. When hook returns an error, that is returned (in a
// *fs.PathError) and the operation is not done. Hook is called by one goroutine at a time and must not use this FS.
// Closing and seeking are not operations.
func Wrap(fsys FS, hook func(op Op) error) FS { return &wrapped{fsys: fsys, hook: hook} }

type wrapped struct {
	fsys FS
	hook func(op Op) error

	mu             sync.Mutex // guards changes, looks and calls of hook
	changes, looks int
}

func (w *wrapped) before(kind OpKind, name, to string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := &w.looks
	if kind.Changes() {
		n = &w.changes
	}
	*n++
	if err := w.hook(Op{Kind: kind, Path: name, To: to, N: *n}); err != nil {
		return &fs.PathError{Op: string(kind), Path: name, Err: err}
	}
	return nil
}

func (w *wrapped) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	kind := OpOpen
	if flag&(os.O_CREATE|os.O_TRUNC) != 0 {
		kind = OpCreate
	}
	if err := w.before(kind, name, ""); err != nil {
		return nil, err
	}
	f, err := w.fsys.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &wrappedFile{File: f, w: w}, nil
}

func (w *wrapped) Mkdir(name string, perm fs.FileMode) error {
	if err := w.before(OpMkdir, name, ""); err != nil {
		return err
	}
	return w.fsys.Mkdir(name, perm)
}

func (w *wrapped) Remove(name string) error {
	if err := w.before(OpRemove, name, ""); err != nil {
		return err
	}
	return w.fsys.Remove(name)
}

func (w *wrapped) Rename(from, to string) error {
	if err := w.before(OpRename, from, to); err != nil {
		return err
	}
	return w.fsys.Rename(from, to)
}

func (w *wrapped) Symlink(target, name string) error {
	if err := w.before(OpSymlink, name, ""); err != nil {
		return err
	}
	return w.fsys.Symlink(target, name)
}

func (w *wrapped) Readlink(name string) (string, error) {
	if err := w.before(OpReadlink, name, ""); err != nil {
		return "", err
	}
	return w.fsys.Readlink(name)
}

func (w *wrapped) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := w.before(OpReadDir, name, ""); err != nil {
		return nil, err
	}
	return w.fsys.ReadDir(name)
}

func (w *wrapped) Stat(name string) (fs.FileInfo, error) {
	if err := w.before(OpStat, name, ""); err != nil {
		return nil, err
	}
	return w.fsys.Stat(name)
}

func (w *wrapped) Lstat(name string) (fs.FileInfo, error) {
	if err := w.before(OpStat, name, ""); err != nil {
		return nil, err
	}
	return w.fsys.Lstat(name)
}

func (w *wrapped) SyncDir(name string) error {
	if err := w.before(OpSyncDir, name, ""); err != nil {
		return err
	}
	return w.fsys.SyncDir(name)
}

func (w *wrapped) Space(name string) (Space, error) {
	if err := w.before(OpSpace, name, ""); err != nil {
		return Space{}, err
	}
	return w.fsys.Space(name)
}

// wrappedFile passes Seek, Stat, Name and Close through.
type wrappedFile struct {
	File
	w *wrapped
}

func (f *wrappedFile) Read(p []byte) (int, error) {
	if err := f.w.before(OpRead, f.Name(), ""); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

func (f *wrappedFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.w.before(OpRead, f.Name(), ""); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *wrappedFile) Write(p []byte) (int, error) {
	if err := f.w.before(OpWrite, f.Name(), ""); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *wrappedFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.w.before(OpWrite, f.Name(), ""); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *wrappedFile) Truncate(sizeBytes int64) error {
	if err := f.w.before(OpTruncate, f.Name(), ""); err != nil {
		return err
	}
	return f.File.Truncate(sizeBytes)
}

func (f *wrappedFile) Sync() error {
	if err := f.w.before(OpSync, f.Name(), ""); err != nil {
		return err
	}
	return f.File.Sync()
}
