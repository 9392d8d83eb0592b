package hooks

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"holdfast/internal/vfs"
)

// Errors of programs that are not run; they come wrapped with the path.
var (
	// ErrNotProgram: it is no file that can be executed.
	ErrNotProgram = errors.New("not an executable file")
	// ErrAnyone: everyone on the machine may change the program, or put another one in its place.
	ErrAnyone = errors.New("everyone may write to it")
)

const (
	anyoneWrites = 0o002
	anyExecutes  = 0o111
)

// Sound tells what keeps a program from being run as a hook: it must be there, be an executable file, and neither it nor its
// directory may be writable for everyone.
func Sound(fsys vfs.FS, program string) error {
	info, err := fsys.Stat(program)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&anyExecutes == 0 {
		return fmt.Errorf("%s: %w", program, ErrNotProgram)
	}
	if info.Mode().Perm()&anyoneWrites != 0 {
		return fmt.Errorf("%s: %w", program, ErrAnyone)
	}
	dir, err := fsys.Stat(path.Dir(program))
	if err != nil {
		return err
	}
	if dir.Mode().Perm()&anyoneWrites != 0 && dir.Mode()&fs.ModeSticky == 0 {
		return fmt.Errorf("%s: its directory: %w", program, ErrAnyone)
	}
	return nil
}
