package vtape

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"holdfast/catalog"
)

// Errors that callers branch on. Devices wrap them with slot, label and file.
var (
	// ErrBlank: the medium holds no label and no files.
	ErrBlank = errors.New("volume is blank")
	// ErrForeign: the medium holds something that is not a volume of ours.
	ErrForeign = errors.New("not a volume")
	// ErrEndOfMedium: the volume's capacity is reached; what was written before stays good.
	ErrEndOfMedium = errors.New("end of volume")
	// ErrNoFile: there is no file with that number.
	ErrNoFile = errors.New("no such file on the volume")
	// ErrAbsent: the medium is not there (not mounted, directory missing).
	ErrAbsent = errors.New("volume is absent")
	// ErrTaken: another writer has taken the label or the file since this one looked. Only media that can tell give it.
	ErrTaken = errors.New("taken by another writer")
)

// Damage tells where bytes on a medium are wrong. Offset and Length are bytes in the file on the medium, header
// included; Length 0 means "from there to the end".
type Damage struct {
	Label          catalog.Label
	File           int
	Offset, Length int64
	Err            error
}

// Error names volume, file and range.
func (d *Damage) Error() string {
	if d.Length == 0 {
		return fmt.Sprintf("volume %s file %d: from byte %d: %v", d.Label, d.File, d.Offset, d.Err)
	}
	return fmt.Sprintf("volume %s file %d: bytes %d to %d: %v", d.Label, d.File, d.Offset, d.Offset+d.Length-1, d.Err)
}

// Unwrap gives the cause.
func (d *Damage) Unwrap() error { return d.Err }

// File is one file on a volume, as a listing shows it. Bytes counts its data without the header.
type File struct {
	Number int
	Bytes  int64
}

// Device is one medium: a slot's directory, a prefix in a bucket, a parity set. One goroutine writes; many may read.
// Every write is durable when Close returns.
type Device interface {
	// ReadLabel reads file 0: ErrBlank, ErrForeign, ErrAbsent, or a header of type TypeTapeStart.
	ReadLabel(ctx context.Context) (Header, error)
	// Format erases the medium and writes the label. The caller has made sure that it may.
	Format(ctx context.Context, label Header) error
	// Files lists the files after the label in order of their numbers.
	Files(ctx context.Context) ([]File, error)
	// Create begins file number with its header. It gives ErrEndOfMedium when not even the header and one block fit.
	Create(ctx context.Context, number int, h Header) (PartWriter, error)
	// Open opens a file to read, the label as number 0; ErrNoFile when there is none. A header that cannot be parsed is no
	// error here: the data behind it may be good.
	Open(ctx context.Context, number int) (PartReader, error)
	// Room is how many bytes of files (headers included) still fit; it may be less by the time one writes.
	Room(ctx context.Context) (int64, error)
}

// PartWriter writes one file of a volume, front to back.
type PartWriter interface {
	// Write appends. At the end of the medium it takes what fits and returns ErrEndOfMedium with the count taken:
	// these bytes stay, and Close makes a good, short part of them. As long as all writes but a stream's last are
	// multiples of PartAlign, it takes a multiple of PartAlign then, so that the short part is one too.
	io.Writer
	// SetHeader replaces the header before Close, for what is known only at the end (sizes, checksums). A device that
	// cannot leaves the first header and returns nil.
	SetHeader(h Header) error
	// Close makes header, data and directory entry durable and returns the CRC-32C of the header block as written.
	// After an error the part is not good, and Abort is to be called.
	Close() (headerCRC uint32, err error)
	// Abort removes the file. It does nothing after a Close that succeeded.
	Abort() error
}

// PartReader reads one file of a volume; offsets count from the end of the header. ReadAt may be called concurrently.
type PartReader interface {
	io.ReaderAt
	io.Closer
	// Header is the zero Header when the block cannot be parsed.
	Header() Header
	// RawHeader is the header block as it lies on the medium.
	RawHeader() []byte
	// SizeBytes is the length of the data.
	SizeBytes() int64
}

// Striped is a Device that fills a part up with zeros to whole stripes when its length is not a multiple of AlignBytes,
// which is itself one of PartAlign. Parts that others follow should have such a length.
type Striped interface{ AlignBytes() int64 }

// Redundant is a Device that can read the same bytes in more than one way, such as a parity set. Reading does not look
// for bytes that are wrong on one of its members; who finds by a checksum that some are tries the variants.
type Redundant interface {
	// Variants gives devices that read the same volume, each leaving out some of the members. Those that leave out one
	// come first, then those that leave out two, and so on. The string names what is left out. A variant is for reading
	// only; it is made when it is asked for, and shares the members with the device.
	Variants() iter.Seq2[string, Device]
}

// Mender is a Device on which single files can be replaced. A parity set needs it of its members to write anew what is
// wrong on them, and to take back what it has written of a part that came to nothing.
type Mender interface {
	Remover
	// Relabel replaces the label's header by another for the same label (its stamp, what a set says in it) and leaves the
	// files as they are. The volume has one of the two at any time.
	Relabel(ctx context.Context, label Header) error
}
