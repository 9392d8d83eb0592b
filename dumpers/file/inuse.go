package file

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"holdfast/dumpers"
)

// InUse gives dumpers.ErrInUse if a program has the image open in QEMU's manner, to read or to write: an image that is
// to be replaced or overwritten must be nobody's. Where there are no locks nothing is known, and nothing is said.
func InUse(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("look for locks: %w", err)
	}
	defer f.Close()
	// All permissions that a user of the image can have said that it uses: QEMU knows five.
	flock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: lockUsed, Len: 5}
	err = lockError(unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &flock))
	switch {
	case errors.Is(err, errNoLocks):
		return nil
	case err != nil:
		return fmt.Errorf("look for locks: %s: %w", path, err)
	case flock.Type != unix.F_UNLCK:
		return fmt.Errorf("%s: another program has it open: %w", path, dumpers.ErrInUse)
	}
	return nil
}
