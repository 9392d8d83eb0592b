package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"holdfast/catalog"
)

// SetForce records a wish of the administrator. A DLE has one at a time; a new one takes the old one's place.
func (s *Store) SetForce(ctx context.Context, f catalog.Force) error {
	return s.update(ctx, fmt.Sprintf("force %s of %s", f.Command, f.DLE), func(tx *sql.Tx) error {
		return exec(ctx, tx, `INSERT INTO forces (vm, disk, command, set_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (vm, disk) DO UPDATE SET command = excluded.command, set_at = excluded.set_at`,
			f.DLE.VM, f.DLE.Disk, f.Command, nanos(f.Set))
	})
}

// ClearForce forgets a DLE's wish; nothing happens when there is none.
func (s *Store) ClearForce(ctx context.Context, d catalog.DLE) error {
	return s.update(ctx, "unforce "+d.String(), func(tx *sql.Tx) error {
		return exec(ctx, tx, `DELETE FROM forces WHERE vm = $1 AND disk = $2`, d.VM, d.Disk)
	})
}

// Forces lists the wishes by DLE.
func (s *Store) Forces(ctx context.Context) ([]catalog.Force, error) {
	scan := func(row rowScanner) (catalog.Force, error) {
		var f catalog.Force
		var set int64
		err := row.Scan(&f.DLE.VM, &f.DLE.Disk, &f.Command, &set)
		f.Set = instant(set)
		return f, err
	}
	forces, err := list(ctx, s.read, scan, `SELECT vm, disk, command, set_at FROM forces ORDER BY vm, disk`)
	if err != nil {
		return nil, fmt.Errorf("list forces: %w", err)
	}
	return forces, nil
}
