package reports_test

import (
	"bytes"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/reports"
)

// runningNight is a run in its midst: every state a dump can be in.
func runningNight() *night {
	n := newNight("20261031190905", "run")
	const before catalog.Stamp = "20261030190905"
	for _, name := range []string{"scans", "dumps", "direct", "waits", "queued", "writes", "written", "failed", "again", "strange"} {
		n.plan(name, 0, 10*mib, "")
	}
	n.add(4, catalog.PlanFinished{Seconds: 4},
		catalog.VolumeStarted{Storage: "vault", Label: "DAY001", Slot: "1", Capacity: 100 * mib},
		catalog.PartWritten{Storage: "vault", Label: "DAY001", File: 1, Number: 1, DLE: vm("flushed"), Level: 1, Stamp: before, Bytes: mib, Seconds: 1},
		catalog.CopyFinished{Storage: "vault", DLE: vm("flushed"), Level: 1, Stamp: before, Parts: 1, OrigBytes: mib, Bytes: mib, Flush: true},
		catalog.PartWritten{Storage: "vault", Label: "DAY001", File: 2, Number: 1, DLE: vm("flushes"), Level: 1, Stamp: before, Bytes: mib, Seconds: 1})
	n.dump("queued", 0, 10*mib, 2)
	n.dump("writes", 0, 10*mib, 2)
	n.parts("vault", "DAY001", "writes", 0, 1, 4*mib)
	n.dump("written", 0, 10*mib, 2)
	n.write("vault", "DAY001", "written", 0, 10*mib)
	n.fail("failed", false)
	n.fail("again", true)
	n.add(0, catalog.DumpStarted{DLE: vm("strange"), Stamp: n.run.Stamp, To: "holding"})
	n.add(1, catalog.DumpFinished{DLE: vm("strange"), Stamp: n.run.Stamp, Status: catalog.StatusStrange, StoredBytes: 9 * mib, OrigBytes: 9 * mib, Seconds: 1})
	for _, name := range []string{"scans", "dumps", "direct"} {
		to, phase := "holding", catalog.PhaseDump
		if name == "direct" {
			to = "volume"
		}
		if name == "scans" {
			phase = catalog.PhaseScan
		}
		n.add(0, catalog.DumpStarted{DLE: vm(name), Stamp: n.run.Stamp, To: to},
			catalog.DumpProgress{DLE: vm(name), Phase: phase, Done: 10 * mib, Total: 40 * mib})
	}
	n.parts("vault", "DAY001", "direct", 0, 1, 2*mib)
	n.add(0, catalog.DumpWaits{DLE: vm("waits"), Reason: "no-bandwidth", Text: "interface lan is taken by other dumps"},
		catalog.DumpWaits{DLE: vm("again"), Reason: "retry-wait", Text: "tried again at 19:14:00"},
		catalog.DumpWaits{DLE: vm("scans"), Reason: "start-wait", Text: "an earlier wait, which is over"}, // and is not shown
		catalog.DriverState{Reason: "no-bandwidth", Text: "interface lan is taken by other dumps", Running: 3, Waiting: 2, Idle: 1})
	return n
}

// TestRunning holds status and report of a run in its midst: nothing is missing yet.
func TestRunning(t *testing.T) {
	n := runningNight()
	var b bytes.Buffer
	s := reports.Status(n.run, n.events, n.now.Add(90*time.Second), true)
	if err := reports.StatusText(&b, s, reports.TextOptions{Location: zone}); err != nil {
		t.Fatal(err)
	}
	golden(t, "running.status.txt", b.Bytes())
	b.Reset()
	if err := reports.StatusJSON(&b, s); err != nil {
		t.Fatal(err)
	}
	golden(t, "running.status.json", b.Bytes())
	b.Reset()
	r := reports.FoldRunning(n.run, n.events)
	if err := reports.Text(&b, r, reports.TextOptions{Location: zone}); err != nil {
		t.Fatal(err)
	}
	golden(t, "running.txt", b.Bytes())
	if got := reports.ExitStatus(r); got != 2|4 {
		t.Errorf("exit status %d, want 6: one dump failed, one is strange, none is missing", got)
	}
}

// TestPlanning: before the planner is done there is little to tell, and it is told.
func TestPlanning(t *testing.T) {
	n := newNight("20261031190905", "run")
	var b bytes.Buffer
	s := reports.Status(n.run, n.events, n.now.Add(5*time.Second), true)
	if err := reports.StatusText(&b, s, reports.TextOptions{}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b.Bytes(), []byte("Planning for 0:05")) {
		t.Errorf("no word of planning:\n%s", b.String())
	}
}
