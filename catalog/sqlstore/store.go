package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"holdfast/internal/vfs"
)

// Errors that callers branch on; they come wrapped with what was done and to what.
var (
	// ErrNotFound: the catalog holds no such run, dump or volume.
	ErrNotFound = errors.New("not in the catalog")
	// ErrNewer: a newer holdfast has changed the catalog's tables.
	ErrNewer = errors.New("the catalog was written by a newer holdfast")
	// ErrForeign: the file is a database, but not a catalog of ours.
	ErrForeign = errors.New("not a holdfast catalog")
	// ErrDamaged: the file is not a database, or its pages contradict each other.
	ErrDamaged = errors.New("the catalog file is damaged")
	// ErrBusy: another program held the catalog locked for longer than busyTimeout.
	ErrBusy = errors.New("the catalog is locked by another program")
)

// busyTimeout is how long a writer waits for another process. Our transactions last milliseconds; a user's own query
// tool may sit on the lock for longer.
const busyTimeout = 10 * time.Second

// readConns bounds the read pool: a handful of readers saturates one file.
const readConns = 4

// Options say how a catalog is opened. The zero value opens an existing one for reading and writing.
type Options struct {
	// ReadOnly opens without any right to write: for commands that only look. It never changes the schema.
	ReadOnly bool
	// Create makes the file when there is none. Without it a missing or empty file is an error, so that a lost catalog
	// is never taken for an empty one (to which every volume would seem free).
	Create bool
	// BeforeCommit, for tests, is called with the write lock held before each commit; an error rolls back.
	BeforeCommit func() error
}

// Store is an open catalog. Its methods may be called from several goroutines; a write waits for the one before it.
type Store struct {
	path         string
	read         *sql.DB
	write        *sql.DB // nil when read-only; one connection
	beforeCommit func() error
}

// Open opens the catalog at path and brings its schema up to date. Errors: fs.ErrNotExist, ErrNewer, ErrForeign,
// ErrDamaged, ErrBusy, fs.ErrPermission.
func Open(ctx context.Context, path string, opts Options) (*Store, error) {
	s, err := open(ctx, path, opts)
	if err != nil {
		return nil, fmt.Errorf("open catalog: %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string, opts Options) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	create := opts.Create && !opts.ReadOnly
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && create:
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return nil, fmt.Errorf("its directory: %w", errors.Unwrap(err))
		}
	case errors.Is(err, fs.ErrNotExist):
		return nil, fs.ErrNotExist
	case err != nil:
		return nil, errors.Unwrap(err) // the path stands in the caller's message
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%w: not a regular file", ErrDamaged)
	}
	s := &Store{path: path, beforeCommit: opts.BeforeCommit}
	if err := s.connect(ctx, opts, create); err != nil {
		return nil, errors.Join(classify(err), s.Close())
	}
	return s, nil
}

// connect opens both pools and migrates. On an error the caller closes s.
func (s *Store) connect(ctx context.Context, opts Options, create bool) error {
	var err error
	if opts.ReadOnly {
		if s.read, err = openPool(s.path, "ro", readConns); err != nil {
			return err
		}
		return checkSchema(ctx, s.read)
	}
	mode := "rw"
	if create {
		mode = "rwc"
	}
	if s.write, err = openPool(s.path, mode, 1); err != nil {
		return err
	}
	if err := migrate(ctx, s.write, create); err != nil {
		return err
	}
	if create {
		if err := vfs.OS().SyncDir(filepath.Dir(s.path)); err != nil {
			return err
		}
	}
	s.read, err = openPool(s.path, "ro", readConns)
	return err
}

// openPool opens the file as SQLite's mode (ro, rw, rwc) says, with at most conns connections.
func openPool(path, mode string, conns int) (*sql.DB, error) {
	query := url.Values{"mode": {mode}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
		"foreign_keys(1)",
		"synchronous(FULL)",
	}}
	if mode != "ro" {
		query.Add("_pragma", "journal_mode(WAL)")
		// Without it a transaction that reads before it writes dies with "locked" as soon as there is a second writer.
		query.Set("_txlock", "immediate")
	}
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// Close closes the catalog. All that was reported as written is durable already.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// update runs fn in one write transaction. op names operation and object for the error.
func (s *Store) update(ctx context.Context, op string, fn func(*sql.Tx) error) error {
	if s.write == nil {
		return fmt.Errorf("%s: the catalog is open for reading only", op)
	}
	if err := s.transact(ctx, fn); err != nil {
		return fmt.Errorf("%s: %w", op, classify(err))
	}
	return nil
}

func (s *Store) transact(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	if err := fn(tx); err != nil {
		return err
	}
	if s.beforeCommit != nil {
		if err := s.beforeCommit(); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// exec runs one statement in tx and forgets its result.
func exec(ctx context.Context, tx *sql.Tx, query string, args ...any) error {
	_, err := tx.ExecContext(ctx, query, args...)
	return err
}

// queryer is a pool or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// rowScanner is what a row's decoder needs of *sql.Rows.
type rowScanner interface{ Scan(dest ...any) error }

// list runs a query and decodes each of its rows.
func list[T any](ctx context.Context, q queryer, scan func(rowScanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, classify(err)
		}
		all = append(all, v)
	}
	return all, classify(rows.Err())
}

// one is the first row of a query's answer; ErrNotFound when there is none.
func one[T any](ctx context.Context, q queryer, scan func(rowScanner) (T, error), query string, args ...any) (T, error) {
	all, err := list(ctx, q, scan, query, args...)
	if err != nil || len(all) == 0 {
		var none T
		if err == nil {
			err = ErrNotFound
		}
		return none, err
	}
	return all[0], nil
}

// classify puts our sentinel before the database's own words where there is one.
func classify(err error) error {
	var dbErr *sqlite.Error
	if !errors.As(err, &dbErr) {
		return err
	}
	for _, known := range []error{ErrDamaged, ErrBusy, fs.ErrPermission} {
		if errors.Is(err, known) {
			return err
		}
	}
	switch dbErr.Code() & 0xff { // the upper bits only refine
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		// Even a reader needs to write in the directory: the files beside the catalog hold its locks and its latest changes.
		return fmt.Errorf("%w to the file or its directory: %w", fs.ErrPermission, err)
	}
	return err
}

// nanos is t as the catalog keeps it; 0 for the zero time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// instant is the inverse of nanos, in UTC.
func instant(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}

// execOne runs a statement that must change a row; ErrNotFound when it changes none.
func execOne(ctx context.Context, tx *sql.Tx, query string, args ...any) error {
	res, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

func scanInt(row rowScanner) (int64, error) {
	var n int64
	err := row.Scan(&n)
	return n, err
}

func scanString[T ~string](row rowScanner) (T, error) {
	var v string
	err := row.Scan(&v)
	return T(v), err
}
