package reports_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"holdfast/catalog"
	"holdfast/reports"
)

// TestTables holds what the commands print: a plan, a history, the volumes.
func TestTables(t *testing.T) {
	var b bytes.Buffer
	plan := reports.Plan{CapacityBytes: 40 * mib,
		Planned: []catalog.Planned{
			{DLE: vm("web01"), Level: 0, OrigEstimate: 20 * mib, StoredEstimate: 10 * mib, Reason: "full due today"},
			{DLE: vm("db"), Level: 1, OrigEstimate: 3 << 30, StoredEstimate: 2 << 20, Reason: "full due 2 days ago, delayed: the run holds 40 MiB", Late: true},
		},
		Skipped: []catalog.Skipped{{DLE: vm("huge"), Reason: "does not fit", Failure: true}, {DLE: vm("old"), Reason: "taken out"}},
	}
	if err := reports.PlanText(&b, plan); err != nil {
		t.Fatal(err)
	}
	b.WriteString("\n")
	dumps := []catalog.Dump{
		{ID: "web01/disk0/20261031190905/0", DLE: vm("web01"), Stamp: "20261031190905", Status: catalog.StatusOK, OrigBytes: 20 * mib, StoredBytes: 10 * mib},
		{ID: "web01/disk0/20261101190905/1", DLE: vm("web01"), Stamp: "20261101190905", Level: 1, Status: catalog.StatusStrange, OrigBytes: 3000, StoredBytes: 900},
	}
	part := func(label catalog.Label, file int) catalog.Part { return catalog.Part{Label: label, File: file} }
	copies := map[catalog.DumpID][]catalog.Copy{dumps[0].ID: {
		{Storage: "vault", Status: catalog.StatusOK, Parts: []catalog.Part{part("DAY001", 3), part("DAY001", 4), part("DAY001", 5), part("DAY002", 1)}},
		{Storage: "offsite", Status: catalog.StatusPartial, Parts: []catalog.Part{part("OFF01", 1), part("OFF01", 3)}},
	}}
	if err := reports.HistoryText(&b, dumps, copies); err != nil {
		t.Fatal(err)
	}
	b.WriteString("\n")
	volumes := []catalog.Volume{
		{Label: "DAY001", Storage: "vault", Slot: "1", WriteStamp: "20261031190905", Bytes: 37 * mib, Files: 12},
		{Label: "DAY002", Storage: "vault"},
	}
	if err := reports.VolumesText(&b, volumes, map[catalog.Label]string{"DAY001": "no: holds the latest full of web01:disk0", "DAY002": "yes"}); err != nil {
		t.Fatal(err)
	}
	golden(t, "tables.txt", b.Bytes())
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestWriteErrors: what cannot be written is an error, and so is a unit that does not exist.
func TestWriteErrors(t *testing.T) {
	n := normalNight()
	r, s := n.report(), reports.Status(n.run, n.events, n.now, true)
	for name, err := range map[string]error{
		"text":    reports.Text(brokenWriter{}, r, reports.TextOptions{}),
		"json":    reports.JSON(brokenWriter{}, r),
		"status":  reports.StatusText(brokenWriter{}, s, reports.TextOptions{}),
		"plan":    reports.PlanText(brokenWriter{}, reports.Plan{}),
		"history": reports.HistoryText(brokenWriter{}, nil, nil),
		"volumes": reports.VolumesText(brokenWriter{}, nil, nil),
	} {
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: %v, want %v", name, err, io.ErrClosedPipe)
		}
	}
	for _, err := range []error{
		reports.Text(io.Discard, r, reports.TextOptions{Unit: "x"}),
		reports.StatusText(io.Discard, s, reports.TextOptions{Unit: "x"}),
	} {
		if err == nil {
			t.Error("the unit x is taken")
		}
	}
}
