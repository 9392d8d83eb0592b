package taper

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"

	"holdfast/catalog"
	"holdfast/vtape"
)

// part is the part being written.
type part struct {
	*copying
	v     *volume
	w     vtape.PartWriter
	bytes int64
	sum   uint32 // of the part
	total uint32 // of the stream up to here
}

// fill writes until the part has its size, the volume ends (end), or the dump does.
func (p *part) fill(ctx context.Context) (end bool, err error) {
	size := p.t.o.PartBytes
	if size == 0 {
		size = math.MaxInt64
	} else if s, ok := p.v.Device.(vtape.Striped); ok {
		align := s.AlignBytes()
		size = (size + align - 1) / align * align
	}
	for p.bytes < size {
		if ctx.Err() != nil {
			return false, p.interrupt(ctx, context.Cause(ctx))
		}
		more, err := p.in.more()
		if err != nil {
			return false, p.interrupt(ctx, err)
		}
		if !more {
			return false, nil
		}
		data := p.in.next(size - p.bytes)
		n, err := p.w.Write(data)
		p.took(data[:n])
		if errors.Is(err, vtape.ErrEndOfMedium) {
			return true, nil
		}
		if err == nil && n < len(data) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return false, p.lose(ctx, err)
		}
	}
	return false, nil
}

func (p *part) took(data []byte) {
	p.in.take(len(data))
	p.bytes += int64(len(data))
	p.sum = crc32.Update(p.sum, vtape.Castagnoli, data)
	p.total = crc32.Update(p.total, vtape.Castagnoli, data)
}

// finish makes the part durable and records it. The last part of a stream gets the header with what is known now.
func (p *part) finish(ctx context.Context, seconds func() float64) error {
	more, err := p.in.more()
	if err != nil {
		return p.interrupt(ctx, err)
	}
	if !more && p.d.Held != nil {
		if err := p.checkHeld(); err != nil {
			return p.interrupt(ctx, err)
		}
	}
	if !more && p.d.Held == nil {
		h := p.finalHeader()
		if _, err := h.Block(); err != nil {
			return p.interrupt(ctx, err)
		}
		if err := p.w.SetHeader(h); err != nil {
			return p.lose(ctx, err)
		}
	}
	headerCRC, err := p.w.Close()
	if err != nil {
		return p.lose(ctx, err)
	}
	return p.record(ctx, headerCRC, seconds())
}

// checkHeld compares what was read with what was written when the dump was made: a copy of wrong bytes must not pass.
func (p *part) checkHeld() error {
	want, bytes := p.d.Header.Server, p.res.Bytes+p.bytes
	if want.Bytes == 0 || want.Bytes == bytes && want.Sum == p.total {
		return nil
	}
	return fmt.Errorf("the dump read has %d bytes with checksum %08x, its header says %d with %08x",
		bytes, p.total, want.Bytes, want.Sum)
}

func (p *part) finalHeader() vtape.Header {
	if p.final == nil {
		h := p.d.Header
		if p.d.Final != nil {
			h = p.d.Final()
		}
		p.final = &h
	}
	h := p.partHeader(*p.final)
	h.Server = vtape.CRC{Sum: p.total, Bytes: p.res.Bytes + p.bytes}
	if h.Image != nil {
		image := *h.Image
		image.StoredBytes = h.Server.Bytes
		h.Image = &image
	}
	return h
}

// lose gives the part up because of its volume.
func (p *part) lose(ctx context.Context, cause error) error {
	_ = p.w.Abort() // as far as the volume still can; nothing more is written to it, and the part is not recorded
	return p.fault(ctx, p.v, cause)
}

// interrupt ends the part because of its dump. What is there of it stays, marked as partial.
func (p *part) interrupt(ctx context.Context, cause error) error {
	headerCRC, err := p.closePartial()
	if err == nil && p.bytes > 0 {
		err = p.record(ctx, headerCRC, 0)
	} else if err != nil {
		_ = p.w.Abort()
		err = p.t.finishVolume(ctx, fmt.Errorf("volume %s file %d: %w", p.v.Label, p.v.next, err))
	}
	return errors.Join(cause, err)
}

func (p *part) closePartial() (headerCRC uint32, err error) {
	if p.bytes == 0 {
		return 0, p.w.Abort()
	}
	h := p.header()
	h.Partial = true
	if err := p.w.SetHeader(h); err != nil {
		return 0, err
	}
	return p.w.Close()
}

// record tells of a part that is durable.
func (p *part) record(ctx context.Context, headerCRC uint32, seconds float64) error {
	done := catalog.Part{
		Dump: p.d.ID, Storage: p.t.o.Storage, WriteStamp: p.t.o.WriteStamp,
		Number: len(p.res.Parts) + 1, Label: p.v.Label, File: p.v.next,
		Offset: p.res.Bytes, Bytes: p.bytes, CRC: p.sum, HeaderCRC: headerCRC,
	}
	p.res.Parts = append(p.res.Parts, done)
	p.res.Bytes += p.bytes
	p.res.CRC = p.total
	if !slices.Contains(p.res.Volumes, p.v.Label) {
		p.res.Volumes = append(p.res.Volumes, p.v.Label)
	}
	p.v.next++
	p.v.files++
	p.v.bytes += vtape.HeaderBytes + p.bytes
	if err := p.t.o.Feedback.PartWritten(context.WithoutCancel(ctx), done, seconds); err != nil {
		return p.t.stop(fmt.Errorf("volume %s file %d: record part: %w", done.Label, done.File, err))
	}
	return nil
}
