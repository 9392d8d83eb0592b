package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"holdfast/catalog"
	"holdfast/scheduler/run/taping"
	"holdfast/vtape"
)

// vault makes the copies that are due to vaults. The direct storages have all that they get by then. Each vault is filled by
// itself; what does not succeed stays wanted. The error is one of the catalog.
func (s *session) vault(ctx context.Context) error {
	if s.options.NoTaper || ctx.Err() != nil {
		return nil
	}
	p, err := s.PlanVault(ctx, s.options.Vault)
	if err != nil {
		return err
	}
	if err := s.dropUnneeded(ctx, p); err != nil {
		return err
	}
	// Wanted from here on: their sources are kept, and a crash forgets none.
	for _, c := range p.Copies {
		if err := s.Store.WantCopies(ctx, catalog.Wanted{Dump: c.Dump.ID, Storage: c.To.Name, Due: s.started}); err != nil {
			return err
		}
	}
	jobs, err := s.reachable(ctx, p.Copies)
	if err != nil {
		return err
	}
	return s.fillVaults(ctx, jobs)
}

// fillVaults starts a writer for each vault that something is due to, and waits for them.
func (s *session) fillVaults(ctx context.Context, jobs map[string][]copyJob) error {
	for _, st := range s.Config.Storages() {
		if len(jobs[st.Name]) == 0 {
			continue
		}
		s.vaults = append(s.vaults, s.newWriter(st, &s.labels))
		if err := s.event(ctx, catalog.StorageChanged{Storage: st.Name, State: catalog.StorageLooking}); err != nil {
			return err
		}
	}
	errs := make([]error, len(s.vaults))
	var all sync.WaitGroup
	for i, w := range s.vaults {
		all.Go(func() {
			w.Start(ctx)
			w.Settle() // its first look is over then
			errs[i] = s.copyAll(ctx, jobs[w.Storage().Name], w)
			errs[i] = errors.Join(errs[i], w.Close(ctx))
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// reachable gives the jobs of each vault. Sources on removable storages that are away are left out: what has no other waits.
func (s *session) reachable(ctx context.Context, copies []VaultCopy) (map[string][]copyJob, error) {
	away := map[string]bool{}
	looked := func(storage string) bool {
		gone, seen := away[storage]
		if st := s.Config.Storage[storage]; !seen && st.Removable {
			_, err := s.Opener().Open(ctx, st)
			gone = errors.Is(err, vtape.ErrAbsent)
			away[storage] = gone
		}
		return gone
	}
	jobs := map[string][]copyJob{}
	waiting := map[string][]catalog.Wanted{}
	for _, c := range copies {
		from := slices.DeleteFunc(slices.Clone(c.From), func(c catalog.Copy) bool { return looked(c.Storage) })
		if !c.Held && len(from) == 0 {
			waiting[c.To.Name] = append(waiting[c.To.Name], catalog.Wanted{Dump: c.Dump.ID, Storage: c.From[0].Storage})
			continue
		}
		jobs[c.To.Name] = append(jobs[c.To.Name], copyJob{c.Dump, from})
	}
	for _, st := range s.Config.Storages() {
		if w := waiting[st.Name]; len(w) > 0 {
			err := s.note(ctx, "taper", "vault %s: not copied, since storage %s is away: %s", st.Name, w[0].Storage, namesOf(w))
			if err != nil {
				return nil, err
			}
		}
	}
	return jobs, nil
}

// dropUnneeded forgets the copies that are not to be made any more, and says so. That the dump was lost before it was copied is
// a problem; that there is a newer full is what the vault asked for.
func (s *session) dropUnneeded(ctx context.Context, p VaultPlan) error {
	for _, st := range s.Config.Storages() {
		superseded, gone := toStorage(p.Superseded, st.Name), toStorage(p.Gone, st.Name)
		for _, w := range slices.Concat(superseded, gone) {
			if err := s.Store.DropWanted(ctx, w.Dump, w.Storage); err != nil {
				return err
			}
		}
		var notes []catalog.EventBody
		if len(superseded) > 0 {
			notes = append(notes, catalog.Note{Program: "taper", Text: fmt.Sprintf("vault %s: not copied, since there are newer fulls: %s",
				st.Name, namesOf(superseded))})
		}
		if len(gone) > 0 {
			notes = append(notes, catalog.Note{Program: "taper", Problem: true, Text: fmt.Sprintf(
				"storage %s: never copied, and there is nothing left to copy from: %s", st.Name, namesOf(gone))})
		}
		if err := s.event(ctx, notes...); err != nil {
			return err
		}
	}
	return nil
}

func toStorage(wanted []catalog.Wanted, name string) []catalog.Wanted {
	return slices.DeleteFunc(slices.Clone(wanted), func(w catalog.Wanted) bool { return w.Storage != name })
}

// maxNames is how many dumps a note names: of thousands of images the first few and the number say enough.
const maxNames = 8

func namesOf(wanted []catalog.Wanted) string {
	var names []string
	for _, w := range wanted[:min(maxNames, len(wanted))] {
		names = append(names, string(w.Dump))
	}
	if more := len(wanted) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// attempts are the ways in which a copy can be made, the best first.
func (s *session) attempts(j copyJob) []taping.Job {
	var out []taping.Job
	if s.held.has(j.dump.ID) {
		job := s.heldJob(j.dump)
		job.Urgent = true
		out = append(out, job)
	}
	for _, from := range j.from {
		out = append(out, s.volumesJob(j.dump, from))
	}
	return out
}
