package vtape

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"holdfast/catalog"
)

// ParseHeader decodes a header block, or what there is of one: up to HeaderBytes are looked at, and text ends at the
// first NUL. It is as tolerant as Amanda's reader (unknown lines and words, missing form feed, runs of blanks), except
// that it refuses what Amanda would cut or misread: fields that are too long, control characters in words, numbers
// that are none. The error wraps ErrForeign when the block is not a header at all.
//
// What ParseHeader accepts, Block encodes to an equal header, unless it is too long for a block with the lines that
// were missing.
func ParseHeader(block []byte) (Header, error) {
	block = block[:min(len(block), HeaderBytes)]
	if end := bytes.IndexByte(block, 0); end >= 0 {
		block = block[:end]
	}
	first, rest, _ := strings.Cut(string(block), "\n")
	h, err := parseFirstLine(first)
	switch {
	case err != nil || h.Type == TypeTapeEnd:
	case h.Type == TypeTapeStart:
		err = h.parseLabelLines(rest)
	default:
		err = h.parseLines(rest)
	}
	if err != nil {
		return Header{}, fmt.Errorf("parse header: %w", err)
	}
	if h.RestoreCommand != "" && h.RestoreCommand == h.madeRestoreLine() {
		h.RestoreCommand = ""
	}
	return h, nil
}

// words is the rest of the first line: words parted by runs of blanks.
type words string

func (w *words) next() string {
	s := strings.TrimLeft(string(*w), " ")
	first, rest, _ := strings.Cut(s, " ")
	*w = words(rest)
	return first
}

// value takes the next word as the value of a field.
func (w *words) value(field string, into *string) error {
	*into = w.next()
	return checkWord(field, *into)
}

// keyed takes two words: the key, and the value of the field.
func (w *words) keyed(key, field string, into *string) error {
	if got := w.next(); got != key {
		return fmt.Errorf("%s: want %q, have %.40q", field, key, got)
	}
	return w.value(field, into)
}

func parseFirstLine(line string) (Header, error) {
	w := words(line)
	if magic := w.next(); magic != "AMANDA:" && magic != "NETDUMP:" {
		return Header{}, fmt.Errorf("%w: begins with %.20q", ErrForeign, magic)
	}
	h := Header{Type: HeaderType(w.next())}
	switch h.Type {
	case TypeTapeStart:
		if err := w.keyed("DATE", "stamp", &h.Stamp); err != nil {
			return h, err
		}
		return h, w.keyed("TAPE", "label", (*string)(&h.Label))
	case TypeTapeEnd:
		return h, w.keyed("DATE", "stamp", &h.Stamp)
	case TypeSplitFile, TypeFile, TypeContFile:
		return h, h.parseDumpLine(&w)
	}
	return h, fmt.Errorf("type %.40q: unknown", h.Type)
}

func (h *Header) parseDumpLine(w *words) error {
	if err := w.value("stamp", &h.Stamp); err != nil {
		return err
	}
	if err := w.value("host", &h.Host); err != nil {
		return err
	}
	disk, rest, err := takeDisk(string(*w))
	if err != nil {
		return err
	}
	h.Disk, *w = disk, words(rest)
	if err := h.parsePart(w); err != nil {
		return err
	}
	var level string
	if err := w.keyed("lev", "level", &level); err != nil {
		return err
	}
	n, err := strconv.ParseInt(level, 10, 32)
	if err != nil {
		return fmt.Errorf("level %.40q: not a number", level)
	}
	h.Level = catalog.Level(n)
	if err := w.keyed("comp", "compression", &h.Compress); err != nil {
		return err
	}
	if h.Compress == "C" {
		h.Compress = ".Z" // Amanda before 2.2
	}
	return h.parseProgramWords(w)
}

// parsePart takes "part n/total", which a SPLIT_FILE must have and the others may.
func (h *Header) parsePart(w *words) error {
	ahead := *w
	if ahead.next() != "part" && h.Type != TypeSplitFile {
		return nil
	}
	var part string
	if err := w.keyed("part", "part", &part); err != nil {
		return err
	}
	number, total, _ := strings.Cut(part, "/")
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil || n < 1 {
		return fmt.Errorf("part %.40q: want n/total, n from 1", part)
	}
	t, err := strconv.ParseInt(total, 10, 32)
	if err != nil {
		return fmt.Errorf("part %.40q: want n/total", part)
	}
	if t < 1 {
		t = -1
	}
	if h.Type == TypeSplitFile {
		h.Part, h.TotalParts = int(n), int(t)
	}
	return nil
}

// parseProgramWords takes the optional words. As in Amanda, the first that is unknown or out of order ends the line.
func (h *Header) parseProgramWords(w *words) error {
	key := w.next()
	if key != "program" {
		return nil
	}
	if err := w.value("program", &h.Program); err != nil {
		return err
	}
	key = w.next()
	if key == "crypt" {
		var crypt string
		if err := w.value("crypt", &crypt); err != nil {
			return err
		}
		h.Encrypted = crypt != "N"
		key = w.next()
	}
	for _, pair := range []struct {
		name           string
		server, client *string
	}{
		{"custom_compress", &h.ServerCompress, &h.ClientCompress},
		{"encrypt", &h.ServerEncrypt, &h.ClientEncrypt},
		{"decrypt_option", &h.ServerDecryptOpt, &h.ClientDecryptOpt},
	} {
		var into *string
		switch key {
		case "server_" + pair.name:
			into = pair.server
		case "client_" + pair.name:
			into = pair.client
		default:
			continue
		}
		if err := w.value(key, into); err != nil {
			return err
		}
		key = w.next()
	}
	return nil
}

// parseLabelLines looks for the one line that may follow in a label.
func (h *Header) parseLabelLines(text string) error {
	for line := range strings.SplitSeq(text, "\n") {
		key, value, _ := strings.Cut(line, "=")
		if line == formFeed {
			return nil
		}
		if key != memberKey {
			continue
		}
		h.MemberLine = value
		if err := checkLine(key+"=", value, maxMemberBytes); err != nil {
			return err
		}
	}
	return nil
}

func (h *Header) parseLines(text string) error {
	for text != "" {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		if line == formFeed {
			return nil
		}
		if strings.HasPrefix(line, "\tdd ") {
			h.RestoreCommand = line[1:]
			if err := checkLine("restore command ", h.RestoreCommand, maxCommandBytes); err != nil {
				return err
			}
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		var err error
		if key == "DLE" {
			text, err = h.parseDLEText(value, text)
		} else {
			err = h.parseLine(key, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// parseDLEText takes the text from the DLE line itself, or, when that is "<<END", from the lines up to END. It gives
// back the lines that are left.
func (h *Header) parseDLEText(value, text string) (rest string, err error) {
	h.DLEText, rest = value, text
	if end, ok := strings.CutPrefix(value, "<<"); ok {
		var found bool
		// With a line feed on both sides the marker is found in the first and in the last line too.
		h.DLEText, rest, found = strings.Cut("\n"+text+"\n", "\n"+end+"\n")
		if !found || end == "" {
			return "", fmt.Errorf("DLE text: no line %.40q ends it", end)
		}
		h.DLEText = strings.TrimPrefix(h.DLEText, "\n")
	}
	if len(h.DLEText) > maxDLEBytes {
		return "", fmt.Errorf("DLE text: longer than %d bytes", maxDLEBytes)
	}
	return rest, nil
}

// parseLine takes a line KEY=value.
func (h *Header) parseLine(key, value string) error {
	var err error
	switch key {
	case "CONT_FILENAME":
		h.ContFilename = value
		err = checkLine("CONT_FILENAME=", value, maxFieldBytes)
	case "APPLICATION":
		h.Application = value
		err = checkLine("APPLICATION=", value, maxFieldBytes)
	case "PARTIAL":
		h.Partial = strings.EqualFold(value, "yes")
	case "ORIGSIZE":
		h.OrigKiB, err = parseSize(key, value)
	case "NATIVE-CRC":
		h.Native, err = parseCRC(key, value)
	case "CLIENT-CRC":
		h.Client, err = parseCRC(key, value)
	case "SERVER-CRC":
		h.Server, err = parseCRC(key, value)
	case "HOLDFAST":
		h.Image, err = parseImage(value)
	case memberKey:
		h.MemberLine = value
		err = checkLine(key+"=", value, maxMemberBytes)
	}
	return err
}

func parseSize(key, value string) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s=%.40q: not a size", key, value)
	}
	return n, nil
}

func parseCRC(key, value string) (CRC, error) {
	sum, size, _ := strings.Cut(value, ":")
	n, err := strconv.ParseUint(sum, 16, 32)
	if err != nil {
		return CRC{}, fmt.Errorf("%s=%.40q: want crc:bytes", key, value)
	}
	bytes, err := parseSize(key, size)
	if err != nil || n == 0 {
		return CRC{}, err
	}
	return CRC{Sum: uint32(n), Bytes: bytes}, nil
}

func parseImage(value string) (*ImageInfo, error) {
	info := new(ImageInfo)
	if err := json.Unmarshal([]byte(value), info); err != nil {
		return nil, fmt.Errorf("HOLDFAST=: %w", err)
	}
	return info, info.check()
}
