package amandalog

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"holdfast/catalog"
	"holdfast/vtape"
)

// Parse reads the log of a run. Lines that say nothing of where dumps lie are passed over; of those that should and cannot
// be read, odd tells number and fault, and the others count all the same: a log of a run that crashed ends in the middle
// of a line.
func Parse(text string) (records []Record, odd []error) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		rec, ok, err := parseRecord(strings.TrimRight(line, "\r\n"))
		if err != nil {
			odd = append(odd, fmt.Errorf("line %d: %w", number, err))
			continue
		}
		if ok {
			records = append(records, rec)
		}
	}
	return records, odd
}

// fields are the words of a line that is being read; the first fault stays.
type fields struct {
	rest string
	err  error
}

func (f *fields) fault(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf(format, args...)
	}
}

func (f *fields) word() string {
	w, rest := cutWord(f.rest)
	f.rest = rest
	return w
}

// expect takes a word that must stand here.
func (f *fields) expect(want string) {
	if got := f.word(); got != want {
		f.fault("want %q, have %.40q", want, got)
	}
}

func (f *fields) name() string {
	name, rest, err := vtape.CutQuoted(f.rest)
	if err != nil {
		f.fault("%w", err)
		f.rest = ""
		return ""
	}
	f.rest = rest
	return name
}

func (f *fields) integer(what string, least, most int64) int64 {
	w := f.word()
	return f.number(what, w, least, most)
}

func (f *fields) number(what, w string, least, most int64) int64 {
	n, err := strconv.ParseInt(w, 10, 64)
	if err != nil || n < least || n > most {
		f.fault("%s %.40q: want a number from %d", what, w, least)
		return 0
	}
	return n
}

func (f *fields) stamp() catalog.Stamp {
	w := f.word()
	if !digits(w) {
		f.fault("stamp %.40q: want digits", w)
	}
	return catalog.Stamp(w)
}

// tagged takes a word KEY:value, quoted or not, where one stands here.
func (f *fields) tagged(key string) string {
	name, rest, err := vtape.CutQuoted(f.rest)
	value, ok := strings.CutPrefix(name, key)
	if err != nil || !ok {
		return ""
	}
	f.rest = rest
	return value
}

// parseRecord reads a line; ok is false for one that says nothing of where dumps lie.
func parseRecord(line string) (rec Record, ok bool, err error) {
	if len(line) > maxLine {
		return rec, false, fmt.Errorf("longer than %d bytes", maxLine)
	}
	f := &fields{rest: line}
	if line == "" || line[0] == ' ' { // more of the line before
		return rec, false, nil
	}
	rec.Kind = Kind(f.word())
	if f.word() != "taper" {
		return rec, false, nil
	}
	switch rec.Kind {
	case Start:
		rec.start(f)
	case Part, PartCut:
		rec.part(f)
	case Done, Partial:
		rec.done(f)
	default:
		return rec, false, nil
	}
	if f.err == nil {
		_, f.err = rec.line() // what is read can be written
	}
	return rec, true, f.err
}

func (r *Record) start(f *fields) {
	f.expect("datestamp")
	r.Stamp = f.stamp()
	r.where(f)
	f.expect("label")
	r.Label = catalog.Label(f.name())
	f.expect("tape")
	r.Tape = int(f.integer("tape", 1, math.MaxInt32))
}

func (r *Record) where(f *fields) { r.Storage, r.Pool = f.tagged("ST:"), f.tagged("POOL:") }

func (r *Record) dle(f *fields) {
	r.DLE.VM = f.word()
	r.DLE.Disk = f.name()
	r.Stamp = f.stamp()
}

func (r *Record) part(f *fields) {
	r.where(f)
	r.Label = catalog.Label(f.name())
	r.File = int(f.integer("file", 1, math.MaxInt32))
	r.dle(f)
	number, total, _ := strings.Cut(f.word(), "/")
	r.Number = int(f.number("part", number, 1, math.MaxInt32))
	if r.Total = int(f.number("parts", total, -1, math.MaxInt32)); r.Total == 0 {
		r.Total = -1
	}
	r.Level = catalog.Level(f.integer("level", 0, math.MaxInt32))
	r.tail(f)
}

func (r *Record) done(f *fields) {
	r.where(f)
	r.dle(f)
	r.Total = int(f.integer("parts", 0, math.MaxInt32))
	r.Level = catalog.Level(f.integer("level", 0, math.MaxInt32))
	for _, crc := range []*vtape.CRC{&r.Native, &r.Client, &r.Server} {
		w, rest := cutWord(f.rest)
		if !strings.Contains(w, ":") || strings.HasPrefix(w, "[") {
			break // they are left out, as by Amanda before 3.4
		}
		f.rest = rest
		crc.Sum, crc.Bytes = f.crc(w)
	}
	r.tail(f)
}

func (f *fields) crc(w string) (sum uint32, bytes int64) {
	hex, size, _ := strings.Cut(w, ":")
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		f.fault("checksum %.40q: want CRC:BYTES", w)
	}
	bytes = f.number("size", size, 0, math.MaxInt64)
	if n == 0 {
		bytes = 0 // unknown
	}
	return uint32(n), bytes
}

// tail takes the statistics in brackets, and the message of what is not whole.
func (r *Record) tail(f *fields) {
	rest := strings.TrimLeft(f.rest, " \t")
	stats, message, ok := strings.Cut(rest, "]")
	if rest == "" || f.err != nil {
		return
	}
	if !strings.HasPrefix(stats, "[") || !ok {
		f.fault("%.40q: want [sec ...]", rest)
		return
	}
	words := strings.Fields(stats[1:])
	for i := 0; i+1 < len(words); i += 2 {
		r.stat(f, words[i], words[i+1])
	}
	if strings.TrimSpace(message) != "" && (r.Kind == PartCut || r.Kind == Partial) {
		r.Message = takeMessage(message)
	}
}

// takeMessage reads a message. One that is longer than a name may be, or not quoted, is for people all the same.
func takeMessage(text string) string {
	message, _, err := vtape.CutQuoted(text)
	if err != nil {
		message = strings.Trim(strings.TrimSpace(text), `"`)
	}
	return cleanMessage(message)
}

// maxMessage is how much of a message is kept.
const maxMessage = 200

// cleanMessage makes a message one short line.
func cleanMessage(message string) string {
	message = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return '?'
		}
		return r
	}, message)
	for len(message) > maxMessage {
		_, n := utf8.DecodeLastRuneInString(message)
		message = message[:len(message)-n]
	}
	return message
}

func (r *Record) stat(f *fields, key, value string) {
	switch key {
	case "sec":
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil || !(seconds >= 0) || math.IsInf(seconds, 0) {
			f.fault("sec %.40q: want seconds", value)
			return
		}
		r.Seconds = seconds
	case "bytes":
		r.Bytes = f.number("bytes", value, 0, math.MaxInt64)
	case "kb":
		r.Bytes = 1024 * f.number("kb", value, 0, math.MaxInt64/1024)
	case "orig-kb":
		r.OrigKiB = f.number("orig-kb", value, 0, math.MaxInt64)
	}
}
