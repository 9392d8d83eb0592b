package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"holdfast/scheduler/sim"
	"holdfast/vtape"
)

// TestPlanAgrees: night after night `dle due`, `dle balance` and `overview` say of the night what `plan` says.
// Then the nights to come are simulated, with an image more, one less, and one that cannot be read.
func TestPlanAgrees(t *testing.T) {
	s := newNights(t, t.TempDir(), `
org: test
state: state
dump-cycle: 3d
bump: {size: 64KiB, days: 1}
holding: [{dir: holding, use: 100MiB, chunk: 512KiB}]
storage:
  vtapes: {path: vtapes, slots: 12, volume-size: 4MiB, part-size: 512KiB, label: "V-%%%", run-volumes: 2}
dump-types:
  default: {compress: none}
dles:
  - {vm: a, image: a.raw, format: raw}
  - {vm: b, image: b.raw, format: raw}
  - {vm: c, image: c.raw, format: raw}
`)
	for i, name := range []string{"a.raw", "b.raw", "c.raw"} {
		s.rawImage(name, (i+1)*300_000)
	}
	for night := range 7 {
		at := time.Date(2026, 3, 1+night, 1, 0, 0, 0, time.Local).Format("2006-01-02 15:04")
		for i, name := range []string{"a.raw", "b.raw", "c.raw"} {
			s.change(name, int64(1+night%3)<<18, 40_000*(i+1))
		}
		checkAgree(t, s, at)
		s.night(at)
	}
	checkSimulated(t, s)
}

func checkSimulated(t *testing.T, s *nights) {
	t.Helper()
	args := []string{"simulate", "--json", "--nights", "6", "--now", "2026-03-08 01:00", "--growth", "1", "--change", "3",
		"--add", "new=2MiB@2026-03-10", "--drop", "a@2026-03-11", "--fail", "b@2026-03-09", "--svg", s.path("nights.svg")}
	answer := told[sim.Answer](t, s, args...)
	dumped := []int{3, 2, 4, 3, 3, 3}
	for i, n := range answer.Nights {
		failed := 0
		if i == 1 {
			failed = 1
		}
		if got := n.Levels[0] + n.Incrementals(); got != dumped[i] || n.Failed != failed || n.Bytes == 0 {
			t.Errorf("night %d: %d dumps, %d failed, %d bytes", i, got, n.Failed, n.Bytes)
		}
	}
	if svg, err := os.ReadFile(s.path("nights.svg")); err != nil || strings.Count(string(svg), "<rect") != 6 {
		t.Errorf("the plot: %v\n%s", err, svg)
	}
}

// told is what one of the commands says with --json.
func told[T any](t *testing.T, s *nights, args ...string) T {
	t.Helper()
	code, stdout, stderr := holdfast(s, append([]string{"--config", s.config}, args...)...)
	if code != 0 {
		t.Fatalf("%v: exit %d: %s", args, code, stderr)
	}
	var answer T
	if err := json.Unmarshal([]byte(stdout), &answer); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, stdout)
	}
	return answer
}

func checkAgree(t *testing.T, s *nights, at string) {
	t.Helper()
	plan := told[planAnswer](t, s, "plan", "--json", "--now", at)
	due := told[[]dueRow](t, s, "dle", "due", "--json", "--now", at)
	balance := told[[]balanceRow](t, s, "dle", "balance", "--json", "--now", at)
	matrix := told[struct{ Images []overviewRow }](t, s, "overview", "--json", "--now", at).Images
	if len(plan.Planned) == 0 || len(due) != len(plan.Planned) || len(matrix) != len(due) {
		t.Fatalf("%d planned, %d due, %d in the overview", len(plan.Planned), len(due), len(matrix))
	}
	var bytes, fullBytes int64
	fulls := 0
	for _, p := range plan.Planned {
		parts := max(1, (p.StoredEstimate+512<<10-1)/(512<<10))
		cost := p.StoredEstimate + parts*vtape.HeaderBytes
		bytes += cost
		if p.Level == 0 {
			fulls, fullBytes = fulls+1, fullBytes+cost
		}
		if p.Why.Kind == "" || string(p.Why.Kind) != p.ReasonKind || p.Reason == "" {
			t.Errorf("%s: reason %q of kind %q, %q", p.DLE, p.Reason, p.ReasonKind, p.Why.Kind)
		}
		for i, d := range due {
			tonight := strings.HasPrefix(d.Planned.Local().Format("2006-01-02 15:04"), at)
			if d.VM == p.DLE.VM && (tonight != (p.Level == 0) || matrix[i].Levels[0] != p.Level || matrix[i].Bytes[0] != cost) {
				t.Errorf("%s: plan level %d of %d bytes; next full %s; overview level %d of %d", at, p.Level, cost, d.Planned, matrix[i].Levels[0], matrix[i].Bytes[0])
			}
		}
	}
	if b := balance[0]; b.Bytes != bytes || b.FullBytes != fullBytes || b.Fulls != fulls || b.Dumps != len(plan.Planned) {
		t.Errorf("%s: balance %+v; plan %d bytes, %d in %d fulls", at, b, bytes, fullBytes, fulls)
	}
}
