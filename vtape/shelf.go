package vtape

import "context"

// Shelf is what a library stands on: a row of numbered slots, each with room for one volume. It may be used by many
// goroutines.
type Shelf interface {
	// Check tells whether the shelf is there and is the one it should be: ErrAbsent when it is not there (not mounted, no
	// such bucket), any other error when something else is in its place.
	Check(ctx context.Context) error
	// Create makes the shelf, or what it lacks of one. Nothing that is there is changed.
	Create(ctx context.Context) error
	// Slots lists the slots in their order, as text.
	Slots(ctx context.Context) ([]string, error)
	// Device gives the medium in a slot. It does not look at it: what is not there shows in the device's operations.
	Device(slot string) Device
	// SetCurrent remembers the slot that was loaded last for writing, where the kind of shelf shows that to others.
	SetCurrent(ctx context.Context, slot string) error
}

// Surveyor is a Shelf that tells what lies in all its slots with fewer questions than slot by slot.
type Surveyor interface {
	// Survey gives the slots in their order, as Slots does, with what lies in each.
	Survey(ctx context.Context) ([]Surveyed, error)
}

// Surveyed is what lies in a slot, but for what its label says.
type Surveyed struct {
	Slot string
	// Blank is set when nothing of a volume lies there: ReadLabel would give ErrBlank.
	Blank bool
	// Files are those after the label, as Device.Files lists them.
	Files []File
}
