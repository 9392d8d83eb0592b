package testtools

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path"
	"testing"

	"holdfast/internal/vfs"
)

// Untar unpacks the regular files and the symbolic links of a .tar.gz into the directory to of fsys.
func Untar(t testing.TB, archive string, fsys vfs.FS, to string) {
	t.Helper()
	packed, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	unzipped, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(unzipped); ; {
		entry, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		name := path.Join(to, entry.Name)
		if err := vfs.MkdirAll(fsys, path.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		switch entry.Typeflag {
		case tar.TypeReg:
			err = unpack(fsys, name, r)
		case tar.TypeSymlink:
			err = fsys.Symlink(entry.Linkname, name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func unpack(fsys vfs.FS, name string, r io.Reader) error {
	f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
