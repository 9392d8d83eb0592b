package vtape

import (
	"context"
	"time"

	"holdfast/catalog"
)

// MemberFault is what is wrong with one member of a parity set.
type MemberFault struct {
	// Member is its name in the configuration; empty when it cannot be told which member it is.
	Member string
	Err    error
}

// Degradable is a Device that goes on writing though some of what it is made of fails.
type Degradable interface {
	// Degraded gives the members that do not hold all of the volume; none when all do. Writing must be over.
	Degraded() []MemberFault
}

// PartChecker is a Device on which a part can be damaged without being lost, because it can be reckoned from the rest.
type PartChecker interface {
	// CheckPart reads all of a part, also what is not needed to read its data, and tells which members lack it, have it short
	// or wrong; none when all is well. With a checksum (0: it is not known) more can be told. An error is one of the volume
	// as a whole.
	CheckPart(ctx context.Context, p catalog.Part) ([]MemberFault, error)
}

// Locker is a Device whose storage keeps what is written from being removed for some time.
type Locker interface {
	// LockedUntil is when the last of the volume's files can be removed; the zero time when none is locked.
	LockedUntil(ctx context.Context) (time.Time, error)
}
