package reports

import (
	"io"
	"time"

	"holdfast/catalog"
)

// StatusReport is the state of every dump of a run. All sizes are bytes.
type StatusReport struct {
	Version int  `json:"version"`
	Head    Head `json:"head"`
	// Now is the time of looking.
	Now time.Time `json:"now"`
	// Planning is set until the planner has decided about all DLEs.
	Planning bool `json:"planning"`
	// Driver tells why no more dumps run than do, while the run goes on.
	Driver  *DriverStatus `json:"driver,omitempty"`
	Dumps   []DumpStatus  `json:"dumps"`
	Totals  []StateTotal  `json:"totals"`
	Volumes []VolumeUse   `json:"volumes"`
	// Storages are those the run writes to, the main one first.
	Storages []StorageStatus `json:"storages"`
}

// DriverStatus is what the driver waits for: Reason in a word of Amanda's, as "no-bandwidth"; "not-idle" when nothing waits.
type DriverStatus struct {
	Reason string `json:"reason"`
	Text   string `json:"text"`
	// Running dumps, Waiting ones, Idle dumpers at the time of the reason.
	Running int `json:"running"`
	Waiting int `json:"waiting"`
	Idle    int `json:"idle"`
}

// StorageStatus is how a storage stands.
type StorageStatus struct {
	Storage string               `json:"storage"`
	State   catalog.StorageState `json:"state"`
	Text    string               `json:"text,omitempty"` // why it is off
	// Volumes are begun in this run; Dumps are wholly on them, Bytes in all.
	Volumes int   `json:"volumes"`
	Dumps   int   `json:"dumps"`
	Bytes   int64 `json:"bytes"`
}

// DumpState is how far a dump has come, up to the end of dumping; its copies tell the rest.
type DumpState string

// States of a dump.
const (
	StateWaiting  DumpState = "waiting"
	StateScanning DumpState = "scanning"
	StateDumping  DumpState = "dumping"
	StateDumped   DumpState = "dumped"
	StateFailed   DumpState = "failed"
	StateSkipped  DumpState = "skipped"
	StateFlush    DumpState = "flush" // made by an earlier run
)

// CopyState is how far the writing of a dump to a storage has come.
type CopyState string

// States of a copy.
const (
	CopyWaiting CopyState = "waiting"
	CopyWriting CopyState = "writing"
	CopyWritten CopyState = "written"
	CopyFailed  CopyState = "failed"
)

// DumpStatus is the state of one dump.
type DumpStatus struct {
	DumpRef
	State DumpState `json:"state"`
	// Strange is set for a complete dump with odd messages.
	Strange bool `json:"strange"`
	// Direct tells that the dump goes straight to a volume.
	Direct bool `json:"direct"`
	// Terminated is set when the run ended in the midst of this state, or of that of the copies.
	Terminated bool `json:"terminated"`
	// Held tells that the run left the dump on the holding disk.
	Held bool `json:"held"`
	// Text says why it failed or was skipped; with WillRetry it is the cause of the failure before.
	Text      string `json:"text"`
	WillRetry bool   `json:"will_retry"`
	// WaitReason and WaitText are why it is not begun yet, WaitReason in the driver's words.
	WaitReason string `json:"wait_reason,omitempty"`
	WaitText   string `json:"wait_text,omitempty"`
	// EstimateBytes is the planner's, Bytes the real size once it is known.
	EstimateBytes int64 `json:"estimate_bytes"`
	Bytes         int64 `json:"bytes"`
	// DoneBytes of TotalBytes are scanned or dumped.
	DoneBytes  int64 `json:"done_bytes"`
	TotalBytes int64 `json:"total_bytes"`
	// At is when the dump came into its state; the zero time while it waits.
	At     time.Time    `json:"at"`
	Copies []CopyStatus `json:"copies"`
}

// CopyStatus is the state of the writing of a dump to one storage.
type CopyStatus struct {
	Storage string          `json:"storage"` // empty while it is not known
	State   CopyState       `json:"state"`
	Labels  []catalog.Label `json:"labels"`
	Parts   int             `json:"parts"`
	// DoneBytes are on volumes.
	DoneBytes int64     `json:"done_bytes"`
	Text      string    `json:"text"`
	At        time.Time `json:"at"`
}

// StateTotal sums over the dumps in a state.
type StateTotal struct {
	Name          string `json:"name"`
	Count         int    `json:"count"`
	Bytes         int64  `json:"bytes"`
	EstimateBytes int64  `json:"estimate_bytes"`
}

// Status tells how far the run is. alive says whether its process lives; without it what was going on when the events
// end shows as terminated. now is the time of looking.
func Status(run catalog.Run, events []catalog.Event, now time.Time, alive bool) StatusReport {
	n := gather(run, events)
	unfinished := RunAborted
	if alive {
		unfinished = RunRunning
	}
	s := StatusReport{Version: SchemaVersion, Head: n.head(unfinished), Now: now.UTC(), Dumps: []DumpStatus{}}
	s.Planning = !n.planned && s.Head.Status == RunRunning
	if d := n.driver; d != nil && s.Head.Status == RunRunning {
		s.Driver = &DriverStatus{Reason: d.Reason, Text: d.Text, Running: d.Running, Waiting: d.Waiting, Idle: d.Idle}
	}
	s.Volumes = deref(n.volumes)
	for _, t := range n.sorted() {
		s.Dumps = append(s.Dumps, n.dumpStatus(t, s.Head.Status == RunRunning))
	}
	s.Totals = totals(s.Dumps)
	s.Storages = n.storageStatus()
	s.Head.ExitStatus = ExitStatus(n.report(unfinished))
	return s
}

func (n *night) storageStatus() []StorageStatus {
	all := []StorageStatus{}
	for _, state := range n.states {
		s := StorageStatus{Storage: state.Storage, State: state.State, Text: state.Text}
		for _, v := range n.volumes {
			if v.Storage == state.Storage {
				s.Volumes++
				s.Bytes += v.Bytes
			}
		}
		for _, t := range n.trails {
			for _, c := range t.copies {
				if c.storage == state.Storage && c.finished != nil {
					s.Dumps++
				}
			}
		}
		all = append(all, s)
	}
	return all
}

// StatusJSON writes the status as one JSON object.
func StatusJSON(w io.Writer, s StatusReport) error { return writeJSON(w, s) }

func (n *night) dumpStatus(t *trail, running bool) DumpStatus {
	d := DumpStatus{DumpRef: t.DumpRef, Direct: t.toVolume, At: t.changed.UTC(), Copies: []CopyStatus{}}
	if t.planned != nil {
		d.EstimateBytes = t.planned.StoredEstimate
	}
	if len(t.failed) > 0 {
		last := t.failed[len(t.failed)-1]
		d.Text, d.WillRetry = last.Error, last.Retry
	}
	switch {
	case t.Stamp != n.run.Stamp:
		d.State = StateFlush
	case t.finished != nil:
		d.State, d.Strange = StateDumped, t.finished.Status == catalog.StatusStrange
		d.Bytes, d.Text, d.WillRetry = t.finished.StoredBytes, "", false
	case t.running != nil:
		d.State, d.Terminated = StateDumping, !running
		d.DoneBytes, d.TotalBytes = t.progress.Done, t.progress.Total
		if t.progress.Phase == catalog.PhaseScan {
			d.State = StateScanning
		}
	case t.skipped != nil:
		d.State, d.Text = StateSkipped, t.skipped.Reason
		if t.skipped.Failure {
			d.State = StateFailed
		}
	case len(t.failed) > 0 && !d.WillRetry:
		d.State = StateFailed
	default:
		d.State, d.Terminated = StateWaiting, !running
		if running {
			d.WaitReason, d.WaitText = t.waits.Reason, t.waits.Text
		}
	}
	n.copyStatus(t, &d, running)
	return d
}

func (n *night) copyStatus(t *trail, d *DumpStatus, running bool) {
	held, isHeld := n.heldBytes(t)
	d.Held = isHeld
	for _, c := range n.lastCopies(t) {
		d.Copies = append(d.Copies, c.status())
		if c.finished != nil && d.State == StateFlush {
			d.Bytes = c.finished.Bytes
		}
		if c.finished == nil && c.failed == nil && !running {
			d.Terminated = true
		}
	}
	if d.State == StateFlush {
		d.Bytes = max(d.Bytes, held)
		d.EstimateBytes = d.Bytes
	}
	if d.State == StateDumped && !d.Direct && !d.Held && len(d.Copies) == 0 {
		d.Terminated = !running
		d.Copies = append(d.Copies, CopyStatus{State: CopyWaiting, Labels: []catalog.Label{}})
	}
}

func (c *copyTrail) status() CopyStatus {
	s := CopyStatus{Storage: c.storage, State: CopyWriting, Labels: c.labels(), Parts: len(c.parts), DoneBytes: c.bytes(), At: c.changed.UTC()}
	switch {
	case c.finished != nil:
		s.State = CopyWritten
	case c.failed != nil:
		s.State, s.Text = CopyFailed, c.failed.Error
	}
	return s
}

// totals are amstatus's: each dump is counted in several states, by dumping and by writing.
func totals(dumps []DumpStatus) []StateTotal {
	names := []string{"disk", "estimated", "flush", "dump failed", "wait for dumping", "dumping to tape", "dumping", "dumped",
		"wait for writing", "writing to tape", "failed to tape", "left on holding", "taped"}
	sums := map[string]*StateTotal{}
	all := make([]StateTotal, len(names))
	for i, name := range names {
		all[i].Name = name
		sums[name] = &all[i]
	}
	for _, d := range dumps {
		for _, name := range d.totalNames() {
			sum := sums[name]
			sum.Count++
			sum.Bytes += d.Bytes
			sum.EstimateBytes += d.EstimateBytes
		}
	}
	return all
}

// totalNames says under which names a dump is counted.
func (d DumpStatus) totalNames() []string {
	names := []string{"disk"}
	if d.EstimateBytes > 0 || d.State == StateDumped {
		names = append(names, "estimated")
	}
	switch d.State {
	case StateFlush:
		names = []string{"flush"}
	case StateFailed:
		names = append(names, "dump failed")
	case StateWaiting:
		names = append(names, "wait for dumping")
	case StateScanning, StateDumping:
		if d.Direct {
			return append(names, "dumping to tape") // its copy is the dumping itself
		}
		names = append(names, "dumping")
	case StateDumped:
		names = append(names, "dumped")
	}
	if d.Held {
		names = append(names, "left on holding")
	}
	copyNames := map[CopyState]string{CopyWaiting: "wait for writing", CopyWriting: "writing to tape", CopyWritten: "taped", CopyFailed: "failed to tape"}
	for _, c := range d.Copies {
		names = append(names, copyNames[c.State])
	}
	return names
}
