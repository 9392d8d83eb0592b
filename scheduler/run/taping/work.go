package taping

import (
	"context"
	"errors"
	"fmt"

	"holdfast/catalog"
	"holdfast/vtape"
	"holdfast/vtape/taper"
)

// worker writes one dump after another to one volume after another.
type worker struct {
	w     *Writer
	taper *taper.Taper

	// Guarded by the writer's lock. Busy is set from the taking of a job to its end, leftBytes is what the job still has to
	// write; started is set while a volume is begun, roomBytes what is left on it.
	busy, started        bool
	leftBytes, roomBytes int64

	// device is the volume's, touched by the worker alone.
	device vtape.Device
	label  catalog.Label // of the volume begun last, touched by the worker alone
}

// work is the worker's goroutine.
func (k *worker) work(ctx context.Context) {
	for {
		j, ok := k.w.next(k)
		if !ok {
			break
		}
		k.w.broken(k.do(ctx, j))
		k.w.change(func() {
			k.w.busy--
			k.busy, k.leftBytes = false, 0
		})
		k.w.changed()
	}
}

// broken takes note of an error of the catalog: nothing more is written, for it would not count.
func (w *Writer) broken(err error) {
	if err == nil {
		return
	}
	w.change(func() { w.off, w.failed = err, errors.Join(w.failed, err) })
}

func (w *Writer) changed() {
	if w.o.Changed != nil {
		w.o.Changed()
	}
}

// do carries a job out. The error is one of the catalog.
func (k *worker) do(ctx context.Context, j Job) error {
	_, off := k.w.State()
	res := Result{Err: off}
	err := error(nil)
	if off == nil {
		err = k.clearAttempt(context.WithoutCancel(ctx), j.Dump.ID)
	}
	switch {
	case off != nil || err != nil:
	case j.Direct != nil:
		res.Result, res.Err = j.Direct(k.taper)
	default:
		res.Result, res.Err = k.write(ctx, j)
	}
	if err == nil {
		err = k.outcome(context.WithoutCancel(ctx), j, res)
	}
	if j.Result != nil {
		j.Result <- Result{res.Result, errors.Join(res.Err, err)}
	}
	return err
}

// write writes a dump at rest.
func (k *worker) write(ctx context.Context, j Job) (taper.Result, error) {
	if ctx.Err() != nil {
		return taper.Result{}, context.Cause(ctx)
	}
	d, closeSource, err := j.Open(ctx)
	if err != nil {
		return taper.Result{}, err
	}
	res, err := k.taper.Write(ctx, d)
	if closeErr := closeSource(); err == nil {
		err = closeErr
	}
	return res, err
}

// outcome records what became of a job. That of a direct dump that went well is recorded with the dump, by its dumper.
func (k *worker) outcome(ctx context.Context, j Job, res Result) error {
	switch {
	case errors.Is(res.Err, ErrGone):
		return nil
	case res.Err != nil:
		return k.giveUp(ctx, j, res)
	case j.Direct != nil:
		return nil
	}
	return k.w.written(ctx, j, res.Result)
}

// written records a copy that is whole.
func (w *Writer) written(ctx context.Context, j Job, res taper.Result) error {
	err := w.o.Store.FinishCopy(ctx, catalog.Copy{
		Dump: j.Dump.ID, Storage: w.o.Storage.Name, WriteStamp: w.o.Stamp, Status: j.Dump.Status,
	})
	if err != nil {
		return err
	}
	err = w.o.Event(ctx, catalog.CopyFinished{
		Storage: w.o.Storage.Name, DLE: j.Dump.DLE, Level: j.Dump.Level, Stamp: j.Dump.Stamp, Parts: len(res.Parts),
		OrigBytes: j.Dump.OrigBytes, Bytes: res.Bytes, Seconds: res.Seconds, Flush: j.Dump.Stamp != w.o.Stamp,
		Vault: w.o.Storage.Vault.On(),
	})
	if err != nil {
		return err
	}
	return w.o.Written(ctx, j.Dump.ID)
}

// giveUp records a dump that did not get onto volumes. Without a volume nothing more is tried in this run.
func (k *worker) giveUp(ctx context.Context, j Job, res Result) error {
	w := k.w
	if errors.Is(res.Err, taper.ErrNoVolume) {
		res.Err = noVolume(res.Err)
		if !w.othersGoOn(k) {
			if err := w.turnOff(ctx, res.Err); err != nil {
				return err
			}
		}
	}
	if len(res.Parts) > 0 {
		err := w.o.Store.FinishCopy(ctx, catalog.Copy{
			Dump: j.Dump.ID, Storage: w.o.Storage.Name, WriteStamp: w.o.Stamp, Status: catalog.StatusPartial,
		})
		if err != nil {
			return err
		}
	}
	if (j.Held || j.Elsewhere) && w.asExpected(res.Err) {
		return nil // what is left on the holding disk is listed at the end of the run
	}
	return w.o.Event(ctx, catalog.CopyFailed{
		Storage: w.o.Storage.Name, DLE: j.Dump.DLE, Level: j.Dump.Level, Stamp: j.Dump.Stamp,
		Parts: len(res.Parts), Bytes: res.Bytes, Error: res.Err.Error(), Held: j.Held, Elsewhere: j.Elsewhere,
		Flush: j.Dump.Stamp != w.o.Stamp, Vault: w.o.Storage.Vault.On(),
	})
}

// othersGoOn tells whether another worker has a volume to write to.
func (w *Writer) othersGoOn(k *worker) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, other := range w.workers {
		if other != k && other.started {
			return true
		}
	}
	return false
}

// asExpected tells that it is no fault of anything that nothing can be written.
func (w *Writer) asExpected(err error) bool {
	return errors.Is(err, ErrNoTaper) || w.o.Storage.Removable && errors.Is(err, vtape.ErrAbsent)
}

// turnOff says that nothing can be written any more, once. A removable library that is away is worth a note.
func (w *Writer) turnOff(ctx context.Context, cause error) error {
	first := false
	w.change(func() {
		if first = w.off == nil; first {
			w.off = cause
		}
	})
	if !first {
		return nil
	}
	defer w.changed()
	events := []catalog.EventBody{catalog.StorageChanged{Storage: w.o.Storage.Name, State: catalog.StorageOff, Text: cause.Error()}}
	if w.asExpected(cause) {
		events = append(events, catalog.Note{Program: "taper", Text: fmt.Sprintf("storage %s is away: %v", w.o.Storage.Name, cause)})
	} else {
		events = append(events, catalog.MediaError{Storage: w.o.Storage.Name, Error: cause.Error()})
	}
	return w.o.Event(ctx, events...)
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
