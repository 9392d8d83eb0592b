package recovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"holdfast/internal/qcow2"
	"holdfast/internal/vfs"
)

// Errors about targets; the messages say which and what to do.
var (
	ErrExists   = errors.New("target exists")
	ErrTooSmall = errors.New("target is too small")
	ErrBusy     = errors.New("target is in use")
)

// Format of a restored image.
type Format string

// The formats a restore writes.
const (
	FormatRaw   Format = "raw"
	FormatQcow2 Format = "qcow2"
)

// Output says where a restored disk goes.
type Output struct {
	// Path of a file or a block device, absolute.
	Path   string
	Format Format
	// Force allows an existing file to be replaced, and a block device to be overwritten.
	Force bool
	// InUse tells whether another program has the file open as an image; nil: not asked.
	InUse func(path string) error
}

// Restore writes the disk to a file or a block device. Every refusal comes before the first byte is written. A file
// appears under its name only when it is whole and durable; what was made on the way to a failure is removed.
func (c *Chain) Restore(ctx context.Context, o Output) error {
	info, err := c.site.FS.Stat(o.Path)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("restore to %s: is a directory", o.Path)
	case err == nil && info.Mode()&(fs.ModeDevice|fs.ModeCharDevice) == fs.ModeDevice:
		return c.toDevice(ctx, o, info)
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("restore to %s: neither a file nor a block device", o.Path)
	case err == nil && !o.Force:
		return fmt.Errorf("restore to %s: %w", o.Path, ErrExists)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("restore to %s: %w", o.Path, err)
	}
	if err == nil && o.InUse != nil {
		if err := o.InUse(o.Path); err != nil {
			return fmt.Errorf("restore to %s: %w: %w", o.Path, ErrBusy, err)
		}
	}
	return c.toFile(ctx, o)
}

// toFile writes beside the target and renames, so that an old file stays until the new one is whole.
func (c *Chain) toFile(ctx context.Context, o Output) error {
	name, err := behind(c.site.FS, o.Path)
	if err != nil {
		return fmt.Errorf("restore to %s: %w", o.Path, err)
	}
	space, err := c.site.FS.Space(filepath.Dir(name))
	if err != nil {
		return fmt.Errorf("restore to %s: %w", o.Path, err)
	}
	if need := c.dataClusters() * qcow2.ClusterBytes; need > space.Free {
		return fmt.Errorf("restore to %s: %w: %d bytes are free, the data need %d", o.Path, ErrTooSmall, space.Free, need)
	}
	if err := writeFile(c.site.FS, name, func(f vfs.File) error { return c.fill(ctx, f, o.Format) }); err != nil {
		return fmt.Errorf("restore to %s: %w", o.Path, err)
	}
	return nil
}

// WriteFile writes a file that appears under its name only when it is whole and durable.
func WriteFile(fsys vfs.FS, path string, force bool, write func(w io.Writer) error) error {
	_, err := fsys.Stat(path)
	if err == nil && !force {
		return fmt.Errorf("restore to %s: %w", path, ErrExists)
	}
	name, err := behind(fsys, path)
	if err == nil {
		err = writeFile(fsys, name, func(f vfs.File) error { return write(f) })
	}
	if err != nil {
		return fmt.Errorf("restore to %s: %w", path, err)
	}
	return nil
}

// maxLinks is how many symbolic links are followed, as many as Linux does.
const maxLinks = 40

// behind follows symbolic links: what is restored takes the place of the file that a link leads to, not of the link.
func behind(fsys vfs.FS, name string) (string, error) {
	for range maxLinks {
		info, err := fsys.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeSymlink == 0 {
			return name, nil
		}
		to := ""
		if err == nil {
			to, err = fsys.Readlink(name)
		}
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(to) {
			to = filepath.Dir(name) + "/" + to // not cleaned: with links among the directories ".." is the kernel's affair
		}
		name = to
	}
	return "", fmt.Errorf("follow links: %w", syscall.ELOOP)
}

func writeFile(fsys vfs.FS, path string, write func(f vfs.File) error) error {
	part := path + ".holdfast-partial"
	opened, err := fsys.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	f := &steadyFile{File: opened}
	if err = write(f); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = fsys.Rename(part, path)
	}
	if err != nil {
		return errors.Join(err, fsys.Remove(part))
	}
	return fsys.SyncDir(filepath.Dir(path))
}

func (c *Chain) fill(ctx context.Context, f vfs.File, format Format) error {
	if format == FormatQcow2 {
		return c.WriteQcow2(ctx, f)
	}
	if err := f.Truncate(c.size); err != nil {
		return err
	}
	return c.WriteTo(ctx, sparseFile{f}, true)
}

type sparseFile struct{ vfs.File }

// Zero has nothing to do: a fresh file reads as zeros where nothing was written.
func (sparseFile) Zero(_, _ int64) error { return nil }

// toDevice overwrites a block device, zeros included.
func (c *Chain) toDevice(ctx context.Context, o Output, info fs.FileInfo) error {
	if o.Format == FormatQcow2 {
		return fmt.Errorf("restore to %s: a block device takes format raw only", o.Path)
	}
	if !o.Force {
		return fmt.Errorf("restore to %s: %w: it is a block device, and all that is on it will be overwritten", o.Path, ErrExists)
	}
	at, err := mountedAt(c.site.FS, info)
	if err != nil {
		return fmt.Errorf("restore to %s: %w", o.Path, err)
	}
	if at != "" {
		return fmt.Errorf("restore to %s: %w: mounted at %s", o.Path, ErrBusy, at)
	}
	// O_EXCL on a block device fails while the kernel has it in use: mounted, in a volume group, in an array.
	opened, err := c.site.FS.OpenFile(o.Path, os.O_RDWR|os.O_EXCL, 0)
	if errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf("restore to %s: %w: %w", o.Path, ErrBusy, err)
	}
	if err != nil {
		return fmt.Errorf("restore to %s: %w", o.Path, err)
	}
	f := &steadyFile{File: opened}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil && size < c.size {
		err = fmt.Errorf("%w: it has %d bytes, the image needs %d", ErrTooSmall, size, c.size)
	}
	if err == nil {
		err = c.WriteTo(ctx, device{f}, false)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("restore to %s: %w", o.Path, err)
	}
	return nil
}

type device struct{ vfs.File }

// zeroBytes is how much is zeroed in one write.
const zeroBytes = 1 << 20

// Zero writes zeros.
func (d device) Zero(off, length int64) error {
	zeros := make([]byte, min(length, zeroBytes))
	for length > 0 {
		n, err := d.WriteAt(zeros[:min(length, zeroBytes)], off)
		if err != nil {
			return err
		}
		off, length = off+int64(n), length-int64(n)
	}
	return nil
}

// mountedAt tells where a block device is mounted, by its number in the kernel's table; empty when it is not.
func mountedAt(fsys vfs.FS, info fs.FileInfo) (string, error) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", nil
	}
	table, err := vfs.ReadFile(fsys, "/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("read mounts: %w", err)
	}
	// Linux's encoding of a device number, as in sys/sysmacros.h.
	major := (stat.Rdev >> 8 & 0xfff) | (stat.Rdev >> 32 &^ 0xfff)
	minor := (stat.Rdev & 0xff) | (stat.Rdev >> 12 &^ 0xff)
	want := fmt.Sprintf("%d:%d", major, minor)
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 4 && f[2] == want {
			return f[4], nil
		}
	}
	return "", nil
}
