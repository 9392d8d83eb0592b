package nbd

import (
	"context"
	"errors"
	"fmt"
)

// Span is a run of bytes to read.
type Span struct{ Start, Length int64 }

// Piece is what a stream delivers: a part of a span, never over StreamOptions.PieceBytes.
type Piece struct {
	// Start is the offset of the first byte.
	Start int64
	// Data are valid until the function they were delivered to returns.
	Data []byte
	// Zero: the server has said that these are zeros; otherwise they may be. It says so only to a client without a map.
	Zero bool
}

// StreamOptions say how far a stream reads ahead. It holds Ahead buffers of PieceBytes, however long it is.
type StreamOptions struct {
	// PieceBytes is the length of a read, a power of two; 0 stands for 256 KiB. Reads end at its multiples.
	PieceBytes int
	// Ahead is how many reads are under way or wait to be delivered; 0 stands for 32.
	Ahead int
}

// pieceBytes is where reads of a local server are fastest.
const pieceBytes = 256 << 10

// reading is a read of a stream under way.
type reading struct {
	conn *conn
	call *call
	span Span // the part of it that was asked for
}

// stream is the state that the side that asks and the side that delivers share.
type stream struct {
	c       *Client
	piece   int64
	buffers chan []byte   // free ones; nil for one not made yet
	queue   chan *reading // in order; holds as many as there are buffers, so that sending never waits
}

// Spans yields runs to read, until there are no more or yield returns an error, which it returns. ctx ends with the
// stream that they are for.
type Spans func(ctx context.Context, yield func(Span) error) error

// Stream reads spans, which it calls once, and calls deliver for their pieces in order, from the caller's goroutine,
// while further reads are under way on all connections. Any error of spans, of deliver or of a read ends it and is
// returned; nothing is under way then.
func (c *Client) Stream(ctx context.Context, o StreamOptions, spans Spans, deliver func(Piece) error) error {
	s := &stream{c: c, piece: int64(orDefault(o.PieceBytes, pieceBytes))}
	if s.piece&(s.piece-1) != 0 {
		return fmt.Errorf("stream %s: pieces of %d bytes, not a power of two", c.where, s.piece)
	}
	// BlockMin is a power of two and at most BlockMax, so what comes of this is a multiple of it.
	for s.piece > max(c.info.BlockMax, c.info.BlockMin) {
		s.piece /= 2
	}
	s.piece = max(s.piece, c.info.BlockMin)
	ahead := orDefault(o.Ahead, 32)
	s.buffers, s.queue = make(chan []byte, ahead), make(chan *reading, ahead)
	for range ahead {
		s.buffers <- nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		defer close(s.queue)
		if err := spans(ctx, func(sp Span) error { return s.ask(ctx, sp) }); err != nil {
			cancel(err) // what was asked before is not delivered any more
		}
	}()
	err := s.deliver(ctx, deliver)
	cancel(err)
	for r := range s.queue {
		r.conn.abandon(r.call)
	}
	return err
}

// ask cuts a span into pieces, and sends the reads off as buffers become free.
func (s *stream) ask(ctx context.Context, sp Span) error {
	if err := s.c.inside(sp.Start, sp.Length); err != nil {
		return s.c.explainRange(cmdRead, sp.Start, sp.Length, err)
	}
	for sp.Length > 0 {
		part := Span{sp.Start, min(sp.Length, s.piece-sp.Start%s.piece)}
		var buf []byte
		select {
		case buf = <-s.buffers:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if buf == nil {
			buf = make([]byte, s.piece)
		}
		from, to := s.c.aligned(part.Start, part.Length)
		r := &reading{conn: s.c.pick(), span: part}
		r.call = &call{cmd: cmdRead, flags: s.c.read, offset: from, length: to - from, buf: buf[:to-from]}
		if err := r.conn.start(ctx, r.call); err != nil {
			return s.c.explain(r.call, err)
		}
		s.queue <- r
		sp = Span{sp.Start + part.Length, sp.Length - part.Length}
	}
	return nil
}

// deliver hands over what was read, in the order in which it was asked for.
func (s *stream) deliver(ctx context.Context, deliver func(Piece) error) error {
	for r := range s.queue {
		if err := r.conn.wait(ctx, r.call); err != nil {
			if cause := context.Cause(ctx); cause != nil && errors.Is(err, ctx.Err()) {
				return cause
			}
			return s.c.explain(r.call, err)
		}
		skip := r.span.Start - r.call.offset
		piece := Piece{Start: r.span.Start, Data: r.call.buf[skip : skip+r.span.Length], Zero: r.call.zeros == r.call.length}
		if err := deliver(piece); err != nil {
			return err
		}
		s.buffers <- r.call.buf[:cap(r.call.buf)]
	}
	return context.Cause(ctx)
}
