package catalog

import (
	"encoding/json"
	"fmt"
	"time"
)

// Event is one thing that happened in a run. Reports and status are folds over events; no log text is ever parsed.
type Event struct {
	Run  Stamp
	Seq  int64 // rises within the run, from 1
	At   time.Time
	Body EventBody
}

// EventBody is what happened: one struct for each kind, kept as JSON.
type EventBody interface{ Kind() string }

// RunStarted opens every run.
type RunStarted struct {
	Host    string `json:"host"`
	Org     string `json:"org"`
	Config  string `json:"config"`
	Version string `json:"version"`
	Command string `json:"command"` // "run", "flush" or "vault"
}

// Planned is the planner's decision for one DLE, with its reason. Level and sizes are those of the dump to be made.
type Planned struct {
	DLE            DLE    `json:"dle"`
	Level          Level  `json:"level"`
	Base           DumpID `json:"base,omitempty"`
	OrigEstimate   int64  `json:"orig_estimate"`
	StoredEstimate int64  `json:"stored_estimate"`
	Reason         string `json:"reason"`
	// ReasonKind is the sort of the reason in one word.
	ReasonKind string `json:"reason_kind,omitempty"`
	// DegradedLevel and DegradedBytes are the incremental made instead of this full if the media fail; 0: there is none.
	DegradedLevel Level `json:"degraded_level,omitempty"`
	DegradedBytes int64 `json:"degraded_bytes,omitempty"`
	// Note is what the report shall say of the decision; empty for the ordinary course of things.
	Note string `json:"note,omitempty"`
	// Late is set when a full that is due was put off: a problem, not a note.
	Late bool `json:"late,omitempty"`
}

// Skipped is a DLE that gets no dump tonight; Failure tells whether that is a failure or wanted (a DLE taken out).
type Skipped struct {
	DLE     DLE    `json:"dle"`
	Level   Level  `json:"level"`
	Reason  string `json:"reason"`
	Failure bool   `json:"failure"`
}

// PlanFinished closes planning and estimating.
type PlanFinished struct {
	Seconds float64 `json:"seconds"`
}

// DumpStarted opens a dump; To is "holding" or "volume".
type DumpStarted struct {
	DLE   DLE    `json:"dle"`
	Level Level  `json:"level"`
	Stamp Stamp  `json:"stamp"`
	To    string `json:"to"`
}

// DumpProgress is written at most once a second for each running dump.
type DumpProgress struct {
	DLE   DLE    `json:"dle"`
	Phase string `json:"phase"` // PhaseScan or PhaseDump
	Done  int64  `json:"done"`
	Total int64  `json:"total"`
}

// The phases of a dump: the image is compared with the base dump, then the stream is written.
const (
	PhaseScan = "scan"
	PhaseDump = "dump"
)

// DumpFinished closes a dump that is complete (ok or strange). Level may differ from the planned one: Why says so.
type DumpFinished struct {
	DLE          DLE      `json:"dle"`
	Level        Level    `json:"level"`
	Stamp        Stamp    `json:"stamp"`
	Status       Status   `json:"status"`
	ImageBytes   int64    `json:"image_bytes"`
	OrigBytes    int64    `json:"orig_bytes"`
	StoredBytes  int64    `json:"stored_bytes"`
	ChangedBytes int64    `json:"changed_bytes"`
	Seconds      float64  `json:"seconds"`
	Why          string   `json:"why,omitempty"`
	Messages     []string `json:"messages,omitempty"`
}

// DumpFailed closes a dump that came to nothing. Hint helps where we know better.
type DumpFailed struct {
	DLE      DLE      `json:"dle"`
	Level    Level    `json:"level"`
	Stamp    Stamp    `json:"stamp"`
	Error    string   `json:"error"`
	Hint     string   `json:"hint,omitempty"`
	Messages []string `json:"messages,omitempty"`
	// Retry is set when the run will try again.
	Retry bool `json:"retry,omitempty"`
}

// DumpWaits is why a dump is not begun yet; recorded whenever that changes. Reason is one of Amanda's words, as "no-bandwidth".
type DumpWaits struct {
	DLE    DLE    `json:"dle"`
	Reason string `json:"reason"`
	Text   string `json:"text"`
}

// DriverState is why no more dumps run than do; recorded whenever that changes. Reason is "not-idle" when none waits.
type DriverState struct {
	Reason string `json:"reason"`
	Text   string `json:"text,omitempty"`
	// Running dumps, Waiting ones, Idle dumpers.
	Running int `json:"running"`
	Waiting int `json:"waiting"`
	Idle    int `json:"idle"`
}

// VolumeStarted is a volume labelled and opened for writing.
type VolumeStarted struct {
	Storage string `json:"storage"`
	Label   Label  `json:"label"`
	Slot    string `json:"slot"`
	// Capacity is the volume's length in bytes, for the percentages.
	Capacity int64 `json:"capacity"`
	// New is set when a blank volume was labelled.
	New bool `json:"new,omitempty"`
}

// PartWritten is one part on a volume, durable and recorded.
type PartWritten struct {
	Storage string  `json:"storage"`
	Label   Label   `json:"label"`
	File    int     `json:"file"`
	Number  int     `json:"number"`
	DLE     DLE     `json:"dle"`
	Level   Level   `json:"level"`
	Stamp   Stamp   `json:"stamp"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

// CopyFinished is a dump wholly on volumes.
type CopyFinished struct {
	Storage   string  `json:"storage"`
	DLE       DLE     `json:"dle"`
	Level     Level   `json:"level"`
	Stamp     Stamp   `json:"stamp"`
	Parts     int     `json:"parts"`
	OrigBytes int64   `json:"orig_bytes"`
	Bytes     int64   `json:"bytes"`
	Seconds   float64 `json:"seconds"`
	// Flush is set for a dump of an earlier run; Direct for one that never was on the holding disk.
	Flush  bool `json:"flush,omitempty"`
	Direct bool `json:"direct,omitempty"`
	// Vault is set for a copy to a vault.
	Vault bool `json:"vault,omitempty"`
}

// CopyFailed is a dump that did not get onto volumes; Held tells that it is safe on the holding disk.
type CopyFailed struct {
	Storage string `json:"storage"`
	DLE     DLE    `json:"dle"`
	Level   Level  `json:"level"`
	Stamp   Stamp  `json:"stamp"`
	// Parts and Bytes that had been written before it ended.
	Parts int    `json:"parts"`
	Bytes int64  `json:"bytes"`
	Error string `json:"error"`
	Held  bool   `json:"held"`
	// Elsewhere is set when the dump is whole on other volumes.
	Elsewhere bool `json:"elsewhere,omitempty"`
	Flush     bool `json:"flush,omitempty"`
	Vault     bool `json:"vault,omitempty"`
}

// VolumeFinished is a volume closed; Bytes include headers.
type VolumeFinished struct {
	Storage string `json:"storage"`
	Label   Label  `json:"label"`
	Bytes   int64  `json:"bytes"`
	Files   int    `json:"files"`
}

// VolumeDegraded is a volume of a parity set that was written though some members did not take all of it. It can be read,
// and is to be repaired.
type VolumeDegraded struct {
	Storage string   `json:"storage"`
	Label   Label    `json:"label"`
	Members []string `json:"members"`
	Error   string   `json:"error"`
}

// StorageChanged says how a storage stands. One for each storage of the run, the main one first, is recorded at its start.
type StorageChanged struct {
	Storage string       `json:"storage"`
	State   StorageState `json:"state"`
	Text    string       `json:"text,omitempty"` // why it is off
}

// StorageState is how a storage stands in a run.
type StorageState string

// A storage is looked at first; then it is ready, or off: nothing can be written (any more) in this run.
const (
	StorageLooking StorageState = "looking"
	StorageReady   StorageState = "ready"
	StorageOff     StorageState = "off"
)

// Degraded is recorded once when a dump finds none of its storages able to take it: the run goes on to the holding disk.
type Degraded struct {
	Reason string `json:"reason"`
}

// MediaError is a storage that could not take what it should have.
type MediaError struct {
	Storage string `json:"storage"`
	Error   string `json:"error"`
	Hint    string `json:"hint,omitempty"`
}

// Note is a line for the report; Program is planner, driver, dumper, taper or reaper. Problem lifts it into the
// failure summary.
type Note struct {
	Program string `json:"program"`
	Text    string `json:"text"`
	Problem bool   `json:"problem,omitempty"`
}

// HoldingLeft says what stays on the holding disk at the end of the run.
type HoldingLeft struct {
	Dumps []HeldDump `json:"dumps"`
	Bytes int64      `json:"bytes"`
}

// HeldDump is one dump left on the holding disk.
type HeldDump struct {
	DLE   DLE   `json:"dle"`
	Level Level `json:"level"`
	Stamp Stamp `json:"stamp"`
	Bytes int64 `json:"bytes"`
}

// NextVolumes says what the next run will write to: reusable volumes in order, and how many new ones after them.
type NextVolumes struct {
	Storage string  `json:"storage"`
	Labels  []Label `json:"labels,omitempty"`
	New     int     `json:"new"`
}

// RunFinished closes every run that did not crash.
type RunFinished struct {
	ExitStatus int     `json:"exit_status"`
	Seconds    float64 `json:"seconds"`
	// Cancelled is set when the run was stopped by a signal.
	Cancelled bool `json:"cancelled,omitempty"`
}

// Kind names the body's type in the catalog. The names are stored: never change one.
func (RunStarted) Kind() string     { return "run-started" }
func (Planned) Kind() string        { return "planned" }
func (Skipped) Kind() string        { return "skipped" }
func (PlanFinished) Kind() string   { return "plan-finished" }
func (DumpStarted) Kind() string    { return "dump-started" }
func (DumpProgress) Kind() string   { return "dump-progress" }
func (DumpFinished) Kind() string   { return "dump-finished" }
func (DumpFailed) Kind() string     { return "dump-failed" }
func (DumpWaits) Kind() string      { return "dump-waits" }
func (DriverState) Kind() string    { return "driver-state" }
func (VolumeStarted) Kind() string  { return "volume-started" }
func (PartWritten) Kind() string    { return "part-written" }
func (CopyFinished) Kind() string   { return "copy-finished" }
func (CopyFailed) Kind() string     { return "copy-failed" }
func (VolumeFinished) Kind() string { return "volume-finished" }
func (VolumeDegraded) Kind() string { return "volume-degraded" }
func (StorageChanged) Kind() string { return "storage-changed" }
func (Degraded) Kind() string       { return "degraded" }
func (MediaError) Kind() string     { return "media-error" }
func (Note) Kind() string           { return "note" }
func (HoldingLeft) Kind() string    { return "holding-left" }
func (NextVolumes) Kind() string    { return "next-volumes" }
func (RunFinished) Kind() string    { return "run-finished" }

var eventDecoders = map[string]func([]byte) (EventBody, error){
	RunStarted{}.Kind():     decode[RunStarted],
	Planned{}.Kind():        decode[Planned],
	Skipped{}.Kind():        decode[Skipped],
	PlanFinished{}.Kind():   decode[PlanFinished],
	DumpStarted{}.Kind():    decode[DumpStarted],
	DumpProgress{}.Kind():   decode[DumpProgress],
	DumpFinished{}.Kind():   decode[DumpFinished],
	DumpFailed{}.Kind():     decode[DumpFailed],
	DumpWaits{}.Kind():      decode[DumpWaits],
	DriverState{}.Kind():    decode[DriverState],
	VolumeStarted{}.Kind():  decode[VolumeStarted],
	PartWritten{}.Kind():    decode[PartWritten],
	CopyFinished{}.Kind():   decode[CopyFinished],
	CopyFailed{}.Kind():     decode[CopyFailed],
	VolumeFinished{}.Kind(): decode[VolumeFinished],
	VolumeDegraded{}.Kind(): decode[VolumeDegraded],
	StorageChanged{}.Kind(): decode[StorageChanged],
	Degraded{}.Kind():       decode[Degraded],
	MediaError{}.Kind():     decode[MediaError],
	Note{}.Kind():           decode[Note],
	HoldingLeft{}.Kind():    decode[HoldingLeft],
	NextVolumes{}.Kind():    decode[NextVolumes],
	RunFinished{}.Kind():    decode[RunFinished],
	HookFinished{}.Kind():   decode[HookFinished],
}

func decode[T EventBody](data []byte) (EventBody, error) {
	var body T
	err := json.Unmarshal(data, &body)
	return body, err
}

// DecodeEvent is the inverse of a body's Kind and its JSON. An unknown kind is an error: it was written by a newer
// holdfast.
func DecodeEvent(kind string, data []byte) (EventBody, error) {
	dec, ok := eventDecoders[kind]
	if !ok {
		return nil, fmt.Errorf("event kind %q: unknown (written by a newer version?)", kind)
	}
	body, err := dec(data)
	if err != nil {
		return nil, fmt.Errorf("event kind %q: %w", kind, err)
	}
	return body, nil
}
