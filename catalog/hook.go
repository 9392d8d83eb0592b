package catalog

// HookFinished is a pre or post script that was run, or that could not be. VM and disk of DLE are empty where the hook is
// not about one: both for a whole run, the disk for a host.
type HookFinished struct {
	DLE   DLE    `json:"dle"`
	Event string `json:"event"` // when it is run, as "pre-dle-backup"
	Hook  string `json:"hook"`  // its name
	// Left is the stamp of the earlier run that was killed before it came to this post hook; empty in the usual case.
	Left    Stamp       `json:"left,omitempty"`
	Outcome HookOutcome `json:"outcome"`
	// Text is why it is not ok, in one line.
	Text string `json:"text,omitempty"`
	// Output are the lines it wrote to standard output and error; of many the first and the last, with Dropped lines between.
	Output  []string `json:"output,omitempty"`
	Dropped int64    `json:"dropped,omitempty"`
	Seconds float64  `json:"seconds"`
}

// HookOutcome says what became of a hook.
type HookOutcome string

// A hook is ok, has vetoed what it was run before, has failed (which takes in that it was not ended in time, or could not be
// run), or was ended because the work was cancelled.
const (
	HookOK        HookOutcome = "ok"
	HookVetoed    HookOutcome = "vetoed"
	HookFailed    HookOutcome = "failed"
	HookCancelled HookOutcome = "cancelled"
)

// Kind names the body's type in the catalog.
func (HookFinished) Kind() string { return "hook-finished" }
