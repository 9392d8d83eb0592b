package recovery_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"holdfast/internal/testtools"
	"holdfast/internal/vfs"
	"holdfast/scheduler/recovery"
)

func (s *store) write(name, content string) {
	s.t.Helper()
	s.must(vfs.WriteFileDurable(s.fs, name, []byte(content), 0o600))
}

// listing is all that lies in a directory, with what links lead to.
func listing(t testing.TB, fsys vfs.FS, dir string) string {
	t.Helper()
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if to, err := fsys.Readlink(dir + "/" + name); err == nil {
			name += "->" + to
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

var errInjected = errors.New("injected")

// TestRestoreToFile: each way a file may be in the way, and that nothing is left or lost on failure.
func TestRestoreToFile(t *testing.T) {
	content := disk(1, 9*cluster+5)
	out := recovery.Output{Path: "/out/web.img"}
	forced := recovery.Output{Path: "/out/web.img", Force: true}
	old := func(s *store) { s.write("/out/web.img", "old") }
	for _, c := range []struct {
		name  string
		out   recovery.Output
		setup func(s *store)
		fault func(op vfs.Op) error
		is    error
		want  string // what the error says; the listing where there is none
	}{
		{"new", out, func(*store) {}, nil, nil, "web.img"},
		{"exists", out, old, nil, recovery.ErrExists, "restore to /out/web.img: target exists"},
		{"exists, forced", forced, old, nil, nil, "web.img"},
		{"left by one that was killed", out, func(s *store) { s.write("/out/web.img.holdfast-partial", strings.Repeat("x", 30*cluster)) }, nil, nil, "web.img"},
		{"directory", forced, func(s *store) { s.must(s.fs.Mkdir("/out/web.img", 0o700)) }, nil, nil, "restore to /out/web.img: is a directory"},
		{"no directory for it", recovery.Output{Path: "/nowhere/web.img"}, func(*store) {}, nil, fs.ErrNotExist, "restore to /nowhere/web.img"},
		{"no space", out, func(s *store) { s.mustSpace(6 * cluster) }, nil, recovery.ErrTooSmall, "restore to /out/web.img: target is too small"},
		{"disk full all the same", forced, old, failing("write", syscall.ENOSPC), syscall.ENOSPC, "restore to /out/web.img"},
		{"sync fails", forced, old, failing("sync", errInjected), errInjected, "restore to /out/web.img"},
		{"rename fails", forced, old, failing("rename", errInjected), errInjected, "restore to /out/web.img"},
		{"in use", recovery.Output{Path: "/out/web.img", Force: true, InUse: func(string) error { return errInjected }}, old, nil,
			recovery.ErrBusy, "restore to /out/web.img: target is in use: injected"},
		{"link to a file", out, func(s *store) {
			s.write("/out/real", "old")
			s.must(s.fs.Symlink("real", "/out/web.img"))
		}, nil, recovery.ErrExists, "restore to /out/web.img: target exists"},
		{"link to a file, forced", forced, func(s *store) {
			s.must(s.fs.Mkdir("/out/far", 0o700))
			s.write("/out/far/real", "old")
			s.must(s.fs.Symlink("far/next", "/out/web.img"))
			s.must(s.fs.Symlink("/out/far/real", "/out/far/next"))
			s.must(s.fs.SyncDir("/out/far"))
		}, nil, nil, "far web.img->far/next"},
		{"link to nothing", out, func(s *store) { s.must(s.fs.Symlink("real", "/out/web.img")) }, nil, nil, "real web.img->real"},
		{"link to itself", forced, func(s *store) { s.must(s.fs.Symlink("web.img", "/out/web.img")) }, nil, syscall.ELOOP, "restore to /out/web.img"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t)
			d := s.dump(content, how{vm: "web"})
			c.setup(s)
			s.must(s.fs.SyncDir("/out"))
			before := listing(t, s.fs, "/out")
			site := s.site()
			if c.fault != nil {
				site.FS = vfs.Wrap(s.fs, c.fault)
			}
			chain, err := site.OpenChain(context.Background(), d)
			s.must(err)
			defer chain.Close()
			err = chain.Restore(context.Background(), c.out)
			if strings.HasPrefix(c.want, "restore to") {
				if err == nil {
					t.Fatal("restored")
				}
				if !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
					t.Errorf("%v, want %s, %v", err, c.want, c.is)
				}
				if after := listing(t, s.fs, "/out"); after != before {
					t.Errorf("left: %s, before: %s", after, before)
				}
				if data, err := vfs.ReadFile(s.fs, "/out/web.img"); before == "web.img" && err == nil && string(data) != "old" {
					t.Error("the old file is not what it was")
				}
				return
			}
			s.must(err)
			if got := listing(t, s.fs, "/out"); got != c.want {
				t.Errorf("left: %s, want %s", got, c.want)
			}
			got, err := vfs.ReadFile(s.fs.CrashClone(), "/out/web.img")
			s.must(err)
			same(t, "after a loss of power", got, content)
		})
	}
}

// mustSpace leaves so many bytes free.
func (s *store) mustSpace(free int64) {
	space, err := s.fs.Space("/")
	s.must(err)
	s.fs.SetCapacity(space.Total - space.Free + free)
}

// failing fails operations of a kind on the target.
func failing(kind string, err error) func(op vfs.Op) error {
	return func(op vfs.Op) error {
		if string(op.Kind) == kind && strings.HasPrefix(op.Path, "/out/") {
			return err
		}
		return nil
	}
}

// TestRestoreQcow2 writes the other format, which no block device takes.
func TestRestoreQcow2(t *testing.T) {
	s, content := newStore(t), disk(1, 9*cluster)
	c := s.open(s.dump(content, how{vm: "web"}))
	dir := t.TempDir()
	c2, err := func() (*recovery.Chain, error) {
		site := s.site()
		site.FS = split{s.fs, dir}
		return site.OpenChain(context.Background(), s.dumps[0])
	}()
	s.must(err)
	defer c2.Close()
	s.must(c2.Restore(context.Background(), recovery.Output{Path: dir + "/web.qcow2", Format: recovery.FormatQcow2}))
	testtools.Need(t, "qemu-img")
	if out, err := exec.Command("qemu-img", "check", "-f", "qcow2", dir+"/web.qcow2").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	checkQcow2(t, c, content)
}

// split is the files in memory, but the real ones below a directory and where the kernel tells of devices.
type split struct {
	vfs.FS
	real string
}

func (s split) of(name string) vfs.FS {
	if strings.HasPrefix(name, s.real) || strings.HasPrefix(name, "/dev/") || strings.HasPrefix(name, "/proc/") {
		return vfs.OS()
	}
	return s.FS
}

func (s split) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	return s.of(name).OpenFile(name, flag, perm)
}
func (s split) Stat(name string) (fs.FileInfo, error)  { return s.of(name).Stat(name) }
func (s split) Lstat(name string) (fs.FileInfo, error) { return s.of(name).Lstat(name) }
func (s split) Readlink(name string) (string, error)   { return s.of(name).Readlink(name) }
func (s split) Remove(name string) error               { return s.of(name).Remove(name) }
func (s split) Rename(from, to string) error           { return s.of(from).Rename(from, to) }
func (s split) SyncDir(name string) error              { return s.of(name).SyncDir(name) }
func (s split) Space(name string) (vfs.Space, error)   { return s.of(name).Space(name) }

// TestRestoreToDevice overwrites a loop device that holds other things.
func TestRestoreToDevice(t *testing.T) {
	testtools.Need(t, "losetup", "mkfs.ext4", "mount")
	if _, err := os.Stat("/dev/loop-control"); err != nil || os.Geteuid() != 0 {
		testtools.Lacking(t, "loop devices are for root, where the kernel has them")
	}
	content := disk(1, 40*cluster+512)
	dir := t.TempDir()
	loop := func(size int) string {
		file := filepath.Join(dir, "backing")
		if err := os.WriteFile(file, bytes.Repeat([]byte{0xa5}, size), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("losetup", "--find", "--show", file).CombinedOutput()
		if err != nil {
			t.Fatalf("losetup: %v: %s", err, out)
		}
		dev := strings.TrimSpace(string(out))
		t.Cleanup(func() { exec.Command("losetup", "-d", dev).Run() })
		return dev
	}
	s := newStore(t)
	site := s.site()
	site.FS = split{s.fs, dir}
	d := s.dump(content, how{vm: "web"})
	chain, err := site.OpenChain(context.Background(), d)
	s.must(err)
	defer chain.Close()
	restore := func(o recovery.Output) error { return chain.Restore(context.Background(), o) }

	dev := loop(48 * cluster)
	link := filepath.Join(dir, "link")
	s.must(os.Symlink(dev, link))
	if err := restore(recovery.Output{Path: dev}); !errors.Is(err, recovery.ErrExists) {
		t.Errorf("not forced: %v", err)
	}
	if err := restore(recovery.Output{Path: dev, Force: true, Format: recovery.FormatQcow2}); err == nil || !strings.Contains(err.Error(), "takes format raw only") {
		t.Errorf("qcow2: %v", err)
	}
	s.must(restore(recovery.Output{Path: link, Force: true}))
	got, err := os.ReadFile(dev)
	s.must(err)
	same(t, "device", got[:len(content)], content)
	if len(bytes.Trim(got[len(content):], "\xa5")) > 0 {
		t.Error("what lies behind the disk was overwritten")
	}
	small := loop(40 * cluster)
	if err := restore(recovery.Output{Path: small, Force: true}); !errors.Is(err, recovery.ErrTooSmall) {
		t.Errorf("too small: %v", err)
	}
	got, err = os.ReadFile(small)
	s.must(err)
	if len(bytes.Trim(got, "\xa5")) > 0 {
		t.Error("the device that is too small was written to")
	}
	mounted, at := loop(64*cluster), filepath.Join(dir, "mounted")
	s.must(os.Mkdir(at, 0o700))
	for _, args := range [][]string{{"mkfs.ext4", "-q", mounted}, {"mount", mounted, at}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	t.Cleanup(func() { exec.Command("umount", at).Run() })
	if err := restore(recovery.Output{Path: mounted, Force: true}); !errors.Is(err, recovery.ErrBusy) || !strings.Contains(err.Error(), "mounted at "+at) {
		t.Errorf("mounted: %v", err)
	}
}

// TestCancel: wherever a restore is cancelled, it ends with that, and leaves neither a file nor a goroutine.
func TestCancel(t *testing.T) {
	content := disk(1, 40*cluster)
	for _, at := range []int64{0, 1, 8 * cluster, 24 * cluster} {
		for what, restore := range map[string]func(ctx context.Context, c *recovery.Chain) error{
			"file": func(ctx context.Context, c *recovery.Chain) error {
				return c.Restore(ctx, recovery.Output{Path: "/out/web.img"})
			},
			"qcow2": func(ctx context.Context, c *recovery.Chain) error {
				return c.Restore(ctx, recovery.Output{Path: "/out/web.img", Format: recovery.FormatQcow2})
			},
			"stream": func(ctx context.Context, c *recovery.Chain) error { return c.WriteRaw(ctx, &bytes.Buffer{}) },
			"target": func(ctx context.Context, c *recovery.Chain) error {
				return c.WriteTo(ctx, &target{data: make([]byte, len(content))}, false)
			},
		} {
			s := newStore(t)
			d := s.dump(content, how{vm: "web"})
			synctest.Test(t, func(t *testing.T) { // fails when a goroutine is left
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				site := s.site()
				site.Progress = func(done, _ int64) {
					if done >= at {
						cancel()
					}
				}
				if at == 0 {
					cancel()
				}
				c, err := site.OpenChain(context.WithoutCancel(ctx), d)
				s.must(err)
				defer c.Close()
				err = restore(ctx, c)
				if !errors.Is(err, context.Canceled) && (at == 0 || err != nil) {
					t.Errorf("%s, cancelled at %d: %v", what, at, err)
				}
				if left := listing(t, s.fs, "/out"); err != nil && left != "" {
					t.Errorf("%s, cancelled at %d: left %s", what, at, left)
				}
			})
		}
	}
}

// TestBrokenPipe: a reader that goes away ends the stream at once.
func TestBrokenPipe(t *testing.T) {
	s := newStore(t)
	d := s.dump(disk(1, 60*cluster), how{vm: "web"})
	c := s.open(d)
	before := runtime.NumGoroutine()
	if err := c.WriteRaw(context.Background(), brokenPipe{}); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("%v", err)
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines, %d before", after, before)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }
