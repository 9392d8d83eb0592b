package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"holdfast/dumpers"
	"holdfast/internal/throttle"
	"holdfast/scheduler/run/driving"
)

// watchedView tells the driver that a source is alive, holds it to the rate of its interface, and gives up a read that does
// not come back: a goroutine is left behind with it, and ends when it does.
type watchedView struct {
	dumpers.BlockView
	ctx  context.Context // of the attempt: the view lives no longer
	task *driving.Task
	line *throttle.Bucket
}

func (d *dumping) watched(ctx context.Context, view dumpers.BlockView) dumpers.BlockView {
	return watchedView{view, ctx, d.task, d.line}
}

// ReadAt reads into memory of its own, for a read that was given up may still write to it.
func (v watchedView) ReadAt(p []byte, off int64) (int, error) {
	if v.line != nil {
		done := v.task.Patient()
		err := v.line.Wait(v.ctx, len(p))
		done()
		if err != nil {
			return 0, err
		}
	}
	type result struct {
		bytes []byte
		err   error
	}
	read := make(chan result, 1)
	go func() {
		own := make([]byte, len(p))
		n, err := v.BlockView.ReadAt(own, off)
		read <- result{own[:n], err}
	}()
	select {
	case r := <-read:
		v.task.Alive()
		return copy(p, r.bytes), r.err
	case <-v.ctx.Done():
		return 0, fmt.Errorf("read the image at byte %d: given up: %w", off, context.Cause(v.ctx))
	}
}

// Extents tells of each extent that the source is alive.
func (v watchedView) Extents(ctx context.Context, yield func(dumpers.Extent) error) error {
	return v.BlockView.Extents(ctx, func(e dumpers.Extent) error {
		v.task.Alive()
		return yield(e)
	})
}

// unreached are the errors of a host that is not there; passing those that may be gone at the next attempt.
var (
	unreached = []error{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.EHOSTDOWN, syscall.ENETUNREACH, syscall.ENETDOWN, syscall.ETIMEDOUT}
	passing   = []error{syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE, syscall.EIO, syscall.ESTALE, syscall.EAGAIN, syscall.EBUSY,
		syscall.EINTR, io.ErrUnexpectedEOF, driving.ErrTimeout, driving.ErrGiveWay}
)

// outcome tells the driver what the end of an attempt means.
func outcome(err error) driving.Outcome {
	o := driving.Outcome{Err: err, Fatal: errors.As(err, new(*catalogError))}
	if errors.As(err, new(*storageFault)) || stopped(err) {
		return o // no fault of the source
	}
	for _, target := range unreached {
		o.HostDown = o.HostDown || errors.Is(err, target)
	}
	o.Again = o.HostDown
	for _, target := range passing {
		o.Again = o.Again || errors.Is(err, target)
	}
	return o
}
