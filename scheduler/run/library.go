package run

import (
	"context"
	"errors"
	"time"

	"holdfast/configs"
	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/library"
)

// Opener opens the libraries of storages. It is the only place that knows which kinds of device there are.
type Opener struct {
	FS vfs.FS
	// Now is the clock; object locks are reckoned from it.
	Now func() time.Time
	// Note is told what the administrator should know though the work goes on (a member of a parity set is missing); nil for
	// none. It may be called from several goroutines.
	Note func(text string)
	// Mounts calls the mount commands of storages. Nil: they are not called, and a library that is away stays away.
	Mounts *Mounts
}

// Open opens the library of a storage. It gives vtape.ErrAbsent when it is not there. Then the storage's mount command is
// called first; its error is in ours.
func (o Opener) Open(ctx context.Context, st configs.Storage) (*library.Library, error) {
	shelf, err := o.shelf(ctx, st)
	if err != nil {
		return nil, err
	}
	if err := o.Mounts.reach(ctx, st, shelf); err != nil {
		return nil, err
	}
	return library.New(shelf, library.Options{Storage: st.Name, Label: st.Label}), nil
}

// OpenUnmarked opens a library that somebody else may have made, and that has no mark yet. One that is another storage's is an
// error. Whoever calls it must only read.
func (o Opener) OpenUnmarked(ctx context.Context, st configs.Storage) (*library.Library, error) {
	shelf, err := o.shelf(ctx, st)
	if err != nil {
		return nil, err
	}
	if err := shelf.Check(ctx); err != nil && !errors.Is(err, vtape.ErrAbsent) {
		return nil, err
	}
	return library.New(shelf, library.Options{Storage: st.Name, Label: st.Label}), nil
}

// Create makes the library of a storage, or what it lacks of one. Nothing that is there is changed.
func (o Opener) Create(ctx context.Context, st configs.Storage) error {
	shelf, err := o.shelf(ctx, st)
	if err != nil {
		return err
	}
	return shelf.Create(ctx)
}

// Opener opens the site's libraries.
func (n *Night) Opener() Opener {
	return Opener{FS: n.FS, Now: n.Now, Note: n.MediaNote, Mounts: n.Mounts}
}
