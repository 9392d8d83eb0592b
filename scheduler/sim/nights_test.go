package sim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/scheduler"
	"holdfast/scheduler/retention"
	"holdfast/scheduler/sim"
)

// TestFourImages is the best-known worked example of the field: four images of 100 GB, of which 15 % change a day, dump cycle 4,
// a tape of 200 GB, level 1 only, one image more on the list each night. From the fourth night on every night carries the
// same: a full, and level 1 dumps of one, two and three days: 100 + 15 + 27.75 + 38.5875 = 181.3375. A published table prints
// 40.84 for the third of these and 183.59 for the night: that is a misprint; 100 x (1 - 0.85^3) is 38.59, and 181.34 is right.
func TestFourImages(t *testing.T) {
	const gb = 1_000_000_000
	var disks []*sim.Disk
	for i := range 4 {
		d := sim.NewDisk(fmt.Sprintf("fs%d", i+1), 100*gb, 0, 0.15)
		d.From = i
		disks = append(disks, d)
	}
	w := sim.NewWorkload(40, disks...)
	s := asAmanda(200 * gb)
	s.Policy.CycleDays, s.Policy.MaxLevel = 4, 1
	var got []string
	for _, n := range sim.Nights(w, sim.Replay(w, s), s.Begin, nil) {
		got = append(got, fmt.Sprintf("%.2f", float64(n.Bytes)/gb))
	}
	want := []string{"100.00", "115.00", "142.75"}
	for len(want) < 40 {
		want = append(want, "181.34")
	}
	if !slices.Equal(got, want) {
		t.Errorf("GB a night %v, want %v", got, want)
	}
}

// TestOversubscribed is the field's other example: 15 volumes of 2 GB in a space of 15 GB work for nine nights. The warning
// comes before the first, and the tenth night is the one that is named.
func TestOversubscribed(t *testing.T) {
	const csv = "night,bytes\n0,1900000000\n1,1600000000\n2,1400000000\n3,1700000000\n4,1800000000\n5,1900000000\n6,1200000000\n" +
		"7,1700000000\n8,1800000000\n9,300000000\n10,500000000\n11,900000000\n12,300000000\n13,600000000\n14,400000000\n"
	rows, err := sim.ReadCSV(strings.NewReader(csv))
	if err != nil {
		t.Fatal(err)
	}
	lib := &sim.Library{VolumeBytes: 2_000_000_000, Volumes: 15, SpaceBytes: 15_000_000_000, Policy: retention.Policy{KeepVolumes: 14}}
	if warn := lib.Oversubscribed(); !strings.Contains(warn, "oversubscribed") {
		t.Errorf("no warning beforehand: %q", warn)
	}
	nights := sim.Nights(sim.NewWorkload(15), rows, asAmanda(0).Begin, lib)
	n, out := sim.RunsOut(nights)
	if !out || n.Night != 9 || !strings.Contains(n.Fault, "the space is full") {
		t.Errorf("runs out %v in night %d (from 0): %s", out, n.Night, n.Fault)
	}
	enough := &sim.Library{VolumeBytes: 2_000_000_000, Volumes: 15, SpaceBytes: 40_000_000_000, Policy: retention.Policy{KeepVolumes: 14}}
	if _, out := sim.RunsOut(sim.Nights(sim.NewWorkload(15), rows, asAmanda(0).Begin, enough)); out || enough.Oversubscribed() != "" {
		t.Errorf("40 GB are not enough: %s", enough.Oversubscribed())
	}
}

// TestVolumesGoRound: with as many volumes as a cycle needs and some more, they are written over by turns; with too few
// the night is named in which none is free.
func TestVolumesGoRound(t *testing.T) {
	for _, c := range []struct {
		volumes, keep int
		fails         bool
	}{{16, 7, false}, {6, 6, true}} {
		w := sim.NewWorkload(60, sim.NewDisk("a", 500*mib, 0, 0.1), sim.NewDisk("b", 300*mib, 0.001, 0.05))
		s := asAmanda(1000 * mib)
		lib := &sim.Library{VolumeBytes: 1000 * mib, Volumes: c.volumes, Policy: retention.Policy{KeepVolumes: c.keep}}
		nights := sim.Nights(w, sim.Replay(w, s), s.Begin, lib)
		n, out := sim.RunsOut(nights)
		if out != c.fails || out && n.Night != 6 {
			t.Errorf("%d volumes: runs out %v in night %d: %s", c.volumes, out, n.Night, n.Fault)
		}
		if last := nights[len(nights)-1]; last.VolumesUsed > c.volumes || last.LongestChain < 2 || last.LongestChain > 3 || last.HoldingBytes < last.Bytes {
			t.Errorf("%+v", last)
		}
	}
}

// TestRowsReadBack: what is written as CSV reads back the same.
func TestRowsReadBack(t *testing.T) {
	w := load(t, "unreachable")
	rows := sim.Replay(w, asAmanda(300*mib))
	var b strings.Builder
	if err := sim.WriteCSV(&b, rows); err != nil {
		t.Fatal(err)
	}
	back, err := sim.ReadCSV(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		rows[i].Dump = catalog.Dump{}
	}
	if !slices.Equal(fmtRows(rows), fmtRows(back)) {
		t.Error("rows differ after reading them back")
	}
}

func fmtRows(rows []sim.Row) []string {
	var out []string
	for _, r := range rows {
		out = append(out, fmt.Sprintf("%d %s %s %d %d %s %s %d", r.Night, r.Date, r.Disk, r.Level, r.Bytes, r.Result, r.Reason, r.Promoted))
	}
	return out
}

// TestWrongFiles: each mistake is named with its line.
func TestWrongFiles(t *testing.T) {
	for _, c := range []struct{ disks, changes, events, want string }{
		{"disk,size\n", "", "", `read disks: no column "blocks"`},
		{"disk,blocks\na,-1\n", "", "", "read disks: line 2"},
		{"disk,blocks\na,10\na,10\n", "", "", "line 3"},
		{"disk,blocks\na,10\n", "day,disk,blocks\n1,b,3\n", "", `read changes: line 2: disk "b"`},
		{"disk,blocks\na,10\n", "day,disk,blocks\n1,a,3-10\n", "", "blocks of a on day 1"},
		{"disk,blocks\na,10\n", "day,disk,blocks\n1,a,3-5\n", "night,event,disk\n1,explode,a\n", `read events: line 2: event "explode" is not known`},
		{"disk,blocks\na,9999999999\n", "", "", "want 0 to"},
	} {
		_, err := sim.ReadWorkload(sim.Files{Disks: strings.NewReader(c.disks), Changes: strings.NewReader(c.changes), Events: strings.NewReader(c.events)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	if _, err := sim.ReadCSV(strings.NewReader("night,bytes\n1,x\n")); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("%v", err)
	}
}

// FuzzReadWorkload: whatever the files hold, reading them ends, and what is accepted can be replayed.
func FuzzReadWorkload(f *testing.F) {
	f.Add("disk,blocks\na,10\n", "day,disk,blocks\n1,a,3-5\n", "night,event,disk\n1,offline,a\n")
	f.Fuzz(func(t *testing.T, disks, changes, events string) {
		w, err := sim.ReadWorkload(sim.Files{Disks: strings.NewReader(disks), Changes: strings.NewReader(changes), Events: strings.NewReader(events)})
		if err != nil || w.Nights > 20 || len(w.Disks) > 5 {
			return
		}
		for _, d := range w.Disks {
			if d.Blocks > 1000 {
				return
			}
		}
		sim.Replay(w, asAmanda(mib))
	})
}

// TestLook: the plan that is looked at is the one that is carried out.
func TestLook(t *testing.T) {
	w := sim.NewWorkload(3, sim.NewDisk("vm:data", mib, 0, 0.5))
	s := asAmanda(100 * mib)
	s.BytesPerSecond = mib
	entries := 0
	s.Look = func(_ int, p scheduler.Plan) { entries += len(p.Entries) }
	rows := sim.Replay(w, s)
	if entries != len(rows) || rows[0].Disk != "vm:data" || rows[0].Dump.Ended.Sub(rows[0].Dump.Started) != time.Second {
		t.Errorf("%d entries, rows %+v", entries, rows)
	}
}
