package record

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"holdfast/catalog"
)

// Errors that callers branch on.
var (
	// ErrDamaged: the bytes are not a whole record.
	ErrDamaged = errors.New("catalog record is damaged")
	// ErrNewer: a newer holdfast wrote the record, and this one would misunderstand it.
	ErrNewer = errors.New("catalog record was written by a newer holdfast")
)

// Disk is what the header of a record has in place of a disk's name; its program is catalog.ProgramRecord.
const Disk = "holdfast-catalog"

// The limits of the format.
const (
	MaxDocumentBytes = 256 << 10
	MaxDocuments     = 64 // of a dump
	MaxNameBytes     = 128
	maxMessageBytes  = 64 << 10
	maxLineBytes     = 1 << 20
	maxTextBytes     = 1 << 30
)

// version is the one that Encode writes, and the highest that Decode reads.
const version = 1

// formatName opens the first line.
const formatName = "holdfast-catalog"

// Record is what the catalog knew at the end of a run, as far as it is needed to restore and to plan the next one.
type Record struct {
	// Storage is the one the record was written to, Run the run that wrote it, Made the time when it did.
	Storage string
	Run     catalog.Stamp
	Made    time.Time

	Runs    []catalog.Run
	Volumes []catalog.Volume
	// Dumps come without their Metadata, which are in Documents.
	Dumps     []catalog.Dump
	Documents []Document
	Copies    []catalog.Copy
	Held      []catalog.Holding
	Wanted    []catalog.Wanted
}

// Document is one document that a source gave with a dump.
type Document struct {
	Dump catalog.DumpID
	Name string
	Data []byte
}

// Check tells why a document cannot be kept; nil when it can.
func (d Document) Check() error {
	switch {
	case d.Name == "" || len(d.Name) > MaxNameBytes:
		return fmt.Errorf("document %.40q: its name has %d bytes, want 1 to %d", d.Name, len(d.Name), MaxNameBytes)
	case strings.HasPrefix(d.Name, "."), strings.ContainsAny(d.Name, `/\`), !utf8.ValidString(d.Name),
		strings.ContainsFunc(d.Name, unicode.IsControl):
		return fmt.Errorf("document %q: not a plain file name", d.Name)
	case len(d.Data) > MaxDocumentBytes:
		return fmt.Errorf("document %q: %d bytes, at most %d are kept", d.Name, len(d.Data), MaxDocumentBytes)
	}
	return nil
}
