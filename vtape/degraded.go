package vtape

import (
	"context"
	"time"
)

// MemberFault is what is wrong with one member of a parity set.
type MemberFault struct {
	// Member is its name in the configuration.
	Member string
	Err    error
}

// Degradable is a Device that goes on writing though some of what it is made of fails.
type Degradable interface {
	// Degraded gives the members that do not hold all of the volume; none when all do. Writing must be over.
	Degraded() []MemberFault
}

// Locker is a Device whose storage keeps what is written from being removed for some time.
type Locker interface {
	// LockedUntil is when the last of the volume's files can be removed; the zero time when none is locked.
	LockedUntil(ctx context.Context) (time.Time, error)
}
