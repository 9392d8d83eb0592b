package run

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/scheduler/hooks"
)

// checking is a check between its hooks.
type checking struct {
	*Night
	*findings
	runner *hooks.Runner
	hosts  *hooks.Hosts
}

// errNotReady is what the run's post hook is told.
var errNotReady = errors.New("the check has found errors")

// checkHooked does the check between the hooks that the configuration has for it. What one vetoes is not looked at.
func (n *Night) checkHooked(ctx context.Context, f *findings) {
	c := checking{Night: n, findings: f}
	c.runner = n.hookRunner("", n.Hooks.Owner, c.tell)
	c.checkPrograms()
	var dles []catalog.DLE
	for _, d := range n.Config.DLEs {
		dles = append(dles, d.Name())
	}
	c.hosts = c.runner.Hosts(configs.HookCheck, "", dles)
	run := hooks.Subject{Level: configs.HookRun, Moment: configs.HookCheck}
	c.around(ctx, "nothing was looked at", run, func() error {
		n.checkHolding(f)
		n.checkLibraries(ctx, f)
		n.checkKeys(f)
		for _, d := range n.Config.DLEs {
			c.image(ctx, d)
		}
		if slices.ContainsFunc(*f, func(f Finding) bool { return f.Severity == SeverityError }) {
			return errNotReady
		}
		return nil
	})
	if err := c.hosts.Close(ctx); err != nil {
		f.add(SeverityError, "", "%v", err)
	}
}

// image looks at an image between the hooks of its host and its own.
func (c checking) image(ctx context.Context, d configs.DLE) {
	name := d.Name().String()
	err := c.hosts.Begin(ctx, d.VM)
	if err != nil {
		c.stopped(name+" was not looked at", err)
	} else {
		subject := hooks.Subject{Level: configs.HookDLE, Moment: configs.HookCheck, DLE: d.Name(), Entry: d, Image: d.Image}
		err = c.around(ctx, name+" was not looked at", subject, func() error { return c.checkImage(ctx, c.findings, d) })
	}
	if err := c.hosts.End(ctx, d.VM, hooks.ResultOf(err)); err != nil {
		c.add(SeverityError, "", "%v", err)
	}
}

// around looks between the hooks of a subject; without says what a hook keeps from being done.
func (c checking) around(ctx context.Context, without string, s hooks.Subject, look func() error) error {
	looked := false
	err := c.runner.Around(ctx, []hooks.Subject{s}, func() error {
		looked = true
		return look()
	})
	if !looked && err != nil {
		c.stopped(without, err)
	}
	return err
}

func (c checking) stopped(without string, err error) {
	severity := SeverityError
	if hooks.Vetoed(err) {
		severity = SeverityNote
	}
	c.add(severity, "", "%s: %v", without, err)
}

// tell makes findings of what became of a hook. What a pre hook stops is told where it is stopped.
func (c checking) tell(_ context.Context, h catalog.HookFinished) error {
	name := fmt.Sprintf("%s hook %s", h.Event, h.Hook)
	for _, line := range h.Output {
		c.add(SeverityNote, "", "%s: %s", name, line)
	}
	if h.Outcome == catalog.HookFailed {
		c.add(SeverityWarning, "", "%s failed: %s", name, h.Text)
	}
	return nil
}

// checkPrograms looks at the programs of all hooks.
func (c checking) checkPrograms() {
	seen := map[string]bool{}
	for _, h := range c.Config.AllHooks() {
		program := h.Command[0]
		if seen[program] {
			continue
		}
		seen[program] = true
		if err := hooks.Sound(c.FS, program); err != nil {
			help := ""
			if errors.Is(err, hooks.ErrAnyone) {
				help = "it would be run with the rights of this user, so it must not be everyone's: chmod o-w"
			}
			c.add(SeverityError, help, "hook %s: %v", h.Title(), err)
		}
	}
}
