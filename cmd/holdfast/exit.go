package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"holdfast/catalog"
	"holdfast/configs"
)

// Exit codes. A run's are Amanda's bit sum; other commands give 0, exitError or exitUsage.
const (
	exitError   = 1
	exitStrange = 2
	exitFailed  = 4
	exitMissing = 8
	exitMedia   = 16
	// exitUsage is for a call that makes no sense: nothing was done.
	exitUsage = 64
)

// exitMeanings is the table of docs/exit-codes.md and of the manual page.
var exitMeanings = []struct {
	code    int
	meaning string
}{
	{0, "all is well"},
	{exitError, "an error: the command did not do its work, or `verify` or `check` found something bad, or `cleanup` could not put something right"},
	{exitStrange, "a dump is strange: made, but something was odd, for example the image changed while it was read; or a hook failed"},
	{exitFailed, "the dump of an image failed"},
	{exitMissing, "an image that was planned has no result"},
	{exitMedia, "trouble with the volumes: a dump was not written, or not wholly"},
	{exitUsage, "the call makes no sense (unknown command, flag or name, a value missing): nothing was done"},
}

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

// complain prints an error as people read it: one line, and a hint where there is one. Faults of the configuration come
// one by one, each with the line it is about.
func (a *app) complain(err error) {
	if errors.Is(err, context.Canceled) {
		a.say("error", "interrupted")
		return
	}
	var faults configs.Errors
	if errors.As(err, &faults) {
		for _, f := range faults {
			a.say("error", f.Error())
			if f.Excerpt != "" {
				fmt.Fprintln(a.stderr, f.Excerpt)
			}
			if f.Hint != "" {
				a.say("hint", f.Hint)
			}
		}
		return
	}
	for line := range strings.SplitSeq(strings.TrimSpace(err.Error()), "\n") {
		a.say("error", line)
	}
	var h *hinted
	if errors.As(err, &h) {
		a.say("hint", h.hint)
	}
}

// say prints a line for people beside the command's answer; kind is error, hint, warning or note.
func (a *app) say(kind, text string) { fmt.Fprintf(a.stderr, "holdfast: %s: %s\n", kind, text) }

// unknownCommand names the command that may have been meant.
func unknownCommand(commands []*cli.Command, name string) error {
	var names []string
	for _, c := range commands {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	err := usagef("unknown command %q", name)
	if near, ok := catalog.Nearest(name, names); ok {
		return withHint(err, "did you mean %q?", near)
	}
	return withHint(err, "one of: %s", strings.Join(names, ", "))
}

// didYouMean adds the name that may have been meant; prefix is what stands before it on the command line.
func didYouMean(err error, name string, known []string, prefix string) error {
	if near, ok := catalog.Nearest(name, known); ok {
		return withHint(err, "did you mean %s%s?", prefix, near)
	}
	return err
}
