package freeze

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"holdfast/catalog"
	"holdfast/dumpers"
)

// ResourceKind is the kind of the journal entries of this package. An entry's Name is the VM's, its Data the Guest as JSON.
const ResourceKind = "freeze"

const (
	// answerSlack is what a watchdog may take to start and to answer, beyond what was ordered.
	answerSlack = 30 * time.Second
	// overMax bounds the wait for the word that all is thawed; lateMax the same where the freeze did not come about: its hook
	// may take for ever, and the watchdog waits better than a run.
	overMax = 45 * time.Second
	lateMax = 2 * time.Second
)

// Guard freezes guests. Its methods may be called concurrently.
type Guard struct {
	// Command starts a process that does Watchdog.Run on its standard input and output: a program and its arguments. The
	// program is best named as /proc/self/exe, which is this one also when another version has been installed since.
	Command []string
	// Journal is where a freeze stands for as long as it is not seen to be over.
	Journal dumpers.Journal
	// Open reaches the guests when the watchdog has died, and for Reap.
	Open Openers
	// Now is the clock.
	Now func() time.Time
}

// Around calls pin while the guest of the order is frozen, as its policy says, and tells how consistent the point is then. Pin is
// called once or not at all; its context ends with the window. The guest is thawed, or a watchdog is at it, when Around
// returns. Errors: ErrNotFrozen and ErrNotHeld where the policy is Require, those of pin, and those of the journal.
func (g *Guard) Around(ctx context.Context, o Order, pin func(context.Context) error) (Reached, error) {
	if o.Policy == Never {
		return less("the policy is never to freeze"), pin(ctx)
	}
	entry, err := g.enter(ctx, o)
	if err != nil {
		return less("not frozen"), fmt.Errorf("freeze %s: %w", o.VM, err)
	}
	reached, err := g.around(ctx, o, pin)
	if !reached.Unsettled {
		err = errors.Join(err, g.Journal.Done(context.WithoutCancel(ctx), entry))
	}
	if err != nil {
		return reached, fmt.Errorf("freeze %s: %w", o.VM, err)
	}
	return reached, nil
}

// enter journals a freeze that is about to be.
func (g *Guard) enter(ctx context.Context, o Order) (string, error) {
	data, err := json.Marshal(o.Guest)
	if err != nil {
		return "", err
	}
	r := catalog.Resource{ID: ResourceKind + "-" + rand.Text(), Kind: ResourceKind, Name: o.VM, Data: string(data), Made: g.Now()}
	return r.ID, g.Journal.Add(ctx, r)
}

func (g *Guard) around(ctx context.Context, o Order, pin func(context.Context) error) (Reached, error) {
	dog, first := g.freeze(ctx, o)
	if first.State != stateFrozen {
		return g.unfrozen(ctx, o, pin, refusal{dog, first.Why})
	}
	inWindow, cancel := context.WithTimeout(ctx, o.window())
	pinned := ctx.Err() // interrupted: nothing to pin for
	if pinned == nil {
		pinned = pin(inWindow)
	}
	cancel()
	final, over := g.thaw(ctx, o, dog)
	return judge(o, outcome{first, final, over}, pinned)
}

// freeze starts a watchdog and has it freeze. Without an answer the answer is a refusal.
func (g *Guard) freeze(ctx context.Context, o Order) (*process, answer) {
	dog, err := startProcess(g.Command)
	if err != nil {
		return nil, answer{State: stateRefused, Why: err.Error()}
	}
	first, err := dog.ask(ctx, o.timeout()+answerSlack, command{
		Do: doFreeze, Guest: o.Guest, Mountpoints: o.Mountpoints, Timeout: o.timeout(), Window: o.window(),
	}, stateFrozen, stateRefused)
	if err != nil {
		return dog, answer{State: stateRefused, Why: err.Error()}
	}
	return dog, first
}

// thaw has the watchdog thaw, and thaws without it when it has died. Over tells whether all is seen to be thawed.
func (g *Guard) thaw(ctx context.Context, o Order, dog *process) (final answer, over bool) {
	ctx = context.WithoutCancel(ctx) // whatever happened to the run, the guest is thawed
	final, err := dog.ask(ctx, overMax, command{Do: doThaw}, stateOver)
	dog.leave(err == nil || errors.Is(err, errDied))
	switch {
	case err == nil:
		return final, true
	case errors.Is(err, errDied):
		return g.rescue(ctx, o.Guest)
	}
	return answer{Why: fmt.Sprintf("nobody says that the guest is thawed: %v", err)}, false
}

// rescue thaws without a watchdog.
func (g *Guard) rescue(ctx context.Context, guest Guest) (answer, bool) {
	ctx, cancel := context.WithTimeout(ctx, overMax)
	defer cancel()
	count, err := g.settle(ctx, guest)
	if err != nil {
		return answer{Count: count, Why: fmt.Sprintf("%v; %v", errDied, err)}, false
	}
	return answer{State: stateOver, Count: count, Why: errDied.Error()}, true
}

// settle thaws a guest that may be frozen, and tells how many file systems were.
func (g *Guard) settle(ctx context.Context, guest Guest) (int, error) {
	agent, err := g.Open.Open(ctx, guest)
	if err != nil {
		return 0, err
	}
	defer agent.Close()
	th := &thawer{agent: agent, now: g.Now}
	err = th.settle(ctx)
	return th.count, err
}

// refusal is a freeze that did not come about, and the watchdog that sees to what may come of it yet; nil if it did not start.
type refusal struct {
	dog *process
	why string
}

// unfrozen goes on without a freeze if the policy lets it.
func (g *Guard) unfrozen(ctx context.Context, o Order, pin func(context.Context) error, r refusal) (Reached, error) {
	reached := less("not frozen: %s", r.why)
	err := ctx.Err()
	switch {
	case err != nil: // that is why
	case o.Policy == Require:
		err = fmt.Errorf("%w: %s", ErrNotFrozen, r.why)
	default:
		err = pin(ctx)
	}
	if r.dog == nil {
		return reached, err
	}
	ctx = context.WithoutCancel(ctx)
	_, askErr := r.dog.ask(ctx, lateMax, command{Do: doThaw}, stateOver)
	over, died := askErr == nil, errors.Is(askErr, errDied)
	r.dog.leave(over || died)
	if died {
		_, over = g.rescue(ctx, o.Guest)
	}
	if !over {
		reached.Unsettled = true
		reached.Reason += "; it may freeze yet, and a watchdog waits to thaw it"
	}
	return reached, err
}

// outcome is a freeze that was, and what is known of its end.
type outcome struct {
	first, final answer
	over         bool
}

// judge tells what a point is worth that was pinned between a freeze and a thaw.
func judge(o Order, c outcome, pinned error) (Reached, error) {
	reached := Reached{Consistency: dumpers.ConsistentFS, FileSystems: c.first.Count, Held: c.final.Held, Unsettled: !c.over}
	if o.Hooks {
		reached.Consistency = dumpers.ConsistentApplication
	}
	why := ""
	switch {
	case c.final.Why != "":
		why = c.final.Why
	case c.final.Count < c.first.Count:
		why = fmt.Sprintf("%d file systems were frozen and only %d still when they were thawed", c.first.Count, c.final.Count)
	}
	if why == "" {
		return reached, pinned
	}
	reached.Consistency, reached.Reason = dumpers.ConsistentCrash, "the freeze did not hold: "+why
	if o.Policy == Require {
		pinned = errors.Join(fmt.Errorf("%w: %s", ErrNotHeld, why), pinned)
	}
	return reached, pinned
}
