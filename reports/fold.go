package reports

import (
	"cmp"
	"slices"
	"time"

	"holdfast/catalog"
)

// dateLayout is how Amanda writes the day of a run.
const dateLayout = "January 2, 2006"

// Fold makes the report of a run that is over, finished or crashed, from its events in order.
//
// The run itself appends its RunFinished, folds, and records the exit status it finds.
func Fold(run catalog.Run, events []catalog.Event) Report {
	return gather(run, events).report(RunAborted)
}

// FoldRunning is Fold for a run whose process lives: what has no result yet is pending, not missing.
func FoldRunning(run catalog.Run, events []catalog.Event) Report {
	return gather(run, events).report(RunRunning)
}

// report draws the report; unfinished is the status of a run that has not said that it is finished.
func (n *night) report(unfinished RunStatus) Report {
	r := Report{Version: SchemaVersion, Head: n.head(unfinished)}
	r.Storages = deref(n.storages)
	r.Usage = deref(n.volumes)
	r.Holding = n.holding(r.Head.Status)
	r.Notes = n.sortedNotes()
	r.Strange, r.Details, r.Summary = []DumpRef{}, []Detail{}, []Row{}
	for _, t := range n.sorted() {
		if t.finished != nil && t.finished.Status == catalog.StatusStrange {
			r.Strange = append(r.Strange, t.DumpRef)
		}
		r.Details = append(r.Details, t.details()...)
		r.Summary = append(r.Summary, n.row(t, r.Head.Status))
	}
	slices.SortStableFunc(r.Details, func(a, b Detail) int { return cmp.Compare(a.Status, b.Status) })
	r.Hooks = n.telling()
	r.Failures = n.failures(r.Head.Status)
	r.Statistics = n.statistics()
	r.Head.ExitStatus = ExitStatus(r)
	return r
}

func deref[T any](pointers []*T) []T {
	values := make([]T, 0, len(pointers))
	for _, p := range pointers {
		values = append(values, *p)
	}
	return values
}

func (n *night) head(unfinished RunStatus) Head {
	h := Head{
		Org: n.started.Org, Host: n.started.Host, Config: n.started.Config, Version: n.started.Version,
		Command: cmp.Or(n.started.Command, n.run.Command), Stamp: n.run.Stamp,
		// The stamp is in local time already: the date must not move with the reader's place.
		Date:     n.run.Stamp.Time(time.UTC).Format(dateLayout),
		Degraded: n.degraded, Status: unfinished, Started: n.run.Started.UTC(), LastEvent: n.lastEvent.UTC(),
	}
	if n.finished != nil {
		h.Status, h.ExitStatus, h.Cancelled = RunDone, n.finished.ExitStatus, n.finished.Cancelled
	}
	return h
}

// holding says what is left on the holding disk. A crashed run could not say so: there it is what was dumped to it and
// did not get onto volumes.
func (n *night) holding(status RunStatus) HoldingUse {
	use := HoldingUse{Dumps: []catalog.HeldDump{}}
	if n.left != nil {
		use.Known, use.Bytes = true, n.left.Bytes
		use.Dumps = append(use.Dumps, n.left.Dumps...)
		return use
	}
	if status == RunRunning {
		return use
	}
	for _, t := range n.sorted() {
		if t.finished == nil || t.toVolume || t.onVolumes() {
			continue
		}
		use.Dumps = append(use.Dumps, catalog.HeldDump{DLE: t.DLE, Level: t.Level, Stamp: t.Stamp, Bytes: t.finished.StoredBytes})
		use.Bytes += t.finished.StoredBytes
	}
	return use
}

// programOrder is the order of the notes, Amanda's: who works first in a run comes first.
var programOrder = []string{"reaper", "planner", "driver", "dumper", "taper"}

func (n *night) sortedNotes() []ProgramNote {
	notes := append([]ProgramNote{}, n.notes...)
	rank := func(p string) int {
		if at := slices.Index(programOrder, p); at >= 0 {
			return at
		}
		return len(programOrder)
	}
	slices.SortStableFunc(notes, func(a, b ProgramNote) int { return cmp.Compare(rank(a.Program), rank(b.Program)) })
	return notes
}

func (t *trail) details() []Detail {
	var all []Detail
	for _, f := range t.failed {
		if len(f.Messages) > 0 {
			ref := DumpRef{DLE: f.DLE, Level: f.Level, Stamp: t.Stamp}
			all = append(all, Detail{ref, catalog.StatusFailed, f.Error, f.Messages})
		}
	}
	if f := t.finished; f != nil && f.Status == catalog.StatusStrange {
		all = append(all, Detail{t.DumpRef, catalog.StatusStrange, "", append([]string{}, f.Messages...)})
	}
	return all
}

// outcome says what became of a dump.
func (n *night) outcome(t *trail, status RunStatus) RowStatus {
	_, held := n.heldBytes(t)
	switch {
	case t.Stamp != n.run.Stamp && len(t.copies) == 0 && held:
		return RowNotFlushed
	case t.Stamp != n.run.Stamp && t.vaulted():
		return RowVault
	case t.Stamp != n.run.Stamp:
		return RowFlush
	case t.finished != nil && n.lost(t, status):
		return RowMissing
	case t.finished != nil && t.finished.Status == catalog.StatusStrange:
		return RowStrange
	case t.finished != nil:
		return RowDumped
	case len(t.failed) > 0 && !t.failed[len(t.failed)-1].Retry && t.running == nil:
		return RowFailed
	case t.skipped != nil && t.skipped.Failure:
		return RowFailed
	case t.skipped != nil:
		return RowSkipped
	case status == RunRunning:
		return RowPending
	}
	return RowMissing
}

// lost tells that a dump said to be complete is nowhere: no copy, no failed copy that explains it, not held.
func (n *night) lost(t *trail, status RunStatus) bool {
	if status == RunRunning || t.onVolumes() {
		return false
	}
	if slices.ContainsFunc(t.copies, func(c *copyTrail) bool { return c.failed != nil }) {
		return false
	}
	if n.left == nil {
		return t.toVolume
	}
	_, held := n.heldBytes(t)
	return !held
}

func (n *night) row(t *trail, status RunStatus) Row {
	row := Row{DumpRef: t.DumpRef, Status: n.outcome(t, status), Copies: []RowCopy{}}
	if f := t.finished; f != nil {
		row.OrigBytes, row.OutBytes, row.Seconds = &f.OrigBytes, &f.StoredBytes, &f.Seconds
	} else if held, ok := n.heldBytes(t); ok {
		row.OutBytes = &held
	}
	for _, c := range n.lastCopies(t) {
		if status == RunRunning && c.finished == nil && c.failed == nil {
			continue // it would look cut short
		}
		row.Copies = append(row.Copies, c.rowCopy())
		if f := c.finished; f != nil && t.finished == nil {
			row.OrigBytes, row.OutBytes = &f.OrigBytes, &f.Bytes
		}
	}
	return row
}

func (c *copyTrail) rowCopy() RowCopy {
	rc := RowCopy{Storage: c.storage, Status: catalog.StatusPartial, Labels: c.labels(), Parts: len(c.parts), Bytes: c.bytes()}
	for _, p := range c.parts {
		rc.Seconds += p.Seconds
	}
	switch {
	case c.finished != nil:
		f := c.finished
		rc.Status, rc.Parts, rc.Bytes, rc.Seconds, rc.Direct = catalog.StatusOK, f.Parts, f.Bytes, f.Seconds, f.Direct
	case c.failed != nil && c.failed.Parts == 0 && len(c.parts) == 0:
		rc.Status = catalog.StatusFailed
	}
	return rc
}
