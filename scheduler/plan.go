// Package scheduler is the planner: what each image gets tonight, at which level, and why.
//
// It is pure. Make takes the policy, the history, the sizes and the room there is, and gives entries with their
// reasons; it reads no clock, no file and no device, so the same input always gives the same plan, in whatever order the
// images are named. Its one invariant: a plan never holds more than the run's capacity, and what is left out is named
// with its reason.
//
// The rules are Amanda's (due dates, level 1 after a full, bump, delay, degraded level, promotion), mended where they do harm:
// a new image waits like any other when the run cannot hold it, a forced full that does not fit still gets an
// incremental, and a late full is a problem, not a note. Beyond them it looks ahead over the coming runs of a cycle, and
// chooses the run of each next full so that they carry the same.
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
	// MaxLevel bounds the levels; 0 means catalog.MaxLevel. MaxChain bounds the dumps of the image that a restore reads, the
	// full among them: 1 means fulls only, 0 no bound but MaxLevel.
	MaxLevel catalog.Level
	MaxChain int
	Strategy Strategy
	// SkipFull leaves out the runs in which a full is due, for images whose fulls are made elsewhere; SkipIncr leaves out all
	// other runs.
	SkipFull, SkipIncr bool
	// MaxPromoteDays is how long before it is due a full may be made to even out the nights: 0 for any time, negative for
	// never.
	MaxPromoteDays float64
	Priority       int
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
	// Changed is how many bytes differ now from the state in a dump, where the source can tell without reading the image;
	// what it does not name is forecast from the history.
	Changed map[catalog.DumpID]int64
	Force   catalog.ForceKind
	// Waited is how many runs have left the image out since its latest dump, or since it came on the list.
	Waited int
	// MustFull, when not empty, is why no incremental can be made (the image was resized, its block map is gone).
	MustFull string
	// Unreadable, when not empty, is why the image cannot be dumped tonight at all.
	Unreadable string
}

// Capacity is what one storage can take in a run.
type Capacity struct {
	// Name is the storage's, for reasons; empty in a site with one.
	Name string
	// Takes tells which dumps go to this storage; nil: all.
	Takes func(dle catalog.DLE, level catalog.Level) bool
	// VolumeBytes times Volumes is the room; 0 of either means that no limit is known.
	VolumeBytes int64
	Volumes     int
	// PartBytes is the part size; 0: a dump is one part a volume.
	PartBytes int64
	// HeaderBytes is what each part and each label costs, MarkBytes what the end of each of these files does: the filemark.
	HeaderBytes, MarkBytes int64
	// BacklogBytes wait on the holding disk and will be flushed first. They take their room from fulls alone:
	// incrementals can wait where the backlog did.
	BacklogBytes int64
}

// Window is the time that a run may take.
type Window struct {
	// Length is from the begin of the window to its end; 0: no limit.
	Length time.Duration
	// Parallel is how many images are dumped at a time; 0 means 1.
	Parallel int
}

// Holding is the holding disk.
type Holding struct {
	// Bytes is the room on it; 0: no limit known.
	Bytes int64
	// Alone tells that this run writes to no volume, so that the holding disk is all the room there is; ReservePercent of
	// it are then kept from fulls.
	Alone          bool
	ReservePercent int
}

// Input is all that the planner knows.
type Input struct {
	Now    time.Time
	Images []Image
	// Capacity is that of the main storage, Storages those of the others that are written to in the run.
	Capacity Capacity
	Storages []Capacity
	Window   Window
	Holding  Holding
	// Coming are the times of the next runs as far as the schedule tells them, earliest first. Without it RunsPerCycle runs
	// are taken to be in CycleDays; without that, too, runs are taken to go on as in the past.
	Coming       []time.Time
	RunsPerCycle int
	CycleDays    float64
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
	// Seconds is how long the dump is expected to take; 0 when nothing is known of it.
	Seconds float64
	// Degraded is the incremental made instead if the media fail; nil when there is none.
	Degraded *Entry
	// Why is the reason as values, Reason the same in words.
	Why    Why
	Reason string
	// Note is what the report shall say; empty for the ordinary course of things.
	Note string
	// Late is set when a full that is overdue was put off again.
	Late bool
}

// Skip is an image that gets nothing tonight.
type Skip struct {
	DLE    catalog.DLE
	Level  catalog.Level
	Why    Why
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
	// Schedule is when each image's next full is planned, in the order of names; Nights what the coming runs then carry,
	// this one first.
	Schedule []Due
	Nights   []Night
}

// Due is the next full of one image.
type Due struct {
	DLE catalog.DLE
	// LastFull is the run of the last one; empty when there is none. DueBy is when the next falls due: now, without a last
	// one; zero for an image that gets no more fulls.
	LastFull catalog.Stamp
	DueBy    time.Time
	// Overdue is how long it has been due, 0 while it is not or is made in the run nearest to its time.
	Overdue time.Duration
	// Night is the place in Plan.Nights of the run it is planned for, -1 beyond them; Planned is the time of that run.
	Night   int
	Planned time.Time
	// FullBytes is its size on the media. Coming is what the image is expected to put on the media in each of Plan.Nights, the
	// full among them; Levels at which level, -1 for nothing.
	FullBytes int64
	Coming    []int64
	Levels    []catalog.Level
}

// Night is one of the coming runs.
type Night struct {
	At time.Time
	// Bytes is what it puts on the media, FullBytes the part of it that fulls are; Seconds is the sum over all dumps.
	Bytes, FullBytes int64
	Seconds          float64
	Fulls, Dumps     int
}

// Event is the decision as the run records it.
func (e Entry) Event() catalog.Planned {
	p := catalog.Planned{
		DLE: e.DLE, Level: e.Level, Base: e.Base, OrigEstimate: e.OrigBytes, StoredEstimate: e.StoredBytes,
		Reason: e.Reason, ReasonKind: string(e.Why.Kind), Note: e.Note, Late: e.Late,
	}
	if e.Degraded != nil {
		p.DegradedLevel, p.DegradedBytes = e.Degraded.Level, e.Degraded.StoredBytes
	}
	return p
}
