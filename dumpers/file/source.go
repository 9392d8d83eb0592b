package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"holdfast/dumpers"
	"holdfast/internal/blockmap"
	"holdfast/internal/qcow2"
)

// Options say which image a source is.
type Options struct {
	// Disk is the name under which the image is dumped.
	Disk string
	// Path of the image, a file or a block device; a relative one is relative to the working directory.
	Path string
	// Format is FormatRaw or FormatQCOW2. It is never found out from the content.
	Format string
	// BaseDumped is set where the backing file is dumped on its own, so that a full dump of the image holds only what is
	// not the backing file's. It tells on the estimate, DiskInfo.AllocatedBytes, and on nothing else.
	BaseDumped bool
}

// Source is one image at rest.
type Source struct {
	disk, path, format string
	baseDumped         bool
}

// New makes the source of an image, without looking at the image.
func New(o Options) (*Source, error) {
	switch {
	case o.Disk == "":
		return nil, fmt.Errorf("source of %s: the disk has no name", o.Path)
	case o.Path == "":
		return nil, fmt.Errorf("source of disk %s: no path", o.Disk)
	case o.Format != FormatRaw && o.Format != FormatQCOW2:
		return nil, fmt.Errorf("source of %s: format %q, want %s or %s: %w",
			o.Path, o.Format, FormatRaw, FormatQCOW2, dumpers.ErrUnsupported)
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, fmt.Errorf("source of %s: %w", o.Path, err)
	}
	return &Source{disk: o.Disk, path: path, format: o.Format, baseDumped: o.BaseDumped}, nil
}

// Describe opens the image and reads its map. It takes no lock; an image that is being written to gives ErrInUse, since
// its metadata cannot be read in a consistent state.
func (s *Source) Describe(ctx context.Context) (_ dumpers.Description, err error) {
	c, err := openChain(ctx, s.path, s.format, func(f *os.File) error {
		if err := testLock(f); !errors.Is(err, errNoLocks) {
			return err
		}
		return nil
	})
	if err != nil {
		return dumpers.Description{}, err
	}
	defer c.close()
	info, err := c.describe(ctx, s.baseDumped)
	info.Name = s.disk
	return dumpers.Description{Disks: []dumpers.DiskInfo{info}}, err
}

// describe says what an open chain is. With ownOnly, what the image inherits does not count as allocated.
func (c chain) describe(ctx context.Context, ownOnly bool) (dumpers.DiskInfo, error) {
	top := c.top()
	info := dumpers.DiskInfo{Format: top.format, SizeBytes: top.sizeBytes, Identity: top.identity()}
	if top.device && top.image == nil {
		info.Format = formatDevice
		err := top.sampleData(ctx, &info)
		return info, err
	}
	if len(c) > 1 {
		info.Backing = c[1].path
	}
	err := c.extents(ctx, func(e dumpers.Extent) error {
		if e.Kind == dumpers.Data || e.Kind == dumpers.Inherited && !ownOnly {
			info.AllocatedBytes += e.Length
		}
		return nil
	})
	return info, err
}

// deviceSamples is how many blocks of a device are looked at: 8 MiB to read, and a share that is seldom off by a tenth.
const deviceSamples = 128

// sampleData guesses how much of a device holds data. A device has no map, and to take all of it for data would keep a
// large one that is mostly empty from ever being planned. The blocks are the same each time, and so is the plan.
func (l *layer) sampleData(ctx context.Context, info *dumpers.DiskInfo) error {
	block := make([]byte, blockmap.ClusterBytes)
	count, data := min(deviceSamples, blockmap.Clusters(l.sizeBytes)), int64(0)
	for i := range count {
		if err := ctx.Err(); err != nil {
			return err
		}
		at := l.sizeBytes / count * i / blockmap.ClusterBytes * blockmap.ClusterBytes
		n, err := l.ReadAt(block, at)
		if err != nil && err != io.EOF {
			return err
		}
		if !blockmap.IsZero(block[:n]) {
			data++
		}
	}
	// One more on both sides: a device of which no sample holds data may hold some.
	info.AllocatedBytes = int64(float64(l.sizeBytes) * float64(data+1) / float64(count+1))
	return nil
}

// Pin locks the image against writers, until the point ends. Nothing is made that would outlive the process, so nothing
// is journalled.
func (s *Source) Pin(ctx context.Context, _ dumpers.Journal, disks ...string) (dumpers.Point, error) {
	for _, d := range disks {
		if d != s.disk {
			return nil, s.unknown(d)
		}
	}
	p := &point{source: s, consistency: dumpers.ConsistentOffline}
	var err error
	p.chain, err = openChain(ctx, s.path, s.format, func(f *os.File) error {
		err := lock(f)
		if errors.Is(err, errNoLocks) {
			p.doubt(f.Name() + ": " + err.Error())
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, l := range p.chain {
		if why, err := l.mounted(); err != nil {
			p.doubt(l.path + ": " + err.Error())
		} else if why != "" {
			p.doubt(l.path + ": " + why)
		}
	}
	return p, nil
}

// Reap has nothing to release: locks end with the process that holds them.
func (s *Source) Reap(context.Context, dumpers.Journal) ([]string, error) { return nil, nil }

func (s *Source) unknown(disk string) error {
	return fmt.Errorf("source of %s: it has no disk %q, only %q", s.path, disk, s.disk)
}

// point is an image that is locked against writers.
type point struct {
	source      *Source
	chain       chain
	consistency dumpers.Consistency
	reason      string
}

// doubt notes why the image may change while it is read. The first reason stays.
func (p *point) doubt(reason string) {
	if p.reason == "" {
		p.consistency, p.reason = dumpers.ConsistentUnknown, reason
	}
}

func (p *point) Consistency(string) (dumpers.Consistency, string) { return p.consistency, p.reason }

// Metadata gives image.json: for each file of the chain its path, format and sizes, and what a qcow2 header says. It is
// what somebody needs to know to make the same image again.
func (p *point) Metadata() map[string][]byte {
	type file struct {
		Path      string        `json:"path"`
		Format    string        `json:"format"`
		SizeBytes int64         `json:"size_bytes"`
		QCOW2     *qcow2.Header `json:"qcow2,omitempty"`
	}
	var files []file
	for _, l := range p.chain {
		f := file{Path: l.path, Format: l.format, SizeBytes: l.sizeBytes}
		if l.image != nil {
			header := l.image.Header()
			f.QCOW2 = &header
		}
		files = append(files, f)
	}
	document, err := json.MarshalIndent(map[string]any{"chain": files}, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("file: image.json: %v", err)) // plain strings and numbers always encode
	}
	return map[string][]byte{"image.json": document}
}

func (p *point) Disk(_ context.Context, disk string) (dumpers.BlockView, error) {
	if disk != p.source.disk {
		return nil, p.source.unknown(disk)
	}
	return view{p.chain}, nil
}

// Commit unlocks the image. There is no base to advance: what has changed is found by comparing.
func (p *point) Commit(context.Context) error { return p.end() }

// Abort unlocks the image.
func (p *point) Abort(context.Context) error { return p.end() }

func (p *point) end() error {
	if err := p.chain.close(); err != nil {
		return fmt.Errorf("close image: %w", err)
	}
	return nil
}

// view shows the top of a chain.
type view struct{ chain chain }

func (v view) SizeBytes() int64                            { return v.chain.top().sizeBytes }
func (v view) ReadAt(p []byte, off int64) (n int, e error) { return v.chain.top().ReadAt(p, off) }

func (v view) Extents(ctx context.Context, yield func(dumpers.Extent) error) error {
	return v.chain.extents(ctx, yield)
}

// Changed compares each file with what it was when it was opened.
func (v view) Changed() (string, error) {
	for _, l := range v.chain {
		if why, err := l.changed(); err != nil || why != "" {
			return why, err
		}
	}
	return "", nil
}

// Close leaves the files to the point, which holds the locks by them.
func (v view) Close() error { return nil }
