package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"holdfast/catalog"
)

// Metadata gives the documents that the source gave with a dump, by name; none for an unknown dump.
func (s *Store) Metadata(ctx context.Context, id catalog.DumpID) (map[string][]byte, error) {
	type row struct {
		name string
		data []byte
	}
	scan := func(r rowScanner) (row, error) {
		var v row
		err := r.Scan(&v.name, &v.data)
		return v, err
	}
	rows, err := list(ctx, s.read, scan, `SELECT name, document FROM dump_metadata WHERE dump = $1 ORDER BY name`, id)
	if err != nil {
		return nil, fmt.Errorf("metadata of %s: %w", id, err)
	}
	docs := make(map[string][]byte, len(rows))
	for _, r := range rows {
		docs[r.name] = r.data
	}
	return docs, nil
}

func putMetadata(ctx context.Context, tx *sql.Tx, id catalog.DumpID, docs map[string][]byte) error {
	if err := exec(ctx, tx, `DELETE FROM dump_metadata WHERE dump = $1`, id); err != nil {
		return err
	}
	for name, data := range docs {
		err := exec(ctx, tx, `INSERT INTO dump_metadata (dump, name, document) VALUES ($1, $2, $3)`, id, name, append([]byte{}, data...))
		if err != nil {
			return err
		}
	}
	return nil
}

// PutRecord records where the catalog record of a run lies: its parts are those of a file on volumes that is no dump. They take the place
// of what was recorded of the same run and storage.
func (s *Store) PutRecord(ctx context.Context, parts []catalog.Part) error {
	return s.update(ctx, "record the catalog record", func(tx *sql.Tx) error {
		if len(parts) == 0 {
			return errors.New("it has no parts")
		}
		err := exec(ctx, tx, `DELETE FROM records WHERE run = $1 AND storage = $2`, parts[0].WriteStamp, parts[0].Storage)
		if err != nil {
			return err
		}
		return putRecordParts(ctx, tx, parts)
	})
}

func putRecordParts(ctx context.Context, tx *sql.Tx, parts []catalog.Part) error {
	for _, p := range parts {
		err := exec(ctx, tx, `INSERT INTO records (run, storage, part, dump, label, file, stream_offset, bytes, crc, header_crc)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			p.WriteStamp, p.Storage, p.Number, p.Dump, p.Label, p.File, p.Offset, p.Bytes, p.CRC, p.HeaderCRC)
		if err != nil {
			return err
		}
	}
	return nil
}

// Records lists the parts of the catalog records on volumes of a storage, or of all storages when it is empty, the oldest
// run's first. A record of which a part was overwritten is forgotten.
func (s *Store) Records(ctx context.Context, storage string) ([]catalog.Part, error) {
	parts, err := list(ctx, s.read, scanPart, `SELECT dump, storage, run, part, label, file, stream_offset, bytes, crc, header_crc
		FROM records WHERE storage = $1 OR $1 = '' ORDER BY run, storage, part`, storage)
	if err != nil {
		return nil, fmt.Errorf("list catalog records: %w", err)
	}
	return parts, nil
}

func dropRecordsOn(ctx context.Context, tx *sql.Tx, label catalog.Label) error {
	return exec(ctx, tx, `DELETE FROM records WHERE (run, storage) IN (SELECT run, storage FROM records WHERE label = $1)`, label)
}

// Wrote tells whether a run has written parts of dumps to a storage.
func (s *Store) Wrote(ctx context.Context, run catalog.Stamp, storage string) (bool, error) {
	rows, err := list(ctx, s.read, scanInt, `SELECT 1 FROM copies WHERE write_stamp = $1 AND storage = $2 LIMIT 1`, run, storage)
	if err != nil {
		return false, fmt.Errorf("what run %s wrote to %s: %w", run, storage, err)
	}
	return len(rows) > 0, nil
}
