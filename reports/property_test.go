package reports_test

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"holdfast/catalog"
	"holdfast/reports"
)

// fates are the ways of a DLE through a run, each as the events that it leaves.
var fates = map[string]func(n *night, name string){
	"held":   func(n *night, name string) { n.dump(name, 0, mib, 1) },
	"taped":  func(n *night, name string) { n.dump(name, 0, mib, 1); n.write("vault", "DAY001", name, 0, mib) },
	"failed": func(n *night, name string) { n.fail(name, false) },
	"retried": func(n *night, name string) {
		n.fail(name, true)
		n.dump(name, 0, mib, 1)
	},
	"never retried": func(n *night, name string) { n.fail(name, true) },
	"failed twice": func(n *night, name string) {
		n.fail(name, true)
		n.fail(name, false)
	},
	"never begun": func(*night, string) {},
	"never ended": func(n *night, name string) {
		n.add(1, catalog.DumpStarted{DLE: vm(name), Stamp: n.run.Stamp, To: "holding"})
	},
	"lost on its way": func(n *night, name string) {
		n.add(0, catalog.DumpStarted{DLE: vm(name), Stamp: n.run.Stamp, To: "volume"})
		n.parts("vault", "DAY001", name, 0, 1, mib)
		n.add(1, catalog.DumpFinished{DLE: vm(name), Stamp: n.run.Stamp, Status: catalog.StatusOK, StoredBytes: mib},
			catalog.CopyFailed{Storage: "vault", DLE: vm(name), Stamp: n.run.Stamp, Parts: 1, Error: "input/output error"})
	},
	"said to be done, then failed": func(n *night, name string) {
		n.dump(name, 0, mib, 1)
		n.add(0, catalog.DumpFailed{DLE: vm(name), Stamp: n.run.Stamp, Error: "input/output error"})
	},
	"lost without a word": func(n *night, name string) {
		n.add(0, catalog.DumpStarted{DLE: vm(name), Stamp: n.run.Stamp, To: "volume"})
		n.add(1, catalog.DumpFinished{DLE: vm(name), Stamp: n.run.Stamp, Status: catalog.StatusOK, StoredBytes: mib})
	},
}

func (n *night) fail(name string, retry bool) {
	n.add(0, catalog.DumpStarted{DLE: vm(name), Stamp: n.run.Stamp, To: "holding"})
	n.add(1, catalog.DumpFailed{DLE: vm(name), Stamp: n.run.Stamp, Error: "input/output error", Retry: retry})
}

// safe reckons from the bare events whether the run has a usable dump of the DLE.
func safe(events []catalog.Event, dle catalog.DLE) bool {
	dumped, toHolding, copied, known, held := false, false, false, false, false
	for _, e := range events {
		switch b := e.Body.(type) {
		case catalog.DumpStarted:
			if b.DLE == dle {
				dumped, toHolding = false, b.To == "holding"
			}
		case catalog.DumpFinished:
			dumped = dumped || b.DLE == dle
		case catalog.DumpFailed:
			dumped = dumped && b.DLE != dle
		case catalog.CopyFinished:
			copied = copied || b.DLE == dle
		case catalog.HoldingLeft:
			known = true
			held = slices.ContainsFunc(b.Dumps, func(h catalog.HeldDump) bool { return h.DLE == dle })
		}
	}
	return dumped && (copied || held || !known && toHolding)
}

// TestNothingIsHidden: whatever becomes of DLEs, and wherever the run is cut off, a DLE without a usable dump is named in
// the failure summary and in the dump summary, and makes the exit status differ from 0.
func TestNothingIsHidden(t *testing.T) {
	names := []string{}
	for name := range fates {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			n := fated(name)
			for cut := 2; cut <= len(n.events); cut++ {
				checkShown(t, n, cut, 1)
			}
		})
	}
	rapid.Check(t, func(rt *rapid.T) {
		drawn := rapid.SliceOfN(rapid.SampledFrom(names), 2, 5).Draw(rt, "fates")
		n := fated(drawn...)
		checkShown(rt, n, rapid.IntRange(len(drawn)+1, len(n.events)).Draw(rt, "cut"), len(drawn))
	})
}

// fated makes a run in which the DLE vm0 has the first of the fates, and so on.
func fated(names ...string) *night {
	n := newNight("20261031190905", "run")
	for i := range names {
		n.plan(fmt.Sprintf("vm%d", i), 0, mib, "")
	}
	n.add(1, catalog.PlanFinished{})
	left := catalog.HoldingLeft{}
	for i, fate := range names {
		dle := fmt.Sprintf("vm%d", i)
		fates[fate](n, dle)
		if fate == "held" || fate == "retried" {
			left.Dumps = append(left.Dumps, catalog.HeldDump{DLE: vm(dle), Stamp: n.run.Stamp, Bytes: mib})
		}
	}
	n.add(1, left, catalog.RunFinished{})
	return n
}

func checkShown(t rapid.TB, n *night, cut, dles int) {
	events := n.events[:cut]
	r := reports.Fold(n.run, events)
	for i := range dles {
		dle := vm(fmt.Sprintf("vm%d", i))
		if !safe(events, dle) {
			mustShow(t, r, dle)
		}
	}
}

func mustShow(t rapid.TB, r reports.Report, dle catalog.DLE) {
	shown := slices.ContainsFunc(r.Failures, func(f reports.Failure) bool { return f.Dump != nil && f.Dump.DLE == dle })
	row := slices.ContainsFunc(r.Summary, func(s reports.Row) bool { return s.DLE == dle })
	if !shown || !row || reports.ExitStatus(r)&(4|8) == 0 {
		t.Fatalf("%s: in failures %t, in summary %t, exit status %d", dle, shown, row, reports.ExitStatus(r))
	}
	var b bytes.Buffer
	if err := reports.Text(&b, r, reports.TextOptions{}); err != nil {
		t.Fatal(err)
	}
	_, failures, _ := strings.Cut(b.String(), "FAILURE DUMP SUMMARY:\n")
	failures, _, _ = strings.Cut(failures, "STATISTICS:\n")
	_, summary, _ := strings.Cut(b.String(), "\nDUMP SUMMARY:\n")
	if !strings.Contains(failures, dle.VM+" disk0 lev") || !strings.Contains(summary, "\n"+dle.VM) {
		t.Fatalf("%s is not named:\n%s", dle, b.String())
	}
}

// TestAnyOrder: events in any order, repeated or missing, give a report that can be written and fits the schema.
func TestAnyOrder(t *testing.T) {
	schema := compileSchema(t)
	var pool []catalog.Event
	for _, s := range scenarios {
		pool = append(pool, s.night().events...)
	}
	rapid.Check(t, func(rt *rapid.T) {
		events := rapid.SliceOfN(rapid.SampledFrom(pool), 0, 40).Draw(rt, "events")
		run := newNight("20261031190905", "run").run
		for _, r := range []reports.Report{reports.Fold(run, events), reports.FoldRunning(run, events)} {
			var b bytes.Buffer
			if err := reports.JSON(&b, r); err != nil {
				rt.Fatal(err)
			}
			if err := validate(schema, b.Bytes()); err != nil {
				rt.Fatal(err)
			}
			if err := reports.Text(io.Discard, r, reports.TextOptions{}); err != nil {
				rt.Fatal(err)
			}
		}
		for _, alive := range []bool{false, true} {
			if err := reports.StatusText(io.Discard, reports.Status(run, events, run.Started, alive), reports.TextOptions{}); err != nil {
				rt.Fatal(err)
			}
		}
	})
}
