package file

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"holdfast/dumpers"
)

// QEMU (block/file-posix.c, since 2.10) says what it does with an image by read locks on single bytes of the file: byte
// 100+p for a permission that it uses, byte 200+p for one that it does not let others use. Nobody takes a write lock, so
// all of these locks can be had at once; each opener first takes its own and then looks for those that contradict it.
const (
	lockUsed     = 100
	lockUnshared = 200

	permRead   = 0 // consistent read
	permWrite  = 1
	permResize = 3
)

// errNoLocks: the file system has no locks, so it is not known who else has the file open.
var errNoLocks = errors.New("file system has no locks")

// lock takes on f the locks of a QEMU reader: it reads, and nobody may write or resize. They are gone when f is closed.
// Until then QEMU refuses to open the file for writing, and so to start a guest on it. Gives ErrInUse if a writer is
// there, and errNoLocks.
func lock(f *os.File) error {
	for _, at := range []int64{lockUsed + permRead, lockUnshared + permWrite, lockUnshared + permResize} {
		flock := unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart, Start: at, Len: 1}
		// A lock of the open file, not of the process: another file of the process that is closed does not drop it.
		err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &flock)
		if err := lockError(err); err != nil {
			return err
		}
	}
	return testLock(f)
}

// testLock gives ErrInUse if somebody writes to f, or lets nobody read, and takes no lock itself.
func testLock(f *os.File) error {
	for _, test := range []struct {
		at   int64
		what string
	}{
		{lockUsed + permWrite, "another program has it open for writing"},
		{lockUsed + permResize, "another program has it open for resizing"},
		{lockUnshared + permRead, "another program lets nobody read it"},
	} {
		// Whoever holds a read lock is in the way of a write lock: this only asks, and a write lock is never taken.
		flock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: test.at, Len: 1}
		if err := lockError(unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &flock)); err != nil {
			return err
		}
		if flock.Type != unix.F_UNLCK {
			return fmt.Errorf("%s: %w", test.what, dumpers.ErrInUse)
		}
	}
	return nil
}

// lockError sorts out what a lock failed with.
func lockError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES):
		return fmt.Errorf("another program has it locked: %w", dumpers.ErrInUse)
	case errors.Is(err, unix.ENOLCK), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%w: %w", errNoLocks, err)
	}
	return fmt.Errorf("lock: %w", err)
}
