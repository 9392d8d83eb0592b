package configs

import (
	"errors"
	"fmt"
	"path/filepath"
)

// Load reads the configuration at path with read (os.ReadFile in the program). Relative paths in it count from the
// directory it lies in. Faults of its content are Errors; those of reading wrap what read returned.
func Load(path string, read func(string) ([]byte, error)) (*Config, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %s: %w", path, err)
	}
	data, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return parse(path, abs, data)
}

// Parse reads a configuration's text. The name stands in errors, and its directory is where relative paths count from.
func Parse(name string, data []byte) (*Config, error) { return parse(name, name, data) }

func parse(name, path string, data []byte) (*Config, error) {
	return nil, errors.New("not yet")
}

// Effective gives the configuration with every default filled in, as YAML that parses to the same Config.
func (c *Config) Effective() ([]byte, error) { return nil, errors.New("not yet") }

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

// Reference gives the reference of all keys as Markdown.
func Reference() string { return "" }

// Schema gives the JSON Schema of the configuration, for editors.
func Schema() ([]byte, error) { return nil, errors.New("not yet") }
