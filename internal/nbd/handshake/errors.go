package handshake

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Errors that callers branch on. What is returned wraps them with what was done, where, and what the server said.
var (
	// ErrProtocol: the server's bytes contradict the protocol.
	ErrProtocol = errors.New("server breaks the protocol")
	// ErrLost: the connection ended, or no answer came in time.
	ErrLost = errors.New("connection to nbd server lost")
	// ErrNoExport: the server has no export of that name.
	ErrNoExport = errors.New("no such export")
	// ErrNoContext: the export has not the meta context that was asked for.
	ErrNoContext = errors.New("no such meta context")
	// ErrTLSRequired: the server wants TLS and the client was not told to use it.
	ErrTLSRequired = errors.New("server requires tls")
	// ErrTLSRefused: TLS is required here and the server does not do it.
	ErrTLSRefused = errors.New("server refuses tls")
	// ErrUnsupported: the server, or this client, has not what was asked for.
	ErrUnsupported = errors.New("not supported")
)

// Lost says of an error of the connection that it was lost.
func Lost(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the server hung up", ErrLost)
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
}

// Printable makes a server's text fit for one line of a report.
func Printable(text []byte) string {
	if len(text) > stringMax {
		text = text[:stringMax]
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(string(text), "?"))
}

func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrProtocol}, args...)...)
}
