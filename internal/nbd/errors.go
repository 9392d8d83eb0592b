package nbd

import (
	"errors"
	"fmt"
	"syscall"

	"holdfast/internal/nbd/handshake"
)

// Errors that callers branch on. What is returned wraps them with what was done, where, and what the server said.
var (
	// ErrProtocol: the server's bytes contradict the protocol; the connection is ended.
	ErrProtocol = handshake.ErrProtocol
	// ErrLost: the connection ended or stalled, and what was under way with it; whether a write was done is not known.
	ErrLost = handshake.ErrLost
	// ErrNoExport: the server has no export of that name.
	ErrNoExport = handshake.ErrNoExport
	// ErrNoContext: the export has not the meta context that was asked for.
	ErrNoContext = handshake.ErrNoContext
	// ErrTLSRequired: the server wants TLS and the client was not told to use it.
	ErrTLSRequired = handshake.ErrTLSRequired
	// ErrTLSRefused: TLS is required here and the server does not do it.
	ErrTLSRefused = handshake.ErrTLSRefused
	// ErrUnsupported: the server, or this client, has not what was asked for.
	ErrUnsupported = handshake.ErrUnsupported

	// ErrClosed: the client was closed, by its own side.
	ErrClosed = errors.New("nbd client is closed")
	// ErrReadOnly: the export cannot be written.
	ErrReadOnly = errors.New("export is read-only")
	// ErrUnaligned: a write is not aligned to the server's least block.
	ErrUnaligned = errors.New("not aligned to the server's block size")
	// ErrRange: a request is not within the export.
	ErrRange = errors.New("not within the export")
)

// ServerError is a request that the server has refused or could not do. It unwraps to the error's number, so that
// errors.Is(err, syscall.ENOSPC) tells a full disk.
type ServerError struct {
	Number syscall.Errno
	// Message is the server's text, without control characters; empty when it sent none.
	Message string
}

// Error gives the server's text, or that of the number.
func (e *ServerError) Error() string {
	if e.Message == "" {
		return "server says: " + e.Number.Error()
	}
	return fmt.Sprintf("server says: %s (%s)", e.Message, e.Number.Error())
}

// Unwrap gives the number.
func (e *ServerError) Unwrap() error { return e.Number }

// serverError knows the numbers of the protocol, which are Linux's; any other means EINVAL.
func serverError(number uint32, text []byte) *ServerError {
	switch n := syscall.Errno(number); n {
	case syscall.EPERM, syscall.EIO, syscall.ENOMEM, syscall.ENOSPC, syscall.EOVERFLOW, syscall.ENOTSUP, syscall.ESHUTDOWN:
		return &ServerError{Number: n, Message: handshake.Printable(text)}
	}
	return &ServerError{Number: syscall.EINVAL, Message: handshake.Printable(text)}
}

func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrProtocol}, args...)...)
}
