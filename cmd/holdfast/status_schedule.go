package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"holdfast/configs"
	"holdfast/internal/vfs"
	"holdfast/reports"
	"holdfast/scheduler/daemon"
)

// errNoRun: there is nothing to look back at.
var errNoRun = errors.New("no run yet")

// scheduleStatus is how the schedule stands, as JSON.
type scheduleStatus struct {
	// Daemon tells whether there is one that goes by it.
	Daemon bool             `json:"daemon"`
	Jobs   []daemon.Outlook `json:"jobs"`
}

// statusAnswer is the answer of status as JSON. Before the first run there is only the schedule.
type statusAnswer struct {
	*reports.StatusReport
	Schedule *scheduleStatus `json:"schedule,omitempty"`
}

// lookAtSchedule tells how the schedule stands; nothing where there is none.
func lookAtSchedule(cfg *configs.Config, now time.Time) (*scheduleStatus, error) {
	entries := daemon.Entries(cfg.Schedule)
	if len(entries) == 0 {
		return nil, nil
	}
	jobs, err := daemon.Look(vfs.OS(), daemonFile(cfg.State), entries, now)
	if err != nil {
		return nil, err
	}
	return &scheduleStatus{Daemon: daemonRuns(cfg.State), Jobs: jobs}, nil
}

// onlySchedule answers status before the first run, if there is a schedule.
func (a *app) onlySchedule(c *cli.Context, noRun error) error {
	cfg, err := loadConfig(c)
	if err != nil {
		return err
	}
	schedule, err := lookAtSchedule(cfg, time.Now())
	switch {
	case err != nil:
		return err
	case schedule == nil || c.NArg() > 0:
		return noRun
	case c.Bool("json"):
		return a.printJSON(statusAnswer{Schedule: schedule})
	}
	fmt.Fprintln(a.stdout, errNoRun)
	return a.printSchedule(schedule)
}

func (a *app) printSchedule(s *scheduleStatus) error {
	if s == nil {
		return nil
	}
	about := "no daemon is running"
	if s.Daemon {
		about = "the daemon is running"
	}
	fmt.Fprintf(a.stdout, "\nSchedule (%s):\n", about)
	t := reports.Table{Header: []string{"JOB", "NEXT", "LAST BEGUN", "RESULT"}}
	for _, j := range s.Jobs {
		result := "-"
		switch {
		case s.Daemon && !j.Due.IsZero():
			result = "waits since " + momentText(j.Due)
		case j.Begun.IsZero():
		case j.Ended.IsZero() && s.Daemon:
			result = "running"
		case j.Ended.IsZero():
			result = "broken off"
		case j.Result == "":
			result = "ok"
		default:
			result = j.Result
		}
		t.Rows = append(t.Rows, []string{j.Job, momentText(j.Next), momentText(j.Begun.In(j.Next.Location())), result})
	}
	return t.Write(a.stdout)
}

func momentText(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format("Mon 2006-01-02 15:04 MST")
}
