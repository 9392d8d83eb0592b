package freeze

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"holdfast/dumpers"
)

// Policy says what a freeze is worth to a VM.
type Policy string

// The policies.
const (
	// Require: no dump without a freeze that held.
	Require Policy = "require"
	// Prefer: freeze, and go on without where that is not to be had.
	Prefer Policy = "prefer"
	// Never: leave the guest alone.
	Never Policy = "never"
)

// ParsePolicy reads a policy; an empty one is Prefer.
func ParsePolicy(s string) (Policy, error) {
	switch p := Policy(cmp.Or(s, string(Prefer))); p {
	case Require, Prefer, Never:
		return p, nil
	}
	return "", fmt.Errorf("freeze policy %q: not one of require, prefer, never", s)
}

// Defaults of an order. Windows holds a freeze for ten seconds and no longer, so the window stays well below.
const (
	DefaultTimeout = 30 * time.Second
	DefaultWindow  = 5 * time.Second
)

// Errors of a VM whose policy is Require.
var (
	// ErrNotFrozen: the guest could not be frozen; nothing was pinned.
	ErrNotFrozen = errors.New("guest was not frozen")
	// ErrNotHeld: the guest was thawed before the pin was done: the point is not what it should be and must be aborted.
	ErrNotHeld = errors.New("the freeze did not hold")
)

// Order is a freeze that is wanted.
type Order struct {
	VM     string
	Guest  Guest
	Policy Policy
	// Hooks: hooks in the guest bring its applications to rest, so that a freeze is worth more than one of file systems. The
	// agent does not tell: it is the administrator's word.
	Hooks bool
	// Mountpoints are the file systems to freeze; all for none.
	Mountpoints []string
	// Timeout is how long the freeze may take, hooks included; Window how long it may last. Zero is the default.
	Timeout, Window time.Duration
}

func (o Order) timeout() time.Duration { return cmp.Or(o.Timeout, DefaultTimeout) }

func (o Order) window() time.Duration { return cmp.Or(o.Window, DefaultWindow) }

// Reached is what came of an order.
type Reached struct {
	Consistency dumpers.Consistency
	// Reason says why the consistency is less than could be; empty when it is not.
	Reason string
	// FileSystems is how many were frozen, Held for how long, from the answer to the freeze to the one to the thaw.
	FileSystems int
	Held        time.Duration
	// Unsettled: nobody has seen yet that the guest is thawed. A watchdog goes on, the journal entry stays: an alarm.
	Unsettled bool
}

// less is a point without a freeze, and why.
func less(format string, args ...any) Reached {
	return Reached{Consistency: dumpers.ConsistentCrash, Reason: fmt.Sprintf(format, args...)}
}
