package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/configs"
)

const (
	// accountLines is how much of what a job said is mailed: the end of it.
	accountLines = 500
	// mailTime bounds the mail of a daemon that shall end.
	mailTime = 2 * time.Minute
)

// account is what a job said, and whether the administrator knows how it went.
type account struct {
	mu      sync.Mutex // guards the fields below: both outputs of a job are written at the same time
	lines   []string
	dropped int
	damaged bool
	// reported: a report was printed. It was mailed, too, to those who want it.
	reported bool
}

// reported is the standard output of a job that makes a report.
type reported account

// Write takes note that there was a report.
func (r *reported) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reported = true
	return len(p), nil
}

// keep keeps a line. That dumps are good is for the log alone.
func (s *account) keep(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.HasPrefix(text, "ok ") || strings.HasPrefix(text, "sealed ") {
		return
	}
	s.damaged = s.damaged || strings.HasPrefix(text, damagedWord) || strings.HasPrefix(text, absentWord)
	if s.lines = append(s.lines, text); len(s.lines) > accountLines {
		s.lines = slices.Delete(s.lines, 0, 1)
		s.dropped++
	}
}

// subject is that of the mail which the end of a job asks for; empty: none. A run, a flush or a vault that made a report has mailed
// it; one that failed before, or was killed in the middle, has not. What verify finds is in no report. A job that ended because the
// daemon does is no news, unless it found damage.
func (s *account) subject(job string, err error, stopped bool) string {
	switch {
	case s.damaged:
		return "FAIL: HOLDFAST VERIFY FOUND DAMAGE"
	case err == nil || stopped || s.reported:
		return ""
	case job == configs.JobVerify:
		return "FAIL: HOLDFAST VERIFY FAILED"
	}
	return "FAIL: HOLDFAST " + strings.ToUpper(job) + " ENDED WITHOUT A REPORT"
}

// text is the mail.
func (s *account) text(err error) string {
	var b strings.Builder
	if s.dropped > 0 {
		fmt.Fprintf(&b, "[%d lines before these are in the log of the daemon]\n", s.dropped)
	}
	for _, line := range s.lines {
		fmt.Fprintln(&b, line)
	}
	if err != nil {
		fmt.Fprintf(&b, "\nIt ended with: %v\n", err)
	}
	return b.String()
}

// mail mails to those who get reports, as the last good configuration says.
func (j *jobs) mail(ctx context.Context, subject, text string) {
	cfg := j.lastGood()
	if len(cfg.MailTo) == 0 || cfg.SendReportOn == configs.ReportNever {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mailTime)
	defer cancel()
	if err := mail(ctx, cfg, time.Now(), strings.TrimSpace(cfg.Org+" "+subject), text); err != nil {
		j.log.Error("mail: " + err.Error())
	}
}
