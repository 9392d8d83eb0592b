//go:build cgo

package frames

import (
	"encoding/binary"
	"fmt"

	"github.com/DataDog/zstd"
	"github.com/cespare/xxhash/v2"
)

// newCodec makes the codec of this build: the C library, which takes about half the time per byte.
func newCodec(l Level) (codec, error) { return newCCodec(l) }

// cCodec is the reference zstd library. Its contexts are C memory that a finalizer frees.
type cCodec struct {
	ctx   zstd.Ctx
	level int
}

func newCCodec(l Level) (codec, error) {
	level := 3
	switch l {
	case Fast:
		level = 1
	case Best:
		level = 9
	}
	return &cCodec{ctx: zstd.NewCtx(), level: level}, nil
}

// encode adds the content checksum itself, because the binding's one-shot call cannot ask the library for it.
func (c *cCodec) encode(dst, src []byte) ([]byte, error) {
	if bound := zstd.CompressBound(len(src)) + frameChecksumBytes; cap(dst) < bound {
		dst = make([]byte, 0, bound)
	}
	out, err := c.ctx.CompressLevel(dst, src, c.level)
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	out[descriptorAt] |= descriptorChecksum
	return binary.LittleEndian.AppendUint32(out, uint32(xxhash.Sum64(src))), nil
}

func (c *cCodec) decode(dst, frame []byte) error {
	n, err := c.ctx.DecompressInto(dst, frame)
	if err != nil {
		return fmt.Errorf("zstd: %w", err)
	}
	if n != len(dst) {
		return errContentSize
	}
	return nil
}
