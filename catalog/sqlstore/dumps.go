package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"holdfast/catalog"
)

// DumpFilter narrows Dumps; fields left zero do not.
type DumpFilter struct {
	DLE   *catalog.DLE
	VM    string
	Stamp catalog.Stamp
	// Usable keeps dumps that ended ok or strange.
	Usable bool
	// Restorable keeps dumps that can be restored: usable, wholly on volumes or on the holding disk, and so is every
	// dump below them. It looks at the whole catalog: ask once for all DLEs rather than once for each.
	Restorable bool
}

// putDump records a dump, or replaces what was recorded under its id. The hold of a dump known already stays as it is,
// and so do its documents when d has none.
func putDump(ctx context.Context, tx *sql.Tx, d catalog.Dump) error {
	if want := catalog.NewDumpID(d.DLE, d.Stamp, d.Level); d.ID != want {
		return fmt.Errorf("the id does not name this dump, %s", want)
	}
	messages, err := json.Marshal(d.Messages)
	if err != nil {
		return err
	}
	err = exec(ctx, tx, `INSERT INTO dumps (id, vm, disk, stamp, level, base, status, image_bytes, orig_bytes, native_crc,
			stored_bytes, stored_crc, changed_bytes, program, compress, encrypt, map_digest, identity, started, ended, messages, hold)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
		ON CONFLICT (id) DO UPDATE SET base = excluded.base, status = excluded.status, image_bytes = excluded.image_bytes,
			orig_bytes = excluded.orig_bytes, native_crc = excluded.native_crc, stored_bytes = excluded.stored_bytes,
			stored_crc = excluded.stored_crc, changed_bytes = excluded.changed_bytes, program = excluded.program,
			compress = excluded.compress, encrypt = excluded.encrypt, map_digest = excluded.map_digest,
			identity = excluded.identity, started = excluded.started, ended = excluded.ended, messages = excluded.messages`,
		d.ID, d.DLE.VM, d.DLE.Disk, d.Stamp, d.Level, d.Base, d.Status, d.ImageBytes, d.OrigBytes, d.NativeCRC,
		d.StoredBytes, d.StoredCRC, d.ChangedBytes, d.Program, d.Compress, d.Encrypt, d.MapDigest, d.Identity,
		nanos(d.Started), nanos(d.Ended), string(messages), d.Hold)
	if err != nil || d.Metadata == nil {
		return err
	}
	return putMetadata(ctx, tx, d.ID, d.Metadata)
}

const selectDump = `SELECT id, vm, disk, stamp, level, base, status, image_bytes, orig_bytes, native_crc, stored_bytes,
	stored_crc, changed_bytes, program, compress, encrypt, map_digest, identity, started, ended, messages, hold FROM dumps `

func scanDump(row rowScanner) (catalog.Dump, error) {
	var d catalog.Dump
	var started, ended int64
	var messages string
	err := row.Scan(&d.ID, &d.DLE.VM, &d.DLE.Disk, &d.Stamp, &d.Level, &d.Base, &d.Status, &d.ImageBytes, &d.OrigBytes,
		&d.NativeCRC, &d.StoredBytes, &d.StoredCRC, &d.ChangedBytes, &d.Program, &d.Compress, &d.Encrypt, &d.MapDigest,
		&d.Identity, &started, &ended, &messages, &d.Hold)
	if err != nil {
		return d, err
	}
	d.Started, d.Ended = instant(started), instant(ended)
	if err := json.Unmarshal([]byte(messages), &d.Messages); err != nil {
		return d, fmt.Errorf("dump %s: messages: %w", d.ID, err)
	}
	return d, nil
}

// Dump gives one dump; ErrNotFound when the catalog does not know it.
func (s *Store) Dump(ctx context.Context, id catalog.DumpID) (catalog.Dump, error) {
	d, err := one(ctx, s.read, scanDump, selectDump+`WHERE id = $1`, id)
	if err != nil {
		return d, fmt.Errorf("dump %s: %w", id, err)
	}
	return d, nil
}

// Dumps lists the dumps the filter lets through, by stamp, then VM, disk and level.
func (s *Store) Dumps(ctx context.Context, f DumpFilter) ([]catalog.Dump, error) {
	var terms []string
	var args []any
	match := func(column string, value any) {
		args = append(args, value)
		terms = append(terms, column+" = $"+strconv.Itoa(len(args)))
	}
	if f.DLE != nil {
		match("vm", f.DLE.VM)
		match("disk", f.DLE.Disk)
	}
	if f.VM != "" {
		match("vm", f.VM)
	}
	if f.Stamp != "" {
		match("stamp", f.Stamp)
	}
	if f.Usable {
		terms = append(terms, "status IN ('ok', 'strange')")
	}
	if f.Restorable {
		terms = append(terms, "id IN (SELECT id FROM restorable)")
	}
	query := selectDump
	if len(terms) > 0 {
		query += "WHERE " + strings.Join(terms, " AND ")
	}
	dumps, err := list(ctx, s.read, scanDump, query+" ORDER BY stamp, vm, disk, level", args...)
	if err != nil {
		return nil, fmt.Errorf("list dumps: %w", err)
	}
	return dumps, nil
}

// RecordHeld records a dump, its place on the holding disk and the copies wanted of it, all or nothing.
func (s *Store) RecordHeld(ctx context.Context, d catalog.Dump, h catalog.Holding, wanted ...catalog.Wanted) error {
	return s.update(ctx, "record held dump "+string(d.ID), func(tx *sql.Tx) error {
		if h.Dump != d.ID {
			return fmt.Errorf("the holding files are those of %s", h.Dump)
		}
		if len(h.Chunks) == 0 {
			return errors.New("no holding files")
		}
		if err := putDump(ctx, tx, d); err != nil {
			return err
		}
		if err := dropHeld(ctx, tx, d.ID); err != nil {
			return err
		}
		if err := putChunks(ctx, tx, h); err != nil {
			return err
		}
		return wantCopies(ctx, tx, wanted)
	})
}

func putChunks(ctx context.Context, tx *sql.Tx, h catalog.Holding) error {
	for i, c := range h.Chunks {
		err := exec(ctx, tx, `INSERT INTO holding_chunks (dump, chunk, path, bytes, crc, header_crc)
			VALUES ($1, $2, $3, $4, $5, $6)`, h.Dump, i+1, c.Path, c.Bytes, c.CRC, c.HeaderCRC)
		if err != nil {
			return err
		}
	}
	return nil
}

// Held lists what is on the holding disk, oldest dumps first.
func (s *Store) Held(ctx context.Context) ([]catalog.Holding, error) {
	type row struct {
		dump  catalog.DumpID
		chunk catalog.HoldingChunk
	}
	scan := func(r rowScanner) (row, error) {
		var h row
		err := r.Scan(&h.dump, &h.chunk.Path, &h.chunk.Bytes, &h.chunk.CRC, &h.chunk.HeaderCRC)
		return h, err
	}
	rows, err := list(ctx, s.read, scan, `SELECT c.dump, c.path, c.bytes, c.crc, c.header_crc
		FROM holding_chunks c JOIN dumps d ON d.id = c.dump ORDER BY d.stamp, c.dump, c.chunk`)
	if err != nil {
		return nil, fmt.Errorf("list held dumps: %w", err)
	}
	var held []catalog.Holding
	for _, r := range rows {
		if len(held) == 0 || held[len(held)-1].Dump != r.dump {
			held = append(held, catalog.Holding{Dump: r.dump})
		}
		last := &held[len(held)-1]
		last.Chunks = append(last.Chunks, r.chunk)
	}
	return held, nil
}

// DropHeld forgets a dump's place on the holding disk; nothing happens when there is none. The dump itself stays.
func (s *Store) DropHeld(ctx context.Context, id catalog.DumpID) error {
	return s.update(ctx, "drop held dump "+string(id), func(tx *sql.Tx) error { return dropHeld(ctx, tx, id) })
}

func dropHeld(ctx context.Context, tx *sql.Tx, id catalog.DumpID) error {
	return exec(ctx, tx, `DELETE FROM holding_chunks WHERE dump = $1`, id)
}
