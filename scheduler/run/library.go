package run

import (
	"context"
	"time"

	"holdfast/configs"
	"holdfast/internal/vfs"
	"holdfast/vtape/library"
)

// Opener opens the libraries of storages.
type Opener struct {
	FS vfs.FS
	// Now is the clock; object locks are reckoned from it.
	Now func() time.Time
	// Note is told what the administrator should know though the work goes on (a member of a parity set is missing); nil for
	// none. It may be called from several goroutines.
	Note func(text string)
}

// Open opens the library of a storage. It gives vtape.ErrAbsent when it is not there.
func (o Opener) Open(_ context.Context, st configs.Storage) (*library.Library, error) {
	return library.Open(o.FS, libraryOptions(st))
}

// Create makes the library of a storage, or what it lacks of one. Nothing that is there is changed.
func (o Opener) Create(_ context.Context, st configs.Storage) error {
	return library.Create(o.FS, libraryOptions(st))
}

// libraryOptions are what the configuration says of a library.
func libraryOptions(st configs.Storage) library.Options {
	return library.Options{
		Root: st.Path, Slots: st.Slots, Storage: st.Name, Label: st.Label, CapacityBytes: int64(st.VolumeSize),
	}
}

// Opener opens the site's libraries.
func (n *Night) Opener() Opener { return Opener{FS: n.FS, Now: n.Now} }
