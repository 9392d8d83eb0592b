package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/scheduler"
	"holdfast/scheduler/retention"
	"holdfast/scheduler/run/taping"
	"holdfast/vtape/library"
	"holdfast/vtape/taper"
)

// startWriters starts a writer for each storage of this run, with the backlog before it, so that the taper algorithms see all of
// that at once. It gives the bytes of the backlog that the main storage gets. The writers are there until closeWriters.
func (s *session) startWriters(ctx context.Context) (backlogBytes int64, err error) {
	var events []catalog.EventBody
	for _, st := range s.storages {
		if s.options.Command == CommandVault {
			break // it only makes copies to vaults
		}
		s.writers = append(s.writers, s.newWriter(st, &s.labels))
		events = append(events, catalog.StorageChanged{Storage: st.Name, State: catalog.StorageLooking})
	}
	if err := s.event(ctx, events...); err != nil {
		return 0, err
	}
	backlogBytes, err = s.queueBacklog(ctx)
	if err != nil {
		return 0, err
	}
	for _, w := range s.writers {
		w.Start(ctx)
	}
	return backlogBytes, nil
}

func (s *session) newWriter(st configs.Storage, labels *sync.Mutex) *taping.Writer {
	o := taping.Options{
		Storage: st, Stamp: s.stamp, Store: s.Store, Now: s.Now, Labels: labels, Event: s.event, Written: s.written,
		Changed: s.held.changed,
		Urgent:  func() bool { return s.held.waiting.Load() > 0 || s.held.short.Load() },
		Open:    func(ctx context.Context) (*library.Library, error) { return s.Opener().Open(ctx, st) },
		Verdicts: func(ctx context.Context) (retention.Verdicts, []catalog.Volume, error) {
			return s.Judge(ctx, s.stamp)
		},
		Record: func(ctx context.Context) (taper.Dump, error) { return s.recordFile(ctx, st.Name) },
	}
	if s.options.NoTaper {
		o.Off = taping.ErrNoTaper
	}
	return taping.New(o)
}

// closeWriters waits for the writers, and says what they left unwritten because it was too little.
func (s *session) closeWriters(ctx context.Context) error {
	var errs error
	for _, w := range s.writers {
		errs = errors.Join(errs, w.Close(ctx))
		dumps, bytes := w.Waiting()
		if dumps == 0 {
			continue
		}
		errs = errors.Join(errs, s.note(ctx, "taper", "storage %s: no volume begun for %d of %s: less than its thresholds ask for",
			w.Storage().Name, dumps, size(bytes)))
	}
	return errs
}

// erase erases what nothing keeps any more, in the storages that ask for it. It is the last of a run's work.
func (s *session) erase(ctx context.Context) error {
	for _, w := range slices.Concat(s.writers, s.vaults) {
		if !w.Storage().Erase {
			continue
		}
		if err := w.Erase(ctx); err != nil {
			return err
		}
	}
	return nil
}

// targets are the writers that a dump goes to.
func (s *session) targets(d catalog.Dump) []*taping.Writer {
	var out []*taping.Writer
	for _, want := range destinations(s.Config, s.storages, d, s.started) {
		if w := s.writer(want.Storage); w != nil {
			out = append(out, w)
		}
	}
	return out
}

// writer is the writer of a storage; nil when this run does not write to it.
func (s *session) writer(storage string) *taping.Writer {
	if i := slices.IndexFunc(s.writers, func(w *taping.Writer) bool { return w.Storage().Name == storage }); i >= 0 {
		return s.writers[i]
	}
	return nil
}

// able tells whether one of the writers can write, as far as is known.
func able(writers []*taping.Writer) bool {
	return slices.ContainsFunc(writers, func(w *taping.Writer) bool {
		_, off := w.State()
		return off == nil
	})
}

// expect tells the writers of a dump to come, or, with sign -1, that it need not be expected any more.
func (s *session) expect(e scheduler.Entry, sign int64) {
	for _, w := range s.targets(catalog.Dump{DLE: e.DLE, Stamp: s.stamp, Level: e.Level}) {
		w.Expect(sign * e.StoredBytes)
	}
}

// heldJob is the writing of a dump that lies on the holding disk.
func (s *session) heldJob(d catalog.Dump) taping.Job {
	return taping.Job{Dump: d, Held: true, Open: s.openHeld(d.ID)}
}

// queueBacklog hands the writers what earlier runs left on the holding disk. It gives the bytes of it that the main storage
// gets.
func (s *session) queueBacklog(ctx context.Context) (int64, error) {
	held, err := s.Store.Held(ctx)
	if err != nil {
		return 0, err
	}
	wanted, err := s.wantedBy(ctx)
	if err != nil {
		return 0, err
	}
	var mainBytes int64
	for _, h := range held {
		d, err := s.Store.Dump(ctx, h.Dump)
		if err != nil {
			return 0, err
		}
		copies, err := s.Store.Copies(ctx, h.Dump)
		if err != nil {
			return 0, err
		}
		s.held.add(d, h, whole(copies))
		if s.options.Command != CommandFlush && !s.Config.Autoflush || s.options.NoTaper {
			continue
		}
		for _, w := range s.writers {
			if slices.Contains(wanted[h.Dump], w.Storage().Name) {
				w.Add(s.heldJob(d))
			}
		}
		if slices.Contains(wanted[h.Dump], s.storages[0].Name) {
			mainBytes += heldBytes([]catalog.Holding{h})
		}
	}
	return mainBytes, nil
}

// wantedBy gives the direct storages that want each dump.
func (s *session) wantedBy(ctx context.Context) (map[catalog.DumpID][]string, error) {
	wanted, err := s.Store.WantedCopies(ctx)
	if err != nil {
		return nil, err
	}
	by := map[catalog.DumpID][]string{}
	for _, w := range wanted {
		if s.isDirect(w.Storage) {
			by[w.Dump] = append(by[w.Dump], w.Storage)
		}
	}
	return by, nil
}

// settleWanted brings the copies that are still wanted in line with the configuration: of the storages of a pool the one that
// is there gets them, and none is wanted for a storage that is no more.
func (s *session) settleWanted(ctx context.Context) error {
	wanted, err := s.Store.WantedCopies(ctx)
	if err != nil {
		return err
	}
	dropped := map[string]int{}
	for _, w := range wanted {
		if _, known := s.Config.Storage[w.Storage]; known && !s.isDirect(w.Storage) {
			continue
		}
		to, ok := standIn(s.Config, s.storages, w.Storage)
		if to.Name == w.Storage {
			continue
		}
		if ok {
			// The new wish first: a crash in between leaves a copy too many to be made.
			if err := s.Store.WantCopies(ctx, catalog.Wanted{Dump: w.Dump, Storage: to.Name, Due: w.Due}); err != nil {
				return err
			}
		} else {
			dropped[w.Storage]++
		}
		if err := s.Store.DropWanted(ctx, w.Dump, w.Storage); err != nil {
			return err
		}
	}
	for storage, n := range dropped {
		if err := s.note(ctx, "reaper", "%d copies were still to be made to storage %s, which is no longer in the configuration", n, storage); err != nil {
			return err
		}
	}
	return nil
}

// Pending tells whether a flush has anything to do: dumps on the holding disk, or copies that are due from volumes.
func (n *Night) Pending(ctx context.Context) (bool, error) {
	held, err := n.Store.Held(ctx)
	if err != nil || len(held) > 0 {
		return len(held) > 0, err
	}
	wanted, err := n.Store.WantedCopies(ctx)
	now := n.Now()
	return slices.ContainsFunc(wanted, func(w catalog.Wanted) bool {
		return !n.Config.Storage[w.Storage].Vault.On() && !w.Due.After(now)
	}), err
}

// selectHeld gives a held dump that no storage wants its storages: it was taken in after a crash, or is of an older catalog.
func (s *session) selectHeld(ctx context.Context, id catalog.DumpID) error {
	d, err := s.Store.Dump(ctx, id)
	if err != nil {
		return err
	}
	if err := s.Store.WantCopies(ctx, destinations(s.Config, s.storages, d, s.Now())...); err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	return nil
}
