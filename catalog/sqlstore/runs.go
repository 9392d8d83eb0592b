package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"holdfast/catalog"
)

// StartRun records a run that begins. Its stamp must be later than every stamp in the catalog.
func (s *Store) StartRun(ctx context.Context, r catalog.Run) error {
	return s.update(ctx, "start run "+string(r.Stamp), func(tx *sql.Tx) error {
		last, err := lastStamp(ctx, tx)
		if err != nil {
			return err
		}
		if r.Stamp <= last {
			return fmt.Errorf("the catalog already holds stamp %s, and stamps must rise (was the clock set back?)", last)
		}
		return exec(ctx, tx, `INSERT INTO runs (stamp, command, started, ended, exit_status, pid) VALUES ($1, $2, $3, $4, $5, $6)`,
			r.Stamp, r.Command, nanos(r.Started), nanos(r.Ended), r.ExitStatus, r.PID)
	})
}

// FinishRun records the end of a run; ErrNotFound when it was never started.
func (s *Store) FinishRun(ctx context.Context, stamp catalog.Stamp, ended time.Time, exitStatus int) error {
	return s.update(ctx, "finish run "+string(stamp), func(tx *sql.Tx) error {
		return execOne(ctx, tx, `UPDATE runs SET ended = $1, exit_status = $2 WHERE stamp = $3`, nanos(ended), exitStatus, stamp)
	})
}

const selectRun = `SELECT stamp, command, started, ended, exit_status, pid FROM runs `

func scanRun(row rowScanner) (catalog.Run, error) {
	var r catalog.Run
	var started, ended int64
	err := row.Scan(&r.Stamp, &r.Command, &started, &ended, &r.ExitStatus, &r.PID)
	r.Started, r.Ended = instant(started), instant(ended)
	return r, err
}

// Runs lists the latest runs, newest first; limit 0 means all.
func (s *Store) Runs(ctx context.Context, limit int) ([]catalog.Run, error) {
	query, args := selectRun+`ORDER BY stamp DESC`, []any(nil)
	if limit > 0 {
		query, args = query+` LIMIT $1`, []any{limit}
	}
	runs, err := list(ctx, s.read, scanRun, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	return runs, nil
}

// Run gives one run; ErrNotFound when there is none with that stamp.
func (s *Store) Run(ctx context.Context, stamp catalog.Stamp) (catalog.Run, error) {
	r, err := one(ctx, s.read, scanRun, selectRun+`WHERE stamp = $1`, stamp)
	if err != nil {
		return r, fmt.Errorf("run %s: %w", stamp, err)
	}
	return r, nil
}

// LastStamp is the latest stamp anywhere in the catalog (runs, dumps, copies, volumes); empty when there is none. The
// next run's must be later.
func (s *Store) LastStamp(ctx context.Context) (catalog.Stamp, error) {
	stamp, err := lastStamp(ctx, s.read)
	if err != nil {
		return "", fmt.Errorf("last stamp: %w", err)
	}
	return stamp, nil
}

// lastStamp looks beyond the runs because a catalog rebuilt from media knows only dumps, copies and volumes.
func lastStamp(ctx context.Context, q queryer) (catalog.Stamp, error) {
	return one(ctx, q, scanString[catalog.Stamp], `SELECT coalesce(max(stamp), '') FROM (
		SELECT max(stamp) AS stamp FROM runs
		UNION ALL SELECT max(stamp) FROM dumps
		UNION ALL SELECT max(write_stamp) FROM copies
		UNION ALL SELECT max(write_stamp) FROM volumes) AS stamps`)
}

// AddEvents appends events to a run, numbering them on. A DumpProgress takes the place of the one before it of the same
// DLE, under a new number, so that a run's events stay few while a reader that asks for later ones still sees it.
func (s *Store) AddEvents(ctx context.Context, run catalog.Stamp, at time.Time, bodies ...catalog.EventBody) error {
	return s.update(ctx, "add events to run "+string(run), func(tx *sql.Tx) error {
		seq, err := one(ctx, tx, scanInt, `SELECT coalesce(max(seq), 0) FROM events WHERE run = $1`, run)
		if err != nil {
			return err
		}
		for _, body := range bodies {
			seq++
			if err := addEvent(ctx, tx, catalog.Event{Run: run, Seq: seq, At: at, Body: body}); err != nil {
				return err
			}
		}
		return nil
	})
}

func addEvent(ctx context.Context, tx *sql.Tx, e catalog.Event) error {
	if e.Body == nil {
		return errors.New("event without a body")
	}
	data, err := json.Marshal(e.Body)
	if err != nil {
		return fmt.Errorf("event %s: %w", e.Body.Kind(), err)
	}
	// The DLE gets columns of its own, for the user's queries and for replacing progress.
	var about struct{ DLE catalog.DLE }
	if err := json.Unmarshal(data, &about); err != nil {
		return fmt.Errorf("event %s: %w", e.Body.Kind(), err)
	}
	kind := e.Body.Kind()
	if kind == (catalog.DumpProgress{}).Kind() {
		err := exec(ctx, tx, `DELETE FROM events WHERE run = $1 AND vm = $2 AND disk = $3 AND kind = 'dump-progress'`,
			e.Run, about.DLE.VM, about.DLE.Disk)
		if err != nil {
			return err
		}
	}
	return exec(ctx, tx, `INSERT INTO events (run, seq, at, kind, vm, disk, body) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		e.Run, e.Seq, nanos(e.At), kind, about.DLE.VM, about.DLE.Disk, string(data))
}

// Events lists the events of a run with a number greater than afterSeq, in order.
func (s *Store) Events(ctx context.Context, run catalog.Stamp, afterSeq int64) ([]catalog.Event, error) {
	events, err := list(ctx, s.read, scanEvent, `SELECT run, seq, at, kind, body FROM events
		WHERE run = $1 AND seq > $2 ORDER BY seq`, run, afterSeq)
	if err != nil {
		return nil, fmt.Errorf("events of run %s: %w", run, err)
	}
	return events, nil
}

func scanEvent(row rowScanner) (catalog.Event, error) {
	var e catalog.Event
	var at int64
	var kind, body string
	if err := row.Scan(&e.Run, &e.Seq, &at, &kind, &body); err != nil {
		return e, err
	}
	e.At = instant(at)
	var err error
	e.Body, err = catalog.DecodeEvent(kind, []byte(body))
	return e, err
}
