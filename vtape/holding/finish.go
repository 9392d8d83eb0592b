package holding

import (
	"errors"
	"io/fs"

	"holdfast/catalog"
	"holdfast/vtape"
)

// Finish ends the dump: it writes the first header again as given, with the true size and checksum of the stream in
// Server (and in Image), and makes all durable under final names. When it returns nil the dump survives a loss of power.
func (w *Writer) Finish(final vtape.Header) (catalog.Holding, error) {
	if w.err != nil {
		return catalog.Holding{}, w.err
	}
	if err := w.finish(final); err != nil {
		return catalog.Holding{}, w.fail(err)
	}
	w.end()
	return catalog.Holding{Dump: w.header.DumpID(), Chunks: w.chunks}, nil
}

func (w *Writer) finish(final vtape.Header) error {
	if err := w.buf.Flush(); err != nil {
		return err
	}
	if err := w.closeFiles(w.finalHeader(final)); err != nil {
		return err
	}
	// The first chunk gets its name when those of the others last: then it is the sign of a complete dump.
	w.named = true
	for i := len(w.chunks) - 1; i > 0; i-- {
		if err := w.rename(i); err != nil {
			return err
		}
	}
	if len(w.chunks) > 1 {
		if err := w.h.fs.SyncDir(w.dir); err != nil {
			return err
		}
	}
	if err := w.rename(0); err != nil {
		return err
	}
	return w.h.fs.SyncDir(w.dir)
}

func (w *Writer) finalHeader(final vtape.Header) vtape.Header {
	final.Type = vtape.TypeFile
	final.Part, final.TotalParts, final.ContFilename = 0, 0, ""
	if len(w.chunks) > 1 {
		final.ContFilename = w.chunks[1].Path
	}
	final.Server = w.sum
	if final.Image != nil {
		image := *final.Image
		image.StoredBytes = w.sum.Bytes
		final.Image = &image
	}
	return final
}

// closeFiles makes the bytes of all chunks last.
func (w *Writer) closeFiles(final vtape.Header) error {
	if err := w.waitSync(); err != nil {
		return err
	}
	if err := w.setHeader(w.first, 0, final); err != nil {
		return err
	}
	last, first := w.file, w.first
	w.file, w.first = nil, nil
	err := first.Sync()
	err = errors.Join(err, first.Close())
	if last != first {
		err = errors.Join(err, last.Sync(), last.Close())
	}
	return err
}

func (w *Writer) rename(i int) error {
	return w.h.fs.Rename(w.chunks[i].Path+tmpSuffix, w.chunks[i].Path)
}

// end gives back what belongs to a dump while it is written.
func (w *Writer) end() {
	w.ended = true
	w.res.Release()
	w.h.mu.Lock()
	defer w.h.mu.Unlock()
	for _, c := range w.chunks {
		delete(w.h.claimed, c.Path)
	}
}

// Abort removes the dump and gives its room back. It does nothing after Finish has succeeded, or the second time.
func (w *Writer) Abort() error {
	if w.ended {
		return nil
	}
	defer w.end()
	if w.err == nil {
		w.err = fs.ErrClosed
	}
	_ = w.waitSync() // the bytes are not wanted any more
	if w.file != nil && w.file != w.first {
		_ = w.file.Close()
	}
	if w.first != nil {
		_ = w.first.Close()
	}
	if w.named {
		if err := w.h.removeChunks(w.chunks); err != nil {
			return err // rather a dump too many than a first chunk without the others
		}
	}
	var errs []error
	for _, c := range w.chunks {
		errs = append(errs, w.h.remove(c.Path+tmpSuffix))
	}
	return errors.Join(append(errs, w.h.removeIfEmpty(w.dir))...)
}
