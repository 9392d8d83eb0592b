package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"holdfast/catalog"
	"holdfast/scheduler/run/taping"
	"holdfast/vtape"
	"holdfast/vtape/taper"
)

// storageWriter is what copies are made by.
type storageWriter = taping.Writer

// catchUp makes the copies that are due and that the holding disk no longer serves: from volumes of other storages. Each
// storage catches up by itself. What does not succeed stays wanted; the error is one of the catalog.
func (s *session) catchUp(ctx context.Context) error {
	if s.options.NoTaper {
		return nil
	}
	var mu sync.Mutex // guards errs
	var errs error
	var all sync.WaitGroup
	for _, w := range s.writers {
		jobs, err := s.lacking(ctx, w)
		if err != nil {
			errs = errors.Join(errs, err)
			break
		}
		all.Go(func() {
			err := s.copyAll(ctx, jobs, w)
			mu.Lock()
			defer mu.Unlock()
			errs = errors.Join(errs, err)
		})
	}
	all.Wait()
	return errs
}

// copyJob is a dump that a storage lacks, with the copies it may be made from, the best first.
type copyJob struct {
	dump catalog.Dump
	from []catalog.Copy
}

// lacking lists the copies that are due for a storage, in the order in which the dumps lie on volumes.
func (s *session) lacking(ctx context.Context, w *storageWriter) ([]copyJob, error) {
	wanted, err := s.Store.WantedCopies(ctx)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	var jobs []copyJob
	for _, want := range wanted {
		if want.Storage != w.Storage().Name || want.Due.After(now) || s.held.has(want.Dump) {
			continue
		}
		d, err := s.Store.Dump(ctx, want.Dump)
		if err != nil {
			return nil, err
		}
		if s.options.Command != CommandFlush && !s.Config.Autoflush && d.Stamp != s.stamp {
			continue
		}
		copies, err := s.Store.Copies(ctx, want.Dump)
		if err != nil {
			return nil, err
		}
		if from := s.bestCopies(copies, want.Storage); len(from) > 0 {
			jobs = append(jobs, copyJob{d, from})
		}
	}
	slices.SortStableFunc(jobs, func(a, b copyJob) int {
		p, q := a.from[0], b.from[0]
		return cmp.Or(cmp.Compare(p.Storage, q.Storage), cmp.Compare(p.Parts[0].Label, q.Parts[0].Label), cmp.Compare(p.Parts[0].File, q.Parts[0].File))
	})
	return jobs, nil
}

// bestCopies gives the whole copies that lie elsewhere, those of the storages of this run first, in their order.
func (s *session) bestCopies(copies []catalog.Copy, storage string) []catalog.Copy {
	from := slices.DeleteFunc(copies, func(c catalog.Copy) bool {
		return !c.Status.Usable() || c.Storage == storage || len(c.Parts) == 0
	})
	rank := func(c catalog.Copy) int {
		i := slices.IndexFunc(s.writers, func(w *storageWriter) bool {
			_, off := w.State()
			return off == nil && w.Storage().Name == c.Storage
		})
		if i < 0 {
			return len(s.writers)
		}
		return i
	}
	slices.SortStableFunc(from, func(a, b catalog.Copy) int { return cmp.Compare(rank(a), rank(b)) })
	return from
}

// copyAll makes the copies of one storage as long as it can be written.
func (s *session) copyAll(ctx context.Context, jobs []copyJob, to *storageWriter) error {
	for _, j := range jobs {
		for _, attempt := range s.attempts(j) {
			if _, off := to.State(); off != nil || ctx.Err() != nil {
				return nil // the copies stay wanted
			}
			err := copyDump(attempt, to)
			if err == nil {
				break
			}
			if errors.As(err, new(*catalogError)) {
				return err
			}
		}
	}
	return nil
}

// copyDump copies a dump to another storage: the stored stream as it is, cut into the parts of that storage, and checked
// against the checksum taken when the dump was made before its last part counts. The outcome is recorded.
func copyDump(j taping.Job, to *storageWriter) error {
	result := make(chan taping.Result, 1)
	j.Result = result
	to.Add(j)
	return (<-result).Err
}

// volumesJob is the writing of a dump that lies on volumes of another storage.
func (s *session) volumesJob(d catalog.Dump, from catalog.Copy) taping.Job {
	return taping.Job{
		Dump: d, Elsewhere: true, Urgent: true,
		Open: func(ctx context.Context) (taper.Dump, func() error, error) { return s.openVolumes(ctx, d, from) },
	}
}

// openVolumes opens a copy to be copied. The header is that of its last part: of a dump that went straight to volumes only
// this one knows the sizes. What it does not know of the stream the catalog does.
func (s *session) openVolumes(ctx context.Context, d catalog.Dump, from catalog.Copy) (taper.Dump, func() error, error) {
	fail := func(err error) (taper.Dump, func() error, error) {
		return taper.Dump{}, nil, fmt.Errorf("copy %s from storage %s: %w", d.ID, from.Storage, err)
	}
	st, ok := s.Config.Storage[from.Storage]
	if !ok {
		return fail(errors.New("it is not in the configuration"))
	}
	lib, err := s.Opener().Open(ctx, st)
	if err != nil {
		return fail(err)
	}
	open := func(ctx context.Context, label catalog.Label) (vtape.Device, error) {
		_, dev, err := lib.Load(ctx, label)
		return dev, err
	}
	last := from.Parts[len(from.Parts)-1]
	dev, err := open(ctx, last.Label)
	if err != nil {
		return fail(err)
	}
	part, err := dev.Open(ctx, last.File)
	if err != nil {
		return fail(err)
	}
	header := part.Header()
	if err := part.Close(); err != nil {
		return fail(err)
	}
	if header.DumpID() != d.ID {
		return fail(fmt.Errorf("volume %s file %d is a part of %s", last.Label, last.File, header.DumpID()))
	}
	header.Server = vtape.CRC{Sum: d.StoredCRC, Bytes: d.StoredBytes}
	stream, err := taper.OpenCopy(ctx, from.Parts, open)
	if err != nil {
		return fail(err)
	}
	return taper.Dump{ID: d.ID, Header: header, Held: stream, HeldBytes: d.StoredBytes}, stream.Close, nil
}
