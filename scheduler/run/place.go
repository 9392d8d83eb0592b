package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"holdfast/catalog"
	"holdfast/dumpers"
	"holdfast/vtape"
	"holdfast/vtape/taper"
)

// minReserve is the least room asked for on the holding disk.
const minReserve = 1 << 20

// toHolding writes the dump to the holding disk, records it, and hands it to the taper.
func (d *dumping) toHolding(ctx context.Context, p *dumpers.Prepared, info dumpers.DiskInfo) (catalog.Dump, error) {
	reservation, err := d.holding.Reserve(d.expectedBytes(p))
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
	if err := d.Store.RecordHeld(context.WithoutCancel(ctx), made, held); err != nil {
		return made, recorded(err)
	}
	d.known.add(made)
	d.taper.add(tapeJob{dump: made, held: held})
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

// toVolume writes the dump straight to a volume. The taper reads from one end of a pipe what the dumper writes to the
// other, so nothing is kept in between.
func (d *dumping) toVolume(ctx context.Context, p *dumpers.Prepared, info dumpers.DiskInfo) (catalog.Dump, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	header := d.header(info)
	id := catalog.NewDumpID(d.dle.Name(), d.stamp, d.level)
	out, in := io.Pipe()
	final := make(chan vtape.Header, 1)
	result := make(chan tapeResult, 1)
	d.taper.add(tapeJob{
		dump:   catalog.Dump{ID: id, DLE: d.dle.Name(), Stamp: d.stamp, Level: d.level},
		direct: &taper.Dump{ID: id, Header: header, Stream: out, Final: func() vtape.Header { return <-final }},
		ready:  func() error { return d.begun(ctx, "volume") },
		result: result,
		ctx:    ctx,
	})
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
	if res.err != nil {
		cancel(res.err)
		out.CloseWithError(res.err)
	}
	w := <-dumped
	made := d.made(w.r, info)
	err := res.err
	if w.err != nil && errors.Is(err, w.err) {
		err = w.err // the taper tells what the dumper told it
	}
	if err = cmp.Or(err, w.err); err != nil {
		if w.blocks != nil {
			err = errors.Join(err, w.blocks.drop())
		}
		return made, err
	}
	if err := w.blocks.keep(); err != nil {
		return made, fmt.Errorf("keep block map: %w", err)
	}
	return made, recorded(d.recordDirect(ctx, made, res))
}

// recordDirect records a dump that is on volumes only, with its copy.
func (d *dumping) recordDirect(ctx context.Context, made catalog.Dump, res tapeResult) error {
	ctx = context.WithoutCancel(ctx)
	c := catalog.Copy{
		Dump: made.ID, Storage: d.storage.Name, WriteStamp: d.stamp, Status: catalog.StatusOK, Parts: res.Parts,
	}
	if err := d.Store.RecordDirect(ctx, made, c); err != nil {
		return err
	}
	d.known.add(made)
	return d.event(ctx, catalog.CopyFinished{
		Storage: d.storage.Name, DLE: made.DLE, Level: made.Level, Stamp: made.Stamp, Parts: len(res.Parts),
		OrigBytes: made.OrigBytes, Bytes: res.Bytes, Seconds: res.Seconds, Direct: true,
	})
}
