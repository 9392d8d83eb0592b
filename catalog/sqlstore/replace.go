package sqlstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"holdfast/internal/vfs"
)

// logSuffix is that of the log beside a catalog that is open, or was when its program died; indexSuffix that of its index.
const (
	logSuffix   = "-wal"
	indexSuffix = "-shm"
)

// Replace puts the catalog in the file fresh, which nobody has open, in the place of the one at path, and makes it last. The old one,
// if there is any, is kept under the name backup, with its log. At every moment a whole catalog stands at path: the old or
// the new one; of an old one that has a log, because it is damaged or in use, the latest changes may be in the backup only.
func Replace(fsys vfs.FS, path, fresh, backup string) error {
	if err := replace(fsys, path, fresh, backup); err != nil {
		return fmt.Errorf("replace catalog: %s: %w", path, err)
	}
	return nil
}

func replace(fsys vfs.FS, path, fresh, backup string) error {
	if _, err := fsys.Lstat(fresh + logSuffix); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is still open (%w)", fresh, err)
	}
	if err := syncFile(fsys, fresh); err != nil {
		return err
	}
	if backup != "" {
		for _, suffix := range []string{"", logSuffix} {
			if err := copyDurable(fsys, path+suffix, backup+suffix); err != nil && (suffix == "" || !errors.Is(err, fs.ErrNotExist)) {
				return fmt.Errorf("keep the old one: %w", err)
			}
		}
	}
	// A log that stayed would be taken for the new catalog's.
	for _, suffix := range []string{logSuffix, indexSuffix} {
		if err := fsys.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := fsys.SyncDir(filepath.Dir(path)); err != nil {
		return err
	}
	if err := fsys.Rename(fresh, path); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(path))
}

func syncFile(fsys vfs.FS, name string) error {
	f, err := fsys.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// copyDurable copies a file to a name that is not in use.
func copyDurable(fsys vfs.FS, from, to string) error {
	in, err := fsys.OpenFile(from, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer in.Close() // only read from
	out, err := fsys.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(to))
}
