package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/reports"
)

// finish closes the run, whatever became of it, and sends the report. A cancelled run is finished like any other.
func (s *session) finish(ctx context.Context, failure error) (reports.Report, error) {
	cancelled := ctx.Err() != nil
	ctx = context.WithoutCancel(ctx)
	if failure != nil && !cancelled {
		failure = errors.Join(failure, s.event(ctx, catalog.Note{Program: "driver", Text: failure.Error(), Problem: true}))
	} else {
		failure = nil
	}
	failure = errors.Join(failure, s.leftovers(ctx), s.afterBackup(ctx, cancelled))
	ended := s.Now()
	last := catalog.RunFinished{Seconds: ended.Sub(s.started).Seconds(), Cancelled: cancelled}
	run, err := s.Store.Run(ctx, s.stamp)
	if err != nil {
		return reports.Report{}, errors.Join(failure, err)
	}
	events, err := s.Store.Events(ctx, s.stamp, 0)
	if err != nil {
		return reports.Report{}, errors.Join(failure, err)
	}
	run.Ended = ended
	events = append(events, catalog.Event{Run: s.stamp, Seq: int64(len(events) + 1), At: ended, Body: last})
	report := reports.Fold(run, events)
	last.ExitStatus = report.Head.ExitStatus
	failure = errors.Join(failure, s.event(ctx, last), s.Store.FinishRun(ctx, s.stamp, ended, last.ExitStatus))
	if err := s.send(ctx, report); err != nil {
		failure = errors.Join(failure, fmt.Errorf("mail the report: %w", err))
	}
	return report, failure
}

// leftovers records what stays on the holding disk, and what the next run will write to.
func (s *session) leftovers(ctx context.Context) error {
	held, err := s.Store.Held(ctx)
	if err != nil {
		return err
	}
	left := catalog.HoldingLeft{Dumps: []catalog.HeldDump{}}
	for _, h := range held {
		d, err := s.Store.Dump(ctx, h.Dump)
		if err != nil {
			return err
		}
		left.Dumps = append(left.Dumps, catalog.HeldDump{DLE: d.DLE, Level: d.Level, Stamp: d.Stamp, Bytes: d.StoredBytes})
		left.Bytes += d.StoredBytes
	}
	// Recorded also when nothing is left: what is not on the list is known not to be there.
	if err := s.event(ctx, left); err != nil {
		return err
	}
	if err := s.pruneMaps(ctx); err != nil {
		return err
	}
	for _, w := range slices.Concat(s.writers, s.vaults) {
		if _, off := w.State(); off != nil && w.Storage().Vault.On() {
			continue // why is in the report already
		}
		var event catalog.EventBody
		event, err = w.NextVolumes(ctx)
		if err != nil {
			event = catalog.Note{Program: "taper", Text: err.Error()}
		}
		if err := s.event(ctx, event); err != nil {
			return err
		}
	}
	return nil
}

// send mails the report to those who asked for it.
func (s *session) send(ctx context.Context, r reports.Report) error {
	if s.Mail == nil || !wanted(s.Config.SendReportOn, r.Head.ExitStatus) {
		return nil
	}
	body, err := reportText(r, s.started.Location())
	if err != nil {
		return err
	}
	return s.Mail(ctx, r.Subject(), body)
}

func reportText(r reports.Report, loc *time.Location) (string, error) {
	var body strings.Builder
	err := reports.Text(&body, r, reports.TextOptions{Location: loc})
	return body.String(), err
}

func wanted(on configs.ReportOn, status int) bool {
	const strange = 2
	switch on {
	case configs.ReportNever:
		return false
	case configs.ReportStrange:
		return status != 0
	case configs.ReportError:
		return status&^strange != 0
	}
	return true
}
