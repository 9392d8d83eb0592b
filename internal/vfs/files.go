package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
)

// MkdirAll makes the directory name and the parents it lacks, and makes their names last. It is no error when name is
// there already as a directory.
func MkdirAll(fsys FS, name string, perm fs.FileMode) error {
	info, err := fsys.Stat(name)
	if err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: name, Err: errors.New("not a directory")}
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := path.Dir(name)
	if parent != name {
		if err := MkdirAll(fsys, parent, perm); err != nil {
			return err
		}
	}
	// Another process may have made it meanwhile.
	if err := fsys.Mkdir(name, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return fsys.SyncDir(parent)
}

// ReadFile reads a whole file. It is meant for files we wrote ourselves: there is no bound but memory.
func ReadFile(fsys FS, name string) ([]byte, error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(f)
	return data, errors.Join(err, f.Close())
}

// WriteFileDurable replaces the file name by one with this content, or leaves it as it was: the bytes go to
// `name.tmp`, are synced, and renamed into place. When it returns nil the new content lasts. Two writers of one name
// at the same time are not allowed.
func WriteFileDurable(fsys FS, name string, data []byte, perm fs.FileMode) error {
	tmp := name + ".tmp"
	if err := WriteSynced(fsys, tmp, data, perm); err != nil {
		_ = fsys.Remove(tmp) // the first error is the one that matters
		return err
	}
	if err := fsys.Rename(tmp, name); err != nil {
		_ = fsys.Remove(tmp)
		return err
	}
	return fsys.SyncDir(path.Dir(name))
}

// WriteSynced writes the file name anew, not atomically, and syncs its bytes. A new name lasts only after SyncDir.
func WriteSynced(fsys FS, name string, data []byte, perm fs.FileMode) error {
	f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Cause strips operation and path from an error of an FS, for a caller that says them in its own words.
func Cause(err error) error {
	if p, ok := err.(*fs.PathError); ok {
		return p.Err
	}
	return err
}

// RemoveAll removes name and, if it is a directory, all that is in it. Symbolic links are removed, not followed. It is
// no error when name is not there. It stops at the first error.
func RemoveAll(fsys FS, name string) error {
	info, err := fsys.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		entries, err := fsys.ReadDir(name)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := RemoveAll(fsys, path.Join(name, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
