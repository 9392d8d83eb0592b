package taper

import (
	"context"
	"errors"
	"fmt"
	"io"

	"holdfast/catalog"
	"holdfast/vtape"
)

// maxTries is on how many volumes one part is tried: more than that fail together only when the fault is not theirs.
const maxTries = 3

// Dump is what is to be written: either Held or Stream.
type Dump struct {
	ID catalog.DumpID
	// Header of the dump; type and part are filled in for each part.
	Header vtape.Header
	// Held is a dump at rest, HeldBytes long: on the holding disk, or on another volume. What a volume loses of it is
	// read again. If Header.Server is known, the bytes must agree with it.
	Held      io.ReaderAt
	HeldBytes int64
	// Stream is a dump read while it is made. Its Read must return when the context is cancelled. What a volume loses of
	// it is lost, and the copy fails.
	Stream io.Reader
	// Final gives the header as it is known at the end of Stream, for the last part; Server and the stored size are
	// filled in. It is called once, after the stream has ended. Nil when there is nothing to add to Header.
	Final func() vtape.Header
}

// Result is what came of a dump; with an error, how far it came.
type Result struct {
	Parts []catalog.Part
	// Bytes and CRC are size and CRC-32C of the parts joined.
	Bytes   int64
	CRC     uint32
	Volumes []catalog.Label
	Seconds float64
}

// volumeFault is an error of the volume, not of the dump: another volume may do.
type volumeFault struct{ cause error }

func (f *volumeFault) Error() string { return f.cause.Error() }
func (f *volumeFault) Unwrap() error { return f.cause }

// copying is one dump being written.
type copying struct {
	t   *Taper
	d   Dump
	in  *feed
	res Result
	// final is what d.Final gave; nil before.
	final *vtape.Header
}

// Write writes a dump, beginning on the current volume and going on with as many as it takes. When ctx is cancelled or
// the source fails, the part begun is marked PARTIAL, and kept and recorded as the others are.
func (t *Taper) Write(ctx context.Context, d Dump) (Result, error) {
	if t.stopped != nil {
		return Result{}, t.stopped
	}
	start := t.o.Clock()
	c := &copying{t: t, d: d, in: newFeed(d)}
	_, err := c.header().Block() // a header that cannot be written is no fault of a volume
	if err == nil {
		err = c.run(ctx)
	}
	c.res.Seconds = t.o.Clock().Sub(start).Seconds()
	if err != nil {
		return c.res, fmt.Errorf("write to volume: %s: %w", d.ID, err)
	}
	return c.res, nil
}

func (c *copying) run(ctx context.Context) error {
	tries := 0
	for {
		more, err := c.in.more()
		if ctx.Err() != nil {
			err = context.Cause(ctx) // before another volume is begun
		}
		if err != nil {
			return err
		}
		if !more && len(c.res.Parts) > 0 {
			return nil
		}
		begun := len(c.res.Parts)
		err = c.part(ctx)
		var fault *volumeFault
		switch {
		case errors.As(err, &fault):
			if err := c.t.finishVolume(ctx, fault.cause); err != nil {
				return err
			}
			if tries++; tries == maxTries {
				return fmt.Errorf("part %d: %d volumes failed: %w", begun+1, tries, fault.cause)
			}
			if !c.in.rewind(c.res.Bytes) {
				return fmt.Errorf("part %d is lost, and cannot be read again: %w", begun+1, fault.cause)
			}
		case err != nil:
			return err
		case len(c.res.Parts) > begun:
			tries = 0
		}
	}
}

// part writes the next part to the current volume. It writes none when the volume turns out to be full.
func (c *copying) part(ctx context.Context) error {
	v, err := c.t.volume(ctx)
	if err != nil {
		return err
	}
	start := c.t.o.Clock()
	w, err := v.Device.Create(ctx, v.next, c.header())
	if errors.Is(err, vtape.ErrEndOfMedium) {
		return c.full(ctx, v, err)
	}
	if err != nil {
		return c.fault(ctx, v, err)
	}
	p := &part{copying: c, v: v, w: w, total: c.res.CRC}
	end, err := p.fill(ctx)
	if err != nil {
		return err
	}
	if end && p.bytes == 0 {
		if err := w.Abort(); err != nil {
			return c.fault(ctx, v, err)
		}
		return c.full(ctx, v, vtape.ErrEndOfMedium)
	}
	err = p.finish(ctx, func() float64 { return c.t.o.Clock().Sub(start).Seconds() })
	if err != nil || !end {
		return err
	}
	return c.t.finishVolume(ctx, nil)
}

// header is the header of the next part.
func (c *copying) header() vtape.Header { return c.partHeader(c.d.Header) }

func (c *copying) partHeader(h vtape.Header) vtape.Header {
	h.Type, h.Part, h.TotalParts = vtape.TypeSplitFile, len(c.res.Parts)+1, -1
	h.ContFilename = ""
	return h
}

// full ends a volume that has no room left. One that never had any is at fault.
func (c *copying) full(ctx context.Context, v *volume, err error) error {
	if v.files == 0 {
		return c.fault(ctx, v, err)
	}
	return c.t.finishVolume(ctx, nil)
}

// fault says that the volume failed, unless all that failed is that the context was cancelled.
func (c *copying) fault(ctx context.Context, v *volume, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return &volumeFault{fmt.Errorf("volume %s file %d: %w", v.Label, v.next, err)}
}
