package nbd

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

// zeros to write, where a server has no command for it.
var zeros [64 << 10]byte

// Write writes p from off on, both aligned to BlockMin (ErrUnaligned). With FUA the data are on stable storage when it
// returns. After an error it is not known how much was written.
func (c *Client) Write(ctx context.Context, p []byte, off int64, flags Flags) error {
	flags, flush, err := c.writable(off, int64(len(p)), flags&FUA)
	if err != nil {
		return c.explainRange(cmdWrite, off, int64(len(p)), err)
	}
	for len(p) > 0 {
		n := min(int64(len(p)), c.info.BlockMax)
		if err := c.do(ctx, &call{cmd: cmdWrite, flags: flags, offset: off, length: n, payload: p[:n]}); err != nil {
			return err
		}
		p, off = p[n:], off+n
	}
	return c.flushIf(ctx, flush)
}

// Zero makes a range read as zeros, aligned as for Write. Flags are FUA, NoHole and FastZero. Where the server has no
// command for it, zeros are written; not with FastZero, which then gives ErrUnsupported. A server that finds zeroing
// slow answers FastZero with ENOTSUP.
func (c *Client) Zero(ctx context.Context, off, length int64, flags Flags) error {
	fast := flags&FastZero != 0
	if fast && !c.info.FastZero {
		return c.explainRange(cmdWriteZeroes, off, length, fmt.Errorf("fast zeroing: %w", ErrUnsupported))
	}
	if !c.info.Zeroes {
		return c.writeZeros(ctx, off, length, flags)
	}
	return c.sweep(ctx, &call{cmd: cmdWriteZeroes, flags: flags, offset: off, length: length})
}

func (c *Client) writeZeros(ctx context.Context, off, length int64, flags Flags) error {
	for length > 0 {
		n := min(length, int64(len(zeros)))
		if err := c.Write(ctx, zeros[:n], off, flags); err != nil {
			return err
		}
		off, length = off+n, length-n
	}
	return nil
}

// Trim tells the server that a range is not needed any more. What it reads as then is not defined. ErrUnsupported where
// the export has it not. The only flag is FUA.
func (c *Client) Trim(ctx context.Context, off, length int64, flags Flags) error {
	if !c.info.Trim {
		return c.explainRange(cmdTrim, off, length, ErrUnsupported)
	}
	return c.sweep(ctx, &call{cmd: cmdTrim, flags: flags & FUA, offset: off, length: length})
}

// Cache asks the server to have a range at hand. ErrUnsupported where the export has it not.
func (c *Client) Cache(ctx context.Context, off, length int64) error {
	err := c.inside(off, length)
	if err == nil && !c.info.Cache {
		err = ErrUnsupported
	}
	if err != nil {
		return c.explainRange(cmdCache, off, length, err)
	}
	from, to := c.aligned(off, length)
	for ; from < to; from += c.info.BlockMax {
		n := min(to-from, c.info.BlockMax)
		if err := c.do(ctx, &call{cmd: cmdCache, offset: from, length: n}); err != nil {
			return err
		}
	}
	return nil
}

// Flush returns when all writes that have returned before it was called are on stable storage. ErrUnsupported where the
// export cannot promise that.
func (c *Client) Flush(ctx context.Context) error {
	if !c.info.Flush {
		return c.explainRange(cmdFlush, 0, 0, ErrUnsupported)
	}
	return c.do(ctx, &call{cmd: cmdFlush})
}

// sweep carries a request without payload out, in steps.
func (c *Client) sweep(ctx context.Context, whole *call) error {
	off, length := whole.offset, whole.length
	flags, flush, err := c.writable(off, length, whole.flags)
	if err != nil {
		return c.explain(whole, err)
	}
	for length > 0 {
		n := min(length, sweepMax)
		if err := c.do(ctx, &call{cmd: whole.cmd, flags: flags, offset: off, length: n}); err != nil {
			return err
		}
		off, length = off+n, length-n
	}
	return c.flushIf(ctx, flush)
}

// writable checks a range to be written. Where FUA is wanted and not to be had, a flush is to follow.
func (c *Client) writable(off, length int64, flags Flags) (_ Flags, flush bool, err error) {
	if err := c.inside(off, length); err != nil {
		return 0, false, err
	}
	least := c.info.BlockMin
	switch {
	case c.info.ReadOnly:
		return 0, false, ErrReadOnly
	case off%least != 0 || length%least != 0 && off+length != c.info.SizeBytes:
		return 0, false, fmt.Errorf("%w of %d", ErrUnaligned, least)
	case flags&FUA != 0 && !c.info.FUA && !c.info.Flush:
		return 0, false, fmt.Errorf("force unit access: %w", ErrUnsupported)
	case flags&FUA != 0 && !c.info.FUA:
		return flags &^ FUA, true, nil
	}
	return flags, false, nil
}

func (c *Client) flushIf(ctx context.Context, flush bool) error {
	if !flush {
		return nil
	}
	return c.Flush(ctx)
}

// IsSlowZero tells whether an error of Zero with FastZero says that zeroing is possible but slow here.
func IsSlowZero(err error) bool { return errors.Is(err, syscall.ENOTSUP) }
