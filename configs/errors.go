package configs

import (
	"fmt"
	"strings"
	"unicode"

	"holdfast/catalog"
)

// Error is one fault of a configuration, with its place.
type Error struct {
	File         string
	Line, Column int // from 1; Column counts characters
	// Message says what is wrong, in one line. Hint, if any, says what to do, in one line.
	Message string
	Hint    string
	// Excerpt is the line of the file, and under it a caret; empty when there is none.
	Excerpt string
}

// Error gives `FILE:LINE:COLUMN: MESSAGE`.
func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// Errors are all faults of a configuration in the order of the file, at least one. It is what Load and Parse return.
type Errors []*Error

// Error gives one line for each fault, with its hint in brackets.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
		if e.Hint != "" {
			lines[i] += " (" + e.Hint + ")"
		}
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the single faults to errors.As.
func (es Errors) Unwrap() []error {
	errs := make([]error, len(es))
	for i, e := range es {
		errs[i] = e
	}
	return errs
}

// problem is a fault whose place is not yet known: what the UnmarshalText methods return.
type problem struct{ Message, Hint string }

func (p problem) Error() string { return p.Message }

// maxSlip is the length in bytes up to which a word is compared with others; longer ones are no slips.
const maxSlip = 200

// didYouMean gives the hint that names the word of the list that was meant, and "" when none is near.
func didYouMean(given string, list []string) string {
	if len(given) > maxSlip {
		return ""
	}
	near, ok := catalog.Nearest(given, list)
	if !ok || near == given {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", near)
}

const excerptRunes = 100

// excerpt gives the line with a caret below the column, both from 1. A long line is cut.
func excerpt(text string, line, column int) string {
	lines := strings.Split(text, "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	runes := []rune(strings.TrimRight(lines[line-1], "\r"))
	for i, r := range runes {
		if unicode.IsControl(r) {
			runes[i] = ' ' // the caret must stand below its letter
		}
	}
	prefix := fmt.Sprintf("%4d | ", line)
	at := min(max(column-1, 0), len(runes))
	if at > excerptRunes/2 {
		runes, at = runes[at-excerptRunes/2:], excerptRunes/2
	}
	runes = runes[:min(len(runes), excerptRunes)]
	return prefix + string(runes) + "\n" + strings.Repeat(" ", len(prefix)+at) + "^"
}
