package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"holdfast/catalog"
)

// Journal records outside resources: the journal that sources are given. See Store.Journal.
type Journal struct {
	store *Store
	run   catalog.Stamp
}

// Journal gives the journal that a run writes to; Open in it sees what every run left.
func (s *Store) Journal(run catalog.Stamp) *Journal { return &Journal{store: s, run: run} }

// Add records a resource that is about to be made. It is durable when Add returns. An empty Run is filled in.
func (j *Journal) Add(ctx context.Context, r catalog.Resource) error {
	if r.Run == "" {
		r.Run = j.run
	}
	return j.store.update(ctx, fmt.Sprintf("journal %s %s", r.Kind, r.Name), func(tx *sql.Tx) error {
		if r.ID == "" {
			return errors.New("resource without an id")
		}
		return exec(ctx, tx, `INSERT INTO resources (id, run, kind, name, data, made) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (id) DO UPDATE SET run = excluded.run, kind = excluded.kind, name = excluded.name,
				data = excluded.data, made = excluded.made`, r.ID, r.Run, r.Kind, r.Name, r.Data, nanos(r.Made))
	})
}

// Done forgets a resource that is gone; nothing happens when it was not recorded.
func (j *Journal) Done(ctx context.Context, id string) error {
	return j.store.update(ctx, "journal: done "+id, func(tx *sql.Tx) error {
		return exec(ctx, tx, `DELETE FROM resources WHERE id = $1`, id)
	})
}

// Open lists the resources of a kind (of all kinds when it is empty) that are not done, oldest first, whichever run made them.
func (j *Journal) Open(ctx context.Context, kind string) ([]catalog.Resource, error) {
	scan := func(row rowScanner) (catalog.Resource, error) {
		var r catalog.Resource
		var made int64
		err := row.Scan(&r.ID, &r.Run, &r.Kind, &r.Name, &r.Data, &made)
		r.Made = instant(made)
		return r, err
	}
	open, err := list(ctx, j.store.read, scan, `SELECT id, run, kind, name, data, made FROM resources
		WHERE kind = $1 OR $1 = '' ORDER BY made, id`, kind)
	if err != nil {
		return nil, fmt.Errorf("journal: open %s: %w", kind, err)
	}
	return open, nil
}
