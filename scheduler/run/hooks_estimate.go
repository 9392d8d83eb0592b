package run

import (
	"context"
	"errors"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/scheduler"
	"holdfast/scheduler/hooks"
)

// estimating looks at the images between hooks. A nil one, with which nothing but a plan is made, runs none.
type estimating struct {
	*session
	scope  *hooks.Scope // the run's
	hosts  *hooks.Hosts
	err    error // of the run's pre hooks: it goes for all images
	result hooks.Result
	// skipped are the images that hooks have vetoed.
	skipped []catalog.Skipped
}

// beginEstimates runs the run's hooks before estimates.
func (s *session) beginEstimates(ctx context.Context) (*estimating, error) {
	var dles []catalog.DLE
	for _, d := range s.chosen(s.options) {
		if s.Config.TypeOf(d).Strategy != configs.StrategySkip {
			dles = append(dles, d.Name())
		}
	}
	e := &estimating{
		session: s, scope: s.hooks.Scope(s.subject(configs.HookRun, configs.HookEstimate)), result: hooks.Result{Status: hooks.StatusOK},
		hosts: s.hooks.Hosts(configs.HookEstimate, s.stamp, dles),
	}
	e.err = e.scope.Begin(ctx)
	if e.err != nil && !stopped(e.err) {
		return nil, errors.Join(e.err, e.end(ctx, e.err))
	}
	return e, nil
}

// look fills in what is to be seen of an image. The answer is whether it is planned at all.
func (e *estimating) look(ctx context.Context, d configs.DLE, img *scheduler.Image, look func()) (bool, error) {
	if e == nil {
		look()
		return true, nil
	}
	err := e.err
	if err == nil {
		err = e.withHost(ctx, d, img, look)
	}
	result := hooks.ResultOf(err)
	if err == nil && img.Unreadable != "" {
		result = hooks.Result{Status: hooks.StatusFailed, Reason: img.Unreadable}
	}
	e.result = e.result.Worst(result)
	switch {
	case hooks.Vetoed(err):
		e.skipped = append(e.skipped, catalog.Skipped{DLE: d.Name(), Reason: err.Error()})
		return false, nil
	case stopped(err):
		img.Unreadable = err.Error()
		return true, nil
	}
	return true, err
}

// withHost looks between the hooks of the host.
func (e *estimating) withHost(ctx context.Context, d configs.DLE, img *scheduler.Image, look func()) error {
	err := e.hosts.Begin(ctx, d.VM)
	if err == nil {
		scope := e.hooks.Scope(e.dleSubject(configs.HookEstimate, d))
		if err = scope.Begin(ctx); err == nil {
			look()
		}
		err = errors.Join(err, scope.End(ctx, seen(err, img)))
	}
	return errors.Join(err, e.hosts.End(ctx, d.VM, seen(err, img)))
}

// seen is what post hooks are told of the look at an image.
func seen(err error, img *scheduler.Image) hooks.Result {
	if err == nil && img.Unreadable != "" {
		return hooks.Result{Status: hooks.StatusFailed, Reason: img.Unreadable}
	}
	return hooks.ResultOf(err)
}

// end runs the post hooks that are still to come.
func (e *estimating) end(ctx context.Context, err error) error {
	if err != nil {
		e.result = e.result.Worst(hooks.ResultOf(err))
	}
	return errors.Join(e.hosts.Close(ctx), e.scope.End(ctx, e.result))
}
