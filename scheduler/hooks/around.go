package hooks

import (
	"context"
	"errors"

	"holdfast/configs"
)

// Around does work between the pre and the post hooks of several subjects, the widest first; their post hooks come in the opposite
// order of subjects. When a pre hook keeps it from being done, the error is that hook's. The error joins what could not be recorded.
func (r *Runner) Around(ctx context.Context, subjects []Subject, work func() error) error {
	var begun []*Scope
	var err error
	for _, subject := range subjects {
		s := r.Scope(subject)
		begun = append(begun, s)
		if err = s.Begin(ctx); err != nil {
			break
		}
	}
	if err == nil {
		err = work()
	}
	result := ResultOf(err)
	if ctx.Err() != nil {
		result = Result{StatusCancelled, "the work was cancelled"}
	}
	for i := len(begun) - 1; i >= 0; i-- {
		err = errors.Join(err, begun[i].End(ctx, result))
	}
	return err
}

// Widening gives the subjects around that of a DLE and itself, the widest first: the run, the host, the DLE.
func (s Subject) Widening() []Subject {
	run, host := s, s
	run.Level, run.DLE.VM, run.DLE.Disk, run.Dump, run.Image = configs.HookRun, "", "", nil, ""
	host.Level, host.DLE.Disk, host.Dump, host.Image = configs.HookHost, "", nil, ""
	return []Subject{run, host, s}
}
