package sim

import (
	"math"
	"slices"
	"time"

	"holdfast/catalog"
	"holdfast/scheduler"
)

// Settings are those of a replay.
type Settings struct {
	// Begin is the time of the first run; the others follow a calendar day apart.
	Begin  time.Time
	Policy scheduler.Policy
	// Capacity, Window and Parallel are those of each run.
	Capacity scheduler.Capacity
	Window   scheduler.Window
	// BytesPerSecond is how fast each image is dumped; 0: times are left aside.
	BytesPerSecond int64
	RunsPerCycle   int
	// Blind keeps from the planner what has changed before it is dumped: it forecasts from its history alone.
	Blind bool
	// Look, when set, gets each plan.
	Look func(night int, plan scheduler.Plan)
}

// Row is what one disk got in one night, a line of NIGHTS.csv.
type Row struct {
	Night int
	Date  string
	Disk  string
	Level catalog.Level
	Bytes int64
	// Result is ok, late (an incremental where a full is overdue), failed or skipped; empty is taken as ok.
	Result string
	Reason string
	// Promoted is how many nights early a full is.
	Promoted int
	// Dump is what was made; its zero value in rows that were read from a file.
	Dump catalog.Dump
}

// Results of a row.
const (
	ResultOK      = "ok"
	ResultLate    = "late"
	ResultFailed  = "failed"
	ResultSkipped = "skipped"
)

// Replay runs the planner over a workload.
func Replay(w *Workload, s Settings) []Row {
	images := make([]*scheduler.Image, len(w.Disks))
	for i, d := range w.Disks {
		images[i] = &scheduler.Image{DLE: d.DLE(), Policy: s.Policy, Dumps: slices.Clone(d.Dumps)}
		if d.Policy != nil {
			images[i].Policy = *d.Policy
		}
	}
	var rows []Row
	for night := range w.Nights {
		if !w.Runs(night) {
			continue
		}
		at := s.Begin.AddDate(0, 0, night)
		in := scheduler.Input{Now: at, Capacity: s.Capacity, Window: s.Window, RunsPerCycle: s.RunsPerCycle, CycleDays: s.Policy.CycleDays}
		disks := map[catalog.DLE]int{}
		for i, d := range w.Disks {
			if d.Listed(night) {
				disks[images[i].DLE] = i
				in.Images = append(in.Images, s.show(*images[i], d, night))
			}
		}
		plan := scheduler.Make(in)
		if s.Look != nil {
			s.Look(night, plan)
		}
		for _, e := range plan.Entries {
			i := disks[e.DLE]
			rows = append(rows, s.dump(images[i], w.Disks[i], night, e))
		}
		for _, skip := range plan.Skipped {
			images[disks[skip.DLE]].Waited++
			row := Row{Night: night, Date: at.Format("20060102"), Disk: w.name(disks, skip.DLE), Level: -1, Result: ResultFailed, Reason: skip.Reason}
			if !skip.Failure {
				row.Result = ResultSkipped
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// name of the disk that a DLE is.
func (w *Workload) name(disks map[catalog.DLE]int, dle catalog.DLE) string {
	return w.Disks[disks[dle]].Name
}

// night of a stamp: negative for one before the first.
func (s Settings) night(stamp catalog.Stamp) int {
	return int(math.Round(stamp.Time(s.Begin.Location()).Sub(s.Begin).Hours() / 24))
}

// show is the image as the planner sees it in a night.
func (s Settings) show(img scheduler.Image, d *Disk, night int) scheduler.Image {
	img.AllocatedBytes = d.Bytes(night)
	if !d.Reachable(night) {
		img.Unreadable = "cannot be reached"
	}
	if s.Blind {
		return img
	}
	img.Changed = map[catalog.DumpID]int64{}
	for i := len(img.Dumps) - 1; i >= 0; i-- {
		dump := img.Dumps[i]
		img.Changed[dump.ID] = d.Changed(s.night(dump.Stamp), night)
		if dump.Level == 0 {
			break
		}
	}
	return img
}

// dump carries an entry out.
func (s Settings) dump(img *scheduler.Image, d *Disk, night int, e scheduler.Entry) Row {
	at := s.Begin.AddDate(0, 0, night)
	made := catalog.Dump{
		DLE: img.DLE, Stamp: catalog.NewStamp(at), Level: e.Level, Base: e.Base, Status: catalog.StatusOK,
		OrigBytes: d.Bytes(night), Started: at, Ended: at,
	}
	if e.Level > 0 {
		_, base, _, _ := catalog.ParseDumpID(e.Base)
		made.OrigBytes = d.Changed(s.night(base), night)
	}
	made.StoredBytes = made.OrigBytes
	if d.Ratio > 0 {
		made.StoredBytes = max(1, int64(float64(made.OrigBytes)*d.Ratio))
	}
	if s.BytesPerSecond > 0 {
		made.Ended = at.Add(time.Duration(float64(made.OrigBytes) / float64(s.BytesPerSecond) * float64(time.Second)))
	}
	made.ID = catalog.NewDumpID(made.DLE, made.Stamp, made.Level)
	img.Dumps, img.Waited = append(img.Dumps, made), 0
	row := Row{
		Night: night, Date: at.Format("20060102"), Disk: d.Name, Level: e.Level, Bytes: made.StoredBytes,
		Result: ResultOK, Reason: e.Reason, Promoted: e.Why.PromotedNights, Dump: made,
	}
	if e.Late {
		row.Result = ResultLate
	}
	return row
}
