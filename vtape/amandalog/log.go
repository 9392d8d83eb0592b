package amandalog

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"holdfast/catalog"
	"holdfast/vtape"
)

// Kind is what a record says.
type Kind string

// The lines of a log that say where dumps lie.
const (
	// Start begins a volume.
	Start Kind = "START"
	// Part is a part of a dump, PartCut one that was cut off by the end of its volume.
	Part    Kind = "PART"
	PartCut Kind = "PARTPARTIAL"
	// Done ends a dump that is whole, Partial one that is not.
	Done    Kind = "DONE"
	Partial Kind = "PARTIAL"
)

// Record is one such line. Which fields count depends on its kind.
type Record struct {
	Kind Kind
	// Storage and Pool may be empty: the log's own configuration is meant then.
	Storage, Pool string
	// Stamp is the volume's for Start, the dump's for all others.
	Stamp catalog.Stamp
	// Label is the volume of Start and of parts; Tape counts the volumes of a run from 1.
	Label catalog.Label
	Tape  int
	// File is the part's file number.
	File  int
	DLE   catalog.DLE
	Level catalog.Level
	// Number is the part's, Total how many there are, -1 for unknown; Done and Partial have the number of parts as Total.
	Number, Total int
	// The checksums of Done and Partial; unknown ones have the sum 0.
	Native, Client, Server vtape.CRC
	// Bytes of the part or of the dump as stored, and how long writing took.
	Bytes   int64
	Seconds float64
	// OrigKiB is the size before compression; 0 for unknown.
	OrigKiB int64
	// Message is why a part or a dump is not whole.
	Message string
}

// Run is what a log says of a run as a whole; Amanda's report wants it.
type Run struct {
	Stamp   catalog.Stamp
	Host    string
	Seconds float64
	// Dumps are those that were made in this run.
	Dumps []Dumped
}

// Dumped is a dump that the run has made.
type Dumped struct {
	DLE     catalog.DLE
	Level   catalog.Level
	Native  vtape.CRC
	Client  vtape.CRC
	Server  vtape.CRC
	Seconds float64
}

// Format writes the log of one run: its beginning, the dumps that it made, the records in their order, and its end. The
// order is the caller's: a volume's Start stands before its parts, the parts of a dump in the order of their numbers
// before its Done.
func Format(r Run, records []Record) (string, error) {
	var b strings.Builder
	if err := writeBeginning(&b, r); err != nil {
		return "", fmt.Errorf("write log of %s: %w", r.Stamp, err)
	}
	for _, rec := range records {
		line, err := rec.line()
		if err != nil {
			return "", fmt.Errorf("write log of %s: %s %s %s: %w", r.Stamp, rec.Kind, rec.Label, rec.DLE, err)
		}
		b.WriteString(line + "\n")
	}
	fmt.Fprintf(&b, "FINISH driver date %s time %.3f\n", r.Stamp, r.Seconds)
	return b.String(), nil
}

func writeBeginning(b *strings.Builder, r Run) error {
	if !digits(string(r.Stamp)) {
		return errors.New("want digits")
	}
	fmt.Fprintf(b, "START planner date %s\n", r.Stamp)
	for _, d := range r.Dumps {
		name, err := dleWords(d.DLE)
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "DISK planner %s\n", name)
	}
	fmt.Fprintf(b, "START driver date %s\nSTATS driver hostname %s\n", r.Stamp, word(r.Host, "unknown"))
	for _, d := range r.Dumps {
		name, _ := dleWords(d.DLE) // it was written above
		fmt.Fprintf(b, "SUCCESS chunker %s %s %d %s [sec %.3f kb %d kps %.1f]\n", name, r.Stamp, d.Level, crcWord(d.Server),
			d.Seconds, kib(d.Server.Bytes), rate(d.Server.Bytes, d.Seconds))
		fmt.Fprintf(b, "SUCCESS dumper %s %s %d %s %s [sec %.3f kb %d kps %.1f orig-kb %d]\n", name, r.Stamp, d.Level, crcWord(d.Native),
			crcWord(d.Client), d.Seconds, kib(d.Server.Bytes), rate(d.Server.Bytes, d.Seconds), kib(d.Native.Bytes))
	}
	return nil
}

// word gives s where it is one word.
func word(s, otherwise string) string {
	if s == "" || plainWord(s) != nil {
		return otherwise
	}
	return s
}

func kib(bytes int64) int64 { return (bytes + 1023) / 1024 }

// rate is in KiB a second.
func rate(bytes int64, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return float64(bytes) / 1024 / seconds
}

func crcWord(c vtape.CRC) string { return fmt.Sprintf("%08x:%d", c.Sum, c.Bytes) }

// dleWords are host and disk as two words.
func dleWords(d catalog.DLE) (string, error) {
	if d.VM == "" || plainWord(d.VM) != nil {
		return "", fmt.Errorf("host %q: want one word", d.VM)
	}
	if strings.ContainsAny(d.Disk, "\x00") {
		return "", fmt.Errorf("disk %q: NUL in it", d.Disk)
	}
	return d.VM + " " + vtape.Quote(d.Disk), nil
}

// line is the record as a line of a log.
func (r Record) line() (string, error) {
	if !digits(string(r.Stamp)) {
		return "", fmt.Errorf("stamp %q: want digits", r.Stamp)
	}
	if r.Level < 0 || r.Bytes < 0 || r.OrigKiB < 0 || r.Seconds < 0 || math.IsNaN(r.Seconds) || math.IsInf(r.Seconds, 0) {
		return "", errors.New("negative number")
	}
	if r.Kind == Start {
		return r.startLine()
	}
	name, err := dleWords(r.DLE)
	if err != nil {
		return "", err
	}
	line := string(r.Kind) + " taper" + r.whereWords() + " "
	stats := fmt.Sprintf(" [sec %f bytes %d kps %f orig-kb %d]", r.Seconds, r.Bytes, rate(r.Bytes, r.Seconds), r.OrigKiB)
	switch r.Kind {
	case Part, PartCut:
		if r.Label == "" || r.File < 1 || r.Number < 1 || r.Total == 0 || r.Total < -1 {
			return "", fmt.Errorf("file %d of volume %q, part %d/%d: want numbers from 1", r.File, r.Label, r.Number, r.Total)
		}
		line += fmt.Sprintf("%s %d %s %s %d/%d %d%s", vtape.Quote(string(r.Label)), r.File, name, r.Stamp, r.Number, r.Total, r.Level, stats)
	case Done, Partial:
		if r.Total < 0 {
			return "", fmt.Errorf("%d parts", r.Total)
		}
		line += fmt.Sprintf("%s %s %d %d %s %s %s%s", name, r.Stamp, r.Total, r.Level,
			crcWord(r.Native), crcWord(r.Client), crcWord(r.Server), stats)
	default:
		return "", errors.New("not a line of a log")
	}
	if r.Kind == PartCut || r.Kind == Partial {
		line += " " + vtape.Quote(cleanMessage(r.Message))
	}
	return bounded(line)
}

func (r Record) startLine() (string, error) {
	if r.Label == "" || r.Tape < 1 {
		return "", fmt.Errorf("volume %q, tape %d: want a label, and numbers from 1", r.Label, r.Tape)
	}
	return bounded(fmt.Sprintf("START taper datestamp %s%s label %s tape %d", r.Stamp, r.whereWords(), vtape.Quote(string(r.Label)), r.Tape))
}

// whereWords are the words of storage and pool, with a blank before each.
func (r Record) whereWords() string {
	var s string
	if r.Storage != "" {
		s += " " + vtape.Quote("ST:"+r.Storage)
	}
	if r.Pool != "" {
		s += " " + vtape.Quote("POOL:"+r.Pool)
	}
	return s
}

func bounded(line string) (string, error) {
	if len(line) > maxLine {
		return "", fmt.Errorf("line is longer than %d bytes", maxLine)
	}
	return line, nil
}
