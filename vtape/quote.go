package vtape

import (
	"errors"
	"fmt"
	"strings"
)

func checkDisk(disk string) error {
	if len(disk) > maxFieldBytes {
		return fmt.Errorf("disk %.40q...: longer than %d bytes", disk, maxFieldBytes)
	}
	if strings.Contains(disk, "\x00") {
		return fmt.Errorf("disk %q: NUL in it", disk)
	}
	return nil
}

// Quote writes a name as Amanda's headers and logs do: bare where that is read back the same, in double quotes otherwise.
func Quote(name string) string { return quoteDisk(name) }

// CutQuoted cuts a name that Quote has written off the front of a line, after any blanks. It refuses names that are longer
// than a header's fields.
func CutQuoted(line string) (name, rest string, err error) { return takeDisk(line) }

// quoteDisk is Amanda's quote_string: bare where that is read back the same.
func quoteDisk(disk string) string {
	bare := disk != ""
	for i := range len(disk) {
		c := disk[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`:'"\`, c) >= 0 {
			bare = false
		}
	}
	if bare {
		return disk
	}
	quoted := strings.NewReplacer("\t", `\t`, "\n", `\n`, "\r", `\r`, "\f", `\f`, `\`, `\\`, `"`, `\"`).Replace(disk)
	return `"` + quoted + `"`
}

var errQuote = errors.New("disk: quotation mark without end")

// takeDisk cuts the disk name off the front of a line, after any blanks. Between quotation marks a blank belongs to
// the name.
func takeDisk(line string) (disk, rest string, err error) {
	line = strings.TrimLeft(line, " ")
	var out strings.Builder
	quoted := false
	i := 0
	for i < len(line) && (quoted || line[i] != ' ') {
		switch c := line[i]; {
		case c == '"':
			quoted = !quoted
			i++
		case c == '\\' && i+1 < len(line):
			b, n := unescape(line[i+1:])
			out.WriteByte(b)
			i += 1 + n
		default:
			out.WriteByte(c)
			i++
		}
	}
	if quoted {
		return "", "", errQuote
	}
	if i == 0 {
		return "", "", errors.New("disk: missing")
	}
	return out.String(), line[i:], checkDisk(out.String())
}

// unescape decodes what follows a backslash (at least one byte) and tells how many bytes that took.
func unescape(s string) (b byte, n int) {
	switch s[0] {
	case 't':
		return '\t', 1
	case 'n':
		return '\n', 1
	case 'r':
		return '\r', 1
	case 'f':
		return '\f', 1
	}
	for n < 3 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
		b = b<<3 | (s[n] - '0')
		n++
	}
	if n == 0 {
		return s[0], 1
	}
	return b, n
}
