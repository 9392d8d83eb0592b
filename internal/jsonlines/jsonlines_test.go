package jsonlines_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"holdfast/internal/jsonlines"
)

// Lines come one by one, with either end; one that is too long or cut off is an error.
func TestLine(t *testing.T) {
	long := strings.Repeat("x", 40_000)
	r := jsonlines.NewReader(strings.NewReader("a\r\n\n"+long+"\ncut"), jsonlines.Limits{LineBytes: 40_000})
	for _, want := range []string{"a", "", long} {
		if line, err := r.Line(); err != nil || string(line) != want {
			t.Fatalf("got %.20q of %d bytes, %v; want %.20q", line, len(line), err, want)
		}
	}
	if line, err := r.Line(); !errors.Is(err, io.EOF) {
		t.Errorf("half a line: %q, %v", line, err)
	}
	r = jsonlines.NewReader(strings.NewReader(long+"\n"), jsonlines.Limits{LineBytes: 39_999})
	if _, err := r.Line(); !errors.Is(err, jsonlines.ErrTooLong) {
		t.Errorf("a long line: %v", err)
	}
}

// Nesting counts outside of strings only.
func TestDepth(t *testing.T) {
	l := jsonlines.Limits{Depth: 3}
	for line, want := range map[string]error{
		`{"a":[{}]}`:           nil,
		`{"a":[[[]]]}`:         jsonlines.ErrTooDeep,
		`"[[[[[[\"[[[["`:       nil,
		`[{},{},{},[{}]]`:      nil,
		`{"a\\":[{"b":[]}]}`:   jsonlines.ErrTooDeep,
		strings.Repeat("[", 9): jsonlines.ErrTooDeep,
	} {
		var v any
		if err := l.Decode([]byte(line), &v); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", line, err, want)
		}
	}
	var v any
	if err := l.Decode([]byte("{"), &v); err == nil {
		t.Error("half an object was decoded")
	}
}

// A hostile text does not reach a terminal or a mail as it is.
func TestText(t *testing.T) {
	if got := jsonlines.Text("a\x1b[2J\nb\xff\u202e"); strings.ContainsAny(got, "\x1b\n\u202e") || !utf8.ValidString(got) {
		t.Errorf("%q", got)
	}
	if got := jsonlines.Text(strings.Repeat("é", 1000)); len(got) > 310 || !strings.HasSuffix(got, "é ...") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}

// Whatever comes in, lines keep to the limit and the decoder does not fall over.
func FuzzLine(f *testing.F) {
	f.Add([]byte("{\"a\":[1,2]}\r\n[[[\n\"\\\"\"\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		limits := jsonlines.Limits{LineBytes: 64, Depth: 4}
		r := jsonlines.NewReader(strings.NewReader(string(in)), limits)
		for {
			line, err := r.Line()
			if err != nil {
				return
			}
			if len(line) > 64 {
				t.Fatalf("a line of %d bytes", len(line))
			}
			var v any
			_ = limits.Decode(line, &v) // any answer but a panic
			if text := jsonlines.Text(string(line)); strings.ContainsAny(text, "\r\n\x1b") {
				t.Fatalf("%q", text)
			}
		}
	})
}

// A call ends with its context, and the connection is good for the next one.
func TestBound(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	ctx, cancel := context.WithCancel(t.Context())
	release := jsonlines.Bound(ctx, ours.SetReadDeadline)
	cancel()
	if _, err := ours.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after its context: %v", err)
	}
	release()
	go theirs.Write([]byte("x"))
	if n, err := ours.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("the next: %d, %v", n, err)
	}
}
