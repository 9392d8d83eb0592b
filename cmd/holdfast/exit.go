package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"holdfast/catalog"
)

// Exit codes. A run's are Amanda's bit sum; other commands give 0, 1 or exitUsage.
const (
	exitError   = 1
	exitStrange = 2
	exitFailed  = 4
	exitMissing = 8
	exitMedia   = 16
	// exitUsage is for a call that makes no sense: nothing was done.
	exitUsage = 64
)

// usageError is a call that makes no sense.
type usageError struct{ error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// hinted is an error with a line that helps.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

// withHint adds a line of help to an error.
func withHint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &hinted{err, fmt.Sprintf(format, args...)}
}

func exitCode(err error) int {
	var usage *usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitError
}

// complain prints an error as people read it: one line, and a hint where there is one.
func (a *app) complain(err error) {
	text := strings.TrimSpace(err.Error())
	fmt.Fprintf(a.stderr, "holdfast: error: %s\n", strings.ReplaceAll(text, "\n", "\nholdfast: error: "))
	var h *hinted
	if errors.As(err, &h) {
		fmt.Fprintf(a.stderr, "holdfast: hint: %s\n", h.hint)
	}
}

// unknownCommand names the command that may have been meant.
func unknownCommand(commands []*cli.Command, name string) error {
	var names []string
	for _, c := range commands {
		names = append(names, c.Name)
	}
	err := usagef("unknown command %q", name)
	if near, ok := catalog.Nearest(name, names); ok {
		return withHint(err, "did you mean %q?", near)
	}
	return withHint(err, "holdfast --help lists the commands")
}

// didYouMean adds the name that may have been meant; prefix is what stands before it on the command line.
func didYouMean(err error, name string, known []string, prefix string) error {
	if near, ok := catalog.Nearest(name, known); ok {
		return withHint(err, "did you mean %s%s?", prefix, near)
	}
	return err
}
