package reports

import (
	"time"

	"holdfast/catalog"
)

// SchemaVersion is the version of the JSON of a report. It rises when a reader of the former one would misread.
const SchemaVersion = 1

// Report is everything that is to be said about a run. All sizes are bytes, all durations seconds.
type Report struct {
	Version    int          `json:"version"`
	Head       Head         `json:"head"`
	Storages   []StorageUse `json:"storages"`
	Failures   []Failure    `json:"failures"`
	Strange    []DumpRef    `json:"strange"`
	Statistics Statistics   `json:"statistics"`
	Usage      []VolumeUse  `json:"usage"`
	Details    []Detail     `json:"details"`
	// Hooks are those that were not ok, or wrote something.
	Hooks   []catalog.HookFinished `json:"hooks,omitempty"`
	Notes   []ProgramNote          `json:"notes"`
	Summary []Row                  `json:"summary"`
	Holding HoldingUse             `json:"holding"`
}

// RunStatus tells whether a run came to its end.
type RunStatus string

// A run is done, still running, or aborted: it ended without a word, by a crash or a loss of power.
const (
	RunDone    RunStatus = "done"
	RunRunning RunStatus = "running"
	RunAborted RunStatus = "aborted"
)

// Head says which run it was and how it ended.
type Head struct {
	Org     string        `json:"org"`
	Host    string        `json:"host"`
	Config  string        `json:"config"`
	Version string        `json:"version"` // of holdfast
	Command string        `json:"command"` // "run", "flush" or "vault"
	Stamp   catalog.Stamp `json:"stamp"`
	Date    string        `json:"date"` // of the stamp: "October 31, 2026"
	Status  RunStatus     `json:"status"`
	// ExitStatus is Amanda's bit sum: 1 error, 2 strange, 4 a DLE failed, 8 a result missing, 16 media.
	ExitStatus int  `json:"exit_status"`
	Cancelled  bool `json:"cancelled"`
	// Degraded is why the run went on without volumes, leaving dumps on the holding disk; empty when it did not.
	Degraded string `json:"degraded,omitempty"`
	// Started and LastEvent bound what is known of the run; LastEvent is the end of a run that is done.
	Started   time.Time `json:"started"`
	LastEvent time.Time `json:"last_event"`
}

// StorageUse says which volumes of a storage the run wrote to, and which the next run will.
type StorageUse struct {
	Storage string          `json:"storage"`
	Used    []catalog.Label `json:"used"`
	// New are those of Used that were blank before.
	New []catalog.Label `json:"new"`
	// Next are reusable volumes in the order in which they will be used, then NextNew new ones.
	Next    []catalog.Label `json:"next"`
	NextNew int             `json:"next_new"`
	// NextKnown is set when the run got as far as saying what the next one will use.
	NextKnown bool `json:"next_known"`
	// Errors are what kept the storage from taking what it should have.
	Errors []string `json:"errors"`
}

// DumpRef names a dump in a report.
type DumpRef struct {
	DLE   catalog.DLE   `json:"dle"`
	Level catalog.Level `json:"level"`
	// Stamp is that of the run, or of an earlier one for a flush.
	Stamp catalog.Stamp `json:"stamp"`
}

// FailureKind says what went wrong.
type FailureKind string

// The kinds of failure. All but FailureWillRetry and FailureRetried make the exit status differ from 0.
const (
	FailureProblem   FailureKind = "problem"    // a note that asks for attention
	FailureMedia     FailureKind = "media"      // a storage could not take what it should have
	FailureMissing   FailureKind = "missing"    // planned, and neither done nor failed
	FailureLate      FailureKind = "late"       // a full that is due was put off
	FailureSkipped   FailureKind = "skipped"    // the planner found no way to dump it
	FailureDump      FailureKind = "dump"       // the dump came to nothing
	FailureCopy      FailureKind = "copy"       // the dump did not get onto volumes
	FailureWillRetry FailureKind = "will-retry" // an attempt failed, another one follows
	FailureRetried   FailureKind = "retried"    // a later attempt succeeded
)

// Failure is one line of the failure summary.
type Failure struct {
	Kind FailureKind `json:"kind"`
	// Dump is absent for failures that are not those of one dump.
	Dump *DumpRef `json:"dump,omitempty"`
	// Program is set for problems: planner, driver, dumper, taper or reaper.
	Program string `json:"program,omitempty"`
	// Storage and Parts are set when the dump failed on its way to volumes: where, and how many parts had been written.
	Storage string `json:"storage,omitempty"`
	Parts   int    `json:"parts,omitempty"`
	// Held tells that the dump is safe on the holding disk, Elsewhere that it is on other volumes since earlier, Lost that it
	// is nowhere.
	Held      bool   `json:"held,omitempty"`
	Elsewhere bool   `json:"elsewhere,omitempty"`
	Lost      bool   `json:"lost,omitempty"`
	Text      string `json:"text"`
	Hint      string `json:"hint,omitempty"`
}

// LevelCount is how many there were at a level.
type LevelCount struct {
	Level catalog.Level `json:"level"`
	Count int           `json:"count"`
}

// Tally sums over dumps of one sort.
type Tally struct {
	// Count is the number of dumps, or of dumps wholly on volumes.
	Count         int     `json:"count"`
	Parts         int     `json:"parts"`
	OriginalBytes int64   `json:"original_bytes"`
	OutputBytes   int64   `json:"output_bytes"`
	Seconds       float64 `json:"seconds"`
}

// Split is a tally over everything, over fulls, and over incrementals.
type Split struct {
	Total Tally `json:"total"`
	Full  Tally `json:"full"`
	Incr  Tally `json:"incr"`
	// Levels and PartLevels count dumps and parts at levels 1 and above.
	Levels     []LevelCount `json:"levels"`
	PartLevels []LevelCount `json:"part_levels"`
}

// Statistics are the sums of a run.
type Statistics struct {
	EstimateSeconds float64 `json:"estimate_seconds"`
	RunSeconds      float64 `json:"run_seconds"`
	// Dumped counts complete dumps made by this run.
	Dumped Split `json:"dumped"`
	// Taped counts what was written to volumes, flushes and the parts of what failed later included.
	Taped Split `json:"taped"`
	// CapacityBytes is the length of all volumes used together.
	CapacityBytes int64 `json:"capacity_bytes"`
}

// VolumeUse is what the run wrote to one volume.
type VolumeUse struct {
	Storage       string        `json:"storage"`
	Label         catalog.Label `json:"label"`
	Slot          string        `json:"slot"`
	New           bool          `json:"new"`
	Seconds       float64       `json:"seconds"`
	Bytes         int64         `json:"bytes"` // headers included once the volume is closed
	CapacityBytes int64         `json:"capacity_bytes"`
	// Dumps counts those that begin on the volume.
	Dumps  int  `json:"dumps"`
	Parts  int  `json:"parts"`
	Closed bool `json:"closed"`
}

// Detail holds the messages of a failed or strange dump.
type Detail struct {
	Dump DumpRef `json:"dump"`
	// Status is catalog.StatusFailed or catalog.StatusStrange.
	Status   catalog.Status `json:"status"`
	Text     string         `json:"text"`
	Messages []string       `json:"messages"`
}

// ProgramNote is a note and who makes it.
type ProgramNote struct {
	Program string `json:"program"`
	Text    string `json:"text"`
}

// RowStatus is the outcome of one row of the dump summary.
type RowStatus string

// What a row of the dump summary says of its dump.
const (
	RowDumped     RowStatus = "dumped"
	RowStrange    RowStatus = "strange"
	RowFailed     RowStatus = "failed"
	RowFlush      RowStatus = "flush"       // made by an earlier run, written by this one
	RowVault      RowStatus = "vault"       // made by an earlier run, copied to vaults by this one
	RowNotFlushed RowStatus = "not-flushed" // made by an earlier run, still on the holding disk
	RowMissing    RowStatus = "missing"
	RowSkipped    RowStatus = "skipped" // wanted
	RowPending    RowStatus = "pending" // the run goes on
)

// Row is one dump of the dump summary.
type Row struct {
	DumpRef
	Status RowStatus `json:"status"`
	// OrigBytes and OutBytes are the sizes of the whole dump; absent when they are not known.
	OrigBytes *int64 `json:"orig_bytes,omitempty"`
	OutBytes  *int64 `json:"out_bytes,omitempty"`
	// Seconds the dump took; absent when this run did not make it.
	Seconds *float64 `json:"seconds,omitempty"`
	// Copies made of the dump, one for each storage: the last attempt.
	Copies []RowCopy `json:"copies"`
}

// RowCopy is the writing of a dump to one storage.
type RowCopy struct {
	Storage string `json:"storage"`
	// Status is catalog.StatusOK, StatusPartial or StatusFailed.
	Status  catalog.Status  `json:"status"`
	Labels  []catalog.Label `json:"labels"`
	Parts   int             `json:"parts"`
	Bytes   int64           `json:"bytes"`
	Seconds float64         `json:"seconds"`
	Direct  bool            `json:"direct"`
}

// HoldingUse is what is left on the holding disk.
type HoldingUse struct {
	// Known is set when the run said so at its end; else Dumps is drawn from the other events.
	Known bool               `json:"known"`
	Dumps []catalog.HeldDump `json:"dumps"`
	Bytes int64              `json:"bytes"`
}
