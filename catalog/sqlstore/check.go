package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"holdfast/catalog"
)

// Check reads the whole catalog and joins all that is wrong with it: pages, references, usable copies that lack a part, held
// dumps whose files do not add up.
func (s *Store) Check(ctx context.Context) error {
	if err := s.check(ctx); err != nil {
		return fmt.Errorf("check catalog: %s: %w", s.path, err)
	}
	return nil
}

func (s *Store) check(ctx context.Context) error {
	pages, err := list(ctx, s.read, scanString[string], `PRAGMA integrity_check(10)`)
	if err != nil {
		return err
	}
	if len(pages) != 1 || pages[0] != "ok" {
		errs := []error{ErrDamaged}
		for _, p := range pages {
			errs = append(errs, errors.New(p))
		}
		return errors.Join(errs...)
	}
	var errs []error
	orphan := func(row rowScanner) (string, error) {
		var table, parent string
		var rowid sql.NullInt64
		var key int64
		err := row.Scan(&table, &rowid, &parent, &key)
		return fmt.Sprintf("%s: row %d names no row of %s", table, rowid.Int64, parent), err
	}
	orphans, err := list(ctx, s.read, orphan, `PRAGMA foreign_key_check`)
	if err != nil {
		return err
	}
	for _, o := range orphans {
		errs = append(errs, errors.New(o))
	}
	placed, err := s.checkPlaces(ctx)
	if err != nil {
		return err
	}
	return errors.Join(append(errs, placed...)...)
}

// checkPlaces looks whether each dump is where the catalog says, as far as the numbers tell.
func (s *Store) checkPlaces(ctx context.Context) ([]error, error) {
	dumps, err := s.Dumps(ctx, DumpFilter{})
	if err != nil {
		return nil, err
	}
	byID := make(map[catalog.DumpID]catalog.Dump, len(dumps))
	var wrong []error
	for _, d := range dumps {
		byID[d.ID] = d
		if d.ID != catalog.NewDumpID(d.DLE, d.Stamp, d.Level) {
			wrong = append(wrong, fmt.Errorf("dump %s: its id does not name it", d.ID))
		}
	}
	copies, err := s.AllCopies(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range copies {
		if !c.Status.Usable() {
			continue
		}
		if err := c.Covers(byID[c.Dump]); err != nil {
			wrong = append(wrong, err)
		}
	}
	held, err := s.Held(ctx)
	if err != nil {
		return nil, err
	}
	for _, h := range held {
		var bytes int64
		for _, c := range h.Chunks {
			bytes += c.Bytes
		}
		if d := byID[h.Dump]; d.Status.Usable() && bytes != d.StoredBytes {
			wrong = append(wrong, fmt.Errorf("dump %s: its holding files have %d bytes of %d", h.Dump, bytes, d.StoredBytes))
		}
	}
	return wrong, nil
}
