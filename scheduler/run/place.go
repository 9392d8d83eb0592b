package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"holdfast/catalog"
	"holdfast/dumpers"
	"holdfast/scheduler/run/taping"
	"holdfast/vtape"
	"holdfast/vtape/taper"
)

// minReserve is the least room asked for on the holding disk.
const minReserve = 1 << 20

// toHolding writes the dump to the holding disk, records it, and hands it to the taper.
func (d *dumping) toHolding(ctx context.Context, p *dumpers.Prepared, info dumpers.DiskInfo) (catalog.Dump, error) {
	bytes := d.expectedBytes(p)
	if err := d.admitUnplanned(bytes); err != nil {
		return catalog.Dump{}, err
	}
	reservation, err := d.reserve(ctx, bytes)
	if err != nil {
		return catalog.Dump{}, err
	}
	header := d.header(info)
	w, err := d.holding.Create(d.stamp, header, reservation)
	if err != nil {
		return catalog.Dump{}, err
	}
	if err := d.begun(ctx, "holding"); err != nil {
		return catalog.Dump{}, errors.Join(err, w.Abort())
	}
	r, blocks, err := d.write(ctx, p, w)
	if err != nil {
		return catalog.Dump{}, errors.Join(err, w.Abort())
	}
	made := d.made(r, info)
	// The map first: a crash after Finish leaves a dump that the next run takes in, and builds upon. A map without a dump
	// is pruned.
	if err := blocks.keep(); err != nil {
		return made, errors.Join(fmt.Errorf("keep block map: %w", err), w.Abort())
	}
	held, err := w.Finish(completed(header, made))
	if err != nil {
		return made, errors.Join(err, w.Abort())
	}
	held.Dump = made.ID
	wanted := destinations(d.Config, d.storages, made, d.Now())
	if err := d.Store.RecordHeld(context.WithoutCancel(ctx), made, held, wanted...); err != nil {
		return made, recorded(err)
	}
	d.known.add(made)
	d.held.add(made, held, false)
	d.degraded.settled(made.DLE)
	for _, t := range d.targets(made) {
		t.Add(d.heldJob(made))
	}
	return made, nil
}

// expectedBytes is the room to ask for: what the dump holds, at the planner's ratio of compression.
func (d *dumping) expectedBytes(p *dumpers.Prepared) int64 {
	ratio := 1.0
	if d.entry.OrigBytes > 0 {
		ratio = float64(d.entry.StoredBytes) / float64(d.entry.OrigBytes)
	}
	return max(minReserve, int64(float64(p.OrigBytes())*ratio))
}

func (d *dumping) begun(ctx context.Context, to string) error {
	return recorded(d.event(ctx, catalog.DumpStarted{DLE: d.dle.Name(), Level: d.level, Stamp: d.stamp, To: to}))
}

// toVolume writes the dump straight to a volume of the first of its storages that can take it; the others get it from there.
func (d *dumping) toVolume(ctx context.Context, p *dumpers.Prepared, info dumpers.DiskInfo) (catalog.Dump, error) {
	if err := d.task.GoDirect(ctx); err != nil {
		return catalog.Dump{}, err
	}
	var made catalog.Dump
	targets := d.targets(d.id())
	err := fmt.Errorf("%w", offReason(targets))
	for _, w := range targets {
		if _, off := w.State(); off != nil {
			continue
		}
		if made, err = d.toWriter(ctx, p, info, w); err == nil || ctx.Err() != nil || !errors.As(err, new(*storageFault)) {
			return made, err
		}
	}
	return made, err
}

// storageFault is an error of the storage that a dump was being written to: another one may take it.
type storageFault struct{ error }

func (f *storageFault) Unwrap() error { return f.error }

// id is the dump as far as it is known before it is made.
func (d *dumping) id() catalog.Dump {
	id := catalog.NewDumpID(d.dle.Name(), d.stamp, d.level)
	return catalog.Dump{ID: id, DLE: d.dle.Name(), Stamp: d.stamp, Level: d.level}
}

// toWriter writes the dump to one storage. The taper reads from one end of a pipe what the dumper writes to the other, so
// nothing is kept in between.
func (d *dumping) toWriter(ctx context.Context, p *dumpers.Prepared, info dumpers.DiskInfo, to *taping.Writer) (catalog.Dump, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	header := d.header(info)
	out, in := io.Pipe()
	final := make(chan vtape.Header, 1)
	result := make(chan taping.Result, 1)
	turn := sync.OnceFunc(d.task.Patient()) // the writer may have other work before
	defer turn()
	to.Add(taping.Job{Dump: d.id(), Result: result, Direct: func(t *taper.Taper) (taper.Result, error) {
		turn()
		if err := d.begun(ctx, "volume"); err != nil {
			return taper.Result{}, err
		}
		return t.Write(ctx, taper.Dump{ID: d.id().ID, Header: header, Stream: out, Final: func() vtape.Header { return <-final }})
	}})
	type written struct {
		r      dumpers.Result
		blocks *newMap
		err    error
	}
	dumped := make(chan written, 1)
	go func() {
		r, blocks, err := d.write(ctx, p, in)
		final <- completed(header, d.made(r, info))
		in.CloseWithError(err)
		dumped <- written{r, blocks, err}
	}()
	res := <-result
	if res.Err != nil {
		cancel(res.Err)
		out.CloseWithError(res.Err)
	}
	w := <-dumped
	made := d.made(w.r, info)
	err := res.Err
	switch {
	case w.err != nil && (err == nil || errors.Is(err, w.err)):
		err = w.err // the taper tells what the dumper told it
	case err != nil && !errors.As(err, new(*catalogError)):
		err = &storageFault{err}
	}
	if err != nil {
		if w.blocks != nil {
			err = errors.Join(err, w.blocks.drop())
		}
		return made, err
	}
	if err := w.blocks.keep(); err != nil {
		return made, fmt.Errorf("keep block map: %w", err)
	}
	return made, recorded(d.recordDirect(ctx, made, to, res))
}

// recordDirect records a dump that is on volumes only, with its copy.
func (d *dumping) recordDirect(ctx context.Context, made catalog.Dump, to *taping.Writer, res taping.Result) error {
	ctx = context.WithoutCancel(ctx)
	storage := to.Storage().Name
	c := catalog.Copy{Dump: made.ID, Storage: storage, WriteStamp: d.stamp, Status: catalog.StatusOK, Parts: res.Parts}
	if err := d.Store.RecordDirect(ctx, made, c, destinations(d.Config, d.storages, made, d.Now())...); err != nil {
		return err
	}
	d.known.add(made)
	return d.event(ctx, catalog.CopyFinished{
		Storage: storage, DLE: made.DLE, Level: made.Level, Stamp: made.Stamp, Parts: len(res.Parts),
		OrigBytes: made.OrigBytes, Bytes: res.Bytes, Seconds: res.Seconds, Direct: true,
	})
}
