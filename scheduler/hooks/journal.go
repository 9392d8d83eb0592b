package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"holdfast/catalog"
	"holdfast/configs"
)

// Kind is that of hooks in the journal of resources.
const Kind = "hook"

// entry is what the journal keeps of a pre hook that ran, for its post hook.
type entry struct {
	Key     string // see key
	Subject Subject
	Owner   string
}

// journal notes that a pre hook is about to run, and gives its id.
func (s *Scope) journal(ctx context.Context, h configs.Hook) (string, error) {
	data, err := json.Marshal(entry{key(h), s.Subject, s.Owner})
	if err != nil {
		return "", fmt.Errorf("journal hook %s: %w", h.Title(), err)
	}
	now := s.Now()
	id := fmt.Sprintf("%s:%s:%s:%s:%s:%d", Kind, s.Owner, configs.Pre(s.Level, s.Moment), s.DLE, key(h), now.UnixNano())
	return id, s.Journal.Add(ctx, catalog.Resource{
		ID: id, Run: s.Stamp, Kind: Kind, Name: h.Title(), Data: string(data), Made: now,
	})
}

// Reaped is what became of a pre hook that a killed process left in the journal.
type Reaped struct {
	Hook  string
	About string
	Stamp catalog.Stamp // of its run
	// Gone is set when the configuration has the hook no more: what it did before was not undone.
	Gone bool
}

// Reap runs the post hooks whose pre hooks ran in a process that was killed, latest first, so that what was done last is undone
// first. alive tells of an Owner whether it still works; what belongs to one that does is left alone. What the configuration
// does not have any more is never run: it is told and forgotten. The error joins what could not be run or recorded; it stays in
// the journal.
func (r *Runner) Reap(ctx context.Context, alive func(owner string) bool) ([]Reaped, error) {
	open, err := r.Journal.Open(ctx, Kind)
	if err != nil {
		return nil, err
	}
	slices.Reverse(open)
	var all []Reaped
	var errs error
	for _, res := range open {
		var e entry
		if err := json.Unmarshal([]byte(res.Data), &e); err != nil {
			errs = errors.Join(errs, fmt.Errorf("journal: hook %s: %w", res.Name, err))
			continue
		}
		if e.Owner != "" && alive(e.Owner) {
			continue
		}
		gone, err := r.undo(ctx, res, e)
		if err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		all = append(all, Reaped{res.Name, e.Subject.String(), res.Run, gone})
	}
	return all, errs
}

// undo runs the post hook of a journal entry and forgets the entry.
func (r *Runner) undo(ctx context.Context, res catalog.Resource, e entry) (gone bool, err error) {
	s := r.Scope(e.Subject)
	post := configs.Post(s.Level, s.Moment)
	i := slices.IndexFunc(s.hooks, func(h configs.Hook) bool { return h.At(post) && key(h) == e.Key })
	if i < 0 {
		return true, r.Journal.Done(ctx, res.ID)
	}
	h := s.hooks[i]
	if err := Sound(r.FS, h.Command[0]); err != nil {
		return false, fmt.Errorf("%s hook %s for %s, left by the run of %s: %w", post, h.Title(), s.Subject, res.Run, err)
	}
	record := s.Record
	s.Runner = &Runner{Config: r.Config, FS: r.FS, Journal: r.Journal, Now: r.Now, Env: r.Env, Owner: r.Owner, Grace: r.Grace}
	s.Runner.Record = func(ctx context.Context, f catalog.HookFinished) error {
		f.Left = res.Run
		return record(ctx, f)
	}
	s.hooks, s.ran = []configs.Hook{h}, map[int]string{0: res.ID}
	return false, s.End(ctx, Result{StatusKilled, "the run was killed, or the machine went down"})
}
