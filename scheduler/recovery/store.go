package recovery

import (
	"context"
	"errors"
	"fmt"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
)

// FromStore shows a catalog in SQL to recovery.
type FromStore struct{ *sqlstore.Store }

var (
	_ Catalog   = FromStore{}
	_ Documents = FromStore{}
)

// Dump gives one dump; ErrNoDump when the catalog does not know it.
func (f FromStore) Dump(ctx context.Context, id catalog.DumpID) (catalog.Dump, error) {
	d, err := f.Store.Dump(ctx, id)
	if errors.Is(err, sqlstore.ErrNotFound) {
		return d, fmt.Errorf("%s: %w in the catalog", id, ErrNoDump)
	}
	return d, err
}

// Dumps gives all dumps of a DLE, or of all for nil, oldest first.
func (f FromStore) Dumps(ctx context.Context, dle *catalog.DLE) ([]catalog.Dump, error) {
	return f.Store.Dumps(ctx, sqlstore.DumpFilter{DLE: dle})
}

// Holding gives where a dump lies on the holding disk; nil when it does not.
func (f FromStore) Holding(ctx context.Context, id catalog.DumpID) (*catalog.Holding, error) {
	held, err := f.Held(ctx)
	if err != nil {
		return nil, err
	}
	for _, h := range held {
		if h.Dump == id {
			return &h, nil
		}
	}
	return nil, nil
}
