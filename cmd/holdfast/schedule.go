package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"holdfast/catalog"
	"holdfast/reports"
	"holdfast/scheduler"
	nightly "holdfast/scheduler/run"
)

// comingPlan is tonight's plan for all images, by which `dle due`, `dle balance` and `overview` go: what they say is what
// the planner will do.
func (a *app) comingPlan(c *cli.Context) (scheduler.Plan, error) {
	s, err := a.openSite(c, toPlan)
	if err != nil {
		return scheduler.Plan{}, err
	}
	defer s.close()
	o, err := nightOptions(c, s, nightly.CommandRun)
	if err != nil {
		return scheduler.Plan{}, err
	}
	o.DLEs = nil
	return s.Plan(c.Context, o)
}

// dueRow is one line of dle due.
type dueRow struct {
	VM           string        `json:"vm"`
	Disk         string        `json:"disk"`
	LastFull     catalog.Stamp `json:"last_full,omitempty"`
	Due          time.Time     `json:"due,omitzero"`
	OverdueHours float64       `json:"overdue_hours,omitempty"`
	Planned      time.Time     `json:"planned,omitzero"`
	FullBytes    int64         `json:"full_bytes"`
}

func (a *app) dleDue(c *cli.Context) error {
	plan, err := a.comingPlan(c)
	if err != nil {
		return err
	}
	rows := []dueRow{}
	for _, d := range plan.Schedule {
		rows = append(rows, dueRow{d.DLE.VM, d.DLE.Disk, d.LastFull, d.DueBy, d.Overdue.Hours(), d.Planned, d.FullBytes})
	}
	if c.Bool("json") {
		return a.printJSON(rows)
	}
	slices.SortStableFunc(rows, func(x, y dueRow) int { return x.Due.Compare(y.Due) })
	t := reports.Table{Header: []string{"VM", "DISK", "LAST FULL", "DUE", "OVERDUE", "PLANNED", "FULL"}, Right: []bool{false, false, false, false, true, false, true}}
	for _, r := range rows {
		overdue := ""
		if r.OverdueHours > 0 {
			overdue = fmt.Sprintf("%.1f d", r.OverdueHours/24)
		}
		t.Rows = append(t.Rows, []string{r.VM, r.Disk, orDash(string(r.LastFull)), minute(r.Due), overdue, minute(r.Planned), humanize.IBytes(uint64(r.FullBytes))})
	}
	return t.Write(a.stdout)
}

func minute(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format("2006-01-02 15:04")
}

// balanceRow is one line of dle balance.
type balanceRow struct {
	At        time.Time `json:"at"`
	Fulls     int       `json:"fulls"`
	Dumps     int       `json:"dumps"`
	FullBytes int64     `json:"full_bytes"`
	Bytes     int64     `json:"bytes"`
	Seconds   float64   `json:"seconds,omitempty"`
	// OfMean is the night over the mean of all.
	OfMean float64 `json:"of_mean"`
}

func (a *app) dleBalance(c *cli.Context) error {
	plan, err := a.comingPlan(c)
	if err != nil {
		return err
	}
	var sum int64
	for _, n := range plan.Nights {
		sum += n.Bytes
	}
	rows := []balanceRow{}
	for _, n := range plan.Nights {
		mean := cmp.Or(float64(sum)/float64(len(plan.Nights)), 1)
		rows = append(rows, balanceRow{n.At, n.Fulls, n.Dumps, n.FullBytes, n.Bytes, n.Seconds, float64(n.Bytes) / mean})
	}
	if c.Bool("json") {
		return a.printJSON(rows)
	}
	t := reports.Table{Header: []string{"RUN", "FULLS", "SIZE", "OTHERS", "SIZE", "TOTAL", "OF MEAN"}, Right: []bool{false, true, true, true, true, true, true}}
	for _, r := range rows {
		t.Rows = append(t.Rows, []string{
			minute(r.At), fmt.Sprint(r.Fulls), humanize.IBytes(uint64(r.FullBytes)), fmt.Sprint(r.Dumps - r.Fulls),
			humanize.IBytes(uint64(r.Bytes - r.FullBytes)), humanize.IBytes(uint64(r.Bytes)), fmt.Sprintf("%.0f %%", 100*r.OfMean),
		})
	}
	return t.Write(a.stdout)
}

func (a *app) overviewCommand() *cli.Command {
	return &cli.Command{
		Name: "overview", Usage: "the coming runs: each image with its levels and sizes",
		Description: `A cell is the level and the size on the media; "-" is no dump. Tonight's column is what plan shows, the others are forecasts
that each run makes anew.

EXAMPLES
   holdfast overview
   holdfast overview --json`,
		Flags: []cli.Flag{nowFlag(), jsonFlag()}, Action: a.overview,
	}
}

// overviewRow is one image of the overview.
type overviewRow struct {
	VM     string          `json:"vm"`
	Disk   string          `json:"disk"`
	Levels []catalog.Level `json:"levels"`
	Bytes  []int64         `json:"bytes"`
}

func (a *app) overview(c *cli.Context) error {
	plan, err := a.comingPlan(c)
	if err != nil {
		return err
	}
	var runs []time.Time
	t := reports.Table{Header: []string{"VM", "DISK"}, Right: []bool{false, false}}
	for _, n := range plan.Nights {
		runs = append(runs, n.At)
		t.Header, t.Right = append(t.Header, n.At.Format("01-02")), append(t.Right, true)
	}
	rows := []overviewRow{}
	for _, d := range plan.Schedule {
		rows = append(rows, overviewRow{d.DLE.VM, d.DLE.Disk, d.Levels, d.Coming})
		cells := []string{d.DLE.VM, d.DLE.Disk}
		for i, level := range d.Levels {
			cell := "-"
			if level >= 0 {
				cell = fmt.Sprintf("%d %s", level, humanize.IBytes(uint64(d.Coming[i])))
			}
			cells = append(cells, cell)
		}
		t.Rows = append(t.Rows, cells)
	}
	if c.Bool("json") {
		return a.printJSON(struct {
			Runs   []time.Time   `json:"runs"`
			Images []overviewRow `json:"images"`
		}{runs, rows})
	}
	total := []string{"all", ""}
	for _, n := range plan.Nights {
		total = append(total, humanize.IBytes(uint64(n.Bytes)))
	}
	t.Rows = append(t.Rows, total)
	return t.Write(a.stdout)
}
