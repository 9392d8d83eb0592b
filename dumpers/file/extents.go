package file

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"holdfast/dumpers"
	"holdfast/internal/qcow2"
)

// blockBytes is what extents are rounded to.
const blockBytes = qcow2.ClusterBytes

// What a range of the top image is made of. The values are bits: those of a block's pieces are gathered.
type content uint8

const (
	own    content = 1 << iota // data in the top image
	zeroed                     // zeros by the top image's word, whatever lies below
	lower                      // data in an image below
	void                       // zeros, because no image of the chain has anything there
)

// kind is what a block of these contents is as a whole. A mixture must be read; but nothing, in the midst of other things,
// is both zeros and what the backing file has there.
func (c content) kind() dumpers.ExtentKind {
	switch {
	case c&^(zeroed|void) == 0:
		return dumpers.Zero
	case c&^(lower|void) == 0:
		return dumpers.Inherited
	}
	return dumpers.Data
}

// extents maps the top image. Inherited is what an image below holds as data; where none of them has anything, the top
// image is Zero, so a sparse disk stays sparse even where its overlay is dumped without the base.
func (c chain) extents(ctx context.Context, yield func(dumpers.Extent) error) error {
	top := c.top()
	r := rounder{sizeBytes: top.sizeBytes, yield: yield}
	err := c.walk(ctx, 0, top.sizeBytes, func(length int64, found content) error {
		return r.add(length, found)
	})
	if err != nil {
		return err
	}
	return r.flush()
}

// rounder gathers pieces of any length into runs of whole blocks.
type rounder struct {
	sizeBytes int64
	yield     func(dumpers.Extent) error

	at    int64   // end of what was added
	block content // of the block that at lies in, as far as it is known
	run   dumpers.Extent
}

// add takes the next piece, which is longer than nothing.
func (r *rounder) add(length int64, found content) error {
	for end := r.at + length; r.at < end; {
		stop := min(end, (r.at/blockBytes+1)*blockBytes)
		if r.at%blockBytes == 0 && end-r.at > blockBytes {
			stop = end / blockBytes * blockBytes // whole blocks, all alike
		}
		r.block |= found
		r.at = stop
		if r.at%blockBytes != 0 && r.at != r.sizeBytes {
			return nil
		}
		if err := r.close(); err != nil {
			return err
		}
	}
	return nil
}

// close ends a block, or several that are alike: they belong to the run if of the same kind, or begin another.
func (r *rounder) close() error {
	kind, end := r.block.kind(), r.run.Start+r.run.Length
	r.block = 0
	if r.run.Length > 0 && kind != r.run.Kind {
		if err := r.yield(r.run); err != nil {
			return err
		}
		r.run = dumpers.Extent{Start: end}
	}
	r.run.Kind = kind
	r.run.Length = r.at - r.run.Start
	return nil
}

func (r *rounder) flush() error {
	if r.run.Length == 0 {
		return nil
	}
	return r.yield(r.run)
}

// walk calls add for the pieces of a range of the chain's top image, in order and without gaps.
func (c chain) walk(ctx context.Context, start, length int64, add func(length int64, found content) error) error {
	l := c.top()
	inside := max(0, min(length, l.sizeBytes-start))
	if inside > 0 {
		var err error
		if l.image == nil {
			err = l.walkRaw(ctx, start, inside, add)
		} else {
			err = c.walkQCOW2(ctx, start, inside, add)
		}
		if err != nil {
			return err
		}
	}
	if inside < length {
		return add(length-inside, void) // past the end of a backing file
	}
	return nil
}

func (c chain) walkQCOW2(ctx context.Context, start, length int64, add func(int64, content) error) error {
	l := c.top()
	var stopped error
	err := l.image.Extents(ctx, start, length, func(e qcow2.Extent) error {
		switch {
		case e.Kind == qcow2.ExtentData:
			stopped = add(e.Length, own)
		case e.Kind == qcow2.ExtentZero:
			stopped = add(e.Length, zeroed)
		case len(c) == 1:
			stopped = add(e.Length, void)
		default:
			stopped = c[1:].walk(ctx, e.Start, e.Length, func(length int64, found content) error {
				return add(length, seenFromAbove(found))
			})
		}
		return stopped
	})
	if err == nil || stopped != nil {
		return stopped
	}
	return fmt.Errorf("map image: %s: %w", l.path, kindly(err))
}

// seenFromAbove is what the content of a backing file is to its overlay.
func seenFromAbove(found content) content {
	if found&(own|lower) != 0 {
		return lower
	}
	return void
}

// walkRaw finds the holes of a file. A device has none that one could see.
func (l *layer) walkRaw(ctx context.Context, start, length int64, add func(int64, content) error) error {
	if l.device {
		return add(length, own)
	}
	for end := start + length; start < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, err := l.seek(start, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			data, err = end, nil // nothing but a hole
		}
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
			return add(end-start, own) // the file system has no map
		}
		if err != nil {
			return err
		}
		if data = min(data, end); data > start {
			if err := add(data-start, void); err != nil {
				return err
			}
		}
		if data == end {
			return nil
		}
		hole, err := l.seek(data, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if start = min(hole, end); start == data {
			return fmt.Errorf("map image: %s: the file system calls offset %d both data and a hole", l.path, data)
		}
		if err := add(start-data, own); err != nil {
			return err
		}
	}
	return nil
}

// seek moves the offset of the file, which nothing else uses.
func (l *layer) seek(off int64, whence int) (int64, error) {
	at, err := unix.Seek(int(l.file.Fd()), off, whence)
	if err != nil {
		return 0, fmt.Errorf("map image: %s: seek from offset %d: %w", l.path, off, err)
	}
	return at, nil
}
