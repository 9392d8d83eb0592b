package vtape

import "holdfast/catalog"

// HeaderBytes is the size of a header block on a medium.
const HeaderBytes = 32768

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

// CRC is a CRC-32C and the number of bytes it is over. The zero value means unknown.
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
	Part, TotalParts int // Part from 1; TotalParts -1 when unknown
	Level            catalog.Level
	Compress         string // the word after comp: "N", ".gz", ".zst", "cust"
	Program          string
	Application      string
	Encrypted        bool
	ServerCompress   string // server_custom_compress
	ClientCompress   string
	ServerEncrypt    string
	ClientEncrypt    string
	ServerDecryptOpt string
	ClientDecryptOpt string
	ContFilename     string // next holding chunk
	Partial          bool
	OrigKiB          int64
	Native, Client   CRC
	Server           CRC
	DLEText          string // XML of the disk list entry, verbatim
	Image            *ImageInfo
	RestoreCommand   string // the line after "To restore, ..."; made when empty
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
