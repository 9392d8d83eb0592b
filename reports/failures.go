package reports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
)

// Bits of the exit status, Amanda's.
const (
	exitError   = 1
	exitStrange = 2
	exitFailed  = 4
	exitMissing = 8
	exitMedia   = 16
)

// failureOrder is the order of the failure summary, Amanda's: what concerns the run first, then single dumps.
var failureOrder = []FailureKind{FailureProblem, FailureMedia, FailureMissing, FailureLate, FailureSkipped}

func (n *night) failures(status RunStatus) []Failure {
	all := []Failure{}
	for _, p := range n.problems {
		all = append(all, Failure{Kind: FailureProblem, Program: p.Program, Text: p.Text})
	}
	for _, e := range n.mediaErrors {
		all = append(all, Failure{Kind: FailureMedia, Program: "taper", Storage: e.Storage, Text: e.Error, Hint: e.Hint})
	}
	for _, t := range n.sorted() {
		all = append(all, n.dumpFailures(t, status)...)
		all = append(all, copyFailures(t)...)
	}
	rank := func(k FailureKind) int {
		if at := slices.Index(failureOrder, k); at >= 0 {
			return at
		}
		return len(failureOrder)
	}
	slices.SortStableFunc(all, func(a, b Failure) int { return cmp.Compare(rank(a.Kind), rank(b.Kind)) })
	return all
}

func (n *night) dumpFailures(t *trail, status RunStatus) []Failure {
	var all []Failure
	outcome := n.outcome(t, status)
	if p := t.planned; p != nil && p.Late {
		ref := DumpRef{DLE: p.DLE, Level: p.Level, Stamp: t.Stamp}
		all = append(all, Failure{Kind: FailureLate, Dump: &ref, Text: cmp.Or(p.Note, p.Reason)})
	}
	if outcome == RowMissing {
		all = append(all, Failure{Kind: FailureMissing, Dump: &t.DumpRef, Text: missingText(t)})
	}
	if s := t.skipped; s != nil && s.Failure {
		all = append(all, Failure{Kind: FailureSkipped, Dump: &t.DumpRef, Program: "planner", Text: s.Reason})
	}
	for i, f := range t.failed {
		kind := FailureDump
		// An attempt that another one followed was retried, whatever it said of it.
		if f.Retry || i < len(t.failed)-1 || t.finished != nil {
			kind = FailureWillRetry
		}
		ref := DumpRef{DLE: f.DLE, Level: f.Level, Stamp: t.Stamp}
		all = append(all, Failure{Kind: kind, Dump: &ref, Text: f.Error, Hint: f.Hint})
	}
	if len(t.failed) > 0 && t.finished != nil {
		all = append(all, Failure{Kind: FailureRetried, Dump: &t.DumpRef, Text: "was successfully retried"})
	}
	return all
}

func missingText(t *trail) string {
	switch {
	case t.finished != nil:
		return "dumped, but neither on volumes nor on the holding disk"
	case t.running != nil:
		return "the run ended while it was dumping"
	}
	return "the run ended before it was dumped"
}

func copyFailures(t *trail) []Failure {
	var all []Failure
	failed := map[string]bool{}
	for _, c := range t.copies {
		switch f := c.failed; {
		case f != nil:
			failed[c.storage] = true
			ref := DumpRef{DLE: f.DLE, Level: f.Level, Stamp: t.Stamp}
			failure := Failure{Kind: FailureCopy, Dump: &ref, Storage: f.Storage, Parts: f.Parts, Held: f.Held, Elsewhere: f.Elsewhere, Text: f.Error}
			failure.Lost = !f.Held && !f.Elsewhere && !t.onVolumes()
			if t.lastCopy(c.storage).finished != nil {
				failure.Kind = FailureWillRetry
			}
			all = append(all, failure)
		case c.finished != nil && failed[c.storage]:
			all = append(all, Failure{Kind: FailureRetried, Dump: &t.DumpRef, Storage: c.storage, Text: "was successfully taped then"})
		}
	}
	return all
}

// ExitStatus is Amanda's bit sum for the run: 1 error, 2 strange, 4 a DLE failed, 8 a result missing, 16 media. It holds
// the bits that the run itself recorded, too.
func ExitStatus(r Report) int {
	status := r.Head.ExitStatus
	if r.Head.Status == RunAborted || r.Head.Cancelled {
		status |= exitError
	}
	if len(r.Strange)+len(r.strangeHooks()) > 0 {
		status |= exitStrange
	}
	for _, f := range r.Failures {
		switch f.Kind {
		case FailureProblem, FailureLate:
			status |= exitError
		case FailureMedia:
			status |= exitMedia
		case FailureMissing:
			status |= exitMissing
		case FailureSkipped, FailureDump:
			status |= exitFailed
		case FailureCopy:
			status |= exitMedia
			if f.Lost {
				status |= exitFailed
			}
		}
	}
	return status
}

// Subject is the subject of the mail: `ORG[ FAIL:| MISSING:| MEDIA:| STRANGE:] HOLDFAST MAIL REPORT FOR October 31, 2026`.
// The first tag that applies is shown, the gravest first. Dumps left on the holding disk count as a matter of media. A run in
// degraded mode says so after the tag, with what it left on the holding disk.
func (r Report) Subject() string {
	status := ExitStatus(r)
	tag := ""
	switch {
	case status&(exitError|exitFailed) != 0:
		tag = "FAIL:"
	case status&exitMissing != 0:
		tag = "MISSING:"
	case status&exitMedia != 0 || len(r.Holding.Dumps) > 0:
		tag = "MEDIA:"
	case status&exitStrange != 0:
		tag = "STRANGE:"
	}
	program := "HOLDFAST"
	switch r.Head.Command {
	case "flush":
		program = "HOLDFAST FLUSH"
	case "vault":
		program = "HOLDFAST VAULT"
	}
	degraded := ""
	if r.Head.Degraded != "" {
		degraded = fmt.Sprintf("DEGRADED, %s ON THE HOLDING DISK:", humanize.IBytes(uint64(max(0, r.Holding.Bytes))))
	}
	words := []string{oneLine(r.Head.Org), tag, degraded, program, "MAIL REPORT FOR", r.Head.Date}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}
