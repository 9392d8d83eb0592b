package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"holdfast/catalog"
)

// Contents is a whole catalog but for events, wishes and resources, as media give it back.
type Contents struct {
	Runs    []catalog.Run
	Volumes []catalog.Volume
	// Dumps with their Metadata.
	Dumps  []catalog.Dump
	Copies []catalog.Copy
	Held   []catalog.Holding
	Wanted []catalog.Wanted
	// Records are the parts of catalog records.
	Records []catalog.Part
}

// Empty tells whether nothing was ever recorded in the catalog.
func (s *Store) Empty(ctx context.Context) (bool, error) {
	rows, err := list(ctx, s.read, scanInt, `SELECT 1 FROM runs UNION ALL SELECT 1 FROM dumps UNION ALL SELECT 1 FROM volumes LIMIT 1`)
	if err != nil {
		return false, fmt.Errorf("look into catalog: %w", err)
	}
	return len(rows) == 0, nil
}

// Load fills an empty catalog, all or nothing. Usable copies that do not hold the whole of their dump are refused.
func (s *Store) Load(ctx context.Context, c Contents) error {
	empty, err := s.Empty(ctx)
	if err == nil && !empty {
		err = errors.New("load catalog: it is not empty")
	}
	if err != nil {
		return err
	}
	return s.update(ctx, "load catalog", func(tx *sql.Tx) error { return load(ctx, tx, c) })
}

func load(ctx context.Context, tx *sql.Tx, c Contents) error {
	for _, r := range c.Runs {
		err := exec(ctx, tx, `INSERT INTO runs (stamp, command, started, ended, exit_status, pid) VALUES ($1, $2, $3, $4, $5, $6)`,
			r.Stamp, r.Command, nanos(r.Started), nanos(r.Ended), r.ExitStatus, r.PID)
		if err != nil {
			return fmt.Errorf("run %s: %w", r.Stamp, err)
		}
	}
	for _, v := range c.Volumes {
		if err := putVolume(ctx, tx, v); err != nil {
			return fmt.Errorf("volume %s: %w", v.Label, err)
		}
	}
	for _, d := range c.Dumps {
		if err := putDump(ctx, tx, d); err != nil {
			return fmt.Errorf("dump %s: %w", d.ID, err)
		}
	}
	for _, copied := range c.Copies {
		if err := loadCopy(ctx, tx, copied); err != nil {
			return fmt.Errorf("copy of %s in %s: %w", copied.Dump, copied.Storage, err)
		}
	}
	for _, h := range c.Held {
		if err := putChunks(ctx, tx, h); err != nil {
			return fmt.Errorf("held dump %s: %w", h.Dump, err)
		}
	}
	if err := wantCopies(ctx, tx, c.Wanted); err != nil {
		return fmt.Errorf("wanted copies: %w", err)
	}
	return putRecordParts(ctx, tx, c.Records)
}

func loadCopy(ctx context.Context, tx *sql.Tx, c catalog.Copy) error {
	if err := putCopy(ctx, tx, c); err != nil {
		return err
	}
	for _, p := range c.Parts {
		if err := putPart(ctx, tx, p); err != nil {
			return err
		}
	}
	return finishCopy(ctx, tx, c)
}
