package sim_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/scheduler"
	"holdfast/scheduler/sim"
)

const mib = 1 << 20

const workloads = "../testdata/workloads"

// load reads a workload of testdata.
func load(t testing.TB, name string) *sim.Workload {
	t.Helper()
	open := func(file string) io.Reader {
		text, err := os.ReadFile(filepath.Join(workloads, name, file))
		if os.IsNotExist(err) && file == "events.csv" {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		return strings.NewReader(string(text))
	}
	w, err := sim.ReadWorkload(sim.Files{Disks: open("disks.csv"), Changes: open("changes.csv"), Events: open("events.csv")})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// asAmanda are the settings that real Amanda ran with.
func asAmanda(capacity int64) sim.Settings {
	return sim.Settings{
		Begin: time.Date(2031, 3, 3, 1, 0, 0, 0, time.UTC),
		Policy: scheduler.Policy{
			CycleDays: 7, BumpPercent: 20, BumpDays: 1, BumpMult: 4, Strategy: scheduler.StrategyStandard, Priority: 1,
		},
		Capacity: scheduler.Capacity{Volumes: 1, VolumeBytes: capacity, HeaderBytes: 32 << 10, MarkBytes: 1 << 10},
	}
}

// TestSteady: on the recorded workload, under the settings that Amanda ran with, holdfast's nights vary less than half as much as
// Amanda's did, with no more bytes, no late full and chains no longer. The bound beside it is what no schedule can go below.
func TestSteady(t *testing.T) {
	w := load(t, "steady")
	text, err := os.ReadFile(filepath.Join(workloads, "steady", "nights-amanda-3.5.1.csv"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := sim.ReadCSV(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	theirs := sim.Measure(w, rows, 7)
	ours := sim.Measure(w, sim.Replay(w, asAmanda(400*mib)), 7)
	t.Logf("Amanda   %+v\nholdfast %+v", theirs, ours)
	bound := sim.LeastBytes(w, 7, 2)
	t.Logf("least bytes of all nights: %d; ours %d", bound, ours.TotalBytes)
	if theirs.Variation < 0.0452 || theirs.Variation > 0.0453 {
		t.Errorf("Amanda's coefficient of variation is %.4f: the file or the measure is not right", theirs.Variation)
	}
	if ours.Variation > 0.5*theirs.Variation || ours.Variation2 > 0.5*theirs.Variation2 {
		t.Errorf("coefficient of variation %.4f and %.4f, Amanda's %.4f and %.4f", ours.Variation, ours.Variation2, theirs.Variation, theirs.Variation2)
	}
	if ours.CycleBytes > theirs.CycleBytes || ours.TotalBytes < bound {
		t.Errorf("%d bytes a cycle, Amanda's %d; %d bytes in all, at least %d", ours.CycleBytes, theirs.CycleBytes, ours.TotalBytes, bound)
	}
	if ours.LateFulls != 0 || ours.LateNights != 0 || ours.LongestChain > 3 || ours.NotDumped != 0 {
		t.Errorf("%+v", ours)
	}
}

// TestBlind: without any word from the sources about what has changed, from its own history alone, it is still more even
// than Amanda, which walks each file system beforehand.
func TestBlind(t *testing.T) {
	w := load(t, "steady")
	s := asAmanda(400 * mib)
	s.Blind = true
	f := sim.Measure(w, sim.Replay(w, s), 7)
	t.Logf("%+v", f)
	if f.Variation > 0.9*0.0452 || f.LateFulls != 0 {
		t.Errorf("%+v", f)
	}
}

// TestAmandaModel: the re-created planner does what the real one did: as many fulls, as many promotions, and the same bytes
// but for the archive format's own, which is about 1 %.
func TestAmandaModel(t *testing.T) {
	w := load(t, "steady")
	f := sim.Measure(w, amandaRuns(w, 400*mib), 7)
	if f.Fulls != 145 || f.Promotions != 28 || f.LateFulls != 0 || f.LongestChain != 3 {
		t.Errorf("%+v", f)
	}
	const real = 631_880_000 // bytes a cycle of the real one
	if ratio := float64(f.CycleBytes) / real; ratio < 0.98 || ratio > 1 {
		t.Errorf("%.3f of the real one's bytes a cycle", ratio)
	}
}

// TestOtherKinds: what is no quiet week. Better means: no more fulls late, none left without a dump that Amanda dumps, less
// uneven, no more bytes.
func TestOtherKinds(t *testing.T) {
	for _, c := range []struct {
		name     string
		capacity int64
	}{{"added", 300 * mib}, {"missed", 300 * mib}, {"unreachable", 300 * mib}, {"small", 70 * mib}} {
		t.Run(c.name, func(t *testing.T) {
			w := load(t, c.name)
			theirs := sim.Measure(w, amandaRuns(w, c.capacity), 7)
			ours := sim.Measure(w, sim.Replay(w, asAmanda(c.capacity)), 7)
			t.Logf("\nAmanda   %+v\nholdfast %+v", theirs, ours)
			if ours.LateFulls > theirs.LateFulls || ours.LateNights > theirs.LateNights || ours.NotDumped > theirs.NotDumped {
				t.Errorf("late or missing dumps: %+v, Amanda's %+v", ours, theirs)
			}
			if ours.Variation > theirs.Variation || ours.CycleBytes > theirs.CycleBytes {
				t.Errorf("coefficient of variation %.4f at %d bytes a cycle, Amanda's %.4f at %d", ours.Variation, ours.CycleBytes, theirs.Variation, theirs.CycleBytes)
			}
		})
	}
}
