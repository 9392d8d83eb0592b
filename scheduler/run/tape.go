package run

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"holdfast/catalog"
	"holdfast/vtape"
	"holdfast/vtape/holding"
	"holdfast/vtape/taper"
)

// tapeJob is a dump for the taper: one that lies on the holding disk, or one that is being made.
type tapeJob struct {
	dump  catalog.Dump
	held  catalog.Holding
	flush bool // of an earlier run
	// A direct dump: what to write, what to do before the first byte is taken, and where to tell the outcome.
	direct *taper.Dump
	ready  func() error
	result chan<- tapeResult
	ctx    context.Context
}

type tapeResult struct {
	taper.Result
	err error
}

// taperLoop writes finished dumps while others are still being made: one goroutine, one volume at a time.
type taperLoop struct {
	s     *session
	taper *taper.Taper
	// off is why nothing can be written (any more); the dumps stay on the holding disk.
	off error

	mu     sync.Mutex
	cond   *sync.Cond
	queue  []tapeJob
	ended  bool
	failed error // the catalog could not be written: the run must stop
	done   chan struct{}
}

// errNoTaper: the administrator asked for no writing to volumes.
var errNoTaper = errors.New("not written to a volume: --no-taper")

// startTaper starts the taper, with what earlier runs left on the holding disk before all else.
func (s *session) startTaper(ctx context.Context, backlog []catalog.Holding) {
	l := &taperLoop{s: s, done: make(chan struct{})}
	l.cond = sync.NewCond(&l.mu)
	s.taper = l
	if s.options.NoTaper {
		l.off = errNoTaper
	}
	l.taper = taper.New(taper.Options{
		Scan: s, Feedback: s, PartBytes: int64(s.storage.PartSize), Storage: s.storage.Name,
		WriteStamp: s.stamp, RunVolumes: s.storage.RunVolumes, Clock: s.Now,
	})
	for _, h := range backlog {
		l.queue = append(l.queue, tapeJob{dump: catalog.Dump{ID: h.Dump}, held: h, flush: true})
	}
	go l.loop(ctx)
}

// add hands a dump over. It never waits.
func (l *taperLoop) add(j tapeJob) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, j)
	l.cond.Signal()
}

// stop lets the taper finish its queue and waits for it.
func (l *taperLoop) stop() error {
	l.mu.Lock()
	l.ended = true
	l.cond.Signal()
	l.mu.Unlock()
	<-l.done
	return l.failed
}

func (l *taperLoop) next() (tapeJob, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && !l.ended {
		l.cond.Wait()
	}
	if len(l.queue) == 0 {
		return tapeJob{}, false
	}
	j := l.queue[0]
	l.queue = l.queue[1:]
	return j, true
}

func (l *taperLoop) loop(ctx context.Context) {
	defer close(l.done)
	for {
		j, ok := l.next()
		if !ok {
			break
		}
		var err error
		if j.direct != nil {
			err = l.direct(j)
		} else {
			err = l.held(ctx, j)
		}
		if err != nil {
			l.off, l.failed = err, errors.Join(l.failed, err)
		}
	}
	if l.failed == nil {
		l.failed = l.s.writeRecord(ctx, l.s.storage.Name, l.taper)
	}
	if err := l.taper.Close(context.WithoutCancel(ctx)); err != nil {
		l.failed = errors.Join(l.failed, err)
	}
}

// direct writes a dump that is being made.
func (l *taperLoop) direct(j tapeJob) error {
	res := tapeResult{err: l.off}
	if l.off == nil {
		res.err = j.ready()
	}
	if res.err == nil {
		res.Result, res.err = l.taper.Write(j.ctx, *j.direct)
	}
	var err error
	if res.err != nil {
		err = l.giveUp(j.ctx, j, res, false)
	}
	j.result <- res
	return err
}

// held writes a dump from the holding disk and lets go of it there when it is safe on volumes.
func (l *taperLoop) held(ctx context.Context, j tapeJob) error {
	s := l.s
	d, err := s.Store.Dump(ctx, j.dump.ID)
	if err != nil {
		if ctx.Err() != nil {
			return nil // cancelled: the dump stays where it is
		}
		return err
	}
	j.dump = d
	if l.off != nil || ctx.Err() != nil {
		return l.giveUp(ctx, j, tapeResult{err: errors.Join(l.off, ctx.Err())}, true)
	}
	r, err := holding.Open(s.FS, j.held)
	if err != nil {
		return l.giveUp(ctx, j, tapeResult{err: err}, true)
	}
	res, err := l.taper.Write(ctx, taper.Dump{ID: d.ID, Header: r.Header(), Held: r, HeldBytes: r.Size()})
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return l.giveUp(ctx, j, tapeResult{res, err}, true)
	}
	return s.taped(context.WithoutCancel(ctx), j, res)
}

// taped records the copy, and only then releases what it was made from.
func (s *session) taped(ctx context.Context, j tapeJob, res taper.Result) error {
	err := s.Store.FinishCopy(ctx, catalog.Copy{
		Dump: j.dump.ID, Storage: s.storage.Name, WriteStamp: s.stamp, Status: j.dump.Status,
	})
	if err != nil {
		return err
	}
	err = s.event(ctx, catalog.CopyFinished{
		Storage: s.storage.Name, DLE: j.dump.DLE, Level: j.dump.Level, Stamp: j.dump.Stamp, Parts: len(res.Parts),
		OrigBytes: j.dump.OrigBytes, Bytes: res.Bytes, Seconds: res.Seconds, Flush: j.flush,
	})
	if err != nil {
		return err
	}
	return s.release(ctx, j.held)
}

// release removes a dump that is safe elsewhere from the holding disk.
func (s *session) release(ctx context.Context, h catalog.Holding) error {
	if err := s.holding.Release(h); err != nil {
		return s.problem(ctx, "%s is on volumes, but cannot be removed from the holding disk: %v", h.Dump, err)
	}
	return s.Store.DropHeld(ctx, h.Dump)
}

// giveUp records a dump that did not get onto volumes. Without a volume nothing more is tried in this run.
func (l *taperLoop) giveUp(ctx context.Context, j tapeJob, res tapeResult, held bool) error {
	s := l.s
	ctx = context.WithoutCancel(ctx)
	if errors.Is(res.err, taper.ErrNoVolume) && l.off == nil {
		res.err = noVolume(res.err)
		l.off = res.err
		if err := s.event(ctx, catalog.MediaError{Storage: s.storage.Name, Error: res.err.Error()}); err != nil {
			return err
		}
	}
	if len(res.Parts) > 0 {
		err := s.Store.FinishCopy(ctx, catalog.Copy{
			Dump: j.dump.ID, Storage: s.storage.Name, WriteStamp: s.stamp, Status: catalog.StatusPartial,
		})
		if err != nil {
			return err
		}
	}
	if errors.Is(res.err, errNoTaper) && held {
		return nil // as asked: what is left on the holding disk is listed at the end of the run
	}
	return s.event(ctx, catalog.CopyFailed{
		Storage: s.storage.Name, DLE: j.dump.DLE, Level: j.dump.Level, Stamp: j.dump.Stamp,
		Parts: len(res.Parts), Bytes: res.Bytes, Error: res.err.Error(), Held: held, Flush: j.flush,
	})
}

// noVolume takes off what was put around the reason: which dump it was that found no volume matters to nobody.
func noVolume(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil || inner == taper.ErrNoVolume || !errors.Is(inner, taper.ErrNoVolume) {
			return err
		}
		err = inner
	}
}

// VolumeStarted records that a volume is being written.
func (s *session) VolumeStarted(ctx context.Context, v catalog.VolumeStarted) error {
	return s.event(ctx, v)
}

// PartWritten records a part that is durable.
func (s *session) PartWritten(ctx context.Context, p catalog.Part, seconds float64) error {
	if p.Dump == s.recording {
		return nil // it is recorded when it is whole, and is no dump
	}
	if err := s.Store.PutPart(ctx, p); err != nil {
		return err
	}
	d, err := s.Store.Dump(ctx, p.Dump)
	if err != nil {
		return err
	}
	return s.event(ctx, catalog.PartWritten{
		Storage: p.Storage, Label: p.Label, File: p.File, Number: p.Number, DLE: d.DLE, Level: d.Level, Stamp: d.Stamp,
		Bytes: p.Bytes, Seconds: seconds,
	})
}

// VolumeFinished records how full the volume is, and what was wrong with it.
func (s *session) VolumeFinished(ctx context.Context, v catalog.VolumeFinished, cause error) error {
	vol, err := s.Store.Volume(ctx, v.Label)
	if err != nil {
		return err
	}
	vol.Bytes, vol.Files = v.Bytes, v.Files
	if err := s.Store.PutVolume(ctx, vol); err != nil {
		return err
	}
	events := []catalog.EventBody{v}
	if cause != nil {
		events = append(events, s.mediaError(v.Storage, fmt.Sprintf("volume %s: %v", v.Label, cause)))
	}
	return s.event(ctx, events...)
}

var _ interface {
	taper.Scan
	taper.Feedback
} = (*session)(nil)

// labelHeader is the label block of a volume that is written in this run.
func labelHeader(label catalog.Label, stamp catalog.Stamp) vtape.Header {
	return vtape.Header{Type: vtape.TypeTapeStart, Label: label, Stamp: string(stamp)}
}
