package qmp

import (
	"errors"
	"fmt"

	"holdfast/internal/jsonlines"
)

// Errors that callers branch on.
var (
	// ErrNoGreeting: the socket was opened, but QEMU said nothing in time.
	ErrNoGreeting = errors.New("no greeting: a monitor serves one client, and another may be connected")
	// ErrClosed: the connection is closed, by this side or by QEMU's end.
	ErrClosed = errors.New("connection is closed")
	// ErrProtocol: what came is not QMP; the connection was given up.
	ErrProtocol = errors.New("not the machine protocol")
	// ErrEventsLost: a subscriber was too slow, and events that it did not see are gone: ask for the state instead.
	ErrEventsLost = errors.New("events were lost")
)

// Classes of errors that mean something; all else is "GenericError".
const (
	ClassCommandNotFound = "CommandNotFound"
	ClassDeviceNotFound  = "DeviceNotFound"
)

// Error is QEMU's refusal of a command.
type Error struct {
	// Command that was refused, Class of the refusal, Desc for people.
	Command, Class, Desc string
}

// Error names the command, the cause, and the class where it says something.
func (e *Error) Error() string {
	if e.Class == "" || e.Class == "GenericError" {
		return fmt.Sprintf("qmp: %s: %s", e.Command, jsonlines.Text(e.Desc))
	}
	return fmt.Sprintf("qmp: %s: %s (%s)", e.Command, jsonlines.Text(e.Desc), jsonlines.Text(e.Class))
}

// Refused tells whether an error is QEMU's refusal of the class (of any for an empty one): the command had no effect, and
// the connection is sound.
func Refused(err error, class string) bool {
	var refusal *Error
	return errors.As(err, &refusal) && (class == "" || refusal.Class == class)
}
