// Package scheduler is the planner: what each image gets tonight, at which level, and why.
//
// It is pure. Make takes the policy, the history, the sizes and the room there is, and gives entries with their
// reasons; it reads no clock, no file and no device, so the same input always gives the same plan, in whatever order the
// images are named. Its one invariant: a plan never holds more than the run's capacity, and what is left out is named
// with its reason.
//
// The rules are Amanda's (due dates, level 1 after a full, bump, delay, degraded level), mended where they do harm:
// a new image is delayed like any other when the run cannot hold it, a forced full that does not fit still gets an
// incremental, and a late full is a problem, not a note.
package scheduler

import (
	"time"

	"holdfast/catalog"
)

// Strategy says which levels an image may get.
type Strategy string

// The strategies, in Amanda's words.
const (
	StrategyStandard Strategy = "standard"
	StrategyNoInc    Strategy = "noinc"    // a full in each run
	StrategyNoFull   Strategy = "nofull"   // level 1 in each run once there is a full
	StrategyIncrOnly Strategy = "incronly" // levels that bump, never another full
	StrategySkip     Strategy = "skip"
)

// Policy is what the configuration says of one image.
type Policy struct {
	// CycleDays is the dump cycle: a full at least every so many days. 0 asks for a full in each run.
	CycleDays float64
	// Bump: the next level is used when it saves BumpSizeBytes (or BumpPercent of the full, when not 0) times
	// BumpMult^(level-1), after BumpDays dumps at the current one.
	BumpSizeBytes int64
	BumpPercent   float64
	BumpMult      float64
	BumpDays      int
	// MaxLevel bounds the chain; 0 means catalog.MaxLevel.
	MaxLevel catalog.Level
	Strategy Strategy
	Priority int
	// Compressed tells whether the stored size differs from the original one.
	Compressed bool
}

// Image is one DLE as the planner sees it.
type Image struct {
	DLE    catalog.DLE
	Policy Policy
	// Base is the image this one is a clone of: its level 0 is a delta to the base's latest dump.
	Base *catalog.DLE
	// Overlay tells that a clone's AllocatedBytes hold only what differs from its base; a copy of the base holds all.
	Overlay bool
	// Dumps are the usable dumps that can still be restored, oldest first.
	Dumps []catalog.Dump
	// AllocatedBytes is how much of the image may hold data: no full is larger before compression.
	AllocatedBytes int64
	Force          catalog.ForceKind
	// MustFull, when not empty, is why no incremental can be made (the image was resized, its block map is gone).
	MustFull string
	// Unreadable, when not empty, is why the image cannot be dumped tonight at all.
	Unreadable string
}

// Capacity is what the run's media can take.
type Capacity struct {
	// VolumeBytes times Volumes is the room; 0 of either means that no limit is known.
	VolumeBytes int64
	Volumes     int
	// PartBytes is the part size; 0: a dump is one part a volume.
	PartBytes int64
	// HeaderBytes is what each part and each label costs.
	HeaderBytes int64
	// BacklogBytes wait on the holding disk and will be flushed first. They take their room from fulls alone:
	// incrementals can wait where the backlog did.
	BacklogBytes int64
}

// Input is all that the planner knows.
type Input struct {
	Now      time.Time
	Images   []Image
	Capacity Capacity
}

// Entry is the decision for one image.
type Entry struct {
	DLE   catalog.DLE
	Level catalog.Level
	// Base is the dump an incremental builds on. It is empty for a full, and for the first full of a clone, whose base
	// may be dumped in this very run.
	Base catalog.DumpID
	// CloneOf is the image whose latest dump a clone's level 0 is a delta to. When both are dumped, the base goes first.
	CloneOf *catalog.DLE
	// OrigBytes and StoredBytes are the sizes expected, before and after compression.
	OrigBytes, StoredBytes int64
	Priority               int
	// Reason is why this level, in words.
	Reason string
	// Note is what the report shall say; empty for the ordinary course of things.
	Note string
	// Late is set when a full that is overdue was put off again.
	Late bool
	// Degraded is the incremental that the image gets instead of this full when no volume can be written; nil when there is
	// none, and then Reason says why.
	Degraded *Entry
}

// Skip is an image that gets nothing tonight.
type Skip struct {
	DLE    catalog.DLE
	Level  catalog.Level
	Reason string
	// Failure tells whether that is a failure; an image on strategy skip is left out on purpose.
	Failure bool
}

// Plan is tonight's work: entries in dump order (a base before its clones), and what was left out.
type Plan struct {
	Entries []Entry
	Skipped []Skip
	// TotalBytes is what the entries and the backlog need on the media; CapacityBytes what there is (0: no limit known).
	TotalBytes, CapacityBytes int64
}

// Event is the decision as the run records it.
func (e Entry) Event() catalog.Planned {
	return catalog.Planned{
		DLE: e.DLE, Level: e.Level, Base: e.Base, OrigEstimate: e.OrigBytes, StoredEstimate: e.StoredBytes,
		Reason: e.Reason, Note: e.Note, Late: e.Late,
	}
}
