package holding

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"holdfast/catalog"
	"holdfast/internal/joined"
	"holdfast/internal/vfs"
	"holdfast/vtape"
)

// verifyBytes is how much Verify reads at a time.
const verifyBytes = 1 << 20

// Reader reads a dump on a holding disk; it is a vtape.Stream. Errors name the chunk.
type Reader struct {
	*joined.Reader
	fs     vfs.FS
	held   catalog.Holding
	header vtape.Header
}

// Open opens a dump that the catalog knows. The sizes of all chunks are checked now, the headers of the others when
// they are read. What the catalog does not know of a chunk (checksums that are 0) is not checked.
func Open(fsys vfs.FS, held catalog.Holding) (*Reader, error) {
	if len(held.Chunks) == 0 {
		return nil, fmt.Errorf("open holding: %s: no chunks", held.Dump)
	}
	r := &Reader{fs: fsys, held: held}
	var pieces []joined.Piece
	for i, c := range held.Chunks {
		info, err := fsys.Stat(c.Path)
		if err == nil && info.Size() != vtape.HeaderBytes+c.Bytes {
			err = fmt.Errorf("%d bytes, want %d", info.Size(), vtape.HeaderBytes+c.Bytes)
		}
		if err != nil {
			return nil, fmt.Errorf("open holding: %s: chunk %s: %w", held.Dump, c.Path, vfs.Cause(err))
		}
		pieces = append(pieces, joined.Piece{
			Bytes: c.Bytes,
			Open:  func() (joined.ReaderAtCloser, error) { return r.open(i) },
		})
	}
	first, err := r.open(0)
	if err != nil {
		return nil, err
	}
	_ = first.Close() // it was only read
	r.header = first.header
	r.Reader = joined.New(pieces)
	return r, nil
}

// Header is the header of the first chunk.
func (r *Reader) Header() vtape.Header { return r.header }

// Locate tells which chunk holds the byte at off.
func (r *Reader) Locate(off int64) vtape.Place {
	i, within := r.Find(off)
	c := r.held.Chunks[i]
	return vtape.Place{Path: c.Path, Offset: vtape.HeaderBytes + within, Left: c.Bytes - within}
}

// Verify reads all chunks and compares them with the checksums of the catalog. It stops at the first that is wrong.
func (r *Reader) Verify(ctx context.Context) error {
	buf := make([]byte, verifyBytes)
	for i, c := range r.held.Chunks {
		f, err := r.open(i)
		if err != nil {
			return err
		}
		sum, err := checksum(ctx, io.NewSectionReader(f, 0, c.Bytes), buf)
		if err == nil && c.CRC != 0 && sum != c.CRC {
			err = fmt.Errorf("holding chunk %s: checksum %08x, want %08x", c.Path, sum, c.CRC)
		}
		_ = f.Close() // it was only read
		if err != nil {
			return err
		}
	}
	return nil
}

func checksum(ctx context.Context, from io.Reader, buf []byte) (uint32, error) {
	var sum uint32
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n, err := from.Read(buf)
		sum = crc32.Update(sum, vtape.Castagnoli, buf[:n])
		if err == io.EOF {
			return sum, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// chunkFile is an open chunk; offsets count from the end of its header.
type chunkFile struct {
	vfs.File
	header vtape.Header
	bytes  int64
}

func (r *Reader) open(i int) (*chunkFile, error) {
	c := r.held.Chunks[i]
	f, err := r.fs.OpenFile(c.Path, os.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("holding chunk %s: %w", c.Path, vfs.Cause(err))
	}
	header, chunk, err := readHeaderOf(f)
	if err == nil {
		err = checkHeader(header, r.held.Dump, i == 0)
	}
	if err == nil && c.HeaderCRC != 0 && chunk.HeaderCRC != c.HeaderCRC {
		err = fmt.Errorf("header has checksum %08x, want %08x", chunk.HeaderCRC, c.HeaderCRC)
	}
	if err != nil {
		_ = f.Close() // it was only read
		return nil, fmt.Errorf("holding chunk %s: %w", c.Path, err)
	}
	return &chunkFile{File: f, header: header, bytes: c.Bytes}, nil
}

// ReadAt reads data. A chunk cut short since Open is an error, not an end.
func (f *chunkFile) ReadAt(p []byte, off int64) (int, error) {
	if off >= f.bytes {
		return 0, io.EOF
	}
	n, err := f.File.ReadAt(p[:min(int64(len(p)), f.bytes-off)], vtape.HeaderBytes+off)
	if err == io.EOF && off+int64(n) < f.bytes {
		err = io.ErrUnexpectedEOF
	}
	if err == nil && n < len(p) {
		err = io.EOF
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("holding chunk %s: at byte %d: %w", f.Name(), vtape.HeaderBytes+off, vfs.Cause(err))
	}
	return n, err
}
