package frames

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"filippo.io/age"
)

// ReadOptions say what a stored stream is. They come from its header or the catalog; nothing is probed.
type ReadOptions struct {
	// Compress is false for streams of level None.
	Compress bool
	// Identities open an encrypted stream; nil for one that is not encrypted.
	Identities []age.Identity
	// RawBytes is the length the raw stream should have; 0 when it is not known.
	RawBytes int64
}

// Reader reads the raw bytes of a stored stream at random. It is safe for concurrent use.
type Reader struct {
	src      source
	compress bool
	index    index // of a compressed stream
	found    int64 // raw bytes that are there
	size     int64 // raw bytes that should be there
	rebuilt  error
	newCodec newCodecFunc
	scratch  sync.Pool // of *scratch
	cache    frameCache
}

// Open reads what it needs to find frames: the encryption header, the last chunk, the seek table. ErrNoIdentity means
// that the keys do not fit. A stream whose end is damaged or missing is opened none the less: see Rebuilt.
func Open(r io.ReaderAt, storedBytes int64, o ReadOptions) (*Reader, error) {
	return open(r, storedBytes, o, newCodec)
}

func open(r io.ReaderAt, storedBytes int64, o ReadOptions, newCodec newCodecFunc) (*Reader, error) {
	rd := &Reader{compress: o.Compress, newCodec: newCodec}
	if storedBytes < 0 || o.RawBytes < 0 {
		return nil, fmt.Errorf("open stream: %d bytes stored of %d raw", storedBytes, o.RawBytes)
	}
	var end error
	if o.Identities == nil {
		rd.src = plainSource{r: r, size: storedBytes}
	} else {
		src, e, err := openAge(r, storedBytes, o.Identities)
		if err != nil {
			return nil, fmt.Errorf("open stream: %w", err)
		}
		rd.src, end = src, e
	}
	rd.found = rd.src.sizeBytes()
	if o.Compress {
		rd.index, rd.rebuilt = loadIndex(rd.src)
		rd.found = rd.index.rawBytes()
	}
	rd.rebuilt = errors.Join(end, rd.rebuilt)
	if o.Compress && rd.found == 0 && rd.rebuilt != nil {
		return nil, fmt.Errorf("open stream: %w", noFrames(r, o, rd.rebuilt))
	}
	if err := rd.setSize(o.RawBytes); err != nil {
		return nil, fmt.Errorf("open stream: %w", err)
	}
	return rd, nil
}

// noFrames says why nothing at all was found; the commonest reason is a key that was not given.
func noFrames(r io.ReaderAt, o ReadOptions, why error) error {
	intro := make([]byte, len(ageIntro))
	if o.Identities == nil && readFull(r, intro, 0) == nil && string(intro) == ageIntro {
		return fmt.Errorf("%w: the stream is encrypted, and no key was given", ErrNoIdentity)
	}
	return why
}

// setSize compares what was found with what was expected (0: nothing). Level None may have more: zeros.
func (r *Reader) setSize(want int64) error {
	r.size = r.found
	switch {
	case want == 0 || want == r.found:
		return nil
	case want < r.found && !r.compress:
		r.found, r.size = want, want
		return nil
	case want < r.found || r.compress && r.rebuilt == nil:
		return fmt.Errorf("it holds %d raw bytes, not the %d expected: another stream", r.found, want)
	}
	r.size = want
	if r.rebuilt == nil {
		r.rebuilt = errTruncated
	}
	return nil
}

// Size is the length of the raw stream: the expected one if that was given, else what was found.
func (r *Reader) Size() int64 { return r.size }

// Rebuilt tells what was wrong with the end of the stream or with its seek table, so that the frames had to be found by
// walking through them; nil when all was well. Raw bytes that were not found are the last frame of the reader, and
// reading them is a *DamageError; without ReadOptions.RawBytes nobody can know of them, and Size is what was found.
func (r *Reader) Rebuilt() error { return r.rebuilt }

// Frames is the number of frames: they cover all raw bytes.
func (r *Reader) Frames() int {
	if r.found < r.size {
		return r.present() + 1
	}
	return r.present()
}

// present counts the frames that are there.
func (r *Reader) present() int {
	if r.compress {
		return len(r.index)
	}
	return int((r.found + FrameBytes - 1) / FrameBytes)
}

// FrameAt gives the frame that holds the raw byte at rawOff; -1 when there is none.
func (r *Reader) FrameAt(rawOff int64) int {
	switch {
	case rawOff < 0 || rawOff >= r.size:
		return -1
	case rawOff >= r.found:
		return r.present()
	case r.compress:
		return r.index.find(rawOff)
	}
	return int(rawOff / FrameBytes)
}

// FrameInfo tells which raw bytes frame i holds, and which bytes of the stored stream must be read for them: whole
// chunks when it is encrypted. A tail that was not found has a length of 0 there. i counts from 0 to Frames()-1.
func (r *Reader) FrameInfo(i int) (rawOff, rawLen, storedOff, storedLen int64) {
	if i == r.present() {
		end := r.src.sizeBytes()
		if end > 0 {
			off, n := r.src.stored(end-1, 1)
			end = off + n
		}
		return r.found, r.size - r.found, end, 0
	}
	f := r.entry(i)
	storedOff, storedLen = r.src.stored(f.at, int64(f.storedBytes))
	return f.raw, int64(f.rawBytes), storedOff, storedLen
}

// entry is frame i of those that are there; at level None, a piece of the stream.
func (r *Reader) entry(i int) frameEntry {
	if r.compress {
		return r.index[i]
	}
	off := int64(i) * FrameBytes
	n := uint32(min(FrameBytes, r.found-off))
	return frameEntry{raw: off, at: off, storedBytes: n, rawBytes: n}
}

// ReadFrame decodes all of frame i past the cache, into buf's memory if it suffices. Bytes that cannot be proved right
// are a *DamageError (at level None without encryption there is nothing to prove them by).
func (r *Reader) ReadFrame(ctx context.Context, i int, buf []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if i < 0 || i >= r.Frames() {
		return nil, fmt.Errorf("read frame %d: there are %d", i, r.Frames())
	}
	if i == r.present() {
		return nil, r.damage(i, errTruncated)
	}
	buf = sized(buf, int64(r.entry(i).rawBytes))
	if err := r.decode(i, buf); err != nil {
		return nil, err
	}
	return buf, nil
}

// decode fills p, which has the frame's raw length.
func (r *Reader) decode(i int, p []byte) error {
	s, err := r.getScratch()
	if err != nil {
		return fmt.Errorf("read frame %d: %w", i, err)
	}
	defer r.scratch.Put(s)
	f := r.entry(i)
	if !r.compress {
		if _, err := r.src.read(s, p, f.at, int64(f.storedBytes)); err != nil {
			return r.damage(i, err)
		}
		return nil
	}
	stored, err := r.src.read(s, nil, f.at, int64(f.storedBytes))
	if err == nil {
		err = checkFrame(stored, len(p))
	}
	if err == nil {
		err = s.codec.decode(p, stored)
	}
	if err != nil {
		return r.damage(i, err)
	}
	return nil
}

func (r *Reader) getScratch() (*scratch, error) {
	if s, ok := r.scratch.Get().(*scratch); ok {
		return s, nil
	}
	if !r.compress {
		return new(scratch), nil
	}
	c, err := r.newCodec(Default)
	return &scratch{codec: c}, err
}

func (r *Reader) damage(i int, err error) error {
	d := &DamageError{Err: err}
	d.RawOffset, d.RawLength, d.StoredOffset, d.StoredLength = r.FrameInfo(i)
	return d
}

// ReadAt implements io.ReaderAt on the raw stream. The frames read last are kept decoded, 16 MiB at most; a frame asked
// for as a whole is decoded in place. An error is that of ReadFrame, and n counts the bytes before it.
func (r *Reader) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d: negative offset", off)
	}
	for len(p) > 0 {
		i := r.FrameAt(off)
		if i < 0 {
			return n, io.EOF
		}
		if i == r.present() {
			return n, r.damage(i, errTruncated)
		}
		m, err := r.readPart(i, p, off)
		if err != nil {
			return n, err
		}
		n, p, off = n+m, p[m:], off+int64(m)
	}
	return n, nil
}

// readPart copies what frame i has for p.
func (r *Reader) readPart(i int, p []byte, off int64) (int, error) {
	f := r.entry(i)
	skip := off - f.raw
	n := int(min(int64(len(p)), int64(f.rawBytes)-skip))
	if plain, ok := r.src.(plainSource); ok && !r.compress {
		if err := readFull(plain.r, p[:n], off); err != nil {
			return 0, r.damage(i, err)
		}
		return n, nil
	}
	if n == int(f.rawBytes) {
		return n, r.decode(i, p[:n])
	}
	c := r.cache.take(i)
	defer r.cache.release(c)
	c.fill.Do(func() {
		c.data = sized(c.data, int64(f.rawBytes))
		c.err = r.decode(i, c.data)
	})
	if c.err != nil {
		return 0, c.err
	}
	return copy(p[:n], c.data[skip:]), nil
}
