package catalog

import "time"

// Volume is one labelled vtape.
type Volume struct {
	Label   Label  `json:"label"`
	Storage string `json:"storage"`
	// Slot is where the volume was last seen; empty when it is absent.
	Slot string `json:"slot,omitempty"`
	// WriteStamp is the run that last wrote the volume from its beginning; empty when labelled and never written.
	WriteStamp Stamp `json:"write_stamp,omitempty"`
	// Bytes on the volume, headers included; Files counts its files after the label.
	Bytes int64 `json:"bytes"`
	Files int   `json:"files"`
	// HeaderCRC is the CRC-32C of the 32 KiB label block as written.
	HeaderCRC uint32 `json:"header_crc"`
	// NoReuse and Retired are set by hand: neither is ever overwritten; a retired one is gone for good.
	NoReuse bool `json:"no_reuse,omitempty"`
	Retired bool `json:"retired,omitempty"`
	// Degraded names, for a parity set, the members that do not hold all of the volume; empty when all do.
	Degraded []string `json:"degraded,omitempty"`
	// LockedUntil is when the last of the volume's objects can be removed at its storage; zero when nothing is locked.
	LockedUntil time.Time `json:"locked_until,omitzero"`
	Seen        time.Time `json:"seen"`
}

// Run is one night's work.
type Run struct {
	Stamp   Stamp     `json:"stamp"`
	Command string    `json:"command"` // "run", "flush" or "vault"
	Started time.Time `json:"started"`
	// Ended is zero while the run goes on, and for ever when it crashed.
	Ended time.Time `json:"ended"`
	// ExitStatus is Amanda's bit sum: 1 error, 2 strange, 4 a DLE failed, 8 a result missing, 16 media.
	ExitStatus int `json:"exit_status"`
	PID        int `json:"pid"`
}

// Force is a wish of the administrator that holds until a dump fulfils it.
type Force struct {
	DLE     DLE       `json:"dle"`
	Command ForceKind `json:"command"`
	Set     time.Time `json:"set"`
}

// ForceKind says what is wished.
type ForceKind string

// The wishes `dle force` knows.
const (
	ForceFull   ForceKind = "full"
	ForceLevel1 ForceKind = "level-1"
	ForceBump   ForceKind = "bump"
	ForceNoBump ForceKind = "no-bump"
)

// Resource is something made outside of holdfast's own files (a lock, a scratch file, a snapshot). It is journalled
// before it is made and reaped after a crash.
type Resource struct {
	ID   string    `json:"id"`
	Run  Stamp     `json:"run"`
	Kind string    `json:"kind"`
	Name string    `json:"name"`
	Data string    `json:"data,omitempty"` // what its reaper needs, JSON
	Made time.Time `json:"made"`
}
