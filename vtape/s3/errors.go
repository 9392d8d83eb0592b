package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"holdfast/vtape"
)

// Errors that callers branch on.
var (
	// ErrDenied: the store refuses the request: the credentials are wrong or lack a right.
	ErrDenied = errors.New("access denied")
	// ErrLocked: object lock keeps the volume from being overwritten.
	ErrLocked = errors.New("volume is locked")
	// ErrTaken: another writer has taken the label or the file.
	ErrTaken = vtape.ErrTaken
	// ErrUnconditional: the store ignores conditions on writing, so that two writers may overwrite one another's labels.
	ErrUnconditional = errors.New("the store ignores conditional writes")
)

// What the store says, for the package itself.
var (
	errNoObject   = errors.New("no such object")
	errNoUpload   = errors.New("no such upload")
	errNotOffered = errors.New("not offered by this store")
	errNoLock     = errors.New("no object lock")
)

// meanings are what error codes mean to us; codes that are not here are told by their HTTP status.
var meanings = map[string]error{
	"NoSuchBucket":                         vtape.ErrAbsent,
	"NoSuchKey":                            errNoObject,
	"NotFound":                             errNoObject,
	"NoSuchVersion":                        errNoObject,
	"NoSuchUpload":                         errNoUpload,
	"PreconditionFailed":                   ErrTaken,
	"ConditionalRequestConflict":           ErrTaken,
	"NotImplemented":                       errNotOffered,
	"MethodNotAllowed":                     errNotOffered,
	"VersioningNotConfigured":              errNotOffered,
	"ObjectLockConfigurationNotFoundError": errNoLock,
	"ObjectLockConfigurationNotFound":      errNoLock,
	"InvalidBucketObjectLockConfiguration": errNoLock,
	"NoSuchObjectLockConfiguration":        errNoLock,
}

// statuses are what HTTP statuses mean where the code says nothing.
var statuses = map[int]error{
	http.StatusForbidden:          ErrDenied,
	http.StatusUnauthorized:       ErrDenied,
	http.StatusNotFound:           errNoObject,
	http.StatusPreconditionFailed: ErrTaken,
	http.StatusNotImplemented:     errNotOffered,
}

// answer is an error of the store, in words shorter than the SDK's.
type answer struct {
	text    string
	meaning error // may be nil
	err     error
}

// Error gives the words.
func (a *answer) Error() string { return a.text }

// Unwrap gives what it means to us, and the SDK's error.
func (a *answer) Unwrap() []error {
	if a.meaning == nil {
		return []error{a.err}
	}
	return []error{a.meaning, a.err}
}

// tell makes a clear error of one of the SDK's.
func (s *Store) tell(err error) error {
	if err == nil {
		return nil
	}
	var resp *awshttp.ResponseError
	var api smithy.APIError
	status := 0
	if errors.As(err, &resp) {
		status = resp.HTTPStatusCode()
	}
	if errors.As(err, &api) {
		return s.tellAnswer(err, api, status)
	}
	if status >= 300 {
		return &answer{text: fmt.Sprintf("status %d", status), meaning: statuses[status], err: err}
	}
	for _, plain := range []error{context.Canceled, context.DeadlineExceeded, errStalled} {
		if errors.Is(err, plain) {
			return &answer{text: plain.Error(), meaning: plain, err: err}
		}
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		text := fmt.Sprintf("%v: the server cannot be reached: %v", vtape.ErrAbsent, op)
		return &answer{text: text, meaning: vtape.ErrAbsent, err: err}
	}
	return err
}

func (s *Store) tellAnswer(err error, api smithy.APIError, status int) error {
	code := api.ErrorCode()
	meaning := meanings[code]
	if meaning == nil {
		meaning = statuses[status]
	}
	text := code
	if m := api.ErrorMessage(); m != "" {
		text += ": " + m
	}
	switch {
	case code == "NoSuchBucket":
		text = fmt.Sprintf("%v: no bucket %s there", vtape.ErrAbsent, s.opts.Bucket)
	case code == "InvalidObjectState":
		text = "the object is in an archive tier of the store and must be brought back first: " + text
	case meaning != nil:
		text = fmt.Sprintf("%v: %s", meaning, text)
	}
	return &answer{text: text, meaning: meaning, err: err}
}

// final tells whether trying again is of no use.
func final(ctx context.Context, err error) bool {
	for _, e := range []error{ErrDenied, vtape.ErrAbsent, errNoUpload, errNoObject, errNotOffered, errStalled} {
		if errors.Is(err, e) {
			return true
		}
	}
	return ctx.Err() != nil
}
