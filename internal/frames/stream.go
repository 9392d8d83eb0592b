package frames

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// streamWindowBytes is the most a zstd stream may ask a sequential reader to remember: what `zstd -d` allows, so
// streams made with --ultra or --long=27 are read.
const streamWindowBytes = 128 << 20

// NewStreamReader reads a stored stream front to back: any zstd stream (with or without seek table), gzip, or, for
// compress "", the bytes as they are; decrypted first when identities are given. compress is "zstd", "gzip" or "".
// Zero bytes after the end of a gzip stream, a medium's padding, are passed over. A zstd stream that was cut between two
// frames ends as if it were whole: compare the length. Close does not close r.
func NewStreamReader(r io.Reader, compress string, identities []age.Identity) (io.ReadCloser, error) {
	if identities != nil {
		plain, err := age.Decrypt(r, identities...)
		if err != nil {
			return nil, fmt.Errorf("open stream: %w", identityError(err))
		}
		r = plain
	}
	switch compress {
	case "":
		return io.NopCloser(r), nil
	case "zstd":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(streamWindowBytes), zstd.WithDecoderMaxMemory(streamWindowBytes))
		if err != nil {
			return nil, fmt.Errorf("open stream: zstd: %w", err)
		}
		return d.IOReadCloser(), nil
	case "gzip":
		g := &gzipReader{src: bufio.NewReaderSize(r, windowBytes)}
		if err := g.next(); err != nil {
			return nil, fmt.Errorf("open stream: gzip: %w", err)
		}
		return g, nil
	}
	return nil, fmt.Errorf("open stream: compression %q: want zstd, gzip or none", compress)
}

// gzipReader reads the members of a gzip stream one by one, so that it knows where the stream ends.
type gzipReader struct {
	src *bufio.Reader
	zr  *gzip.Reader
	err error
}

func (g *gzipReader) next() (err error) {
	if g.zr == nil {
		g.zr, err = gzip.NewReader(g.src)
	} else {
		err = g.zr.Reset(g.src)
	}
	if err == nil {
		g.zr.Multistream(false)
	}
	return err
}

// Read implements io.Reader.
func (g *gzipReader) Read(p []byte) (int, error) {
	for g.err == nil {
		n, err := g.zr.Read(p)
		if err == nil || n > 0 && errors.Is(err, io.EOF) {
			return n, nil
		}
		if !errors.Is(err, io.EOF) {
			g.err = fmt.Errorf("gzip: %w", err)
			return n, g.err
		}
		g.err = g.afterMember()
	}
	return 0, g.err
}

// afterMember goes to the next member, or to the end past zeros.
func (g *gzipReader) afterMember() error {
	b, err := g.src.Peek(1)
	if err != nil {
		return err // io.EOF: the end
	}
	if b[0] == 0 {
		return g.skipZeros()
	}
	if err := g.next(); err != nil {
		return fmt.Errorf("gzip: after the end of a member: %w", err)
	}
	return nil
}

func (g *gzipReader) skipZeros() error {
	for {
		b, err := g.src.ReadByte()
		if err != nil {
			return err
		}
		if b != 0 {
			return errors.New("gzip: garbage after the end of the stream")
		}
	}
}

// Close implements io.Closer.
func (g *gzipReader) Close() error { return g.zr.Close() }
