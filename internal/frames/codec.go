package frames

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// codec makes and reads single zstd frames. An instance serves one goroutine at a time and reuses its memory.
type codec interface {
	// encode makes one frame of src (1 byte to FrameBytes) in dst's memory if it suffices: content size in the header,
	// content checksum at the end.
	encode(dst, src []byte) ([]byte, error)
	// decode fills dst from a frame that checkFrame accepted. Any other outcome than exactly len(dst) bytes whose
	// checksum is right is an error.
	decode(dst, frame []byte) error
}

// newCodecFunc makes a codec for a level; None and a codec that only decodes are the same to it.
type newCodecFunc func(Level) (codec, error)

// zeroCodec encodes a whole frame of zeros, which images are full of, once, and copies it from then on.
type zeroCodec struct {
	codec
	zeros []byte
}

func (z *zeroCodec) encode(dst, src []byte) ([]byte, error) {
	if len(src) != FrameBytes || src[0] != 0 || !bytes.Equal(src[1:], src[:FrameBytes-1]) {
		return z.codec.encode(dst, src)
	}
	if z.zeros == nil {
		zeros, err := z.codec.encode(nil, src)
		if err != nil {
			return nil, err
		}
		z.zeros = bytes.Clone(zeros)
	}
	return append(dst[:0], z.zeros...), nil
}

var errContentSize = errors.New("frame does not hold what its header says")

// goCodec is klauspost's zstd: pure Go.
type goCodec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newGoCodec(l Level) (codec, error) {
	level := zstd.SpeedDefault
	switch l {
	case Fast:
		level = zstd.SpeedFastest
	case Best:
		level = zstd.SpeedBetterCompression
	}
	// One segment: the header holds the content size whatever it is, and no window is larger than a frame.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(true), zstd.WithSingleSegment(true), zstd.WithWindowSize(FrameBytes))
	if err != nil {
		return nil, fmt.Errorf("new zstd encoder: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxMemory(FrameBytes))
	if err != nil {
		return nil, fmt.Errorf("new zstd decoder: %w", err)
	}
	return &goCodec{enc: enc, dec: dec}, nil
}

func (c *goCodec) encode(dst, src []byte) ([]byte, error) {
	return c.enc.EncodeAll(src, dst[:0]), nil
}

func (c *goCodec) decode(dst, frame []byte) error {
	out, err := c.dec.DecodeAll(frame, dst[:0:len(dst)])
	if err != nil {
		return err
	}
	if len(out) != len(dst) || (len(out) > 0 && &out[0] != &dst[0]) {
		return errContentSize
	}
	return nil
}
