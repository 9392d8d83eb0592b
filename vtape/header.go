package vtape

import (
	"hash/crc32"

	"holdfast/catalog"
)

// HeaderBytes is the size of a header block on a medium.
const HeaderBytes = 32768

// PartAlign is what the length of a part should be a multiple of, save the last part of a dump: a RAIT set of 2, 3 or 5
// fills stripes of up to 128 KiB with zeros at the end of each part, and only whole stripes come back without them.
const PartAlign = 128 << 10

// HeaderType is the second word of a header.
type HeaderType string

// The types that holdfast reads and writes.
const (
	TypeTapeStart HeaderType = "TAPESTART"
	TypeTapeEnd   HeaderType = "TAPEEND"
	TypeSplitFile HeaderType = "SPLIT_FILE"
	TypeFile      HeaderType = "FILE"
	TypeContFile  HeaderType = "CONT_FILE"
)

// Castagnoli is the table of CRC-32C, for running sums with package hash/crc32. It must not be changed.
var Castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum gives the CRC-32C of data.
func Checksum(data []byte) uint32 { return crc32.Checksum(data, Castagnoli) }

// CRC is a CRC-32C and the number of bytes it is over. Sum 0 means unknown, as in Amanda.
type CRC struct {
	Sum   uint32
	Bytes int64
}

// Header is a header block of Amanda's, as a value. Fields that do not belong to the type are empty.
type Header struct {
	Type  HeaderType
	Stamp string // datestamp of the dump, or of the volume; "X" or "0" on a volume labelled and never written
	Label catalog.Label
	// A dump file:
	Host, Disk       string
	Part, TotalParts int // of TypeSplitFile. Part from 1; TotalParts -1 when unknown (0 is written as -1)
	Level            catalog.Level
	Compress         string // the word after comp: "N", ".gz", ".zst", "cust"
	Program          string // optional to read; Amanda's amfetchdump insists on it
	Application      string
	Encrypted        bool   // without it Amanda ignores the words on encryption
	ServerCompress   string // server_custom_compress
	ClientCompress   string // client_custom_compress; not both
	ServerEncrypt    string
	ClientEncrypt    string // not both
	ServerDecryptOpt string
	ClientDecryptOpt string // not both
	ContFilename     string // next holding chunk
	Partial          bool
	OrigKiB          int64
	Native, Client   CRC
	Server           CRC
	DLEText          string // XML of the disk list entry, verbatim
	Image            *ImageInfo
	// MemberLine is what a parity set says of itself in the headers of one member, labels too: one line of JSON, which
	// package rait writes and reads. Empty on all other media, and in the headers that a set hands out.
	MemberLine string
	// RestoreCommand is the line after "To restore, ...", from its "dd" on. Empty stands for the one made
	// of the other fields.
	RestoreCommand string
}

// DumpID is the id of the dump that the header of a dump file is about.
func (h Header) DumpID() catalog.DumpID {
	return catalog.NewDumpID(catalog.DLE{VM: h.Host, Disk: h.Disk}, catalog.Stamp(h.Stamp), h.Level)
}

// ImageInfo is what Amanda's header cannot say of an image dump. It rides as one `HOLDFAST=` line of JSON that Amanda
// ignores.
type ImageInfo struct {
	// Base is the id of the dump this one is the changes since; empty for none.
	Base catalog.DumpID `json:"base,omitempty"`
	// ImageBytes is the exact virtual size.
	ImageBytes int64 `json:"image_bytes"`
	// OrigBytes is the length of the qcow2 stream, StoredBytes that of the stored one; 0 when the header was written
	// before they were known.
	OrigBytes   int64 `json:"orig_bytes,omitempty"`
	StoredBytes int64 `json:"stored_bytes,omitempty"`
	// Identity of the image at its source.
	Identity string `json:"identity,omitempty"`
	// Status is "strange" for a strange dump.
	Status string `json:"status,omitempty"`
}
