package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"holdfast/catalog"
)

// WantCopies records copies that are still to be made. One that is wanted already keeps its earlier due time; one of which
// the storage holds a usable copy is left out: no dump is copied to a storage twice.
func (s *Store) WantCopies(ctx context.Context, wanted ...catalog.Wanted) error {
	return s.update(ctx, "want copies", func(tx *sql.Tx) error { return wantCopies(ctx, tx, wanted) })
}

func wantCopies(ctx context.Context, tx *sql.Tx, wanted []catalog.Wanted) error {
	for _, w := range wanted {
		err := exec(ctx, tx, `INSERT INTO wanted_copies (dump, storage, due) SELECT $1, $2, $3
			WHERE NOT EXISTS (SELECT 1 FROM copies WHERE dump = $1 AND storage = $2 AND status IN ('ok', 'strange'))
			ON CONFLICT (dump, storage) DO UPDATE SET due = CASE WHEN wanted_copies.due < excluded.due
				THEN wanted_copies.due ELSE excluded.due END`,
			w.Dump, w.Storage, nanos(w.Due))
		if err != nil {
			return err
		}
	}
	return nil
}

// WantedOf names the storages that a dump is still to be written to, in order.
func (s *Store) WantedOf(ctx context.Context, id catalog.DumpID) ([]string, error) {
	storages, err := list(ctx, s.read, scanString[string], `SELECT storage FROM wanted_copies WHERE dump = $1 ORDER BY storage`, id)
	if err != nil {
		return nil, fmt.Errorf("wanted copies of %s: %w", id, err)
	}
	return storages, nil
}

// WantedCopies lists the copies that are still to be made, those of the oldest dumps first, then by dump and storage.
func (s *Store) WantedCopies(ctx context.Context) ([]catalog.Wanted, error) {
	scan := func(row rowScanner) (catalog.Wanted, error) {
		var w catalog.Wanted
		var due int64
		err := row.Scan(&w.Dump, &w.Storage, &due)
		w.Due = instant(due)
		return w, err
	}
	wanted, err := list(ctx, s.read, scan, `SELECT w.dump, w.storage, w.due FROM wanted_copies w
		JOIN dumps d ON d.id = w.dump ORDER BY d.stamp, w.dump, w.storage`)
	if err != nil {
		return nil, fmt.Errorf("list wanted copies: %w", err)
	}
	return wanted, nil
}

// DropWanted forgets a copy that shall not be made any more; nothing happens when it was not wanted.
func (s *Store) DropWanted(ctx context.Context, id catalog.DumpID, storage string) error {
	return s.update(ctx, fmt.Sprintf("drop wanted copy of %s to %s", id, storage), func(tx *sql.Tx) error {
		return dropWanted(ctx, tx, id, storage)
	})
}

func dropWanted(ctx context.Context, tx *sql.Tx, id catalog.DumpID, storage string) error {
	return exec(ctx, tx, `DELETE FROM wanted_copies WHERE dump = $1 AND storage = $2`, id, storage)
}

// SetHold keeps a dump whatever retention says, for the reason given; an empty one lifts the hold. ErrNotFound for an
// unknown dump.
func (s *Store) SetHold(ctx context.Context, id catalog.DumpID, reason string) error {
	return s.update(ctx, "hold "+string(id), func(tx *sql.Tx) error {
		return execOne(ctx, tx, `UPDATE dumps SET hold = $1 WHERE id = $2`, reason, id)
	})
}

// SetReuse marks a volume as one that may or may not be overwritten; ErrNotFound for an unknown label.
func (s *Store) SetReuse(ctx context.Context, label catalog.Label, noReuse bool) error {
	return s.update(ctx, "mark volume "+string(label), func(tx *sql.Tx) error {
		return execOne(ctx, tx, `UPDATE volumes SET no_reuse = $1 WHERE label = $2`, noReuse, label)
	})
}

// Retire marks a volume as gone for good: what was on it is forgotten, its label never given again.
// ErrNotFound for an unknown label.
func (s *Store) Retire(ctx context.Context, label catalog.Label) error {
	return s.update(ctx, "retire volume "+string(label), func(tx *sql.Tx) error {
		if err := execOne(ctx, tx, `UPDATE volumes SET retired = true WHERE label = $1`, label); err != nil {
			return err
		}
		return dropCopiesOn(ctx, tx, label)
	})
}
