package frames

import (
	"errors"
	"fmt"
)

// ErrNoIdentity: the stream is encrypted, and none of the identities given opens it. It comes wrapped with what was being
// done.
var ErrNoIdentity = errors.New("no identity matched")

var (
	// errTruncated: the stream ends before it should.
	errTruncated = errors.New("stream is cut short")
	// errAborted: Writer.Abort was called.
	errAborted = errors.New("writer was aborted")
)

// DamageError tells which bytes cannot be handed out, and where their frame lies in the stored stream. Lengths of
// the stored range are rounded out to whole encrypted chunks. Err may come from below (the medium's own error).
type DamageError struct {
	RawOffset, RawLength       int64
	StoredOffset, StoredLength int64
	Err                        error
}

// Error names both ranges and the cause.
func (e *DamageError) Error() string {
	return fmt.Sprintf("frame of raw bytes %d+%d, stored at %d+%d: %v",
		e.RawOffset, e.RawLength, e.StoredOffset, e.StoredLength, e.Err)
}

// Unwrap gives the cause.
func (e *DamageError) Unwrap() error { return e.Err }
