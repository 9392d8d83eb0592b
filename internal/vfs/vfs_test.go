package vfs_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/internal/vfs"
)

func create(t *testing.T, fsys vfs.FS, name string) vfs.File {
	t.Helper()
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, f io.Writer, data string) {
	t.Helper()
	_, err := io.WriteString(f, data)
	must(t, err)
}

// content gives a file's bytes, or "-" when there is no such file.
func content(t *testing.T, fsys vfs.FS, name string) string {
	t.Helper()
	data, err := vfs.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "-"
	}
	must(t, err)
	return string(data)
}

// After loss of power a file has its bytes of the last Sync, and a directory its names of the last SyncDir.
func TestCrashClone(t *testing.T) {
	m := vfs.NewMem()
	f := create(t, m, "/f")
	write(t, f, "one")
	if got := content(t, m.CrashClone(), "/f"); got != "-" {
		t.Errorf("nothing synced: %q", got)
	}
	must(t, f.Sync())
	if got := content(t, m.CrashClone(), "/f"); got != "-" {
		t.Errorf("name not synced: %q", got)
	}
	must(t, m.SyncDir("/"))
	write(t, f, "two")
	must(t, m.Rename("/f", "/g"))
	crashed := m.CrashClone()
	if got := content(t, crashed, "/f") + content(t, crashed, "/g"); got != "one-" {
		t.Errorf("later write and rename not synced: %q", got)
	}
	must(t, m.SyncDir("/"))
	must(t, f.Sync())
	must(t, m.Remove("/g"))
	crashed = m.CrashClone()
	if got := content(t, crashed, "/f") + content(t, crashed, "/g"); got != "-onetwo" {
		t.Errorf("removal not synced: %q", got)
	}
	write(t, create(t, crashed, "/g"), "xxx")
	if got := content(t, m.CrashClone(), "/g") + content(t, crashed.CrashClone(), "/g"); got != "onetwoonetwo" {
		t.Errorf("clones are not independent: %q", got)
	}
}

// A name never synced in a new directory is lost though the file is synced, and MkdirAll makes its directories last.
func TestCrashCloneOfDirectories(t *testing.T) {
	m := vfs.NewMem()
	must(t, vfs.MkdirAll(m, "/a/b", 0o755))
	must(t, m.Mkdir("/a/c", 0o755))
	must(t, create(t, m, "/a/b/f").Sync())
	crashed := m.CrashClone()
	if _, err := crashed.Stat("/a/b"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"/a/c", "/a/b/f"} {
		if _, err := crashed.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A full file system takes what fits, as real ones do, and gets room back when the last user of a file lets go.
func TestCapacity(t *testing.T) {
	m := vfs.NewMem()
	m.SetCapacity(10)
	f := create(t, m, "/f")
	n, err := f.Write([]byte("0123456789abc"))
	if n != 10 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("write: %d, %v", n, err)
	}
	if n, err := f.WriteAt([]byte("ABC"), 8); n != 2 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("write over the end: %d, %v", n, err)
	}
	if n, err := f.WriteAt([]byte("x"), 20); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("write beyond the end: %d, %v", n, err)
	}
	if got := content(t, m, "/f"); got != "01234567AB" {
		t.Errorf("content %q", got)
	}
	if err := f.Truncate(11); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("truncate: %v", err)
	}
	must(t, m.Remove("/f"))
	if s, _ := m.Space("/"); s != (vfs.Space{Total: 10, Free: 0}) {
		t.Errorf("removed but open: %+v", s)
	}
	must(t, f.Close())
	if s, _ := m.Space("/"); s != (vfs.Space{Total: 10, Free: 10}) {
		t.Errorf("closed: %+v", s)
	}
	if _, err := f.Write([]byte("x")); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
}

// The hook sees operations in order, those that change counted apart from those that look, and its error stands in
// for the operation.
func TestWrap(t *testing.T) {
	var log []string
	stop := errors.New("stop")
	fail := ""
	m := vfs.NewMem()
	fsys := vfs.Wrap(m, func(op vfs.Op) error {
		line := strings.TrimSpace(fmt.Sprintf("%d %s %s %s", op.N, op.Kind, op.Path, op.To))
		log = append(log, line)
		if line == fail {
			return stop
		}
		return nil
	})
	must(t, vfs.MkdirAll(fsys, "/d", 0o755))
	must(t, vfs.WriteFileDurable(fsys, "/d/f", []byte("x"), 0o600))
	if got := content(t, fsys, "/d/f"); got != "x" {
		t.Error(got)
	}
	must(t, vfs.RemoveAll(fsys, "/d"))
	want := []string{
		"1 stat /d", "2 stat /", "1 mkdir /d", "2 syncdir /",
		"3 create /d/f.tmp", "4 write /d/f.tmp", "5 sync /d/f.tmp", "6 rename /d/f.tmp /d/f", "7 syncdir /d",
		"3 open /d/f", "4 read /d/f", "5 read /d/f",
		"6 stat /d", "7 readdir /d", "8 stat /d/f", "8 remove /d/f", "9 remove /d",
	}
	if diff := cmp.Diff(want, log); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	fail = "10 mkdir /e"
	var at *fs.PathError
	if err := fsys.Mkdir("/e", 0o755); !errors.Is(err, stop) || !errors.As(err, &at) || at.Path != "/e" {
		t.Errorf("mkdir: %v", err)
	}
	if _, err := m.Stat("/e"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the operation was done: %v", err)
	}
}

// WriteFileDurable that fails at any operation, or before the power goes, leaves the old content or the new, and no
// draft where it could remove it.
func TestWriteFileDurableFaultSweep(t *testing.T) {
	for n := 1; ; n++ {
		m := vfs.NewMem()
		must(t, vfs.WriteFileDurable(m, "/f", []byte("old"), 0o600))
		reached := false
		fsys := vfs.Wrap(m, func(op vfs.Op) error {
			if op.Kind.Changes() && op.N == n {
				reached = true
				return syscall.EIO
			}
			return nil
		})
		err := vfs.WriteFileDurable(fsys, "/f", []byte("new"), 0o600)
		got := content(t, m, "/f") + content(t, m.CrashClone(), "/f") + content(t, m, "/f.tmp")
		want := []string{"oldold-", "newold-"}
		if !reached {
			want = []string{"newnew-"}
		}
		if !slices.Contains(want, got) || (err == nil) == reached {
			t.Errorf("operation %d: %s, %v", n, got, err)
		}
		if !reached {
			return
		}
	}
}

// MkdirAll and RemoveAll do the same on both file systems, and their errors name the path.
func TestTrees(t *testing.T) {
	for name, fsys := range map[string]vfs.FS{"os": vfs.OS(), "mem": vfs.NewMem()} {
		root := t.TempDir()
		must(t, vfs.MkdirAll(fsys, root+"/x/y/z", 0o755))
		must(t, vfs.MkdirAll(fsys, root+"/x/y/z", 0o755))
		must(t, vfs.WriteFileDurable(fsys, root+"/keep", []byte("k"), 0o600))
		must(t, vfs.WriteFileDurable(fsys, root+"/x/f", []byte("f"), 0o600))
		must(t, fsys.Symlink(root+"/keep", root+"/x/y/link"))
		if err := vfs.MkdirAll(fsys, root+"/x/f", 0o755); err == nil || !strings.Contains(err.Error(), root+"/x/f") {
			t.Errorf("%s: directory over a file: %v", name, err)
		}
		must(t, vfs.RemoveAll(fsys, root+"/x"))
		must(t, vfs.RemoveAll(fsys, root+"/x"))
		entries, err := fsys.ReadDir(root)
		must(t, err)
		if len(entries) != 1 || content(t, fsys, root+"/keep") != "k" {
			t.Errorf("%s: left %v", name, entries)
		}
		if space, err := fsys.Space(root); err != nil || space.Free <= 0 || space.Total < space.Free {
			t.Errorf("%s: %+v, %v", name, space, err)
		}
		if err := fsys.SyncDir(root + "/none"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Many goroutines may use one tree and one file.
func TestMemConcurrently(t *testing.T) {
	m := vfs.NewMem()
	f := create(t, m, "/f")
	var wg sync.WaitGroup
	for i := range int64(8) {
		wg.Go(func() {
			for k := range int64(50) {
				if _, err := f.WriteAt([]byte{byte(i)}, k*8+i); err != nil {
					t.Error(err)
				}
				name := fmt.Sprintf("/%d", i)
				if err := vfs.WriteFileDurable(m, name, []byte(name), 0o600); err != nil {
					t.Error(err)
				}
				_ = m.CrashClone()
			}
		})
	}
	wg.Wait()
	want := strings.Repeat("\x00\x01\x02\x03\x04\x05\x06\x07", 50)
	if got := content(t, m, "/f"); got != want {
		t.Errorf("%q", got)
	}
}
