package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"holdfast/dumpers"
	"holdfast/internal/qcow2"
	"holdfast/internal/vfs"
)

// Found is an image that Discover found.
type Found struct {
	// VM is a name for it: the file's without the extension; with it, where two files differ in nothing else. A dash
	// stands for blanks, colons and backslashes, which no name of a VM has.
	VM string
	// Path is absolute.
	Path   string
	Format string
	// SizeBytes is the virtual size; AllocatedBytes how much data the image holds itself.
	SizeBytes, AllocatedBytes int64
	// Backing is the absolute path of the image this one is an overlay of; empty for none.
	Backing string
	// InUse is set while another program writes to it: what is said here may be out of date, and it cannot be dumped.
	InUse bool
	// Err says why the image cannot be read; then sizes and backing file are not known.
	Err error
}

// Discover finds the images in a directory, ordered by file name: files called *.raw, *.img or *.qcow2, and those that
// begin like a qcow2 file whatever they are called, but for *.raw. So the format of *.img is guessed from its content,
// which a dump never does: what is found is a proposal, for the administrator to confirm. Hidden files and directories
// are left out. An image that cannot be read is found, with the reason.
func Discover(ctx context.Context, dir string) ([]Found, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find images: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("find images: %s: %w", dir, vfs.Cause(err))
	}
	var all []Found
	names := map[string]int{}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		format := formatOf(path)
		if strings.HasPrefix(e.Name(), ".") || format == "" {
			continue
		}
		f := look(ctx, path, format)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		names[f.VM]++
		all = append(all, f)
	}
	for i, f := range all {
		if names[f.VM] > 1 {
			all[i].VM = vmName(filepath.Base(f.Path))
		}
	}
	return all, nil
}

// formatOf guesses the format of a file; empty for one that is no image.
func formatOf(path string) string {
	// A link that leads nowhere cannot be looked at, but may have the name of an image.
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return ""
	}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".raw":
		return FormatRaw
	case ".qcow2":
		return FormatQCOW2
	case ".img":
		if !beginsAsQCOW2(path) {
			return FormatRaw
		}
		return FormatQCOW2
	}
	if beginsAsQCOW2(path) {
		return FormatQCOW2
	}
	return ""
}

func beginsAsQCOW2(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [4]byte
	_, err = io.ReadFull(f, magic[:])
	return err == nil && qcow2.HasMagic(magic[:])
}

// vmName makes a file name the name of a VM.
func vmName(name string) string {
	apart := strings.FieldsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`:\`, r) })
	return strings.Join(apart, "-")
}

// look describes the image at path.
func look(ctx context.Context, path, format string) Found {
	name := filepath.Base(path)
	f := Found{VM: vmName(strings.TrimSuffix(name, filepath.Ext(name))), Path: path, Format: format}
	c, err := openUnlocked(ctx, path, format, func() { f.InUse = true })
	if err != nil {
		f.Err = err
		return f
	}
	defer c.close()
	info, err := c.describe(ctx, true)
	if err != nil {
		f.Err = err
		return f
	}
	f.SizeBytes, f.AllocatedBytes, f.Backing = info.SizeBytes, info.AllocatedBytes, info.Backing
	return f
}

// openUnlocked opens a chain for a look at it, and calls inUse if somebody writes to one of its files.
func openUnlocked(ctx context.Context, path, format string, inUse func()) (chain, error) {
	return openChain(ctx, path, format, func(file *os.File) error {
		err := testLock(file)
		if errors.Is(err, dumpers.ErrInUse) {
			inUse()
			return nil
		}
		if errors.Is(err, errNoLocks) {
			return nil
		}
		return err
	})
}
