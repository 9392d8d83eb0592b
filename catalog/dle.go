package catalog

import (
	"fmt"
	"strings"
	"time"
)

// DLE is a disk list entry: one virtual machine and one of its disks. VM is what Amanda calls the host.
type DLE struct {
	VM   string `json:"vm"`
	Disk string `json:"disk"`
}

// String gives "VM:DISK", the form used in notes and messages.
func (d DLE) String() string { return d.VM + ":" + d.Disk }

// Less orders DLEs by VM, then by disk.
func (d DLE) Less(o DLE) bool {
	if d.VM != o.VM {
		return d.VM < o.VM
	}
	return d.Disk < o.Disk
}

// Level is 0 for a full dump, n for the changes since the latest dump of a lower level.
type Level int

// MaxLevel is the highest level the planner uses: Amanda's classic limit, and as long a chain as anyone wants to restore.
const MaxLevel Level = 9

// Label names a volume. It is one word and is never given to another volume.
type Label string

// Stamp is the time of a run as `YYYYMMDDHHMMSS` in local time, Amanda's form. Stamps of one catalog rise strictly,
// so they are compared as text.
type Stamp string

const stampLayout = "20060102150405"

// NewStamp gives the stamp of t in t's own location.
func NewStamp(t time.Time) Stamp { return Stamp(t.Format(stampLayout)) }

// ParseStamp checks that s has the form of a stamp (14 digits, a possible time) and returns it.
func ParseStamp(s string) (Stamp, error) {
	if len(s) != len(stampLayout) {
		return "", fmt.Errorf("stamp %q: want 14 digits, YYYYMMDDHHMMSS", s)
	}
	if _, err := time.Parse(stampLayout, s); err != nil {
		return "", fmt.Errorf("stamp %q: want YYYYMMDDHHMMSS", s)
	}
	return Stamp(s), nil
}

// Time gives the stamp's time in loc; the zero time if the stamp is not well formed.
func (s Stamp) Time(loc *time.Location) time.Time {
	t, err := time.ParseInLocation(stampLayout, string(s), loc)
	if err != nil {
		return time.Time{}
	}
	return t
}

// StandardName is the file name of a restored dump in a chain: `VM.DISK.STAMP.LEVEL.qcow2`, with the characters that
// a file name or qemu-img would misread replaced by `_`. An overlay names its base by this name.
func StandardName(d DLE, s Stamp, l Level) string {
	return fmt.Sprintf("%s.%s.%s.%d.qcow2", FileSafe(d.VM), FileSafe(d.Disk), s, l)
}

// FileSafe replaces what must not stand in a file name on media (`/`, `:`, `\`) by `_`, as Amanda does.
func FileSafe(name string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '/', ':', '\\':
			return '_'
		}
		return r
	}, name)
}
