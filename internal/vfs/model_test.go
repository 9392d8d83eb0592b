package vfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"holdfast/internal/vfs"
)

// errno is what a caller can branch on; the texts differ by path.
func errno(err error) error {
	var no syscall.Errno
	if errors.As(err, &no) {
		return no
	}
	return err
}

var names = []string{"a", "b", "d", "d/a", "d/e", "d/e/f", "a/x", "d/../b", "l", "l/a"}

// step does one random operation below root and describes its outcome, so that two file systems can be compared.
type step func(fsys vfs.FS, root string) string

func drawStep(t *rapid.T) step {
	name := rapid.SampledFrom(names).Draw(t, "name")
	other := rapid.SampledFrom(names).Draw(t, "other")
	data := rapid.StringN(1, 20, 20).Draw(t, "data")
	n := rapid.Int64Range(0, 30).Draw(t, "n")
	flag := rapid.SampledFrom([]int{
		os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREATE, os.O_RDWR | os.O_CREATE | os.O_TRUNC,
		os.O_WRONLY | os.O_CREATE | os.O_EXCL, os.O_WRONLY | os.O_APPEND,
	}).Draw(t, "flag")
	at := func(root, name string) string { return root + "/" + name }
	steps := map[string]step{
		"mkdir":  func(f vfs.FS, r string) string { return fmt.Sprint(errno(f.Mkdir(at(r, name), 0o755))) },
		"remove": func(f vfs.FS, r string) string { return fmt.Sprint(errno(f.Remove(at(r, name)))) },
		"rename": func(f vfs.FS, r string) string { return fmt.Sprint(errno(f.Rename(at(r, name), at(r, other)))) },
		"symlink": func(f vfs.FS, r string) string {
			return fmt.Sprint(errno(f.Symlink(other, at(r, name))))
		},
		"readlink": func(f vfs.FS, r string) string {
			target, err := f.Readlink(at(r, name))
			return fmt.Sprint(target, errno(err))
		},
		"file": func(f vfs.FS, r string) string { return useFile(f, at(r, name), flag, data, n) },
		"tree": func(f vfs.FS, r string) string { return tree(f, r) },
	}
	kind := rapid.SampledFrom([]string{"mkdir", "remove", "rename", "symlink", "readlink", "file", "file", "tree"}).Draw(t, "kind")
	return steps[kind]
}

func useFile(fsys vfs.FS, name string, flag int, data string, n int64) string {
	f, err := fsys.OpenFile(name, flag, 0o644)
	if err != nil {
		return fmt.Sprint("open ", errno(err))
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return fmt.Sprint("a directory ", errno(err))
	}
	written, err := f.Write([]byte(data))
	out := fmt.Sprint("write ", written, errno(err))
	if flag&os.O_APPEND == 0 {
		written, err = f.WriteAt([]byte(data), n)
		out += fmt.Sprint(" writeat ", written, errno(err))
	}
	out += fmt.Sprint(" truncate ", errno(f.Truncate(n)))
	buf := make([]byte, 16)
	read, err := f.ReadAt(buf, n/2)
	out += fmt.Sprint(" readat ", read, errno(err))
	read, err = f.Read(buf)
	out += fmt.Sprint(" read ", read, errno(err))
	pos, err := f.Seek(-n, 2)
	return out + fmt.Sprint(" seek ", pos, errno(err))
}

// tree shows all there is below dir.
func tree(fsys vfs.FS, dir string) string {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return fmt.Sprint(errno(err))
	}
	var out strings.Builder
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		info, err := fsys.Lstat(name)
		fmt.Fprintln(&out, e.Name(), e.Type(), errno(err))
		switch {
		case err == nil && info.Mode().IsRegular():
			data, err := vfs.ReadFile(fsys, name)
			fmt.Fprintf(&out, "%d %q %v\n", info.Size(), data, errno(err))
		case e.IsDir():
			out.WriteString(tree(fsys, name) + "--\n")
		}
		_, err = fsys.Stat(name)
		fmt.Fprintln(&out, errno(err))
	}
	return out.String()
}

// The same random operations have the same outcome on the machine's file system and in memory.
func TestMemBehavesAsTheRealOne(t *testing.T) {
	base := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		root := fmt.Sprintf("%s/%d", base, runs)
		real, mem := vfs.OS(), vfs.NewMem()
		if err := os.Mkdir(root, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := vfs.MkdirAll(mem, root, 0o755); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			do := drawStep(t)
			if want, got := do(real, root), do(mem, root); got != want {
				t.Fatalf("real:   %s\nmemory: %s", want, got)
			}
		}
		if want, got := tree(real, root), tree(mem, root); got != want {
			t.Fatalf("real:\n%s\nmemory:\n%s", want, got)
		}
	})
}

// A path may be too long for one name, and too many links end the walk.
func TestMemLimits(t *testing.T) {
	m := vfs.NewMem()
	if _, err := m.OpenFile("/"+strings.Repeat("x", 256), os.O_CREATE, 0o600); !errors.Is(err, syscall.ENAMETOOLONG) {
		t.Errorf("long name: %v", err)
	}
	if err := m.Symlink("/loop", "/loop"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Stat("/loop"); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("loop: %v", err)
	}
	if _, err := m.Stat("/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}
