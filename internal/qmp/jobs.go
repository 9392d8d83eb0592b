package qmp

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"holdfast/internal/jsonlines"
)

// JobConcluded is the state of a job that has ended, well or not, and waits to be dismissed. "null" is that of one that
// is no more.
const JobConcluded = "concluded"

// ErrNoJob: there is no job of that id.
var ErrNoJob = errors.New("no such job")

// EventJobStatus is raised when a job's state changes.
const EventJobStatus = "JOB_STATUS_CHANGE"

// Job is a job of QEMU.
type Job struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Status   string `json:"status"`
	Progress int64  `json:"current-progress"`
	Total    int64  `json:"total-progress"`
	// Error is why it failed; empty when it did not.
	Error string `json:"error"`
}

// Failure is the job's error, nil when it has none.
func (j Job) Failure() error {
	if j.Error == "" {
		return nil
	}
	return fmt.Errorf("qmp: job %s: %s", j.ID, jsonlines.Text(j.Error))
}

// Jobs lists all jobs.
func (c *Client) Jobs(ctx context.Context) ([]Job, error) {
	var list []Job
	return list, c.Execute(ctx, "query-jobs", nil, &list)
}

// Job gives one job, ErrNoJob when there is none of that id.
func (c *Client) Job(ctx context.Context, id string) (Job, error) {
	list, err := c.Jobs(ctx)
	if err != nil {
		return Job{}, err
	}
	i := slices.IndexFunc(list, func(j Job) bool { return j.ID == id })
	if i < 0 {
		return Job{}, fmt.Errorf("qmp: job %s: %w", id, ErrNoJob)
	}
	return list[i], nil
}

// CancelJob asks a job to end. A backup with sync "none" ends no other way: for it that is success.
func (c *Client) CancelJob(ctx context.Context, id string) error {
	return c.Execute(ctx, "job-cancel", map[string]any{"id": id}, nil)
}

// DismissJob forgets a concluded job.
func (c *Client) DismissJob(ctx context.Context, id string) error {
	return c.Execute(ctx, "job-dismiss", map[string]any{"id": id}, nil)
}

// AwaitJob waits until a job has concluded, and gives it with its outcome: an error of the job is none of AwaitJob's.
func (c *Client) AwaitJob(ctx context.Context, id string) (Job, error) {
	events := c.Subscribe(EventJobStatus)
	defer func() { events.Close() }()
	for {
		// The state is asked for and the events only tell when: so none that came too early or was lost does harm.
		j, err := c.Job(ctx, id)
		if err != nil || j.Status == JobConcluded {
			return j, err
		}
		if _, err = events.Next(ctx); errors.Is(err, ErrEventsLost) {
			events = c.Subscribe(EventJobStatus)
		} else if err != nil {
			return j, fmt.Errorf("wait for job %s, which is %s: %w", id, j.Status, err)
		}
	}
}
