package hooks

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"holdfast/catalog"
	"holdfast/configs"
)

// Error is a pre hook that keeps what it was run before from being done. Outcome tells a veto from a failure.
type Error struct {
	Event   configs.HookEvent
	Hook    string
	About   string // what the hook was run for: a DLE, a VM, the run
	Outcome catalog.HookOutcome
	Text    string
}

// Error names the hook, what it was run for, and its reason.
func (e *Error) Error() string {
	verb := "failed"
	if e.Outcome == catalog.HookVetoed {
		verb = "vetoed it"
	}
	return fmt.Sprintf("%s hook %s for %s %s: %s", e.Event, e.Hook, e.About, verb, e.Text)
}

// Vetoed tells whether err is the veto of a pre hook.
func Vetoed(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Outcome == catalog.HookVetoed
}

// Scope is what lies between the pre and the post hooks of one subject. It is used by one goroutine.
type Scope struct {
	*Runner
	Subject
	hooks []configs.Hook
	ran   map[int]string // index of a hook whose pre part ran -> its id in the journal, if it has a post part
}

// Scope gives that of a subject. Nothing is run yet.
func (r *Runner) Scope(s Subject) *Scope {
	entry := s.Entry
	if entry.VM == "" && s.Level == configs.HookDLE {
		entry, _ = r.Config.Find(s.DLE)
	}
	entry.VM = s.DLE.VM
	return &Scope{Runner: r, Subject: s, hooks: r.Config.HooksOf(s.Level, s.Moment, entry), ran: map[int]string{}}
}

// Begin runs the pre hooks. An *Error says that what follows shall not be done; another error that ctx has ended, or that
// something could not be recorded. End is to be called in each case.
func (s *Scope) Begin(ctx context.Context) error {
	pre, post := configs.Pre(s.Level, s.Moment), configs.Post(s.Level, s.Moment)
	for i, h := range s.hooks {
		if !h.At(pre) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := s.before(ctx, i, h.At(post))
		if err != nil {
			return err
		}
		switch {
		case f.Outcome == catalog.HookCancelled:
			return context.Cause(ctx)
		case f.Outcome == catalog.HookVetoed, f.Outcome == catalog.HookFailed && h.OnFailure == configs.HookStop:
			return &Error{pre, h.Title(), s.Subject.String(), f.Outcome, f.Text}
		}
	}
	return nil
}

// before runs the pre part of a hook, in the journal first if there is a post part.
func (s *Scope) before(ctx context.Context, i int, paired bool) (catalog.HookFinished, error) {
	h := s.hooks[i]
	pre := configs.Pre(s.Level, s.Moment)
	if err := Sound(s.FS, h.Command[0]); err != nil {
		f := s.finished(h, pre)
		f.Outcome, f.Text = catalog.HookFailed, err.Error()
		return f, s.Record(ctx, f) // it did not run, so there is nothing to undo
	}
	id := ""
	if paired {
		var err error
		if id, err = s.journal(ctx, h); err != nil {
			return catalog.HookFinished{}, err
		}
	}
	s.ran[i] = id
	return s.run(ctx, h, pre, nil)
}

// End runs the post hooks, also when ctx has ended: each is bounded by its own timeout. The error is for what could not be
// recorded; the failure of a post hook is what Record is told.
func (s *Scope) End(ctx context.Context, r Result) error {
	ctx = context.WithoutCancel(ctx)
	pre, post := configs.Pre(s.Level, s.Moment), configs.Post(s.Level, s.Moment)
	var errs error
	for i, h := range s.hooks {
		id, ran := s.ran[i]
		if !h.At(post) || h.At(pre) && !ran {
			continue
		}
		if err := Sound(s.FS, h.Command[0]); err != nil {
			f := s.finished(h, post)
			f.Outcome, f.Text = catalog.HookFailed, err.Error()
			errs = errors.Join(errs, s.Record(ctx, f))
			continue // what the pre hook left is still to be undone: the journal keeps it
		}
		_, err := s.run(ctx, h, post, &r)
		if id != "" {
			err = errors.Join(err, s.Journal.Done(ctx, id))
		}
		errs = errors.Join(errs, err)
	}
	s.ran = map[int]string{}
	return errs
}

func (s *Scope) finished(h configs.Hook, e configs.HookEvent) catalog.HookFinished {
	return catalog.HookFinished{DLE: s.DLE, Event: string(e), Hook: h.Title()}
}

// run runs one part of a hook and has it recorded.
func (s *Scope) run(ctx context.Context, h configs.Hook, e configs.HookEvent, after *Result) (catalog.HookFinished, error) {
	f := s.finished(h, e)
	s.execute(ctx, h, s.environment(s.Subject, e, h, after), &f)
	if after != nil && f.Outcome == catalog.HookVetoed {
		// There is nothing left to veto.
		f.Outcome, f.Text = catalog.HookFailed, reason(fmt.Sprintf("exit status %d", VetoStatus), f.Output)
	}
	return f, s.Record(context.WithoutCancel(ctx), f)
}

// reason is what is said of a hook that is not ok: how it ended, and the last line that it wrote.
func reason(how string, output []string) string {
	if len(output) == 0 {
		return how
	}
	return strings.TrimPrefix(how+": ", ": ") + output[len(output)-1]
}

// ResultOf is what the post hooks are told of what ended with err: of a veto, a cancelled context, another error, or none.
func ResultOf(err error) Result {
	switch {
	case err == nil:
		return Result{Status: StatusOK}
	case Vetoed(err):
		return Result{StatusVetoed, err.Error()}
	case errors.Is(err, context.Canceled):
		return Result{StatusCancelled, err.Error()}
	}
	return Result{StatusFailed, err.Error()}
}
