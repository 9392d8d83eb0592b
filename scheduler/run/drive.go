package run

import (
	"context"
	"errors"
	"slices"

	"holdfast/catalog"
	"holdfast/scheduler"
)

// drive dumps the plan's entries, in-parallel at a time, in the plan's order; a clone waits for its base.
func (s *session) drive(ctx context.Context, plan scheduler.Plan) error {
	pending := slices.Clone(plan.Entries)
	open := map[catalog.DLE]bool{} // neither done nor failed yet
	for _, e := range pending {
		open[e.DLE] = true
		s.expect(e, 1)
	}
	type outcome struct {
		dle catalog.DLE
		err error
	}
	done := make(chan outcome)
	running := 0
	var errs error
	for len(pending)+running > 0 {
		if errs == nil {
			errs = ctx.Err() // nothing more is begun
		}
		i := -1
		if running < s.Config.InParallel && errs == nil {
			i = slices.IndexFunc(pending, func(e scheduler.Entry) bool { return e.CloneOf == nil || !open[*e.CloneOf] })
		}
		if i < 0 {
			if running == 0 {
				break // stopped by an error
			}
			o := <-done
			running--
			open[o.dle] = false
			errs = errors.Join(errs, o.err)
			continue
		}
		e := pending[i]
		pending = slices.Delete(pending, i, i+1)
		running++
		go func() { done <- outcome{e.DLE, s.dump(ctx, e)} }()
	}
	return errs
}
