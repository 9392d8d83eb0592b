package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"sync"

	"holdfast/catalog"
	"holdfast/internal/throttle"
	"holdfast/internal/vfs"
	"holdfast/scheduler"
	"holdfast/scheduler/hooks"
	"holdfast/scheduler/run/driving"
)

// PauseFile, in the state directory, holds all dumps up while it is there. Its first line is why.
const PauseFile = "pause"

// maxPauseText is how much of it is read.
const maxPauseText = 200

// drive is the driver of a run: which dump belongs to which job.
type drive struct {
	*session
	entries map[catalog.DLE]scheduler.Entry
	lines   map[string]*throttle.Bucket

	// after are the post hooks of hosts, which nothing waits for but the end.
	after sync.WaitGroup
	mu    sync.Mutex // guards what follows
	// levels and results are of the latest attempts; errs come from hooks.
	levels  map[catalog.DLE]catalog.Level
	results map[catalog.DLE]hooks.Result
	errs    error
}

// drive makes the dumps of the plan.
func (s *session) drive(ctx context.Context, plan scheduler.Plan) error {
	d := &drive{
		session: s, entries: map[catalog.DLE]scheduler.Entry{}, lines: map[string]*throttle.Bucket{},
		levels: map[catalog.DLE]catalog.Level{}, results: map[catalog.DLE]hooks.Result{},
	}
	for name, i := range s.Config.Interfaces {
		d.lines[name] = throttle.New(int64(i.Bandwidth), s.Now)
	}
	var jobs []driving.Job
	for _, e := range plan.Entries {
		job, err := s.job(e)
		if err != nil {
			return err
		}
		jobs = append(jobs, job)
		d.entries[e.DLE] = e
		s.expect(e, 1)
	}
	o := driving.Options{
		Limits: s.limits(), Now: s.Now, Do: d.do, Paused: s.paused,
		Waits: func(j driving.Job, w driving.Wait) error {
			return s.event(ctx, catalog.DumpWaits{DLE: j.DLE, Reason: string(w.Reason), Text: w.Text})
		},
		State: func(st driving.State) error { return d.state(ctx, st) },
		Ended: func(j driving.Job, e driving.End) error { return d.ended(ctx, j, e) },
	}
	if len(s.Config.Holding) > 0 {
		o.Room = s.newRoom()
	}
	driver := driving.New(o, jobs)
	s.held.watch(driver.Changed)
	defer s.held.watch(nil)
	err := driver.Run(ctx)
	d.after.Wait()
	return errors.Join(err, d.errs)
}

// do makes an attempt at a dump.
func (d *drive) do(ctx context.Context, t *driving.Task) driving.Outcome {
	e := d.entries[t.Job.DLE]
	dump := d.dumping(t, e)
	dump.line = d.lines[t.Job.Interface]
	if t.Short && e.Degraded != nil {
		dump.remark("the full would outlast the window: incremental instead")
		e = *e.Degraded
		dump.level = e.Level
	}
	made, err := dump.hooked(ctx, e)
	dump.base.close()
	d.degraded.settled(e.DLE)
	d.mu.Lock()
	d.levels[e.DLE], d.results[e.DLE] = dump.level, dump.result(ctx, made, err)
	d.mu.Unlock()
	if err == nil {
		err = recorded(dump.finished(ctx, made))
	}
	return outcome(err)
}

// ended records a failure, and what the end of a dump means for others.
func (d *drive) ended(ctx context.Context, j driving.Job, e driving.End) error {
	d.mu.Lock()
	level, tried := d.levels[j.DLE]
	result := d.results[j.DLE]
	d.mu.Unlock()
	if !tried {
		level, result = d.entries[j.DLE].Level, hooks.ResultOf(e.Err)
	}
	if e.Err != nil {
		body := d.notDumped(j.DLE, level, e.Err)
		if f, ok := body.(catalog.DumpFailed); ok {
			f.Retry = e.Retry
			body = f
		}
		if err := d.event(ctx, body); err != nil {
			return err
		}
	}
	if e.Retry {
		return nil
	}
	d.expect(d.entries[j.DLE], -1)
	d.after.Go(func() {
		err := recorded(d.hosts.End(ctx, j.DLE.VM, result))
		d.mu.Lock()
		defer d.mu.Unlock()
		d.errs = errors.Join(d.errs, err)
	})
	return nil
}

// state records what the driver waits for. While that is room, the writers go on without regard to their thresholds.
func (d *drive) state(ctx context.Context, s driving.State) error {
	d.held.short.Store(s.Reason == driving.NoDiskspace)
	if s.Reason == driving.NoDiskspace {
		d.pokeWriters()
	}
	return d.event(ctx, catalog.DriverState{
		Reason: string(s.Reason), Text: s.Text, Running: s.Running, Waiting: s.Waiting, Idle: s.Idle,
	})
}

// paused tells why the administrator holds the dumps up; empty when he does not.
func (n *Night) paused() string {
	path := filepath.Join(n.Config.State, PauseFile)
	if _, err := n.FS.Lstat(path); err != nil {
		return "" // what cannot be looked for must not keep the night from its work
	}
	text, err := vfs.ReadFile(n.FS, path)
	why, _, _ := strings.Cut(strings.TrimSpace(strings.ToValidUTF8(string(text[:min(len(text), maxPauseText)]), "")), "\n")
	if err != nil {
		why = err.Error()
	}
	if why == "" {
		return fmt.Sprintf("%s is there", path)
	}
	return fmt.Sprintf("%s is there: %s", path, why)
}

// limits are those of the configuration.
func (s *session) limits() driving.Limits {
	l := driving.Limits{Parallel: s.Config.InParallel, Order: string(s.Config.DumpOrder), Interfaces: map[string]int64{}}
	for name := range maps.Keys(s.Config.Interfaces) {
		l.Interfaces[name] = int64(s.Config.Interfaces[name].Bandwidth)
	}
	for _, st := range s.storages {
		l.Direct += max(1, st.ParallelWrite)
	}
	if w := s.Config.Window; w.On() {
		l.End = s.started.Add(w.Left(s.started))
	}
	return l
}

// job shows an entry of the plan to the driver.
func (s *session) job(e scheduler.Entry) (driving.Job, error) {
	dle, ok := s.Config.Find(e.DLE)
	if !ok {
		return driving.Job{}, fmt.Errorf("%s: planned, but not in the configuration", e.DLE)
	}
	t := s.Config.TypeOf(dle)
	host := dle.Reader()
	j := driving.Job{
		DLE: e.DLE, Host: host, Priority: int(t.Priority), Bytes: max(minReserve, e.StoredBytes), Seconds: e.Seconds,
		Interface: dle.Interface, After: e.CloneOf, StartAfter: t.Start.Near(s.started), Direct: !s.mayHold(t),
		Timeout: timeSpan(t.Timeout), Retries: t.Retries, RetryDelay: timeSpan(t.RetryDelay),
		Shares: []driving.Share{{Kind: "host", Name: host, Max: t.MaxDumps}},
	}
	if e.Degraded != nil {
		j.ShortSeconds = e.Degraded.Seconds
	}
	if dle.Spindle != "" {
		j.Shares = append(j.Shares, driving.Share{Kind: "spindle", Name: host + "/" + dle.Spindle, Max: 1})
	}
	if dle.Datastore != "" {
		j.Shares = append(j.Shares, driving.Share{Kind: "datastore", Name: dle.Datastore, Max: s.Config.Datastores[dle.Datastore].MaxDumps})
	}
	return j, nil
}
