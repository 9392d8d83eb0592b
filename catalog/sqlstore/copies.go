package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"holdfast/catalog"
)

// PutPart records a part that is durable on its volume (which must be recorded already). The copy it belongs to is begun as
// partial when it is not there yet, and so is the dump: one that goes straight to a volume is only known when it ends.
func (s *Store) PutPart(ctx context.Context, p catalog.Part) error {
	op := fmt.Sprintf("record part %d of %s: volume %s file %d", p.Number, p.Dump, p.Label, p.File)
	return s.update(ctx, op, func(tx *sql.Tx) error {
		known, err := list(ctx, tx, scanInt, `SELECT 1 FROM dumps WHERE id = $1`, p.Dump)
		if err != nil {
			return err
		}
		if len(known) == 0 {
			begun := catalog.Dump{ID: p.Dump, Status: catalog.StatusPartial}
			if begun.DLE, begun.Stamp, begun.Level, err = catalog.ParseDumpID(p.Dump); err != nil {
				return err
			}
			if err := putDump(ctx, tx, begun); err != nil {
				return err
			}
		}
		err = exec(ctx, tx, `INSERT INTO copies (dump, storage, write_stamp, status) VALUES ($1, $2, $3, 'partial')
			ON CONFLICT (dump, storage, write_stamp) DO NOTHING`, p.Dump, p.Storage, p.WriteStamp)
		if err != nil {
			return err
		}
		return putPart(ctx, tx, p)
	})
}

func putPart(ctx context.Context, tx *sql.Tx, p catalog.Part) error {
	known, err := list(ctx, tx, scanInt, `SELECT 1 FROM volumes WHERE label = $1`, p.Label)
	if err != nil {
		return err
	}
	if len(known) == 0 {
		return fmt.Errorf("volume %s: %w", p.Label, ErrNotFound)
	}
	return exec(ctx, tx, `INSERT INTO parts (dump, storage, write_stamp, part, label, file, stream_offset, bytes, crc, header_crc)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (dump, storage, write_stamp, part) DO UPDATE SET label = excluded.label, file = excluded.file,
			stream_offset = excluded.stream_offset, bytes = excluded.bytes, crc = excluded.crc, header_crc = excluded.header_crc`,
		p.Dump, p.Storage, p.WriteStamp, p.Number, p.Label, p.File, p.Offset, p.Bytes, p.CRC, p.HeaderCRC)
}

// FinishCopy records how a copy ended. Its parts are those recorded by PutPart (c.Parts is not looked at); a usable
// status is refused unless they join to the whole of the dump's stream; with one, the copy is no longer wanted.
func (s *Store) FinishCopy(ctx context.Context, c catalog.Copy) error {
	return s.update(ctx, "finish copy of "+string(c.Dump), func(tx *sql.Tx) error { return finishCopy(ctx, tx, c) })
}

// RecordDirect records a dump that never was on the holding disk, its copy, and the further copies wanted of it, all or nothing. c.Parts are all of its
// parts, in place of those recorded before (a first attempt in the same run may have left some); when it is empty, the ones
// recorded by PutPart count.
func (s *Store) RecordDirect(ctx context.Context, d catalog.Dump, c catalog.Copy, wanted ...catalog.Wanted) error {
	return s.update(ctx, "record direct dump "+string(d.ID), func(tx *sql.Tx) error {
		if c.Dump != d.ID {
			return fmt.Errorf("the copy is one of %s", c.Dump)
		}
		if err := putDump(ctx, tx, d); err != nil {
			return err
		}
		if err := putCopy(ctx, tx, c); err != nil {
			return err
		}
		if len(c.Parts) > 0 {
			err := exec(ctx, tx, `DELETE FROM parts WHERE dump = $1 AND storage = $2 AND write_stamp = $3`, c.Dump, c.Storage, c.WriteStamp)
			if err != nil {
				return err
			}
		}
		for _, p := range c.Parts {
			if err := putPart(ctx, tx, p); err != nil {
				return err
			}
		}
		if err := finishCopy(ctx, tx, c); err != nil {
			return err
		}
		return wantCopies(ctx, tx, wanted)
	})
}

func putCopy(ctx context.Context, tx *sql.Tx, c catalog.Copy) error {
	return exec(ctx, tx, `INSERT INTO copies (dump, storage, write_stamp, status) VALUES ($1, $2, $3, $4)
		ON CONFLICT (dump, storage, write_stamp) DO UPDATE SET status = excluded.status`, c.Dump, c.Storage, c.WriteStamp, c.Status)
}

// finishCopy holds the catalog's central promise: a copy that is called usable is all there.
func finishCopy(ctx context.Context, tx *sql.Tx, c catalog.Copy) error {
	d, err := one(ctx, tx, scanDump, selectDump+`WHERE id = $1`, c.Dump)
	if err != nil {
		return err
	}
	c.Parts, err = list(ctx, tx, scanPart, selectPart+`WHERE dump = $1 AND storage = $2 AND write_stamp = $3 ORDER BY part`,
		c.Dump, c.Storage, c.WriteStamp)
	if err != nil {
		return err
	}
	if c.Status.Usable() {
		if err := c.Covers(d); err != nil {
			return err
		}
		if err := dropWanted(ctx, tx, c.Dump, c.Storage); err != nil {
			return err
		}
	}
	return putCopy(ctx, tx, c)
}

const selectPart = `SELECT dump, storage, write_stamp, part, label, file, stream_offset, bytes, crc, header_crc FROM parts `

func scanPart(row rowScanner) (catalog.Part, error) {
	var p catalog.Part
	err := row.Scan(&p.Dump, &p.Storage, &p.WriteStamp, &p.Number, &p.Label, &p.File, &p.Offset, &p.Bytes, &p.CRC, &p.HeaderCRC)
	return p, err
}

// Copies lists the copies of a dump, complete or not, in the order they were written, each with its parts in order.
func (s *Store) Copies(ctx context.Context, id catalog.DumpID) ([]catalog.Copy, error) {
	copies, err := s.copies(ctx, `WHERE c.dump = $1`, id)
	if err != nil {
		return nil, fmt.Errorf("copies of %s: %w", id, err)
	}
	return copies, nil
}

// AllCopies lists the copies of all dumps, by dump and then as Copies does: what retention looks at.
func (s *Store) AllCopies(ctx context.Context) ([]catalog.Copy, error) {
	copies, err := s.copies(ctx, ``)
	if err != nil {
		return nil, fmt.Errorf("list copies: %w", err)
	}
	return copies, nil
}

// copies reads copies and parts by one query, so that both are of the same moment.
func (s *Store) copies(ctx context.Context, where string, args ...any) ([]catalog.Copy, error) {
	type row struct {
		copy catalog.Copy
		part catalog.Part
	}
	// The outer join keeps a failed copy that got no part onto a volume.
	scan := func(r rowScanner) (row, error) {
		var v row
		c, p := &v.copy, &v.part
		err := r.Scan(&c.Dump, &c.Storage, &c.WriteStamp, &c.Status, &p.Number, &p.Label, &p.File, &p.Offset, &p.Bytes, &p.CRC, &p.HeaderCRC)
		p.Dump, p.Storage, p.WriteStamp = c.Dump, c.Storage, c.WriteStamp
		return v, err
	}
	rows, err := list(ctx, s.read, scan, `SELECT c.dump, c.storage, c.write_stamp, c.status, coalesce(p.part, 0), coalesce(p.label, ''),
			coalesce(p.file, 0), coalesce(p.stream_offset, 0), coalesce(p.bytes, 0), coalesce(p.crc, 0), coalesce(p.header_crc, 0)
		FROM copies c LEFT JOIN parts p ON p.dump = c.dump AND p.storage = c.storage AND p.write_stamp = c.write_stamp
		`+where+` ORDER BY c.dump, c.write_stamp, c.storage, p.part`, args...)
	if err != nil {
		return nil, err
	}
	var copies []catalog.Copy
	for _, r := range rows {
		last := len(copies) - 1
		if last < 0 || copies[last].Dump != r.copy.Dump || copies[last].Storage != r.copy.Storage || copies[last].WriteStamp != r.copy.WriteStamp {
			copies = append(copies, r.copy)
			last++
		}
		if r.part.Number > 0 {
			copies[last].Parts = append(copies[last].Parts, r.part)
		}
	}
	return copies, nil
}

// PartsOn lists the parts on a volume by file number.
func (s *Store) PartsOn(ctx context.Context, label catalog.Label) ([]catalog.Part, error) {
	parts, err := list(ctx, s.read, scanPart, selectPart+`WHERE label = $1 ORDER BY file`, label)
	if err != nil {
		return nil, fmt.Errorf("parts on volume %s: %w", label, err)
	}
	return parts, nil
}

// DropCopiesOn forgets the parts on a volume, as when it is erased or lost. Copies that lose a part become partial, or are
// forgotten with their last part; the dumps stay as history.
func (s *Store) DropCopiesOn(ctx context.Context, label catalog.Label) error {
	return s.update(ctx, "drop copies on volume "+string(label), func(tx *sql.Tx) error { return dropCopiesOn(ctx, tx, label) })
}

func dropCopiesOn(ctx context.Context, tx *sql.Tx, label catalog.Label) error {
	const hurt = ` WHERE (dump, storage, write_stamp) IN (SELECT dump, storage, write_stamp FROM parts WHERE label = $1)`
	if err := exec(ctx, tx, `UPDATE copies SET status = 'partial'`+hurt, label); err != nil {
		return err
	}
	if err := exec(ctx, tx, `DELETE FROM parts WHERE label = $1`, label); err != nil {
		return err
	}
	if err := dropRecordsOn(ctx, tx, label); err != nil {
		return err
	}
	return exec(ctx, tx, `DELETE FROM copies WHERE status = 'partial' AND NOT EXISTS (SELECT 1 FROM parts
		WHERE parts.dump = copies.dump AND parts.storage = copies.storage AND parts.write_stamp = copies.write_stamp)`)
}

// DropCopy forgets one copy, by its dump, storage and stamp, with its parts; nothing happens when it is not there.
func (s *Store) DropCopy(ctx context.Context, c catalog.Copy) error {
	return s.update(ctx, fmt.Sprintf("drop copy of %s in storage %s", c.Dump, c.Storage), func(tx *sql.Tx) error {
		for _, table := range []string{"parts", "copies"} {
			err := exec(ctx, tx, `DELETE FROM `+table+` WHERE dump = $1 AND storage = $2 AND write_stamp = $3`, c.Dump, c.Storage, c.WriteStamp)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
