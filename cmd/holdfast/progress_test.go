package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/reports"
)

func TestNightLine(t *testing.T) {
	dle := func(vm string) reports.DumpRef {
		return reports.DumpRef{DLE: catalog.DLE{VM: vm, Disk: "disk0"}}
	}
	s := reports.StatusReport{Dumps: []reports.DumpStatus{
		{DumpRef: dle("a"), State: reports.StateDumped, Copies: []reports.CopyStatus{{State: reports.CopyWritten}}},
		{DumpRef: dle("b"), State: reports.StateDumped, Copies: []reports.CopyStatus{{State: reports.CopyWriting, DoneBytes: 3 * mib}}},
		{DumpRef: dle("c"), State: reports.StateFailed},
		{DumpRef: dle("d"), State: reports.StateDumping, DoneBytes: 5 * mib, TotalBytes: 9 * mib},
		{DumpRef: dle("e"), State: reports.StateDumping, Direct: true, Copies: []reports.CopyStatus{{State: reports.CopyWriting}}},
		{DumpRef: dle("f"), State: reports.StateWaiting},
	}}
	want := "3 of 6 dumped, 1 written; writing b:disk0 3 MiB, d:disk0 5 of 9 MiB, e:disk0 0 of 0 MiB"
	if got := nightLine(s); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := nightLine(reports.StatusReport{Planning: true}); got != "planning" {
		t.Errorf("%q while planning", got)
	}
}

// On a terminal a line is cut to its width and drawn over; elsewhere lines are few and whole.
func TestBar(t *testing.T) {
	for _, c := range []struct {
		width        int
		since        time.Duration
		shown, ended string
	}{
		{20, redrawEvery, "\r\x1b[Krestore: 512 of 102", "\r\x1b[K"},
		{200, redrawEvery, "\r\x1b[Krestore: 512 of 1024 MiB, 50 %, ", "\r\x1b[K"},
		{200, redrawEvery / 2, "", ""},
		{0, lineEvery, "restore: 512 of 1024 MiB, 50 %, ", ""},
		{0, lineEvery / 2, "", ""},
	} {
		var out bytes.Buffer
		past := time.Now().Add(-c.since)
		b := &bar{w: &out, what: "restore", width: func() int { return c.width }, begun: past, last: past}
		b.update(512*mib, 1024*mib)
		shown := out.String()
		if !strings.HasPrefix(shown, c.shown) || (c.shown == "") != (shown == "") {
			t.Errorf("width %d after %v: %q, want %q", c.width, c.since, shown, c.shown)
		}
		b.end()
		b.end()
		if ended := strings.TrimPrefix(out.String(), shown); ended != c.ended {
			t.Errorf("width %d: %q at the end, want %q", c.width, ended, c.ended)
		}
	}
}
