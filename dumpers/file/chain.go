package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"holdfast/dumpers"
	"holdfast/internal/qcow2"
	"holdfast/internal/vfs"
)

// Formats of an image.
const (
	FormatRaw   = "raw"
	FormatQCOW2 = "qcow2"
	// formatDevice is what a raw image on a block device is called in a description.
	formatDevice = "device"
)

// layer is one open file of a chain.
type layer struct {
	path   string // absolute
	format string
	file   *os.File
	state  state // when it was opened
	device bool
	// fileBytes is the length of the file or device; sizeBytes that of the virtual disk.
	fileBytes, sizeBytes int64
	image                *qcow2.Image // nil for raw
}

// chain is an image and what it rests on, from the top down; all of them open.
type chain []*layer

func (c chain) top() *layer { return c[0] }

func (c chain) close() error {
	var errs []error
	for _, l := range c {
		errs = append(errs, l.file.Close())
	}
	return errors.Join(errs...)
}

// openChain opens an image and all of its backing files, calling guard on each file before it is read.
func openChain(ctx context.Context, path, format string, guard func(*os.File) error) (_ chain, err error) {
	var c chain
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		l, err := openLayer(path, format, guard)
		if err != nil {
			return nil, c.blame(err)
		}
		loop := c.has(l)
		c = append(c, l)
		if loop {
			return nil, c.blame(fmt.Errorf("open image: %s: backing files go round in a circle: %w", path, dumpers.ErrDamaged))
		}
		path, format, err = l.backing()
		if err != nil {
			return nil, c[:len(c)-1].blame(err)
		}
		if path == "" {
			break
		}
	}
	for i, l := range c[:len(c)-1] {
		l.image.SetBacking(c[i+1], c[i+1].sizeBytes)
	}
	return c, nil
}

// blame adds to an error about the file below c how it came to be opened.
func (c chain) blame(err error) error {
	for i := len(c) - 1; i >= 0; i-- {
		err = fmt.Errorf("%w (backing file of %s)", err, c[i].path)
	}
	return err
}

// has tells whether a file is part of the chain already, under whatever name.
func (c chain) has(l *layer) bool {
	for _, o := range c {
		if os.SameFile(o.state.info, l.state.info) {
			return true
		}
	}
	return false
}

// openLayer opens one file.
func openLayer(path, format string, guard func(*os.File) error) (_ *layer, err error) {
	// Without O_NONBLOCK, opening a named pipe would wait for a writer. It means nothing to files and devices.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open image: %s: %w", path, vfs.Cause(err))
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	l := &layer{path: path, format: format, file: f}
	if err := guard(f); err != nil {
		return nil, fmt.Errorf("open image: %s: %w", path, err)
	}
	if err := l.measure(); err != nil {
		return nil, fmt.Errorf("open image: %s: %w", path, vfs.Cause(err))
	}
	if format == FormatQCOW2 {
		if l.image, err = qcow2.Open(f, l.fileBytes); err != nil {
			return nil, fmt.Errorf("open image: %s: %w", path, kindly(err))
		}
		l.sizeBytes = l.image.SizeBytes()
	}
	if l.sizeBytes == 0 {
		return nil, fmt.Errorf("open image: %s: %w: its virtual disk has no bytes", path, dumpers.ErrDamaged)
	}
	return l, nil
}

// measure finds out what kind of file it is, and its length.
func (l *layer) measure() (err error) {
	if l.state, err = stateOf(l.file); err != nil {
		return err
	}
	mode := l.state.info.Mode()
	switch {
	case mode.IsRegular():
		l.fileBytes = l.state.info.Size()
	case mode&fs.ModeDevice != 0 && mode&fs.ModeCharDevice == 0:
		l.device = true
		if l.fileBytes, err = l.file.Seek(0, io.SeekEnd); err != nil {
			return err
		}
	case mode.IsDir():
		return fmt.Errorf("it is a directory: %w", dumpers.ErrUnsupported)
	default:
		return fmt.Errorf("it is neither a file nor a block device: %w", dumpers.ErrUnsupported)
	}
	if l.fileBytes == 0 {
		return fmt.Errorf("%w: the file is empty", dumpers.ErrDamaged)
	}
	l.sizeBytes = l.fileBytes
	return nil
}

// backing gives absolute path and format of the image this one is an overlay of; empty for none.
func (l *layer) backing() (path, format string, err error) {
	if l.image == nil {
		return "", "", nil
	}
	name, format := l.image.Backing()
	if name == "" {
		return "", "", nil
	}
	path, err = resolve(l.path, name)
	if err != nil {
		return "", "", err
	}
	switch format {
	case FormatRaw, FormatQCOW2:
		return path, format, nil
	case "":
		return "", "", fmt.Errorf("open image: %s: it does not say the format of its backing file, which must not be guessed "+
			"(qemu-img rebase -u -b %q -F FORMAT %q adds it): %w", l.path, name, l.path, dumpers.ErrUnsupported)
	}
	return "", "", fmt.Errorf("open image: %s: backing file %q: format %q: %w", l.path, name, format, dumpers.ErrUnsupported)
}

// resolve gives the absolute path of the backing file that image names, as QEMU does: relative to the directory of the
// image, by the name the image was opened with.
func resolve(image, name string) (string, error) {
	local := strings.TrimPrefix(name, "file:")
	// A colon before any slash begins with a protocol (nbd:, json:, rbd:).
	if colon := strings.IndexByte(local, ':'); colon >= 0 && !strings.Contains(local[:colon], "/") {
		return "", fmt.Errorf("open image: %s: backing file %q is not a local file: %w", image, name, dumpers.ErrUnsupported)
	}
	if filepath.IsAbs(local) {
		return filepath.Clean(local), nil
	}
	full := filepath.Dir(image) + "/" + local
	if strings.Contains(local, "..") {
		// What lies above a directory that is a symbolic link only the file system knows.
		slash := strings.LastIndexByte(full, '/')
		parent, err := filepath.EvalSymlinks(full[:slash])
		if err != nil {
			return "", fmt.Errorf("open image: %s: backing file %q: %w", image, name, vfs.Cause(err))
		}
		full = parent + full[slash:]
	}
	return filepath.Clean(full), nil
}

// ReadAt reads the virtual disk of a layer and of those below it.
func (l *layer) ReadAt(p []byte, off int64) (int, error) {
	if l.image != nil {
		n, err := l.image.ReadAt(p, off)
		return n, l.readError(err)
	}
	if off < 0 {
		return 0, fmt.Errorf("read image: %s: offset %d is negative", l.path, off)
	}
	want := p[:max(0, min(int64(len(p)), l.sizeBytes-off))]
	n, err := l.file.ReadAt(want, off)
	if errors.Is(err, io.EOF) && n < len(want) {
		err = fmt.Errorf("the file became shorter: %w", io.ErrUnexpectedEOF)
	} else if errors.Is(err, io.EOF) {
		err = nil
	}
	if err == nil && len(want) < len(p) {
		return n, io.EOF
	}
	return n, l.readError(err)
}

func (l *layer) readError(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return fmt.Errorf("read image: %s: %w", l.path, kindly(vfs.Cause(err)))
}

// kindError is an error of another package that is also of a kind our callers know.
type kindError struct{ err, kind error }

func (e *kindError) Error() string   { return e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.err, e.kind} }

// kindly gives errors of the qcow2 reader the kind they have in this package's contract.
func kindly(err error) error {
	switch {
	case errors.Is(err, qcow2.ErrDamaged):
		return &kindError{err, dumpers.ErrDamaged}
	case errors.Is(err, qcow2.ErrUnsupported):
		return &kindError{err, dumpers.ErrUnsupported}
	}
	return err
}
