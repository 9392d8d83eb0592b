package hooks

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"holdfast/catalog"
	"holdfast/configs"
)

// Hosts runs the host hooks of one moment of a run: before the first DLE of each host and after its last. It may be used by
// many goroutines.
type Hosts struct {
	hosts map[string]*host
}

// host is one of them. Its mutex is held while its hooks run, so that its other DLEs wait.
type host struct {
	mu     sync.Mutex
	scope  *Scope
	left   int // DLEs that are not done
	begun  bool
	err    error // of Begin: it goes for all DLEs
	result Result
}

// Hosts gives that of a moment for all the DLEs that it will come to.
func (r *Runner) Hosts(m configs.HookMoment, stamp catalog.Stamp, dles []catalog.DLE) *Hosts {
	all := &Hosts{hosts: map[string]*host{}}
	for _, d := range dles {
		h := all.hosts[d.VM]
		if h == nil {
			h = &host{scope: r.Scope(Subject{Level: configs.HookHost, Moment: m, DLE: catalog.DLE{VM: d.VM}, Stamp: stamp})}
			all.hosts[d.VM] = h
		}
		h.left++
	}
	return all
}

// Begin is to be called before each DLE. The first of a host runs its pre hooks, and their error is that of all its DLEs; see
// Scope.Begin.
func (a *Hosts) Begin(ctx context.Context, vm string) error {
	h := a.hosts[vm]
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.begun {
		h.begun = true
		h.err = h.scope.Begin(ctx)
	}
	return h.err
}

// End is to be called once after each DLE that Begin was called for, whatever that said. The last one of a host runs its post
// hooks, which are told the worst result.
func (a *Hosts) End(ctx context.Context, vm string, r Result) error {
	h := a.hosts[vm]
	h.mu.Lock()
	defer h.mu.Unlock()
	h.result = h.result.Worst(r)
	h.left--
	if h.left > 0 {
		return nil
	}
	return h.close(ctx)
}

func (h *host) close(ctx context.Context) error {
	if !h.begun {
		return nil
	}
	h.begun = false
	return h.scope.End(ctx, h.result)
}

// Close runs the post hooks of the hosts that were begun and not finished: the work was cancelled.
func (a *Hosts) Close(ctx context.Context) error {
	var errs error
	for _, vm := range slices.Sorted(maps.Keys(a.hosts)) {
		h := a.hosts[vm]
		h.mu.Lock()
		h.result = h.result.Worst(Result{StatusCancelled, "the work was cancelled"})
		errs = errors.Join(errs, h.close(ctx))
		h.mu.Unlock()
	}
	return errs
}
