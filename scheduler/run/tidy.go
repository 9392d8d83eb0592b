package run

import (
	"context"
	"errors"
	"maps"
	"slices"

	"holdfast/catalog"
	"holdfast/vtape"
)

// Tidied is what a cleanup has done, or would do, a line each.
type Tidied struct {
	Done []string `json:"done"`
	// Problems keep something from being put right.
	Problems []string `json:"problems"`
	DryRun   bool     `json:"dry_run,omitempty"`
}

func (t *Tidied) take(body catalog.EventBody) {
	switch b := body.(type) {
	case catalog.Note:
		if b.Problem {
			t.Problems = append(t.Problems, b.Text)
		} else {
			t.Done = append(t.Done, b.Text)
		}
	case catalog.HookFinished:
		if b.Outcome == catalog.HookFailed {
			t.Problems = append(t.Problems, b.Event+" hook "+b.Hook+" failed: "+b.Text)
		}
	}
}

// Cleanup puts right what killed runs have left, as the next run would, and looks at every volume for it, not only at those
// of the last runs. No run may be at work. With dry nothing is changed, and what would be done is told.
func (n *Night) Cleanup(ctx context.Context, dry bool) (Tidied, error) {
	t := Tidied{Done: []string{}, Problems: []string{}, DryRun: dry}
	s := &session{Night: n, started: n.Now(), held: newHeldDumps(), tell: t.take, maps: n.Maps()}
	s.hooks = n.hookRunner("", "", s.recordHook)
	s.degraded.admitted = map[catalog.DLE]int64{}
	s.holding = openHolding(n.FS, n.Config)
	s.storages = n.ChooseStorages(ctx)
	unfinished, troubled, err := s.earlierRuns(ctx)
	if err != nil {
		return t, err
	}
	if dry {
		err = s.dryRun(ctx, unfinished)
	} else {
		err = errors.Join(s.reapHooks(ctx), s.reapSources(ctx))
	}
	if err != nil {
		return t, err
	}
	if err := s.tidyVolumes(ctx, troubled, dry); err != nil || dry {
		return t, err
	}
	return t, s.reapRest(ctx, unfinished)
}

// tidyVolumes cleans every volume that is there.
func (s *session) tidyVolumes(ctx context.Context, troubled map[catalog.Stamp]bool, dry bool) error {
	for _, st := range s.Config.Storages() {
		volumes, err := s.Store.Volumes(ctx, st.Name)
		if err != nil {
			return err
		}
		for _, v := range volumes {
			if v.Retired || v.WriteStamp == "" {
				continue
			}
			removed, err := s.cleanVolume(ctx, st, v, cleaning{dry: dry, careful: !troubled[v.WriteStamp]})
			if ctx.Err() != nil {
				return ctx.Err()
			}
			for _, what := range removed {
				if err := s.note(ctx, "reaper", "volume %s: %s, which was never finished", v.Label, what); err != nil {
					return err
				}
			}
			switch {
			case errors.Is(err, vtape.ErrAbsent):
				err = s.note(ctx, "reaper", "volume %s is not there: it was not looked at", v.Label)
			case err != nil:
				err = s.problem(ctx, "volume %s: %v", v.Label, err)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// dryRun tells what would be put right besides volumes.
func (s *session) dryRun(ctx context.Context, unfinished map[catalog.Stamp]bool) error {
	open, err := s.Store.Journal("").Open(ctx, "")
	if err != nil {
		return err
	}
	for _, r := range open {
		err = errors.Join(err, s.note(ctx, "reaper", "%s %s is still held", r.Kind, r.Name))
	}
	for _, stamp := range slices.Sorted(maps.Keys(unfinished)) {
		err = errors.Join(err, s.note(ctx, "reaper", "the run of %s did not finish", stamp))
	}
	if err != nil {
		return err
	}
	return s.dryHolding(ctx)
}

func (s *session) dryHolding(ctx context.Context) error {
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
			if err := s.note(ctx, "reaper", "%s is on volumes, and still on the holding disk", h.Dump); err != nil {
				return err
			}
		}
		for _, c := range h.Chunks {
			known[c.Path] = true
		}
	}
	left, err := s.holding.Leftovers(func(path string) bool { return known[path] })
	for _, path := range left {
		if err := s.note(ctx, "reaper", "%s was never finished", path); err != nil {
			return err
		}
	}
	if err != nil {
		return s.problem(ctx, "holding disk: %v", err)
	}
	return nil
}
