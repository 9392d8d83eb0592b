package driving

// Reason is why a job waits, or a dumper is idle, in one word. Most are those of Amanda's driver.
type Reason string

// The reasons.
const (
	// NotIdle: nothing waits.
	NotIdle Reason = "not-idle"
	// NoDumpers: as many dumps run as may at a time.
	NoDumpers Reason = "no-dumpers"
	// StartWait: its start time has not come.
	StartWait Reason = "start-wait"
	// ClientConstrained: its host, spindle or datastore has as many dumps as it may, or the host is down.
	ClientConstrained Reason = "client-constrained"
	// NoBandwidth: the others on its interface leave too little.
	NoBandwidth Reason = "no-bandwidth"
	// NoDiskspace: the holding disk has no room now.
	NoDiskspace Reason = "no-diskspace"
	// NoHold: it goes straight to a volume, and others do.
	NoHold Reason = "no-hold"
	// BaseWait: the dump it builds on is not made yet. Amanda has no such word, nor the two below.
	BaseWait Reason = "base-wait"
	// RetryWait: it failed, and is tried again later.
	RetryWait Reason = "retry-wait"
	// Paused: the administrator holds all up.
	Paused Reason = "paused"
)

// Wait is why a job waits: a word for programs, and a text for people that stays the same while the reason does.
type Wait struct {
	Reason Reason
	Text   string
}

// State is what the driver is at.
type State struct {
	// Wait is why no more is running: of the job that would be next.
	Wait
	// Running dumps, Waiting jobs, Idle dumpers.
	Running, Waiting, Idle int
}
