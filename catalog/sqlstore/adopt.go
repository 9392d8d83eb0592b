package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"holdfast/catalog"
)

// ErrTaken: a volume that is to be adopted bears a label that the catalog knows as another volume's.
var ErrTaken = errors.New("the label is another volume's")

// Adopted counts what an adoption has added to the catalog; what it knew already is not counted.
type Adopted struct {
	Volumes int `json:"volumes"`
	Dumps   int `json:"dumps"`
	Copies  int `json:"copies"`
}

// Adopt adds what was found on volumes to a catalog that holds other things already: c's Volumes, Dumps and Copies, all or
// nothing. What the catalog knows of a dump stays, unless it was not usable and now is. A volume that was written anew since it
// was adopted loses what it held before. ErrTaken names a label that cannot be adopted.
func (s *Store) Adopt(ctx context.Context, c Contents) (Adopted, error) {
	var a Adopted
	err := s.update(ctx, "adopt volumes", func(tx *sql.Tx) error {
		a = Adopted{}
		for _, v := range c.Volumes {
			added, err := adoptVolume(ctx, tx, v)
			if err != nil {
				return fmt.Errorf("volume %s: %w", v.Label, err)
			}
			a.Volumes += added
		}
		for _, d := range c.Dumps {
			added, err := adoptDump(ctx, tx, d)
			if err != nil {
				return fmt.Errorf("dump %s: %w", d.ID, err)
			}
			a.Dumps += added
		}
		for _, copied := range c.Copies {
			added, err := adoptCopy(ctx, tx, copied)
			if err != nil {
				return fmt.Errorf("copy of %s in %s: %w", copied.Dump, copied.Storage, err)
			}
			a.Copies += added
		}
		return nil
	})
	return a, err
}

// Adoptable tells whether Adopt will take these volumes: ErrTaken names the first that it will not.
func (s *Store) Adoptable(ctx context.Context, volumes []catalog.Volume) error {
	for _, v := range volumes {
		known, err := list(ctx, s.read, scanVolume, selectVolume+`WHERE label = $1`, v.Label)
		if err == nil && len(known) > 0 {
			err = sameVolume(known[0], v)
		}
		if err != nil {
			return fmt.Errorf("adopt volume %s: %w", v.Label, err)
		}
	}
	return nil
}

// sameVolume tells why a volume that was found is not the one that the catalog knows by its label.
func sameVolume(known, found catalog.Volume) error {
	switch {
	case known.Storage != found.Storage:
		return fmt.Errorf("%w: of storage %s", ErrTaken, known.Storage)
	case known.Retired:
		return fmt.Errorf("%w: a retired one's", ErrTaken)
	case known.WriteStamp > found.WriteStamp:
		return fmt.Errorf("%w: the catalog's was written at %s, later than this one, at %s", ErrTaken, known.WriteStamp, found.WriteStamp)
	}
	return nil
}

func adoptVolume(ctx context.Context, tx *sql.Tx, v catalog.Volume) (added int, err error) {
	known, err := list(ctx, tx, scanVolume, selectVolume+`WHERE label = $1`, v.Label)
	if err != nil {
		return 0, err
	}
	if len(known) > 0 {
		if err := sameVolume(known[0], v); err != nil || known[0].WriteStamp == v.WriteStamp {
			return 0, err
		}
		if err := dropCopiesOn(ctx, tx, v.Label); err != nil {
			return 0, err
		}
	}
	return 1, putVolume(ctx, tx, v)
}

func adoptDump(ctx context.Context, tx *sql.Tx, d catalog.Dump) (added int, err error) {
	known, err := list(ctx, tx, scanDump, selectDump+`WHERE id = $1`, d.ID)
	if err != nil {
		return 0, err
	}
	if len(known) > 0 && (known[0].Status.Usable() || !d.Status.Usable()) {
		return 0, nil
	}
	return 1, putDump(ctx, tx, d)
}

func adoptCopy(ctx context.Context, tx *sql.Tx, c catalog.Copy) (added int, err error) {
	scan := func(r rowScanner) (status catalog.Status, err error) { return status, r.Scan(&status) }
	known, err := list(ctx, tx, scan, `SELECT status FROM copies WHERE dump = $1 AND storage = $2 AND write_stamp = $3`, c.Dump, c.Storage, c.WriteStamp)
	if err != nil {
		return 0, err
	}
	parts, err := list(ctx, tx, scanPart, selectPart+`WHERE dump = $1 AND storage = $2 AND write_stamp = $3 ORDER BY part`, c.Dump, c.Storage, c.WriteStamp)
	if err != nil {
		return 0, err
	}
	same := func(a, b catalog.Part) bool {
		return a.Number == b.Number && a.Label == b.Label && a.File == b.File && a.Bytes == b.Bytes
	}
	if len(known) > 0 && (known[0].Usable() || known[0] == c.Status && slices.EqualFunc(parts, c.Parts, same)) {
		return 0, nil
	}
	err = exec(ctx, tx, `DELETE FROM parts WHERE dump = $1 AND storage = $2 AND write_stamp = $3`, c.Dump, c.Storage, c.WriteStamp)
	if err != nil {
		return 0, err
	}
	return 1, loadCopy(ctx, tx, c)
}
