package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/reports"
	"holdfast/scheduler"
	nightly "holdfast/scheduler/run"
)

func nowFlag() cli.Flag {
	return &cli.StringFlag{Name: "now", Usage: "rehearse another `TIME` (2026-11-21 01:00): the run is stamped with it"}
}

func (a *app) runCommand() *cli.Command {
	return &cli.Command{
		Name: "run", Usage: "one night's work: plan, dump, write to volumes, report", ArgsUsage: usageAnyDLEs,
		Description: `Dumps the images named, or all of them. What is planned and why is shown by --dry-run.
The exit status is a sum: 1 error, 2 something strange, 4 an image failed, 8 a result is missing, 16 media.

EXAMPLES
   holdfast run                      the whole night; this is the line for cron
   holdfast run web01                only web01
   holdfast run --dry-run            what would be done, and why
   holdfast run --no-taper           leave the dumps on the holding disk; holdfast flush writes them later`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "show the plan and do nothing"},
			&cli.BoolFlag{Name: "no-taper", Usage: "leave the dumps on the holding disk"},
			nowFlag(), jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			if c.Bool("dry-run") {
				return a.showPlan(c)
			}
			return a.night(c, nightly.CommandRun)
		},
	}
}

func (a *app) flushCommand() *cli.Command {
	return &cli.Command{
		Name: "flush", Usage: "write what earlier runs left on the holding disk",
		Description: `Whatever kept the dumps from the volumes must be mended first. Every run flushes too, unless autoflush is off.
The exit status is that of run.

EXAMPLES
   holdfast flush`,
		Flags:  []cli.Flag{nowFlag(), jsonFlag()},
		Action: func(c *cli.Context) error { return a.night(c, nightly.CommandFlush) },
	}
}

func (a *app) planCommand() *cli.Command {
	return &cli.Command{
		Name: "plan", Usage: "show what the next run would do, and why", ArgsUsage: usageAnyDLEs,
		Description: "EXAMPLES\n   holdfast plan\n   holdfast plan --now '2026-12-24 01:00'",
		Flags:       []cli.Flag{nowFlag(), jsonFlag(), &cli.BoolFlag{Name: "no-taper", Usage: "plan for a run without volumes"}},
		Action:      a.showPlan,
	}
}

// night is what run and flush do.
func (a *app) night(c *cli.Context, command string) error {
	s, err := a.openSite(c, toWork)
	if err != nil {
		return err
	}
	defer s.close()
	o, err := nightOptions(c, s, command)
	if err != nil {
		return err
	}
	a.warn(s.Config)
	if command == nightly.CommandFlush {
		pending, err := s.Pending(c.Context)
		if err != nil {
			return err
		}
		if !pending {
			// A run that does nothing would only hide the last one from report and status.
			fmt.Fprintln(a.stderr, "nothing is on the holding disk")
			return nil
		}
	}
	return a.work(c, s, o)
}

// work does a run, prints its report and takes its exit status.
func (a *app) work(c *cli.Context, s *site, o nightly.Options) error {
	stop := a.watch(c.Context, s)
	report, err := s.Run(c.Context, o)
	stop()
	if errors.Is(err, nightly.ErrClock) {
		return withHint(err, "is the clock of this machine right? After a rehearsal with --now, runs go on from that time")
	}
	if report.Head.Stamp != "" {
		a.status = report.Head.ExitStatus
		if printErr := a.printReport(c, report); printErr != nil {
			return printErr
		}
	}
	return err
}

// nightOptions reads the flags and names of run, plan and flush, and sets the clock that was asked for.
func nightOptions(c *cli.Context, s *site, command string) (nightly.Options, error) {
	o := nightly.Options{Command: command, NoTaper: c.Bool("no-taper")}
	if text := c.String("now"); text != "" {
		at, err := parseTime(text)
		if err != nil {
			return o, err
		}
		// The clock goes on from there, so that durations stay true.
		begun := time.Now()
		s.Now = func() time.Time { return at.Add(time.Since(begun)) }
	}
	var err error
	o.DLEs, err = matchDLEs(s.Config, c.Args().Slice())
	return o, err
}

// matchDLEs gives the DLEs that names on the command line mean.
func matchDLEs(cfg *configs.Config, names []string) ([]catalog.DLE, error) {
	var out []catalog.DLE
	for _, name := range names {
		found := cfg.Match(name)
		if len(found) == 0 {
			return nil, didYouMean(usagef("no VM %q in the configuration", name), name, cfg.Names(), "")
		}
		for _, d := range found {
			out = append(out, d.Name())
		}
	}
	return out, nil
}

var timeLayouts = []string{
	"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04", time.RFC3339, "20060102150405",
}

// parseTime reads a time as people write it, local where no zone is given. A bare day is its end for --at, so that
// "--at 2026-11-21" takes that day's dump.
func parseTime(text string) (time.Time, error) {
	for _, layout := range timeLayouts {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	if t, err := time.ParseInLocation("2006-01-02", text, time.Local); err == nil {
		return t.AddDate(0, 0, 1).Add(-time.Second), nil
	}
	return time.Time{}, withHint(usagef("time %q is not understood", text), "write it as 2026-11-21 01:00, or 2026-11-21 for the end of that day")
}

func (a *app) showPlan(c *cli.Context) error {
	s, err := a.openSite(c, toPlan)
	if err != nil {
		return err
	}
	defer s.close()
	o, err := nightOptions(c, s, nightly.CommandRun)
	if err != nil {
		return err
	}
	plan, err := s.Plan(c.Context, o)
	if err != nil {
		return err
	}
	volumes, err := planVolumes(c, s)
	if err != nil {
		return err
	}
	shown := planFor(plan)
	if c.Bool("json") {
		answer := answerOf(plan)
		answer.Volumes = volumes
		return a.printJSON(answer)
	}
	if err := reports.PlanText(a.stdout, shown); err != nil {
		return err
	}
	return a.printPlanVolumes(s, volumes)
}

// planAnswer is the answer of plan as JSON.
type planAnswer struct {
	Planned       []plannedAnswer `json:"planned"`
	Skipped       []skippedAnswer `json:"skipped"`
	CapacityBytes int64           `json:"capacity_bytes"`
	// Volumes are those of the storages that the run writes to, with retention's verdicts.
	Volumes []plannedVolume `json:"volumes"`
}

// plannedAnswer and skippedAnswer are decisions with their reason as values.
type plannedAnswer struct {
	catalog.Planned
	Why     scheduler.Why `json:"why"`
	Seconds float64       `json:"seconds,omitempty"`
}

type skippedAnswer struct {
	catalog.Skipped
	Why scheduler.Why `json:"why"`
}

func answerOf(p scheduler.Plan) planAnswer {
	answer := planAnswer{Planned: []plannedAnswer{}, Skipped: []skippedAnswer{}, CapacityBytes: p.CapacityBytes}
	for _, e := range p.Entries {
		answer.Planned = append(answer.Planned, plannedAnswer{e.Event(), e.Why, e.Seconds})
	}
	for _, s := range planFor(p).Skipped {
		answer.Skipped = append(answer.Skipped, skippedAnswer{s, p.Skipped[len(answer.Skipped)].Why})
	}
	return answer
}

func planFor(p scheduler.Plan) reports.Plan {
	shown := reports.Plan{Planned: []catalog.Planned{}, Skipped: []catalog.Skipped{}, CapacityBytes: p.CapacityBytes}
	for _, e := range p.Entries {
		shown.Planned = append(shown.Planned, e.Event())
	}
	for _, s := range p.Skipped {
		shown.Skipped = append(shown.Skipped, catalog.Skipped{DLE: s.DLE, Level: s.Level, Reason: s.Reason, Failure: s.Failure})
	}
	return shown
}

func (a *app) printReport(c *cli.Context, r reports.Report) error {
	if c.Bool("json") {
		return reports.JSON(a.stdout, r)
	}
	if err := reports.Text(a.stdout, r, reports.TextOptions{Location: time.Local}); err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	return nil
}
