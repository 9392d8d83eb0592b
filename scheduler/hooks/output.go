package hooks

import (
	"slices"
	"strings"
	"sync"
	"unicode"
)

// Of a hook's output the first outputLines/2 and the last outputLines/2 lines are kept, of each line outputWidth bytes: what it
// begins with says what it is, what it ends with what went wrong. The rest is read and thrown away, so that it never waits.
const (
	outputLines = 200
	outputWidth = 1000
)

// lines takes output and keeps what is to be kept of it.
type lines struct {
	mu      sync.Mutex // exec writes from one goroutine, but goes on for a while after the hook was given up
	head    []string
	tail    []string // the last outputLines/2, a ring
	dropped int64
	line    []byte
	long    bool // the line is longer than what is kept of it
}

// Write takes the next bytes; it never fails.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range p {
		switch {
		case b == '\n':
			l.end()
		case len(l.line) < outputWidth:
			l.line = append(l.line, b)
		default:
			l.long = true
		}
	}
	return len(p), nil
}

// end closes a line. Empty ones are left out.
func (l *lines) end() {
	text := oneLine(string(l.line))
	if l.long {
		text += "..."
	}
	l.line, l.long = l.line[:0], false
	switch {
	case text == "":
	case len(l.head) < outputLines/2:
		l.head = append(l.head, text)
	case len(l.tail) < outputLines/2:
		l.tail = append(l.tail, text)
	default:
		l.tail[l.dropped%int64(len(l.tail))] = text
		l.dropped++
	}
}

// all gives the lines that were kept, and how many are missing in their midst.
func (l *lines) all() ([]string, int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.line) > 0 {
		l.end()
	}
	first := 0
	if len(l.tail) > 0 {
		first = int(l.dropped % int64(len(l.tail)))
	}
	return slices.Concat(l.head, l.tail[first:], l.tail[:first]), l.dropped
}

// oneLine makes text safe for one line: control characters become blanks, what is not UTF-8 a question mark.
func oneLine(text string) string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	return strings.TrimSpace(clean)
}
