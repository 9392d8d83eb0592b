package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/scheduler/recovery"
	"holdfast/vtape/holding"
)

// reap puts right what an earlier run left when it was killed: sources first (thaw, unlock), then the catalog, then
// files. What cannot be put right is told as a problem; it does not keep tonight's dumps from being made.
func (s *session) reap(ctx context.Context) error {
	if err := s.reapHooks(ctx); err != nil {
		return err
	}
	if err := s.reapSources(ctx); err != nil {
		return err
	}
	unfinished, troubled, err := s.earlierRuns(ctx)
	if err != nil {
		return err
	}
	if err := s.reapVolumes(ctx, troubled); err != nil {
		return err
	}
	return s.reapRest(ctx, unfinished)
}

// reapRest puts right what is not on volumes.
func (s *session) reapRest(ctx context.Context, unfinished map[catalog.Stamp]bool) error {
	if err := s.reapRuns(ctx, unfinished); err != nil {
		return err
	}
	if err := s.settleWanted(ctx); err != nil {
		return err
	}
	if err := s.reapHolding(ctx); err != nil {
		return err
	}
	return s.pruneMaps(ctx)
}

func (s *session) problem(ctx context.Context, format string, args ...any) error {
	return s.event(ctx, catalog.Note{Program: "reaper", Text: fmt.Sprintf(format, args...), Problem: true})
}

func (s *session) reapSources(ctx context.Context) error {
	for _, d := range s.Config.DLEs {
		src, err := s.Source(d)
		if err != nil {
			continue // the planner tells why the image cannot be read
		}
		released, err := src.Reap(ctx, s.Store.Journal(s.stamp))
		for _, what := range released {
			if err := s.note(ctx, "reaper", "%s: released %s", d.Name(), what); err != nil {
				return err
			}
		}
		if err != nil {
			if err := s.problem(ctx, "%s: %v", d.Name(), err); err != nil {
				return err
			}
		}
	}
	return nil
}

// earlierRuns gives the runs that never ended (this process holds the lock, so none of them is alive), and those that may have
// left something on volumes: these, and the last one if it did not go well.
func (s *session) earlierRuns(ctx context.Context) (unfinished, troubled map[catalog.Stamp]bool, err error) {
	runs, err := s.Store.Runs(ctx, 0)
	if err != nil {
		return nil, nil, err
	}
	unfinished, troubled = map[catalog.Stamp]bool{}, map[catalog.Stamp]bool{}
	runs = slices.DeleteFunc(runs, func(r catalog.Run) bool { return r.Stamp == s.stamp })
	for i, r := range runs { // the last one first
		if r.Ended.IsZero() {
			unfinished[r.Stamp] = true
		}
		if r.Ended.IsZero() || i == 0 && r.ExitStatus != 0 {
			troubled[r.Stamp] = true
		}
	}
	return unfinished, troubled, nil
}

// reapRuns closes runs that never ended. That is a note, not a problem: what they left undone this run does, and whether
// that went well is for this run's own status to say.
func (s *session) reapRuns(ctx context.Context, unfinished map[catalog.Stamp]bool) error {
	for _, stamp := range slices.Sorted(maps.Keys(unfinished)) {
		if err := s.note(ctx, "reaper", "the run of %s did not finish: it was killed or the machine went down", stamp); err != nil {
			return err
		}
		if err := s.Store.FinishRun(ctx, stamp, s.Now(), exitError); err != nil {
			return err
		}
	}
	return nil
}

// exitError is the bit of the exit status for a run that did not go well as a whole.
const exitError = 1

// reapHolding releases dumps that had come safely onto the volumes of all their storages, takes in those that were finished but not recorded,
// and removes what was never finished.
func (s *session) reapHolding(ctx context.Context) error {
	if len(s.Config.Holding) == 0 {
		return nil
	}
	held, err := s.Store.Held(ctx)
	if err != nil {
		return err
	}
	wanted, err := s.wantedBy(ctx)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, h := range held {
		copies, err := s.Store.Copies(ctx, h.Dump)
		if err != nil {
			return err
		}
		if whole(copies) && len(wanted[h.Dump]) == 0 {
			if err := s.release(ctx, h); err != nil {
				return err
			}
			continue
		}
		if lost, err := s.forgetLost(ctx, h); lost || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		for _, c := range h.Chunks {
			known[c.Path] = true
		}
		if len(wanted[h.Dump]) == 0 {
			if err := s.selectHeld(ctx, h.Dump); err != nil {
				return err
			}
		}
	}
	if err := s.adopt(ctx, known); err != nil {
		return err
	}
	removed, err := s.holding.Reap(func(path string) bool { return known[path] })
	for _, path := range removed {
		if err := s.note(ctx, "reaper", "removed %s, which was never finished", path); err != nil {
			return err
		}
	}
	if err != nil {
		return s.problem(ctx, "holding disk: %v", err)
	}
	return nil
}

// forgetLost tells whether a dump is gone from a holding disk that is there, and forgets its place then, so that nothing
// is built on it. Should it come back (the disk was not mounted), it is taken in again.
func (s *session) forgetLost(ctx context.Context, h catalog.Holding) (bool, error) {
	lost := slices.ContainsFunc(s.Config.Holding, func(dir configs.Holding) bool {
		if !strings.HasPrefix(h.Chunks[0].Path, dir.Dir+"/") {
			return false
		}
		_, err := s.FS.ReadDir(dir.Dir)
		return err == nil
	})
	if !lost {
		return false, nil
	}
	if _, err := s.FS.Stat(h.Chunks[0].Path); !errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err := s.problem(ctx, "%s lay on the holding disk only, and is gone from there: is its file system mounted?", h.Dump); err != nil {
		return true, err
	}
	return true, s.Store.DropHeld(ctx, h.Dump)
}

func whole(copies []catalog.Copy) bool {
	for _, c := range copies {
		if c.Status.Usable() {
			return true
		}
	}
	return false
}

// adopt records the dumps on the holding disk that were finished, but not recorded before the crash.
func (s *session) adopt(ctx context.Context, known map[string]bool) error {
	for _, dir := range s.Config.Holding {
		found, err := holding.Scan(s.FS, dir.Dir)
		if err != nil {
			continue // Reap looks at the same directories, and tells
		}
		for _, f := range found {
			if f.Err != nil || len(f.Holding.Chunks) == 0 || known[f.Holding.Chunks[0].Path] {
				continue
			}
			if err := s.adoptDump(ctx, f, known); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *session) adoptDump(ctx context.Context, f holding.Found, known map[string]bool) error {
	if f.Header.Image == nil {
		return nil // not one of ours: it stays as it is
	}
	d := recovery.DumpFromHeader(f.Header)
	copies, err := s.Store.Copies(ctx, d.ID)
	if err != nil {
		return err
	}
	f.Holding.Dump = d.ID
	if whole(copies) {
		// It came onto volumes, and was being released when the power went.
		return s.release(ctx, f.Holding)
	}
	for _, c := range f.Holding.Chunks {
		known[c.Path] = true
	}
	if err := s.Store.RecordHeld(ctx, d, f.Holding, destinations(s.Config, s.storages, d, s.Now())...); err != nil {
		return err
	}
	return s.note(ctx, "reaper", "%s was finished on the holding disk, but not recorded: taken in", d.ID)
}

// pruneMaps removes the block maps of dumps that lie nowhere any more.
func (s *session) pruneMaps(ctx context.Context) error {
	h, err := s.history(ctx)
	if err != nil {
		return err
	}
	if err := s.maps.prune(func(id catalog.DumpID) bool { return h.placed[id] }); err != nil {
		return s.problem(ctx, "block maps: %v", err)
	}
	return nil
}
