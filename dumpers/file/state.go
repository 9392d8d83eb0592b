package file

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"holdfast/internal/vfs"
)

// state is what a write to a file or device would change.
type state struct {
	info fs.FileInfo
	// written counts the sectors written to a device since the system started, as the kernel does; empty for a file, and
	// where the kernel does not tell.
	written string
}

func stateOf(f *os.File) (state, error) {
	info, err := f.Stat()
	if err != nil {
		return state{}, err
	}
	s := state{info: info}
	if info.Mode()&fs.ModeDevice != 0 {
		s.written = sectorsWritten(device(info))
	}
	return s, nil
}

// device gives the number of a block device as the kernel writes it: MAJOR:MINOR.
func device(info fs.FileInfo) string {
	number := info.Sys().(*syscall.Stat_t).Rdev
	return fmt.Sprintf("%d:%d", unix.Major(number), unix.Minor(number))
}

// sectorsWritten reads the seventh field of a device's statistics (Documentation/block/stat.rst in the kernel's source).
func sectorsWritten(number string) string {
	text, err := os.ReadFile("/sys/dev/block/" + number + "/stat")
	if fields := strings.Fields(string(text)); err == nil && len(fields) >= 7 {
		return fields[6]
	}
	return ""
}

// changed tells how a file is not what it was when it was opened; empty for unchanged.
func (l *layer) changed() (string, error) {
	if why, err := l.mounted(); err != nil || why != "" {
		return l.named(why), err
	}
	now, err := stateOf(l.file)
	if err != nil {
		return "", fmt.Errorf("look at image: %s: %w", l.path, vfs.Cause(err))
	}
	if why := l.state.differs(now); why != "" {
		return l.named(why), nil
	}
	// Another file under this name means that somebody thinks that this one is no longer the image.
	named, err := os.Stat(l.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return l.named("was removed while it was read"), nil
	case err != nil:
		return "", fmt.Errorf("look at image: %s: %w", l.path, vfs.Cause(err))
	case !os.SameFile(named, now.info):
		return l.named("was replaced by another file while it was read"), nil
	}
	return "", nil
}

func (l *layer) named(why string) string {
	if why == "" {
		return ""
	}
	return l.path + ": " + why
}

func (s state) differs(now state) string {
	was, is := s.info.Sys().(*syscall.Stat_t), now.info.Sys().(*syscall.Stat_t)
	switch {
	case s.written != now.written:
		return "was written to while it was read"
	case s.info.Mode()&fs.ModeDevice != 0:
		return "" // the times are those of the node in /dev
	case was.Size != is.Size:
		return fmt.Sprintf("changed its length from %d to %d bytes while it was read", was.Size, is.Size)
	case was.Mtim != is.Mtim:
		return "was written to while it was read"
	case was.Ctim != is.Ctim:
		return "changed its owner, mode or links while it was read"
	}
	return ""
}

// identity says which image this is: it stays when the image is written to or the system started again, and changes
// when another file takes the name. For a file that is the inode with its time of birth, because inodes are given out
// again (but not the number of the file system, which may change with a restart); for a device the UUID the device mapper
// keeps, or else the path. An image that is copied to another place becomes another image.
func (l *layer) identity() string {
	if l.device {
		if uuid, err := os.ReadFile("/sys/dev/block/" + device(l.state.info) + "/dm/uuid"); err == nil && len(uuid) > 1 {
			return fmt.Sprintf("%s device %s", l.format, strings.TrimSpace(string(uuid)))
		}
		return fmt.Sprintf("%s device %s", l.format, l.path)
	}
	id := fmt.Sprintf("%s inode %d", l.format, l.state.info.Sys().(*syscall.Stat_t).Ino)
	var stat unix.Statx_t
	err := unix.Statx(int(l.file.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &stat)
	if err == nil && stat.Mask&unix.STATX_BTIME != 0 {
		id += fmt.Sprintf(" born %d.%09d", stat.Btime.Sec, stat.Btime.Nsec)
	}
	return id
}

// mounted tells where a device, or one of its partitions, is mounted for writing; empty for nowhere.
func (l *layer) mounted() (string, error) {
	if !l.device {
		return "", nil
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("look for mounts: %w", err)
	}
	defer f.Close()
	numbers := []string{device(l.state.info)}
	partitions, err := filepath.Glob("/sys/dev/block/" + numbers[0] + "/*/dev")
	if err != nil {
		return "", fmt.Errorf("look for partitions: %w", err)
	}
	for _, p := range partitions {
		number, err := os.ReadFile(p)
		if err != nil {
			return "", fmt.Errorf("look for partitions: %w", err)
		}
		numbers = append(numbers, strings.TrimSpace(string(number)))
	}
	where, err := mountedOn(f, numbers, func(source string) string {
		if info, err := os.Stat(source); err == nil && info.Mode()&fs.ModeDevice != 0 {
			return device(info)
		}
		return ""
	})
	if err != nil || where == "" {
		return "", err
	}
	return "is mounted for writing on " + where, nil
}

// mountedOn reads a mount table (proc_pid_mountinfo(5)) and gives the first place where one of the devices is mounted
// for writing. A file system that spans devices has a number of its own: then its source is looked at, by deviceOf.
func mountedOn(table io.Reader, numbers []string, deviceOf func(source string) string) (string, error) {
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
		mount, super, found := strings.Cut(lines.Text(), " - ")
		fields, last := strings.Fields(mount), strings.Fields(super)
		if !found || len(fields) < 6 || len(last) < 3 {
			return "", fmt.Errorf("look for mounts: line %q is not understood", lines.Text())
		}
		// Mounted read-only in one place, the same file system may be written to elsewhere: the file system's own
		// options decide.
		if !slices.Contains(strings.Split(last[2], ","), "rw") {
			continue
		}
		if slices.Contains(numbers, fields[2]) || slices.Contains(numbers, deviceOf(unescape(last[1]))) {
			return unescape(fields[4]), nil
		}
	}
	return "", lines.Err()
}

// unescape undoes the octal escapes (\040 for a blank) of a mount table.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
