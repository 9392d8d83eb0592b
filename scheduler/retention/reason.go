package retention

import (
	"cmp"
	"slices"
	"time"

	"holdfast/catalog"
)

// Kind says which rule a reason comes from.
type Kind string

// The kinds.
const (
	KindRetired        Kind = "retired"          // the volume is gone for good
	KindUnconfigured   Kind = "unconfigured"     // its storage is not in the configuration
	KindNoReuse        Kind = "no-reuse"         // the volume is marked
	KindStorageNoReuse Kind = "storage-no-reuse" // the storage writes each volume once
	KindHold           Kind = "hold"             // a dump is on hold
	KindLocked         Kind = "locked"           // the storage refuses to remove it yet
	KindCurrent        Kind = "current-run"      // written by the run that goes on
	KindLatest         Kind = "latest"           // the latest dump of a DLE in the storage
	KindHeld           Kind = "held"             // a dump on the holding disk
	KindWindow         Kind = "recovery-window"
	KindFulls          Kind = "keep-fulls"
	KindFullDays       Kind = "keep-full-days"
	KindVolumes        Kind = "keep-volumes"
	KindDays           Kind = "keep-days"
	KindWanted         Kind = "wanted-copy" // a copy is still to be made; yields
)

// kinds has the weightiest first: what no policy can lift, then what only time or a new dump lifts, then the policies.
var kinds = []Kind{
	KindRetired, KindUnconfigured, KindNoReuse, KindStorageNoReuse, KindHold, KindLocked, KindCurrent, KindLatest, KindHeld,
	KindWindow, KindFulls, KindFullDays, KindVolumes, KindDays, KindWanted,
}

func (k Kind) weight() int { return slices.Index(kinds, k) }

// Reason is one thing that keeps a volume or a dump.
type Reason struct {
	Kind Kind `json:"kind"`
	// Text says it in words that go with "is kept: ".
	Text string `json:"text"`
	// Until is when the reason ends if nothing else happens; zero when time alone does not end it.
	Until time.Time `json:"until,omitzero"`
	// Dump is the dump on the volume that is kept; empty when the volume is kept for its own sake.
	Dump catalog.DumpID `json:"dump,omitempty"`
	// NeededBy is the dump that Dump is kept for when that is another one.
	NeededBy catalog.DumpID `json:"needed_by,omitempty"`
}

func yields(reasons []Reason) bool {
	return !slices.ContainsFunc(reasons, func(r Reason) bool { return r.Kind != KindWanted })
}

// compareReasons puts the weightiest first, and of one kind those that last longest.
func compareReasons(a, b Reason) int {
	if a.Kind != b.Kind {
		return cmp.Compare(a.Kind.weight(), b.Kind.weight())
	}
	return cmp.Or(compareUntil(a.Until, b.Until),
		cmp.Compare(a.NeededBy, b.NeededBy), cmp.Compare(a.Dump, b.Dump), cmp.Compare(a.Text, b.Text))
}

// compareUntil puts what has no end first, then what ends last.
func compareUntil(a, b time.Time) int {
	switch {
	case a.IsZero() && b.IsZero():
		return 0
	case a.IsZero():
		return -1
	case b.IsZero():
		return 1
	}
	return b.Compare(a)
}
