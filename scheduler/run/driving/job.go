package driving

import (
	"context"
	"errors"
	"time"

	"holdfast/catalog"
)

// Errors of jobs that the driver ended, or never began.
var (
	// ErrTimeout: the attempt made no progress for its whole timeout.
	ErrTimeout = errors.New("no progress")
	// ErrWindow: the window was over before the job's turn came.
	ErrWindow = errors.New("the window is over")
	// ErrHostDown: another dump of the host could not reach it, nor could the try after that.
	ErrHostDown = errors.New("the host cannot be reached")
	// ErrGiveWay: all that ran waited for room, and this attempt was chosen to make some.
	ErrGiveWay = errors.New("gave way to other dumps that wait for room")
)

// Job is one dump to be made.
type Job struct {
	DLE catalog.DLE
	// Host is what a failure of connection holds for; empty: for this job alone.
	Host string
	// Priority goes before everything else: the higher one first.
	Priority int
	// Bytes is the expected size, Seconds the expected time; 0 when nothing is known.
	Bytes   int64
	Seconds float64
	// ShortSeconds is the expected time of the lesser dump that can be made in place of this one; 0: there is none.
	ShortSeconds float64
	// Shares are what it needs a place in: its host, its spindle, its datastore.
	Shares []Share
	// Interface is the line it goes over, a key of Limits.Interfaces; another name or none: no limit.
	Interface string
	// After is a job that must have ended before, one way or the other; nil for none.
	After *catalog.DLE
	// StartAfter is the earliest time it is begun; zero for any.
	StartAfter time.Time
	// Direct tells that it uses no room on the holding disk.
	Direct bool
	// Timeout is how long an attempt may go without progress; 0: for ever.
	Timeout time.Duration
	// Retries is how many more attempts follow one whose failure may pass, each RetryDelay after the one before.
	Retries    int
	RetryDelay time.Duration
}

// Share is something that only so many dumps at a time may use.
type Share struct {
	// Kind and Name tell which: "host", "spindle" or "datastore", and its name.
	Kind, Name string
	// Max dumps run at a time; less than 1 means 1. Where jobs differ about it, the least of those that run counts.
	Max int
}

func (s Share) max() int { return max(1, s.Max) }

// Limits are those of all jobs together.
type Limits struct {
	// Parallel is how many dumps run at a time; less than 1 means 1.
	Parallel int
	// Order has a letter for each dumper: s or S for the smallest or the largest dump first, t or T for the shortest or the
	// longest, b or B for the lowest or the highest rate. Dumpers beyond its end take T.
	Order string
	// Interfaces are bytes a second, by name. One that is idle takes a dump of any rate.
	Interfaces map[string]int64
	// Direct is how many dumps go straight to volumes at a time; less than 1 means 1.
	Direct int
	// End is when the window closes, after which nothing is begun; zero: never.
	End time.Time
}

// Room is the holding disk, for one goroutine at a time.
type Room interface {
	// Reserve promises room for so many bytes; nil without an error when there is none now.
	Reserve(ctx context.Context, bytes int64) (Reservation, error)
	// Holds tells whether so much would fit if nothing else were there.
	Holds(bytes int64) bool
	// Coming tells whether room will become free by itself: something is being written to volumes. When it no longer is,
	// the driver must be told by Changed.
	Coming() bool
}

// Reservation is promised room.
type Reservation interface {
	// Release gives it back; it may be called again, and after the room was used up.
	Release()
}

// Outcome is how an attempt ended.
type Outcome struct {
	// Err is why it came to nothing; nil: it is done.
	Err error
	// Again tells that the failure may pass.
	Again bool
	// HostDown tells that the host was not reached.
	HostDown bool
	// Fatal ends the night: nothing more is begun, and Run gives Err.
	Fatal bool
}

// End is what became of a job, or of an attempt at it.
type End struct {
	// Err is nil for a job that is done.
	Err error
	// Begun is false for a job that failed without an attempt.
	Begun bool
	// Attempts is how many there were.
	Attempts int
	// Retry tells that there will be another, not before RetryAt.
	Retry   bool
	RetryAt time.Time
}

// Options are what the driver works with. Waits, State and Ended are called from the goroutine of Run, in the order of
// what happened; their errors end the night like a fatal outcome.
type Options struct {
	Limits Limits
	Now    func() time.Time
	// Room is nil without a holding disk: every job is direct.
	Room Room
	// Do makes an attempt at a job, in a goroutine of its own. It ends soon after ctx does.
	Do func(ctx context.Context, t *Task) Outcome
	// Paused gives why nothing may be begun now; empty: it may. It is asked every PausePoll.
	Paused func() string
	// Waits is told why a job waits, whenever the reason has changed.
	Waits func(Job, Wait) error
	// State is told what the driver waits for, whenever that has changed.
	State func(State) error
	// Ended is told of the end of each attempt, and of each job that failed without one.
	Ended func(Job, End) error
}

// PausePoll is how often it is looked whether a pause has begun or ended while jobs wait.
const PausePoll = 5 * time.Second
