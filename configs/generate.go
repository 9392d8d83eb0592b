package configs

// GenerateOptions is what Generate makes a configuration from.
type GenerateOptions struct {
	Org string
	// State, Vtapes and Holding are directories, as they shall stand in the file; no Holding: none.
	State, Vtapes, Holding string
	Images                 []Image
	// FreeBytes is what the file system of Vtapes has free. HoldingFreeBytes is that of Holding if it is another file
	// system, and 0 if it is the same.
	FreeBytes, HoldingFreeBytes int64
}

// Image is an image that `init` found.
type Image struct {
	VM, Disk, Path string
	Format         Format
	// SizeBytes is the virtual size; UsedBytes what of it is allocated.
	SizeBytes, UsedBytes int64
	// Base is the image this is a clone or copy of, VM:DISK; empty for none.
	Base string
	// Err is why the image cannot be backed up: it is listed, but commented out.
	Err error
}

// Generate writes the commented configuration of `holdfast init`.
func Generate(o GenerateOptions) []byte { return nil }
