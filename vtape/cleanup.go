package vtape

import "context"

// Cleaner is a Device that a crash may leave with more than its files: uploads that were never ended, data without a
// header.
type Cleaner interface {
	// CleanUp removes what belongs to no file, and counts it. Nobody may be writing to the volume.
	CleanUp(ctx context.Context) (removed int, err error)
	// Litter counts what CleanUp would remove.
	Litter(ctx context.Context) (int, error)
}

// Fragmented is a Device of several members, on which a file may be that too few of them have.
type Fragmented interface {
	// Fragments are the numbers of the files that cannot be read, even if members that are away should have them. Remove
	// takes them.
	Fragments(ctx context.Context) ([]int, error)
}

// Remover is a Device that can remove single files.
type Remover interface {
	// Remove removes a file other than the label, durably; ErrNoFile when there is none. The caller has made sure that
	// nothing is lost with it.
	Remove(ctx context.Context, number int) error
}
