package run

import (
	"context"
	"errors"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/reports"
	"holdfast/scheduler"
	"holdfast/scheduler/hooks"
)

// HookProcess is what hooks need to know of the process.
type HookProcess struct {
	// Env is what every hook gets beside its own variables, and nothing secret.
	Env []string
	// Owner names this process, Alive tells of another's name whether it still works; see hooks.Runner.
	Owner string
	Alive func(owner string) bool
}

// hookRunner gives a runner. A run leaves owner empty: there is one at a time.
func (n *Night) hookRunner(stamp catalog.Stamp, owner string, record func(context.Context, catalog.HookFinished) error) *hooks.Runner {
	return &hooks.Runner{
		Config: n.Config, FS: n.FS, Journal: n.Store.Journal(stamp), Record: record, Now: n.Now, Env: n.Hooks.Env, Owner: owner,
	}
}

// recordHook records what became of a hook of the run.
func (s *session) recordHook(ctx context.Context, f catalog.HookFinished) error {
	return s.event(ctx, f)
}

func (s *session) subject(l configs.HookLevel, m configs.HookMoment) hooks.Subject {
	return hooks.Subject{Level: l, Moment: m, Stamp: s.stamp}
}

func (s *session) dleSubject(m configs.HookMoment, d configs.DLE) hooks.Subject {
	subject := s.subject(configs.HookDLE, m)
	subject.DLE, subject.Entry, subject.Image = d.Name(), d, d.Image
	return subject
}

// stopped tells whether err is a pre hook's; what keeps one from being recorded stops the whole run.
func stopped(err error) bool {
	var e *hooks.Error
	return errors.As(err, &e)
}

// reapHooks runs the post hooks that a killed process did not come to.
func (s *session) reapHooks(ctx context.Context) error {
	reaped, err := s.hooks.Reap(ctx, s.Hooks.Alive)
	for _, h := range reaped {
		of := h.About
		if h.Stamp != "" {
			of += ", of " + string(h.Stamp)
		}
		tell, text := s.note, "ran the post hook %s for %s, since its pre hook ran and what followed was killed"
		if h.Gone {
			tell = func(ctx context.Context, _, format string, args ...any) error { return s.problem(ctx, format, args...) }
			text = "the pre hook %s ran for %s, and what followed was killed; the configuration has no post hook for it any more, so none was run"
		}
		err = errors.Join(err, tell(ctx, "reaper", text, h.Hook, of))
	}
	if err != nil {
		return s.problem(ctx, "%v", err)
	}
	return nil
}

// backup makes the dumps of the plan between the hooks of the run and of its hosts. The run's post hooks come in finish.
func (s *session) backup(ctx context.Context, plan scheduler.Plan) error {
	if err := s.around.Begin(ctx); err != nil {
		return s.leaveOut(ctx, plan.Entries, err)
	}
	var dles []catalog.DLE
	for _, e := range plan.Entries {
		dles = append(dles, e.DLE)
	}
	s.hosts = s.hooks.Hosts(configs.HookBackup, s.stamp, dles)
	return errors.Join(s.drive(ctx, plan), s.hosts.Close(ctx))
}

// leaveOut tells that a hook of the whole run keeps its dumps from being made.
func (s *session) leaveOut(ctx context.Context, entries []scheduler.Entry, err error) error {
	if !stopped(err) {
		return err
	}
	s.vetoed = hooks.Vetoed(err)
	for _, e := range entries {
		if err := s.event(ctx, s.notDumped(e.DLE, e.Level, err)); err != nil {
			return err
		}
	}
	return nil
}

// notDumped is what is told of a dump that came to nothing: a veto is no failure.
func (s *session) notDumped(dle catalog.DLE, level catalog.Level, err error) catalog.EventBody {
	if hooks.Vetoed(err) {
		return catalog.Skipped{DLE: dle, Level: level, Reason: err.Error()}
	}
	return catalog.DumpFailed{DLE: dle, Level: level, Stamp: s.stamp, Error: err.Error(), Hint: hint(err)}
}

// hooked makes the dump between its own hooks, after those before its host. Those after the host come when no more attempts do.
func (d *dumping) hooked(ctx context.Context, planned scheduler.Entry) (made catalog.Dump, err error) {
	vm := d.dle.VM
	if err = d.hosts.Begin(ctx, vm); err == nil {
		made, err = d.ownHooks(ctx, planned)
	} else if !stopped(err) && ctx.Err() == nil {
		err = recorded(err)
	}
	return made, err
}

func (d *dumping) ownHooks(ctx context.Context, planned scheduler.Entry) (made catalog.Dump, err error) {
	subject := d.dleSubject(configs.HookBackup, d.dle)
	subject.Dump = &planned.Level
	scope := d.hooks.Scope(subject)
	if err = scope.Begin(ctx); err == nil {
		made, err = d.degradedOr(ctx, planned)
	} else if !stopped(err) && ctx.Err() == nil {
		err = recorded(err)
	}
	return made, errors.Join(err, recorded(scope.End(ctx, d.result(ctx, made, err))))
}

// result is what post hooks are told of the dump.
func (d *dumping) result(ctx context.Context, made catalog.Dump, err error) hooks.Result {
	switch {
	case err != nil && ctx.Err() != nil:
		return hooks.Result{Status: hooks.StatusCancelled, Reason: "the run was cancelled"}
	case err == nil && d.alarm != "":
		return hooks.Result{Status: hooks.StatusStrange, Reason: d.alarm}
	case err == nil && made.Status == catalog.StatusStrange:
		return hooks.Result{Status: hooks.StatusStrange, Reason: made.Outcome()}
	}
	return hooks.ResultOf(err)
}

// afterBackup runs the run's post hooks, which are told what the report will say.
func (s *session) afterBackup(ctx context.Context, cancelled bool) error {
	if s.options.Command != CommandRun {
		return nil
	}
	run, err := s.Store.Run(ctx, s.stamp)
	if err != nil {
		return err
	}
	events, err := s.Store.Events(ctx, s.stamp, 0)
	if err != nil {
		return err
	}
	last := catalog.Event{Run: s.stamp, At: s.Now(), Body: catalog.RunFinished{Cancelled: cancelled}}
	report := reports.Fold(run, append(events, last))
	const strange = 2
	result := hooks.Result{Status: hooks.StatusOK}
	switch status := report.Head.ExitStatus; {
	case cancelled:
		result.Status = hooks.StatusCancelled
	case status&^strange != 0:
		result.Status = hooks.StatusFailed
	case status != 0:
		result.Status = hooks.StatusStrange
	case s.vetoed:
		result.Status = hooks.StatusVetoed
	}
	if result.Status != hooks.StatusOK {
		result.Reason = report.Subject()
	}
	return s.around.End(ctx, result)
}
