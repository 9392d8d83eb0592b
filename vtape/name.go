package vtape

import (
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"holdfast/catalog"
)

// maxNameBytes is the longest file name that Linux's file systems take.
const maxNameBytes = 255

// PartName is the name of a part's file in a slot's directory: `NUMBER.HOST.DISK.LEVEL`, the number with five digits
// or more. A name too long for a file system loses the end of host and disk: readers go by the number, and the header
// has the names.
func PartName(number int, host, disk string, level catalog.Level) string {
	first := fmt.Sprintf("%05d.", number)
	last := fmt.Sprintf(".%d", level)
	names := catalog.FileSafe(host) + "." + catalog.FileSafe(disk)
	return first + cut(names, maxNameBytes-len(first)-len(last)) + last
}

// cut shortens s to at most n bytes without cutting a character in two.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// restoreLine is the command, after the tab, that the header tells a person to run to get the content of the file back.
func (h Header) restoreLine() string {
	if h.RestoreCommand != "" {
		return h.RestoreCommand
	}
	return h.madeRestoreLine()
}

// madeRestoreLine keeps to the form that Amanda parses: dd, a bar, and one to three commands parted by bars.
func (h Header) madeRestoreLine() string {
	line := "dd if=<tape> bs=32k skip=1 | "
	var filters []string
	if decrypt := h.decryptCommand(); decrypt != "" {
		filters = append(filters, decrypt)
	}
	if decompress := h.decompressCommand(); decompress != "" {
		filters = append(filters, decompress)
	}
	if h.Image == nil {
		// What reads the stream is not known; Amanda leaves its place empty too.
		for _, f := range filters {
			line += f + " | "
		}
		return line
	}
	if len(filters) == 0 {
		filters = []string{"cat"}
	}
	return line + strings.Join(filters, " | ") + " > " + shellWord(h.standardName())
}

func (h Header) decryptCommand() string {
	switch {
	case !h.Encrypted:
		return ""
	case h.Image != nil:
		return "age -d -i KEY" // the program in the header is Amanda's way to it
	case h.ServerEncrypt != "":
		return strings.TrimRight(h.ServerEncrypt+" "+h.ServerDecryptOpt, " ")
	}
	return strings.TrimRight(h.ClientEncrypt+" "+h.ClientDecryptOpt, " ")
}

func (h Header) decompressCommand() string {
	custom := h.ServerCompress + h.ClientCompress // never both
	switch {
	case h.Compress == "N":
		return ""
	case path.Base(custom) == "zstd":
		return "zstd -d"
	case custom != "":
		return custom + " -d"
	case h.Compress == ".zst":
		return "zstd -d"
	}
	return "gzip -dc"
}

func (h Header) standardName() string {
	d := catalog.DLE{VM: h.Host, Disk: h.Disk}
	name := catalog.StandardName(d, catalog.Stamp(h.Stamp), h.Level)
	if h.Program != catalog.ProgramImage {
		name = strings.TrimSuffix(name, ".qcow2")
	}
	return name
}

// shellWord makes one word of a shell command of s. Control characters become `_`: they have no place in a line of
// text, nor in a file name.
func shellWord(s string) string {
	plain := true
	s = strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r == 0x7f || r == utf8.RuneError:
			return '_'
		case r > 0x7f || !strings.ContainsRune("._-+,@%=", r) && !isAlnum(r):
			plain = false
		}
		return r
	}, s)
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func isAlnum(r rune) bool {
	return '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
}
