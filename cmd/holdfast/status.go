package main

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
	"holdfast/reports"
)

func (a *app) statusCommand() *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "how far the run is, or how the last one ended, and what comes next", ArgsUsage: usageRun,
		Description: "EXAMPLES\n   holdfast status\n   holdfast status --json",
		Flags:       []cli.Flag{jsonFlag()},
		Action:      a.showStatus,
	}
}

func (a *app) reportCommand() *cli.Command {
	return &cli.Command{
		Name: "report", Usage: "the report of a run, the latest if none is named", ArgsUsage: usageRun,
		Description: "EXAMPLES\n   holdfast report\n   holdfast report 20261121010000 --json\n   holdfast report --mail",
		Flags:       []cli.Flag{jsonFlag(), &cli.BoolFlag{Name: "mail", Usage: "send it again to the addresses of the configuration"}},
		Action:      a.showReport,
	}
}

// runWithEvents gives the run that is named, or the latest, with all that happened in it.
func runWithEvents(c *cli.Context, s *site) (catalog.Run, []catalog.Event, error) {
	var run catalog.Run
	if c.NArg() > 1 {
		return run, nil, usagef("one run at a time: %d were named", c.NArg())
	}
	if c.NArg() == 1 {
		stamp, err := catalog.ParseStamp(c.Args().First())
		if err != nil {
			return run, nil, &usageError{err}
		}
		run, err = s.Store.Run(c.Context, stamp)
		if errors.Is(err, sqlstore.ErrNotFound) {
			return run, nil, noSuchRun(c, s, stamp)
		}
		if err != nil {
			return run, nil, err
		}
	} else {
		runs, err := s.Store.Runs(c.Context, 1)
		if err != nil {
			return run, nil, err
		}
		if len(runs) == 0 {
			return run, nil, withHint(errNoRun, "`holdfast run` makes the first")
		}
		run = runs[0]
	}
	events, err := s.Store.Events(c.Context, run.Stamp, 0)
	return run, events, err
}

// noSuchRun names the run that may have been meant.
func noSuchRun(c *cli.Context, s *site, stamp catalog.Stamp) error {
	runs, err := s.Store.Runs(c.Context, 0)
	if err != nil {
		return err
	}
	var known []string
	for _, r := range runs {
		known = append(known, string(r.Stamp))
	}
	return didYouMean(fmt.Errorf("no run %s in the catalog", stamp), string(stamp), known, "")
}

// alive tells whether the process of a run is there. A number that was given to another process in the meantime does
// no more harm than a status that says "running" for a run that was killed.
func alive(run catalog.Run) bool {
	if !run.Ended.IsZero() || run.PID == 0 {
		return false
	}
	err := syscall.Kill(run.PID, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

func (a *app) showStatus(c *cli.Context) error {
	s, err := a.openSite(c, toRead)
	if errors.Is(err, errNoRun) {
		return a.onlySchedule(c, err)
	}
	if err != nil {
		return err
	}
	defer s.close()
	run, events, err := runWithEvents(c, s)
	if errors.Is(err, errNoRun) {
		return a.onlySchedule(c, err)
	}
	if err != nil {
		return err
	}
	status := reports.Status(run, events, s.Now(), alive(run))
	var schedule *scheduleStatus
	if c.NArg() == 0 {
		if schedule, err = lookAtSchedule(s.Config, s.Now()); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return a.printJSON(statusAnswer{&status, schedule})
	}
	if err := reports.StatusText(a.stdout, status, reports.TextOptions{Location: time.Local}); err != nil {
		return err
	}
	return a.printSchedule(schedule)
}

func (a *app) showReport(c *cli.Context) error {
	s, err := a.openSite(c, toRead)
	if err != nil {
		return err
	}
	defer s.close()
	run, events, err := runWithEvents(c, s)
	if err != nil {
		return err
	}
	report := reports.Fold(run, events)
	if alive(run) {
		report = reports.FoldRunning(run, events)
	}
	if c.Bool("mail") {
		return s.SendReport(c.Context, report)
	}
	return a.printReport(c, report)
}
