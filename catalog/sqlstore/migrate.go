package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// schemaTable is where goose keeps the versions that were applied. It also marks a database as a catalog of ours.
const schemaTable = "catalog_schema"

// schemaVersion is the schema this program knows: the number of its last migration.
const schemaVersion = 3

// migrate brings the schema up to schemaVersion. An empty database is filled only when create is set.
func migrate(ctx context.Context, db *sql.DB, create bool) error {
	version, err := dbVersion(ctx, db)
	switch {
	case err != nil:
		return err
	case version == schemaVersion:
		return nil
	case version > schemaVersion:
		return newerError(version)
	case version == 0 && !create:
		return fmt.Errorf("%w: it is empty", ErrForeign)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files,
		goose.WithTableName(schemaTable), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("prepare schema: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("bring schema %d up to %d: %w", version, schemaVersion, err)
	}
	return nil
}

// checkSchema accepts only a database that needs no migration: a reader must not change it.
func checkSchema(ctx context.Context, db *sql.DB) error {
	version, err := dbVersion(ctx, db)
	switch {
	case err != nil:
		return err
	case version > schemaVersion:
		return newerError(version)
	case version == 0:
		return fmt.Errorf("%w: it is empty", ErrForeign)
	case version < schemaVersion:
		return fmt.Errorf("schema %d is older than this holdfast's %d: the next run brings it up to date", version, schemaVersion)
	}
	return nil
}

func newerError(version int64) error {
	return fmt.Errorf("%w: its schema is %d, this one knows up to %d", ErrNewer, version, schemaVersion)
}

// dbVersion is the schema's version; 0 for a database without tables, ErrForeign for one with only other tables.
func dbVersion(ctx context.Context, db *sql.DB) (int64, error) {
	var tables, ours int64
	err := db.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(CASE WHEN name = $1 THEN 1 ELSE 0 END), 0)
		FROM sqlite_master WHERE type = 'table'`, schemaTable).Scan(&tables, &ours)
	if err != nil {
		return 0, err
	}
	if ours == 0 {
		if tables > 0 {
			return 0, ErrForeign
		}
		return 0, nil
	}
	var version int64
	err = db.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM "+schemaTable).Scan(&version)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, err
	}
	return version, nil
}
