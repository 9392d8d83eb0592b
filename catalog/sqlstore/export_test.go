package sqlstore

import (
	"context"
	"database/sql"

	"holdfast/catalog"
)

// Path is the absolute path of the catalog's file.
func (s *Store) Path() string { return s.path }

// PutDump records a dump that lies nowhere.
func (s *Store) PutDump(ctx context.Context, d catalog.Dump) error {
	return s.update(ctx, "record dump "+string(d.ID), func(tx *sql.Tx) error { return putDump(ctx, tx, d) })
}
