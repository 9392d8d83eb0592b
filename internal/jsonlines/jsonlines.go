// Package jsonlines reads lines of JSON from a peer that is not trusted: QEMU's monitor, a guest's agent.
//
// Its one invariant: what a peer sends costs no more memory than the limits, whatever it is.
package jsonlines

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
)

// Errors of a peer that does not keep to the protocol.
var (
	// ErrTooLong: a line is longer than the limit.
	ErrTooLong = errors.New("line is too long")
	// ErrTooDeep: objects and arrays are nested deeper than the limit.
	ErrTooDeep = errors.New("JSON is nested too deeply")
)

// Limits bound what is taken from a peer.
type Limits struct {
	// LineBytes is the longest line, without its end.
	LineBytes int
	// Depth is how deep objects and arrays may be nested.
	Depth int
}

// Reader reads lines.
type Reader struct {
	in     *bufio.Reader
	limits Limits
	line   []byte
}

// NewReader reads from r within the limits.
func NewReader(r io.Reader, limits Limits) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, 16<<10), limits: limits}
}

// Line gives the next line without its end; it holds until the next call. An error of the reader below is given as it is,
// io.EOF also when it comes in the middle of a line; after any error the reader is of no more use.
func (r *Reader) Line() ([]byte, error) {
	r.line = r.line[:0]
	for {
		piece, err := r.in.ReadSlice('\n')
		if len(r.line)+len(bytes.TrimRight(piece, "\r\n")) > r.limits.LineBytes {
			return nil, fmt.Errorf("%w: over %d bytes", ErrTooLong, r.limits.LineBytes)
		}
		r.line = append(r.line, piece...)
		if err == nil {
			return bytes.TrimRight(r.line, "\r\n"), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

// Bound makes calls on a connection end when ctx does, by the deadline that set sets. The function it gives back takes that away
// again, and must be called before the next call that ctx has nothing to do with.
func Bound(ctx context.Context, set func(time.Time) error) (release func()) {
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = set(time.Unix(1, 0)) // a closed connection needs none
		close(fired)
	})
	return func() {
		if !stop() {
			<-fired
			_ = set(time.Time{})
		}
	}
}

// Decode decodes a line into v, an error if it is no JSON or nested too deeply.
func (l Limits) Decode(line []byte, v any) error {
	if err := l.depth(line); err != nil {
		return err
	}
	return json.Unmarshal(line, v)
}

// depth refuses deep nesting before the decoder recurses into it.
func (l Limits) depth(line []byte) error {
	depth, quoted := 0, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > l.Depth {
				return fmt.Errorf("%w: over %d levels", ErrTooDeep, l.Depth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// textMax is how much of a peer's text goes into messages and reports.
const textMax = 300

// Text makes a peer's text fit for a message on one line: no control characters, and not endless.
func Text(s string) string {
	cut := len(s) > textMax
	if cut {
		s = strings.ToValidUTF8(s[:textMax], "")
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	if cut {
		s += " ..."
	}
	return strings.TrimSpace(s)
}
