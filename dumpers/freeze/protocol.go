package freeze

import (
	"encoding/json"
	"io"
	"time"

	"holdfast/internal/jsonlines"
)

// What the two processes say to each other; doc.go shows the order.
const (
	doFreeze = "freeze"
	doThaw   = "thaw"

	stateFrozen  = "frozen"
	stateRefused = "refused"
	stateOver    = "over"
)

// lineLimits: an order names mount points, no more.
var lineLimits = jsonlines.Limits{LineBytes: 1 << 20, Depth: 8}

// command is what the watchdog is told.
type command struct {
	Do          string        `json:"do"`
	Guest       Guest         `json:"guest,omitzero"`
	Mountpoints []string      `json:"mountpoints,omitempty"`
	Timeout     time.Duration `json:"timeout_ns,omitempty"`
	Window      time.Duration `json:"window_ns,omitempty"`
}

// answer is what it says.
type answer struct {
	State string        `json:"state"`
	Count int           `json:"count,omitempty"`
	Held  time.Duration `json:"held_ns,omitempty"`
	Why   string        `json:"why,omitempty"`
}

// send writes one line, in one piece.
func send(w io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}
