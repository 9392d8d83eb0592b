package catalog

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// DumpID names a dump for ever: `VM/DISK/STAMP/LEVEL`, VM and DISK escaped as in a URL path.
type DumpID string

// NewDumpID makes the id of the dump of d taken in the run with stamp s at level l.
func NewDumpID(d DLE, s Stamp, l Level) DumpID {
	return DumpID(fmt.Sprintf("%s/%s/%s/%d", url.PathEscape(d.VM), url.PathEscape(d.Disk), s, l))
}

// ParseDumpID is the inverse of NewDumpID. It accepts only what NewDumpID makes.
func ParseDumpID(id DumpID) (DLE, Stamp, Level, error) {
	dle, stamp, level, err := parseDumpID(id)
	if err == nil && NewDumpID(dle, stamp, level) != id {
		err = errors.New("not in its one form")
	}
	if err != nil {
		return DLE{}, "", 0, fmt.Errorf("dump id %q: want VM/DISK/STAMP/LEVEL: %w", id, err)
	}
	return dle, stamp, level, nil
}

func parseDumpID(id DumpID) (DLE, Stamp, Level, error) {
	words := strings.Split(string(id), "/")
	if len(words) != 4 {
		return DLE{}, "", 0, fmt.Errorf("%d words", len(words))
	}
	vm, errVM := url.PathUnescape(words[0])
	disk, errDisk := url.PathUnescape(words[1])
	stamp, errStamp := ParseStamp(words[2])
	level, errLevel := strconv.Atoi(words[3])
	if level < 0 {
		errLevel = errors.New("level below 0")
	}
	return DLE{VM: vm, Disk: disk}, stamp, Level(level), errors.Join(errVM, errDisk, errStamp, errLevel)
}

// Status is the outcome of a dump or of a copy.
type Status string

// Outcomes, in Amanda's words. Strange means done, with odd messages: never passed as good in the report, but usable.
const (
	StatusOK      Status = "ok"
	StatusStrange Status = "strange"
	StatusPartial Status = "partial"
	StatusFailed  Status = "failed"
)

// Usable tells whether a dump with this status may be restored and built upon.
func (s Status) Usable() bool { return s == StatusOK || s == StatusStrange }

// Dump is one complete stream: a DLE at a level in a run. All sizes are bytes.
type Dump struct {
	ID    DumpID `json:"id"`
	DLE   DLE    `json:"dle"`
	Stamp Stamp  `json:"stamp"`
	Level Level  `json:"level"`
	// Base is the dump this one holds the changes since: the latest lower level, or, for the level 0 of a linked clone,
	// a dump of the base image (another DLE). Empty when the dump stands alone.
	Base   DumpID `json:"base,omitempty"`
	Status Status `json:"status"`
	// ImageBytes is the virtual size of the image, exact to the byte.
	ImageBytes int64 `json:"image_bytes"`
	// OrigBytes and NativeCRC are size and CRC-32C of the stream before compression (the qcow2 file).
	OrigBytes int64  `json:"orig_bytes"`
	NativeCRC uint32 `json:"native_crc"`
	// StoredBytes and StoredCRC are size and CRC-32C of the stream as it lies on the media, all parts joined.
	StoredBytes int64  `json:"stored_bytes"`
	StoredCRC   uint32 `json:"stored_crc"`
	// ChangedBytes is how much of the image this dump holds (data clusters, 64 KiB each).
	ChangedBytes int64 `json:"changed_bytes"`
	// Program, Compress and Encrypt say how the stream was made: ProgramImage and "zstd" or "", "age" or "".
	Program  string `json:"program"`
	Compress string `json:"compress,omitempty"`
	Encrypt  string `json:"encrypt,omitempty"`
	// MapDigest is the hex digest of the dump's block map file; empty when there is none.
	MapDigest string `json:"map_digest,omitempty"`
	// Identity is what the source said the image is (for example its inode or content id): another identity next
	// time means the image was replaced, and calls for a full.
	Identity string    `json:"identity,omitempty"`
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended"`
	// Hold is why the dump must stay, whatever retention says (a legal hold); empty for none.
	Hold string `json:"hold,omitempty"`
	// Messages are the odd ones of a strange dump, and the reason of a partial one.
	Messages []string `json:"messages,omitempty"`
	// Metadata are the documents that the source gave with the dump (a domain's XML), by name. They are kept with it, and
	// given only when asked for: a dump that was looked up or listed has none.
	Metadata map[string][]byte `json:"-"`
}

// Outcome is the status with the reason, for messages: "partial: part 3 is missing".
func (d Dump) Outcome() string {
	return strings.Join(append([]string{string(d.Status)}, d.Messages...), ": ")
}

// ProgramImage is the program field of our own streams: qcow2 files. Amanda does not know it, which is what makes its
// commands hand the stream out as it is.
const ProgramImage = "HOLDFAST-QCOW2"

// ProgramRecord is the program field of the catalog records on media (package record): files on volumes that are no dumps.
const ProgramRecord = "HOLDFAST-CATALOG"

// Copy is one complete or partial placement of a dump on the volumes of a storage.
type Copy struct {
	Dump    DumpID `json:"dump"`
	Storage string `json:"storage"`
	// WriteStamp is the stamp of the run that wrote the copy (later than the dump's for a flush).
	WriteStamp Stamp  `json:"write_stamp"`
	Status     Status `json:"status"`
	// Parts in order of their numbers, from 1.
	Parts []Part `json:"parts"`
}

// Covers tells what c lacks to be the whole of d's stored stream, going by the numbers of its parts; nil for nothing.
func (c Copy) Covers(d Dump) error {
	var end int64
	for i, p := range c.Parts {
		switch {
		case p.Number != i+1:
			return fmt.Errorf("copy of %s in %s: part %d is missing", c.Dump, c.Storage, i+1)
		case p.Offset != end || p.Bytes < 0:
			return fmt.Errorf("copy of %s in %s: part %d has bytes %d+%d, want it to begin at %d",
				c.Dump, c.Storage, p.Number, p.Offset, p.Bytes, end)
		}
		end += p.Bytes
	}
	if len(c.Parts) == 0 || end != d.StoredBytes {
		return fmt.Errorf("copy of %s in %s: its %d parts hold %d bytes of %d", c.Dump, c.Storage, len(c.Parts), end, d.StoredBytes)
	}
	return nil
}

// Wanted is a copy that is still to be made: of a dump that was not written to one of its storages yet, or is to be copied
// there when it is old enough. It is recorded with the dump and forgotten when the copy is whole.
type Wanted struct {
	Dump    DumpID    `json:"dump"`
	Storage string    `json:"storage"`
	Due     time.Time `json:"due"`
}

// Part is a piece of a dump on a volume.
type Part struct {
	Dump       DumpID `json:"dump"`
	Storage    string `json:"storage"`
	WriteStamp Stamp  `json:"write_stamp"`
	// Number counts from 1 over the whole dump.
	Number int `json:"number"`
	// Label and File tell where the part lies: volume and file number on it.
	Label Label `json:"label"`
	File  int   `json:"file"`
	// Offset is where in the stored stream the part begins; Bytes its length; CRC the CRC-32C of these bytes.
	Offset int64  `json:"offset"`
	Bytes  int64  `json:"bytes"`
	CRC    uint32 `json:"crc"`
	// HeaderCRC is the CRC-32C of the part's 32 KiB header block as written.
	HeaderCRC uint32 `json:"header_crc"`
}

// Holding is a dump's place on a holding disk: its chunks in order, absolute paths.
type Holding struct {
	Dump   DumpID         `json:"dump"`
	Chunks []HoldingChunk `json:"chunks"`
}

// HoldingChunk is one file of a dump on a holding disk; Bytes counts the stream's bytes, not the 32 KiB header.
type HoldingChunk struct {
	Path      string `json:"path"`
	Bytes     int64  `json:"bytes"`
	CRC       uint32 `json:"crc"`
	HeaderCRC uint32 `json:"header_crc"`
}
