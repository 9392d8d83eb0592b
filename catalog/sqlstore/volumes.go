package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"holdfast/catalog"
)

// PutVolume records a volume, or what is now known of it. NoReuse and Retired of a volume known already stay as they are,
// so that a run in progress cannot undo what the administrator set meanwhile.
func (s *Store) PutVolume(ctx context.Context, v catalog.Volume) error {
	return s.update(ctx, "record volume "+string(v.Label), func(tx *sql.Tx) error { return putVolume(ctx, tx, v) })
}

func putVolume(ctx context.Context, tx *sql.Tx, v catalog.Volume) error {
	degraded, err := json.Marshal(append([]string{}, v.Degraded...))
	if err != nil {
		return err
	}
	return exec(ctx, tx, `INSERT INTO volumes (label, storage, slot, write_stamp, bytes, files, header_crc, no_reuse, retired, seen,
			degraded, locked_until)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (label) DO UPDATE SET storage = excluded.storage, slot = excluded.slot, write_stamp = excluded.write_stamp,
			bytes = excluded.bytes, files = excluded.files, header_crc = excluded.header_crc, seen = excluded.seen,
			degraded = excluded.degraded, locked_until = excluded.locked_until`,
		v.Label, v.Storage, v.Slot, v.WriteStamp, v.Bytes, v.Files, v.HeaderCRC, v.NoReuse, v.Retired, nanos(v.Seen),
		string(degraded), nanos(v.LockedUntil))
}

// Relabel records a volume whose medium is about to be written from its beginning: what was on it is forgotten and v put in
// its place, both or neither. A volume marked NoReuse or Retired is refused.
func (s *Store) Relabel(ctx context.Context, v catalog.Volume) error {
	return s.update(ctx, "relabel volume "+string(v.Label), func(tx *sql.Tx) error {
		kept, err := list(ctx, tx, scanVolume, selectVolume+`WHERE label = $1 AND (no_reuse OR retired)`, v.Label)
		if err != nil {
			return err
		}
		if len(kept) > 0 {
			return errors.New("it is marked never to be overwritten")
		}
		if err := dropCopiesOn(ctx, tx, v.Label); err != nil {
			return err
		}
		return putVolume(ctx, tx, v)
	})
}

const selectVolume = `SELECT label, storage, slot, write_stamp, bytes, files, header_crc, no_reuse, retired, seen,
	degraded, locked_until FROM volumes `

func scanVolume(row rowScanner) (catalog.Volume, error) {
	var v catalog.Volume
	var seen, lockedUntil int64
	var degraded string
	err := row.Scan(&v.Label, &v.Storage, &v.Slot, &v.WriteStamp, &v.Bytes, &v.Files, &v.HeaderCRC, &v.NoReuse, &v.Retired, &seen,
		&degraded, &lockedUntil)
	if err != nil {
		return v, err
	}
	v.Seen, v.LockedUntil = instant(seen), instant(lockedUntil)
	if err := json.Unmarshal([]byte(degraded), &v.Degraded); err != nil {
		return v, fmt.Errorf("volume %s: degraded members: %w", v.Label, err)
	}
	if len(v.Degraded) == 0 {
		v.Degraded = nil
	}
	return v, nil
}

// Volume gives one volume; ErrNotFound for an unknown label.
func (s *Store) Volume(ctx context.Context, label catalog.Label) (catalog.Volume, error) {
	v, err := one(ctx, s.read, scanVolume, selectVolume+`WHERE label = $1`, label)
	if err != nil {
		return v, fmt.Errorf("volume %s: %w", label, err)
	}
	return v, nil
}

// Volumes lists the volumes of a storage, or of all storages when it is empty, by label.
func (s *Store) Volumes(ctx context.Context, storage string) ([]catalog.Volume, error) {
	query, args := selectVolume, []any(nil)
	if storage != "" {
		query, args = query+`WHERE storage = $1 `, []any{storage}
	}
	volumes, err := list(ctx, s.read, scanVolume, query+`ORDER BY label`, args...)
	if err != nil {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	return volumes, nil
}
