package amandalog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"holdfast/catalog"
)

// NeverWritten is the stamp of a volume that was labelled and not written yet.
const NeverWritten catalog.Stamp = "0"

// maxLine bounds a line of either file; Amanda's longest have a few names of 255 bytes and a message.
const maxLine = 16 << 10

// Tape is a volume as the tapelist knows it.
type Tape struct {
	// Stamp is the one in the volume's label, NeverWritten for none. Amanda before 2.5 wrote days: eight digits.
	Stamp   catalog.Stamp
	Label   catalog.Label
	NoReuse bool
	// The rest may be empty. BlockKiB is the block size in KiB, 0 for unknown.
	Barcode, Meta         string
	BlockKiB              int64
	Pool, Storage, Config string
	Comment               string
}

// FormatTapelist writes a tapelist: the volume written last first, of one stamp in the order of their labels.
func FormatTapelist(tapes []Tape) (string, error) {
	sorted := slices.SortedStableFunc(slices.Values(tapes), func(a, b Tape) int {
		return cmp.Or(cmp.Compare(stampNumber(b.Stamp), stampNumber(a.Stamp)), cmp.Compare(a.Label, b.Label))
	})
	var b strings.Builder
	for i, t := range sorted {
		if i > 0 && t.Label == sorted[i-1].Label {
			return "", fmt.Errorf("write tapelist: label %s is there twice", t.Label)
		}
		line, err := t.line()
		if err != nil {
			return "", fmt.Errorf("write tapelist: label %q: %w", t.Label, err)
		}
		b.WriteString(line + "\n")
	}
	return b.String(), nil
}

// stampNumber orders stamps of either length.
func stampNumber(s catalog.Stamp) string { return fmt.Sprintf("%-14s", s) }

func (t Tape) line() (string, error) {
	if !digits(string(t.Stamp)) {
		return "", fmt.Errorf("stamp %q: want digits", t.Stamp)
	}
	words := []string{string(t.Stamp), string(t.Label), "reuse"}
	if t.NoReuse {
		words[2] = "no-reuse"
	}
	block := ""
	if t.BlockKiB > 0 {
		block = strconv.FormatInt(t.BlockKiB, 10)
	}
	if t.Label == "" {
		return "", errors.New("is empty")
	}
	for _, f := range t.fields(&block) {
		if *f.value != "" {
			words = append(words, f.key+*f.value)
		}
	}
	for _, w := range words[1:] {
		if err := plainWord(w); err != nil {
			return "", err
		}
	}
	if strings.ContainsAny(t.Comment, "\n\r\x00") {
		return "", fmt.Errorf("comment %q: more than one line", t.Comment)
	}
	if t.Comment != "" {
		words = append(words, "#"+t.Comment)
	}
	line := strings.Join(words, " ")
	if len(line) > maxLine {
		return "", fmt.Errorf("line is longer than %d bytes", maxLine)
	}
	return line, nil
}

type tapeField struct {
	key   string
	value *string
}

// fields are the keyed words in the one order that Amanda reads.
func (t *Tape) fields(block *string) []tapeField {
	return []tapeField{
		{"BARCODE:", &t.Barcode}, {"META:", &t.Meta}, {"BLOCKSIZE:", block},
		{"POOL:", &t.Pool}, {"STORAGE:", &t.Storage}, {"CONFIG:", &t.Config},
	}
}

// plainWord refuses what would be read as two words, or as a comment.
func plainWord(w string) error {
	if strings.HasPrefix(w, "#") || strings.ContainsFunc(w, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fmt.Errorf("%q: blank or control character in it, or # before it", w)
	}
	return nil
}

func digits(s string) bool {
	return s != "" && len(s) <= 14 && strings.Trim(s, "0123456789") == ""
}

// ParseTapelist reads a tapelist. Like Amanda it takes a line that is not one for a broken file, and names it.
func ParseTapelist(text string) ([]Tape, error) {
	var tapes []Tape
	seen := map[catalog.Label]bool{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" {
			continue
		}
		t, err := parseTape(line)
		if err == nil && seen[t.Label] {
			err = errors.New("is there twice")
		}
		if err != nil {
			return nil, fmt.Errorf("tapelist: line %d: label %q: %w", number, t.Label, err)
		}
		seen[t.Label] = true
		tapes = append(tapes, t)
	}
	return tapes, nil
}

func parseTape(line string) (Tape, error) {
	if len(line) > maxLine {
		return Tape{}, fmt.Errorf("line is longer than %d bytes", maxLine)
	}
	var t Tape
	stamp, line := cutWord(line)
	label, line := cutWord(line)
	t.Stamp, t.Label = catalog.Stamp(stamp), catalog.Label(label)
	if !digits(stamp) {
		return t, fmt.Errorf("stamp %.40q: want digits", stamp)
	}
	if err := plainWord(label); err != nil || label == "" {
		return t, errors.New("want one word after the stamp")
	}
	word, rest := cutWord(line)
	if word == "reuse" || word == "no-reuse" {
		t.NoReuse, line = word == "no-reuse", rest
	}
	block := ""
	for _, f := range t.fields(&block) {
		word, rest := cutWord(line)
		if value, ok := strings.CutPrefix(word, f.key); ok {
			*f.value, line = value, rest
		}
	}
	line = strings.TrimLeft(line, " \t")
	comment, ok := strings.CutPrefix(line, "#")
	if line != "" && !ok {
		return t, fmt.Errorf("%.40q: unknown, or out of order", line)
	}
	t.Comment = comment
	if block != "" {
		n, err := strconv.ParseInt(block, 10, 64)
		if err != nil || n < 0 {
			return t, fmt.Errorf("block size %.40q: want KiB", block)
		}
		t.BlockKiB = n
	}
	_, err := t.line() // what is read can be written
	return t, err
}

// cutWord cuts the next word off, after any blanks.
func cutWord(line string) (word, rest string) {
	line = strings.TrimLeft(line, " \t")
	i := strings.IndexAny(line, " \t")
	if i < 0 {
		return line, ""
	}
	return line[:i], line[i:]
}
