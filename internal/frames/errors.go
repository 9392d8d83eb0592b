package frames

import (
	"errors"
	"fmt"
)

// Errors that callers branch on. They come wrapped with what was being done.
var (
	// ErrNoIdentity: the stream is encrypted, and none of the identities given opens it.
	ErrNoIdentity = errors.New("no identity matched")
	// ErrTruncated: the stream ends before it should.
	ErrTruncated = errors.New("stream is cut short")
	// ErrAborted: Writer.Abort was called.
	ErrAborted = errors.New("writer was aborted")
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
