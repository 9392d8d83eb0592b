package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"holdfast/configs"
	"holdfast/reports"
	"holdfast/scheduler"
	nightly "holdfast/scheduler/run"
	"holdfast/scheduler/sim"
	"holdfast/vtape"
)

func (a *app) simulateCommand() *cli.Command {
	return &cli.Command{
		Name: "simulate", Usage: "run the planner over nights to come, or over a recorded workload",
		Description: `Without --workload: the coming nights of this site, from its history, as each image grows and changes. Nothing is dumped.
With --workload: the disks of a directory with disks.csv, changes.csv and, if there is one, events.csv; no configuration is read.
With --from-csv: nights whose bytes stand in a file are put on the volumes.

EXAMPLES
   holdfast simulate --nights 60
   holdfast simulate --nights 90 --growth 0.2 --add newvm=80GiB@2026-12-01 --space 2TiB --svg nights.svg
   holdfast simulate --workload steady --dump-cycle 7 --capacity 400MiB --out nights.csv
   holdfast simulate --workload steady --compare nights-amanda-3.5.1.csv`,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "nights", Value: 30, Usage: "how many `NIGHTS`"},
			&cli.Float64Flag{Name: "growth", Usage: "`PERCENT` that each image grows by from night to night"},
			&cli.Float64Flag{Name: "change", Usage: "`PERCENT` of each image that changes from night to night; without it as its history tells"},
			&cli.StringSliceFlag{Name: "add", Usage: "a new image, `VM=SIZE@DATE`"},
			&cli.StringSliceFlag{Name: "drop", Usage: "an image that goes, `VM@DATE`"},
			&cli.StringSliceFlag{Name: "fail", Usage: "an image that cannot be read in a night, `VM@DATE`"},
			&cli.StringFlag{Name: "from-csv", Usage: "take the nights' bytes from `FILE` (columns night, bytes)"},
			&cli.StringFlag{Name: "workload", Usage: "`DIR` with a recorded workload"},
			&cli.IntFlag{Name: "dump-cycle", Value: 7, Usage: "with --workload: dump cycle in `DAYS`"},
			&cli.StringFlag{Name: "capacity", Usage: "`BYTES` of a run's volumes"},
			&cli.StringFlag{Name: "volume-size", Usage: "`BYTES` of one volume of the library"},
			&cli.IntFlag{Name: "volumes", Usage: "`NUMBER` of volumes in the library"},
			&cli.StringFlag{Name: "space", Usage: "`BYTES` of the disk that all volumes lie on"},
			&cli.IntFlag{Name: "bump-percent", Value: 20, Usage: "with --workload: bump rule, `PERCENT` of the full"},
			&cli.IntFlag{Name: "bump-days", Value: 1, Usage: "with --workload: bump rule, `RUNS` at one level"},
			&cli.Float64Flag{Name: "bump-mult", Value: 4, Usage: "with --workload: bump rule, `FACTOR` for each further level"},
			&cli.BoolFlag{Name: "blind", Usage: "with --workload: the planner knows nothing of tonight's changes but by its history"},
			&cli.StringFlag{Name: "out", Usage: "write each dump of each night to `FILE` as CSV"},
			&cli.StringFlag{Name: "compare", Usage: "set the nights of `FILE` beside these"},
			&cli.StringFlag{Name: "svg", Usage: "draw the nights into `FILE`"},
			&cli.BoolFlag{Name: "csv", Usage: "print the nights as CSV"},
			nowFlag(), jsonFlag(),
		},
		Action: a.simulate,
	}
}

// simulation is what is simulated, and what came of it.
type simulation struct {
	load     *sim.Workload
	settings sim.Settings
	lib      *sim.Library
	cycle    int
	rows     []sim.Row
}

func (a *app) simulate(c *cli.Context) error {
	s, err := a.simulation(c)
	if err != nil {
		return err
	}
	if s.rows == nil {
		s.rows = sim.Replay(s.load, s.settings)
	}
	if name := c.String("out"); name != "" {
		if err := toFile(name, func(w io.Writer) error { return sim.WriteCSV(w, s.rows) }); err != nil {
			return err
		}
	}
	answer := sim.Answer{Warning: s.lib.Oversubscribed(), Cycle: s.cycle}
	answer.Nights = sim.Nights(s.load, s.rows, s.settings.Begin, s.lib)
	answer.Figures = sim.Measure(s.load, s.rows, s.cycle)
	answer.LeastBytes = sim.LeastBytes(s.load, s.cycle, 2)
	if name := c.String("svg"); name != "" {
		if err := toFile(name, func(w io.Writer) error { return sim.WriteSVG(w, answer.Nights) }); err != nil {
			return err
		}
	}
	if name := c.String("compare"); name != "" {
		other, err := nightsOf(name)
		if err != nil {
			return err
		}
		f := sim.Measure(s.load, other, s.cycle)
		answer.Compared = &f
	}
	return a.printSimulation(c, answer)
}

func (a *app) printSimulation(c *cli.Context, answer sim.Answer) error {
	switch {
	case c.Bool("json"):
		return a.printJSON(answer)
	case c.Bool("csv"):
		return sim.WriteNightsCSV(a.stdout, answer.Nights)
	}
	if answer.Warning != "" {
		fmt.Fprintf(a.stdout, "WARNING: %s\n", answer.Warning)
	}
	if n, out := sim.RunsOut(answer.Nights); out {
		fmt.Fprintf(a.stdout, "WARNING: night %d (%s) cannot be written: %s\n", n.Night+1, n.Date.Format(time.DateOnly), n.Fault)
	}
	return reports.SimulationText(a.stdout, simulated(answer))
}

// simulation makes what the flags ask for.
func (a *app) simulation(c *cli.Context) (*simulation, error) {
	now, err := simulatedNow(c)
	if err != nil {
		return nil, err
	}
	s := &simulation{settings: sim.Settings{Begin: now}, cycle: c.Int("dump-cycle"), lib: &sim.Library{VolumeBytes: 1 << 60, Volumes: 1 << 20}}
	if s.cycle < 1 {
		return nil, usagef("--dump-cycle is at least 1")
	}
	switch {
	case c.String("workload") != "":
		err = s.recorded(c)
	case c.String("from-csv") != "":
		if s.rows, err = nightsOf(c.String("from-csv")); err == nil {
			last := 0
			for _, r := range s.rows {
				last = max(last, r.Night)
			}
			s.load = sim.NewWorkload(last + 1)
		}
	default:
		err = a.coming(c, s)
	}
	if err == nil {
		err = s.volumes(c)
	}
	return s, err
}

func simulatedNow(c *cli.Context) (time.Time, error) {
	if text := c.String("now"); text != "" {
		return parseTime(text)
	}
	return time.Now().Truncate(time.Second), nil
}

// recorded reads a workload.
func (s *simulation) recorded(c *cli.Context) error {
	var files sim.Files
	for name, to := range map[string]*io.Reader{"disks.csv": &files.Disks, "changes.csv": &files.Changes, "events.csv": &files.Events} {
		f, err := os.Open(filepath.Join(c.String("workload"), name))
		if errors.Is(err, os.ErrNotExist) && name == "events.csv" {
			continue
		}
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // it is only read
		*to = f
	}
	var err error
	s.load, err = sim.ReadWorkload(files)
	s.settings.Blind = c.Bool("blind")
	s.settings.Capacity.HeaderBytes = vtape.HeaderBytes
	s.settings.Policy = scheduler.Policy{
		CycleDays: float64(s.cycle), BumpPercent: float64(c.Int("bump-percent")), BumpDays: c.Int("bump-days"), BumpMult: c.Float64("bump-mult"),
		Strategy: scheduler.StrategyStandard, Priority: 1,
	}
	return err
}

// volumes takes what the flags say of run and library.
func (s *simulation) volumes(c *cli.Context) error {
	for name, to := range map[string]*int64{"capacity": &s.settings.Capacity.VolumeBytes, "volume-size": &s.lib.VolumeBytes, "space": &s.lib.SpaceBytes} {
		if text := c.String(name); text != "" {
			n, err := parseBytes(text)
			if err != nil {
				return usagef("--%s: %s", name, err)
			}
			*to = n
		}
	}
	if c.String("capacity") != "" {
		s.settings.Capacity.Volumes = 1
	}
	if n := c.Int("volumes"); n > 0 {
		s.lib.Volumes = n
		s.lib.Policy.KeepVolumes = cmp.Or(s.lib.Policy.KeepVolumes, n-1)
	}
	return nil
}

func parseBytes(text string) (int64, error) {
	var size configs.Size
	err := size.UnmarshalText([]byte(text))
	return int64(size), err
}

func nightsOf(name string) ([]sim.Row, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it is only read
	rows, err := sim.ReadCSV(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return rows, nil
}

func toFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), f.Close())
	}
	return f.Close()
}

// coming makes a model of the site: what the planner would be shown tonight, growing and changing from there on.
func (a *app) coming(c *cli.Context, s *simulation) error {
	site, err := a.openSite(c, toPlan)
	if err != nil {
		return err
	}
	defer site.close()
	return s.site(c.Context, c, site)
}

func (s *simulation) site(ctx context.Context, c *cli.Context, site *site) error {
	in, err := site.Input(ctx)
	if err != nil {
		return err
	}
	s.cycle = int(site.Config.DumpCycle)
	s.settings.Capacity, s.settings.Window, s.settings.RunsPerCycle = in.Capacity, in.Window, site.Config.RunsPerCycle
	s.settings.Policy = scheduler.Policy{CycleDays: float64(s.cycle), Priority: 1, BumpDays: site.Config.Bump.Days, BumpSizeBytes: int64(site.Config.Bump.Size), BumpMult: site.Config.Bump.Mult}
	st := site.Config.MainStorage()
	s.lib = &sim.Library{VolumeBytes: int64(st.VolumeSize), Volumes: st.Slots, Policy: nightly.Policies(site.Config)[st.Name]}
	var disks []*sim.Disk
	for _, img := range in.Images {
		growth, change := c.Float64("growth")/100, c.Float64("change")/100
		if !c.IsSet("change") {
			change = sim.ChangeOf(img)
		}
		d := sim.NewDisk(img.DLE.String(), img.AllocatedBytes, growth, change)
		policy := img.Policy
		d.Policy, d.Dumps, d.Ratio = &policy, img.Dumps, sim.RatioOf(img)
		disks = append(disks, d)
	}
	disks, err = s.events(c, disks)
	s.load = sim.NewWorkload(c.Int("nights"), disks...)
	return err
}
