package vfs

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"syscall"
	"time"
)

// memFile is an open file of a Mem; m.mu guards it.
type memFile struct {
	m      *Mem
	n      *inode
	name   string
	flag   int
	offset int64
	closed bool
}

func (f *memFile) Name() string { return f.name }

// use locks the tree for an operation on an open file; the caller calls the function it gets when done.
func (f *memFile) use() (unlock func(), err error) {
	f.m.mu.Lock()
	if f.closed {
		f.m.mu.Unlock()
		return nil, fs.ErrClosed
	}
	return f.m.mu.Unlock, nil
}

func (f *memFile) fail(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &fs.PathError{Op: op, Path: f.name, Err: err}
}

func (f *memFile) Read(p []byte) (int, error) {
	unlock, err := f.use()
	if err != nil {
		return 0, f.fail("read", err)
	}
	defer unlock()
	if len(p) == 0 {
		return 0, nil
	}
	n, err := f.readAt(p, f.offset)
	f.offset += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, f.fail("read", err)
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	unlock, err := f.use()
	if err != nil {
		return 0, f.fail("read", err)
	}
	defer unlock()
	n, err := f.readAt(p, off)
	return n, f.fail("read", err)
}

func (f *memFile) readAt(p []byte, off int64) (int, error) {
	switch {
	case f.flag&os.O_WRONLY != 0:
		return 0, syscall.EBADF
	case f.n.mode.IsDir():
		return 0, syscall.EISDIR
	case off < 0:
		return 0, errors.New("negative offset")
	case off >= int64(len(f.n.data)):
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) Write(p []byte) (int, error) {
	unlock, err := f.use()
	if err != nil {
		return 0, f.fail("write", err)
	}
	defer unlock()
	if f.flag&os.O_APPEND != 0 {
		f.offset = int64(len(f.n.data))
	}
	n, err := f.writeAt(p, f.offset)
	f.offset += int64(n)
	return n, f.fail("write", err)
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	unlock, err := f.use()
	if err != nil {
		return 0, f.fail("write", err)
	}
	defer unlock()
	if f.flag&os.O_APPEND != 0 {
		return 0, f.fail("write", errors.New("WriteAt on a file opened for appending"))
	}
	n, err := f.writeAt(p, off)
	return n, f.fail("write", err)
}

// writeAt writes what fits, as a real file system does.
func (f *memFile) writeAt(p []byte, off int64) (int, error) {
	switch {
	case f.flag&(os.O_WRONLY|os.O_RDWR) == 0:
		return 0, syscall.EBADF
	case off < 0:
		return 0, errors.New("negative offset")
	}
	var full error
	if room := f.m.room(f.n); off+int64(len(p)) > room {
		p, full = p[:max(0, room-off)], syscall.ENOSPC
	}
	if len(p) > 0 {
		f.m.resize(f.n, max(off+int64(len(p)), int64(len(f.n.data))))
		copy(f.n.data[off:], p)
	}
	return len(p), full
}

// room is how long the file can be without more than the capacity being used.
func (m *Mem) room(n *inode) int64 {
	if m.capacity == 0 {
		return math.MaxInt64
	}
	return int64(len(n.data)) + max(0, m.capacity-m.used)
}

func (m *Mem) resize(n *inode, size int64) {
	have := int64(len(n.data))
	if size > have {
		n.data = slices.Grow(n.data, int(size-have))[:size]
		clear(n.data[have:])
	} else {
		n.data = n.data[:size]
	}
	m.used += size - have
	n.modTime = m.now()
}

func (f *memFile) Seek(offset int64, whence int) (int64, error) {
	unlock, err := f.use()
	if err != nil {
		return 0, f.fail("seek", err)
	}
	defer unlock()
	switch whence {
	case io.SeekCurrent:
		offset += f.offset
	case io.SeekEnd:
		offset += int64(len(f.n.data))
	}
	if offset < 0 {
		return 0, f.fail("seek", syscall.EINVAL)
	}
	f.offset = offset
	return offset, nil
}

func (f *memFile) Stat() (fs.FileInfo, error) {
	unlock, err := f.use()
	if err != nil {
		return nil, f.fail("stat", err)
	}
	defer unlock()
	return f.n.info(f.name), nil
}

func (f *memFile) Truncate(sizeBytes int64) error {
	unlock, err := f.use()
	if err != nil {
		return f.fail("truncate", err)
	}
	defer unlock()
	switch {
	case sizeBytes < 0 || f.flag&(os.O_WRONLY|os.O_RDWR) == 0:
		return f.fail("truncate", syscall.EINVAL)
	case sizeBytes > f.m.room(f.n):
		return f.fail("truncate", syscall.ENOSPC)
	}
	f.m.resize(f.n, sizeBytes)
	return nil
}

func (f *memFile) Sync() error {
	unlock, err := f.use()
	if err != nil {
		return f.fail("sync", err)
	}
	defer unlock()
	f.n.synced = append(f.n.synced[:0], f.n.data...)
	return nil
}

func (f *memFile) Close() error {
	unlock, err := f.use()
	if err != nil {
		return f.fail("close", err)
	}
	defer unlock()
	f.closed = true
	f.m.release(f.n)
	return nil
}

// memInfo is the fs.FileInfo of an inode at one moment.
type memInfo struct {
	name    string
	size    int64
	mode    fs.FileMode
	modTime time.Time
}

func (n *inode) info(name string) fs.FileInfo {
	size := int64(len(n.data))
	if n.mode&fs.ModeSymlink != 0 {
		size = int64(len(n.target))
	}
	return memInfo{name: name, size: size, mode: n.mode, modTime: n.modTime}
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) Mode() fs.FileMode  { return i.mode }
func (i memInfo) ModTime() time.Time { return i.modTime }
func (i memInfo) IsDir() bool        { return i.mode.IsDir() }
func (i memInfo) Sys() any           { return nil }
