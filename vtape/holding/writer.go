package holding

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path"
	"strings"

	"holdfast/catalog"
	"holdfast/internal/vfs"
	"holdfast/vtape"
)

const (
	// writeBytes is the least a write to the disk takes, but for the last.
	writeBytes = 256 << 10
	// maxNames bounds the search for a free name.
	maxNames = 10000
	// maxNameBytes is what VM and disk take of a name at most: a file system allows 255 bytes, and level, numbers and
	// suffix must fit, too.
	maxNameBytes = 200
)

// Writer writes one dump: Write, then Finish or Abort. One goroutine uses it. After an error it only takes Abort.
type Writer struct {
	h      *Holding
	res    *Reservation
	header vtape.Header // of the first chunk, as given to Create
	dir    string       // the run's directory
	sum    vtape.CRC    // over the whole stream
	buf    *bufio.Writer

	// chunks holds what is written; the last is being written to file, and left is what it still takes. The first
	// stays open until Finish, because its header is written again then.
	chunks      []catalog.HoldingChunk
	file, first vfs.File
	left        int64

	// syncing gives the outcome of the one sync that runs beside the writing; nil when there is none.
	syncing chan error
	err     error
	named   bool // Finish has begun to give final names
	ended   bool
}

// Create begins a dump in the directory of the run. The reservation is the writer's from now on, and is given back
// when Create fails. Of the header the type and what belongs to chunks is filled in here.
func (h *Holding) Create(run catalog.Stamp, header vtape.Header, res *Reservation) (*Writer, error) {
	header.Type = vtape.TypeFile
	header.Part, header.TotalParts, header.ContFilename = 0, 0, ""
	w := &Writer{h: h, res: res, header: header, dir: path.Join(res.Path(), string(run))}
	w.buf = bufio.NewWriterSize(chunkWriter{w}, writeBytes)
	if err := w.begin(); err != nil {
		return nil, errors.Join(w.fail(err), w.Abort())
	}
	return w, nil
}

// Write appends to the dump. It gives ErrNoRoom when the dump has outgrown its reservation and there is no more, or
// when the disk is full.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.buf.Write(p)
	w.sum.Sum = crc32.Update(w.sum.Sum, vtape.Castagnoli, p[:n])
	w.sum.Bytes += int64(n)
	return n, w.fail(err)
}

// fail keeps the first error and says whose it is.
func (w *Writer) fail(err error) error {
	if err == nil {
		return nil
	}
	if w.err == nil {
		dle := catalog.DLE{VM: w.header.Host, Disk: w.header.Disk}
		w.err = fmt.Errorf("write holding: %s level %d: %w", dle, w.header.Level, noRoom(err))
	}
	return w.err
}

// chunkWriter is where the buffer of a Writer goes: it cuts the stream into chunks.
type chunkWriter struct{ w *Writer }

func (c chunkWriter) Write(p []byte) (int, error) {
	w, done := c.w, 0
	for done < len(p) {
		if w.left == 0 {
			if err := w.next(); err != nil {
				return done, err
			}
		}
		n, err := w.put(p[done:min(int64(len(p)), int64(done)+w.left)])
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// put appends to the current chunk.
func (w *Writer) put(p []byte) (int, error) {
	if err := w.res.claim(int64(len(p))); err != nil {
		return 0, err
	}
	n, err := w.file.Write(p)
	w.res.wrote(int64(n))
	w.left -= int64(n)
	chunk := &w.chunks[len(w.chunks)-1]
	chunk.Bytes += int64(n)
	chunk.CRC = crc32.Update(chunk.CRC, vtape.Castagnoli, p[:n])
	return n, err
}

// begin makes the run's directory and the first chunk.
func (w *Writer) begin() error {
	w.h.mu.Lock()
	err := w.h.fs.Mkdir(w.dir, 0o700)
	if err == nil || errors.Is(err, fs.ErrExist) {
		err = w.h.fs.SyncDir(path.Dir(w.dir))
	}
	if err == nil {
		err = w.create(w.firstName)
	}
	w.h.mu.Unlock()
	if err != nil {
		return err
	}
	w.first = w.file
	return w.addHeader(w.header)
}

// firstName is the name of the first chunk, on the given try.
func (w *Writer) firstName(try int) string {
	name := catalog.FileSafe(w.header.Host) + "." + catalog.FileSafe(w.header.Disk)
	if len(name) > maxNameBytes {
		name = strings.ToValidUTF8(name[:maxNameBytes], "") // no character cut in two
	}
	name = fmt.Sprintf("%s.%d", name, w.header.Level)
	if try > 0 {
		name = fmt.Sprintf("%s-%d", name, try+1)
	}
	return name
}

// create makes the file of the next chunk under the first name that is free. h.mu is held.
func (w *Writer) create(name func(try int) string) error {
	for try := range maxNames {
		final := path.Join(w.dir, name(try))
		if w.h.claimed[final] {
			continue
		}
		if _, err := w.h.fs.Lstat(final); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		f, err := w.h.fs.OpenFile(final+tmpSuffix, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		w.h.claimed[final] = true
		w.file = f
		w.left = w.h.chunkBytes - vtape.HeaderBytes
		w.chunks = append(w.chunks, catalog.HoldingChunk{Path: final})
		return nil
	}
	return fmt.Errorf("%s: %w", path.Join(w.dir, name(0)), fs.ErrExist)
}

// addHeader writes the header of the chunk just created.
func (w *Writer) addHeader(header vtape.Header) error {
	block, err := w.headerBlock(len(w.chunks)-1, header)
	if err != nil {
		return err
	}
	if err := w.res.claim(vtape.HeaderBytes); err != nil {
		return err
	}
	n, err := w.file.Write(block)
	w.res.wrote(int64(n))
	return err
}

// setHeader writes the header of chunk i, which is open as f, again.
func (w *Writer) setHeader(f vfs.File, i int, header vtape.Header) error {
	block, err := w.headerBlock(i, header)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(block, 0)
	return err
}

func (w *Writer) headerBlock(i int, header vtape.Header) ([]byte, error) {
	block, err := header.Block()
	w.chunks[i].HeaderCRC = vtape.Checksum(block)
	return block, err
}

// headerOf gives the header of chunk i, which continues in the chunk named cont if that is not empty.
func (w *Writer) headerOf(i int, cont string) vtape.Header {
	header := w.header
	header.ContFilename = cont
	if i > 0 {
		header.Type = vtape.TypeContFile
		header.OrigKiB = 0
		header.Native, header.Client, header.Server = vtape.CRC{}, vtape.CRC{}, vtape.CRC{}
	}
	return header
}

// next ends the current chunk and begins another. The full one is synced while the next is written, so that Finish
// does not have to wait for all of them at once.
func (w *Writer) next() error {
	full, i := w.file, len(w.chunks)
	w.h.mu.Lock()
	err := w.create(func(try int) string {
		return fmt.Sprintf("%s.%d", path.Base(w.chunks[0].Path), i+try)
	})
	w.h.mu.Unlock()
	if err != nil {
		return err
	}
	err = w.addHeader(w.headerOf(i, ""))
	if err == nil {
		err = w.setHeader(full, i-1, w.headerOf(i-1, w.chunks[i].Path))
	}
	err = errors.Join(err, w.waitSync())
	if err != nil {
		if full != w.first {
			err = errors.Join(err, full.Close())
		}
		return err
	}
	done := make(chan error, 1)
	w.syncing = done
	keep := full == w.first
	w.h.spawn(func() {
		err := full.Sync()
		if !keep {
			err = errors.Join(err, full.Close())
		}
		done <- err
	})
	return nil
}

// waitSync waits for the sync that runs beside, if one does.
func (w *Writer) waitSync() error {
	if w.syncing == nil {
		return nil
	}
	err := <-w.syncing
	w.syncing = nil
	return err
}
