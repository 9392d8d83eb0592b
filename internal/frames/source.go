package frames

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"
	"golang.org/x/crypto/chacha20poly1305"
)

// source gives the framed stream (or, at level None, the raw one) from the stored one. It is safe for concurrent use.
type source interface {
	sizeBytes() int64
	// read gives the n bytes at off, in the scratch memory or in dst if that is not nil; all of them or an error.
	read(s *scratch, dst []byte, off, n int64) ([]byte, error)
	// stored gives the range of the stored stream that must be read for the n bytes at off.
	stored(off, n int64) (storedOff, storedLen int64)
}

// scratch is the memory one goroutine needs to read and decode a frame.
type scratch struct {
	codec  codec
	frame  []byte
	cipher []byte
}

// sized gives n bytes of memory, buf's if it suffices.
func sized(buf []byte, n int64) []byte { return slices.Grow(buf[:0], int(n))[:n] }

// readFull reads all of p. The end of the medium before that is errTruncated.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return fmt.Errorf("read stored byte %d: %w", off+int64(n), errTruncated)
	}
	return fmt.Errorf("read stored byte %d: %w", off+int64(n), err)
}

// plainSource is a stored stream that is not encrypted.
type plainSource struct {
	r    io.ReaderAt
	size int64
}

func (p plainSource) sizeBytes() int64                   { return p.size }
func (p plainSource) stored(off, n int64) (int64, int64) { return off, n }
func (p plainSource) read(s *scratch, dst []byte, off, n int64) ([]byte, error) {
	if dst == nil {
		s.frame = sized(s.frame, n)
		dst = s.frame
	}
	return dst, readFull(p.r, dst, off)
}

// ageSource reads the chunks of an age payload, each on its own: age's own random reader gives up the whole stream
// when the last chunk is damaged or missing, and reads chunk by chunk, which is slow on remote media. The file key
// comes from age; each chunk is authenticated at its place before a byte of it is used.
type ageSource struct {
	r      io.ReaderAt
	aead   cipher.AEAD
	header int64 // offset of the payload
	chunks int64 // the last one may be cut short
	stop   int64 // where the stored stream ends
	size   int64
}

// ageIntro begins every encrypted stream that is not armored.
const ageIntro = "age-encryption.org/"

var (
	errChunk  = errors.New("encrypted chunk does not authenticate")
	errAgeEnd = fmt.Errorf("%w, or its last encrypted chunk is damaged", errTruncated)
)

// openAge opens the payload of an encrypted stream. end is not nil when the stream does not end as it should; what
// there is of it can still be read.
func openAge(r io.ReaderAt, storedBytes int64, ids []age.Identity) (a *ageSource, end, err error) {
	header, err := age.ExtractHeader(io.NewSectionReader(r, 0, storedBytes))
	if err != nil {
		return nil, nil, fmt.Errorf("encryption header: %w", err)
	}
	if len(ids) == 0 {
		return nil, nil, fmt.Errorf("%w: none was given", ErrNoIdentity)
	}
	fileKey, err := age.DecryptHeader(header, ids...)
	if err != nil {
		return nil, nil, identityError(err)
	}
	nonce := make([]byte, ageNonceBytes)
	if err := readFull(r, nonce, int64(len(header))); err != nil {
		return nil, nil, fmt.Errorf("encryption header: %w", err)
	}
	key, err := hkdf.Key(sha256.New, fileKey, nonce, "payload", chacha20poly1305.KeySize)
	if err != nil {
		return nil, nil, fmt.Errorf("encryption key: %w", err)
	}
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encryption key: %w", err)
	}
	a = &ageSource{r: r, aead: aead, header: int64(len(header)) + ageNonceBytes, stop: storedBytes}
	payload := storedBytes - a.header
	a.chunks, a.size = (payload+ageChunk-1)/ageChunk, agePlainBytes(payload)
	return a, a.checkEnd(), nil
}

// checkEnd authenticates the last chunk as the last one: without that a cut at a chunk's end would go unnoticed.
func (a *ageSource) checkEnd() error {
	i := a.chunks - 1
	if a.chunks == 0 || a.size == 0 && a.stop-a.header != ageTagBytes {
		return errAgeEnd
	}
	sealed, err := a.sealed(new(scratch), i, i)
	if err != nil {
		return err
	}
	nonce := chunkNonce(i, true)
	if _, err := a.aead.Open(nil, nonce[:], sealed, nil); err != nil {
		return errAgeEnd
	}
	return nil
}

func (a *ageSource) sizeBytes() int64 { return a.size }

func (a *ageSource) stored(off, n int64) (int64, int64) {
	first, last := off/agePlainChunk, (off+max(n, 1)-1)/agePlainChunk
	from, to := a.header+first*ageChunk, min(a.stop, a.header+(last+1)*ageChunk)
	return from, max(0, to-from)
}

// sealed reads the chunks from first to last with one read.
func (a *ageSource) sealed(s *scratch, first, last int64) ([]byte, error) {
	from := a.header + first*ageChunk
	s.cipher = sized(s.cipher, min(a.stop, from+(last-first+1)*ageChunk)-from)
	return s.cipher, readFull(a.r, s.cipher, from)
}

// read decrypts whole chunks into s.frame; dst saves nothing here but the caller's copy.
func (a *ageSource) read(s *scratch, dst []byte, off, n int64) ([]byte, error) {
	if n == 0 {
		return dst, nil
	}
	first, last := off/agePlainChunk, (off+n-1)/agePlainChunk
	sealed, err := a.sealed(s, first, last)
	if err != nil {
		return nil, err
	}
	plain := sized(s.frame, (last-first+1)*agePlainChunk)[:0]
	s.frame = plain
	for i := first; i <= last; i++ {
		chunk := sealed[:min(len(sealed), ageChunk)]
		sealed = sealed[len(chunk):]
		if plain, err = a.open(plain, i, chunk); err != nil {
			return nil, fmt.Errorf("chunk at stored byte %d: %w", a.header+i*ageChunk, err)
		}
	}
	plain = plain[off-first*agePlainChunk:][:n]
	if dst == nil {
		return plain, nil
	}
	copy(dst, plain)
	return dst, nil
}

// open appends a chunk's plain text. The last chunk in store may be one from the middle of a stream that was cut.
func (a *ageSource) open(plain []byte, i int64, chunk []byte) ([]byte, error) {
	if len(chunk) <= ageTagBytes {
		return nil, errChunk
	}
	if i == a.chunks-1 {
		nonce := chunkNonce(i, true)
		if out, err := a.aead.Open(plain, nonce[:], chunk, nil); err == nil {
			return out, nil
		}
	}
	nonce := chunkNonce(i, false)
	out, err := a.aead.Open(plain, nonce[:], chunk, nil)
	if err != nil {
		return nil, errChunk
	}
	return out, nil
}

// chunkNonce is age's: the chunk's number as 11 bytes, big endian, and one byte that marks the last chunk.
func chunkNonce(i int64, last bool) (nonce [chacha20poly1305.NonceSize]byte) {
	binary.BigEndian.PutUint64(nonce[3:11], uint64(i))
	if last {
		nonce[11] = 1
	}
	return nonce
}

// identityError turns age's refusal into ErrNoIdentity, and keeps its words.
func identityError(err error) error {
	var no *age.NoIdentityMatchError
	if !errors.As(err, &no) {
		return fmt.Errorf("encryption header: %w", err)
	}
	var types bytes.Buffer
	for i, t := range no.StanzaTypes {
		if i > 0 {
			types.WriteString(", ")
		}
		fmt.Fprintf(&types, "%.20q", t)
	}
	return fmt.Errorf("%w: the stream is encrypted to %s", ErrNoIdentity, &types)
}
