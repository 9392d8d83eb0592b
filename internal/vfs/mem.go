package vfs

import (
	"io/fs"
	"math"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// maxSymlinks is how many links one path may lead through, as in Linux.
const maxSymlinks = 40

// Mem is a tree of files in memory that behaves as a POSIX file system does, with two differences: permissions are
// kept but not enforced, and holes in files take room. It remembers what is durable; see CrashClone. Its clock is a
// counter, so that tests see the same times always. It may be used by many goroutines.
type Mem struct {
	mu       sync.Mutex // guards all below, the inodes and the open files
	root     *inode
	capacity int64 // 0: no limit
	used     int64
	clock    int64
}

// inode is a directory, a regular file or a symbolic link.
type inode struct {
	mode    fs.FileMode
	modTime time.Time
	refs    int // names and open files; at 0 the room is given back

	data, synced []byte // of a file: as it is, and as it would be after loss of power
	target       string // of a symbolic link

	entries, syncedEntries map[string]*inode // of a directory, likewise
}

// NewMem gives an empty tree without a limit: only `/` is there.
func NewMem() *Mem {
	m := &Mem{}
	m.root = m.newDir(0o755)
	m.root.refs = 1
	return m
}

// SetCapacity limits the sum of the files' sizes; 0 means no limit. A limit below what is there already only stops
// growth.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// CrashClone gives the tree as the worst loss of power at this moment would leave it: every file has the content of
// its last Sync (none if it never was), and every directory the entries of its last SyncDir. The clone is independent.
func (m *Mem) CrashClone() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &Mem{capacity: m.capacity, clock: m.clock}
	c.root = c.cloneSynced(m.root, make(map[*inode]*inode))
	c.root.refs = 1
	return c
}

func (m *Mem) cloneSynced(n *inode, done map[*inode]*inode) *inode {
	if c := done[n]; c != nil {
		return c
	}
	c := &inode{mode: n.mode, modTime: n.modTime, target: n.target}
	done[n] = c
	if n.mode.IsRegular() {
		c.data = slices.Clone(n.synced)
		c.synced = slices.Clone(n.synced)
		m.used += int64(len(c.data))
	}
	if n.mode.IsDir() {
		c.entries, c.syncedEntries = make(map[string]*inode), make(map[string]*inode)
		for name, child := range n.syncedEntries {
			cc := m.cloneSynced(child, done)
			cc.refs++
			c.entries[name], c.syncedEntries[name] = cc, cc
		}
	}
	return c
}

func (m *Mem) now() time.Time {
	m.clock++
	return time.Unix(0, m.clock)
}

func (m *Mem) newDir(perm fs.FileMode) *inode {
	return &inode{
		mode: fs.ModeDir | perm.Perm(), modTime: m.now(),
		entries: make(map[string]*inode), syncedEntries: make(map[string]*inode),
	}
}

// place is where a path leads: the directory, the last name in it, and what bears that name (nil: nothing).
type place struct {
	dir  *inode
	name string
	node *inode
}

// lookup walks the path. It follows symbolic links on the way, and a last one if follow is set.
func (m *Mem) lookup(name string, follow bool) (place, error) {
	links := 0
	root := place{dir: m.root, name: ".", node: m.root}
	at := root
	var above []place // the directories on the way to at, for ".."
	todo := strings.Split(name, "/")
	for len(todo) > 0 {
		elem := todo[0]
		todo = todo[1:]
		switch {
		case elem == "" || elem == ".":
			continue
		case at.node == nil:
			return place{}, syscall.ENOENT
		case !at.node.mode.IsDir():
			return place{}, syscall.ENOTDIR
		case elem == "..":
			if len(above) > 0 {
				at = above[len(above)-1]
				above = above[:len(above)-1]
			}
			continue
		}
		child := at.node.entries[elem]
		if child != nil && child.mode&fs.ModeSymlink != 0 && (follow || len(todo) > 0) {
			if links++; links > maxSymlinks {
				return place{}, syscall.ELOOP
			}
			todo = append(strings.Split(child.target, "/"), todo...)
			if path.IsAbs(child.target) {
				at, above = root, nil
			}
			continue
		}
		above = append(above, at)
		at = place{dir: at.node, name: elem, node: child}
	}
	return at, nil
}

// find is lookup of something that must be there.
func (m *Mem) find(name string, follow bool) (*inode, error) {
	at, err := m.lookup(name, follow)
	if err == nil && at.node == nil {
		err = syscall.ENOENT
	}
	return at.node, err
}

func (m *Mem) link(at place, n *inode) {
	n.refs++
	at.dir.entries[at.name] = n
	at.dir.modTime = m.now()
}

func (m *Mem) unlink(at place) {
	delete(at.dir.entries, at.name)
	at.dir.modTime = m.now()
	m.release(at.node)
}

func (m *Mem) release(n *inode) {
	if n.refs--; n.refs == 0 {
		m.used -= int64(len(n.data))
	}
}

// OpenFile is os.OpenFile.
func (m *Mem) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.open(name, flag, perm)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	n.refs++
	return &memFile{m: m, n: n, name: name, flag: flag}, nil
}

func (m *Mem) open(name string, flag int, perm fs.FileMode) (*inode, error) {
	excl := flag&os.O_EXCL != 0 && flag&os.O_CREATE != 0
	at, err := m.lookup(name, !excl)
	writes := flag&(os.O_WRONLY|os.O_RDWR) != 0
	switch {
	case err != nil:
		return nil, err
	case at.node != nil && excl:
		return nil, syscall.EEXIST
	case at.node == nil && flag&os.O_CREATE == 0:
		return nil, syscall.ENOENT
	case at.node == nil:
		if len(at.name) > 255 {
			return nil, syscall.ENAMETOOLONG
		}
		n := &inode{mode: perm.Perm(), modTime: m.now()}
		m.link(at, n)
		return n, nil
	case at.node.mode.IsDir() && (writes || flag&os.O_CREATE != 0):
		return nil, syscall.EISDIR
	}
	if writes && flag&os.O_TRUNC != 0 {
		m.resize(at.node, 0)
	}
	return at.node, nil
}

// Mkdir is os.Mkdir.
func (m *Mem) Mkdir(name string, perm fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, err := m.lookup(name, false)
	if err == nil && at.node != nil {
		err = syscall.EEXIST
	}
	if err != nil {
		return &fs.PathError{Op: "mkdir", Path: name, Err: err}
	}
	m.link(at, m.newDir(perm))
	return nil
}

// Remove is os.Remove.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, err := m.lookup(name, false)
	switch {
	case err != nil:
	case at.node == nil:
		err = syscall.ENOENT
	case at.node == m.root:
		err = syscall.EBUSY
	case len(at.node.entries) > 0:
		err = syscall.ENOTEMPTY
	}
	if err != nil {
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
	m.unlink(at)
	return nil
}

// Rename is os.Rename.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.rename(from, to); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

func (m *Mem) rename(from, to string) error {
	src, err := m.lookup(from, false)
	if err != nil {
		return err
	}
	dst, err := m.lookup(to, false)
	if err != nil {
		return err
	}
	switch {
	case src.node == nil:
		return syscall.ENOENT
	case dst.node != nil && dst.node.mode.IsDir() && (from == to || src.node != dst.node):
		return syscall.EEXIST // package os never renames over a directory
	case src.node == dst.node:
		return nil
	case src.node.contains(dst.dir):
		return syscall.EINVAL
	case dst.node != nil && src.node.mode.IsDir():
		return syscall.ENOTDIR
	}
	if dst.node != nil {
		m.unlink(dst)
	}
	m.link(dst, src.node)
	m.unlink(src)
	return nil
}

func (n *inode) contains(other *inode) bool {
	if n == other {
		return true
	}
	for _, child := range n.entries {
		if child.contains(other) {
			return true
		}
	}
	return false
}

// Symlink is os.Symlink.
func (m *Mem) Symlink(target, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, err := m.lookup(name, false)
	if err == nil && at.node != nil {
		err = syscall.EEXIST
	}
	if err != nil {
		return &os.LinkError{Op: "symlink", Old: target, New: name, Err: err}
	}
	m.link(at, &inode{mode: fs.ModeSymlink | 0o777, modTime: m.now(), target: target})
	return nil
}

// Readlink is os.Readlink.
func (m *Mem) Readlink(name string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(name, false)
	if err == nil && n.mode&fs.ModeSymlink == 0 {
		err = syscall.EINVAL
	}
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return n.target, nil
}

// ReadDir is os.ReadDir.
func (m *Mem) ReadDir(name string) ([]fs.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(name, true)
	if err == nil && !n.mode.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	list := make([]fs.DirEntry, 0, len(n.entries))
	for child, node := range n.entries {
		list = append(list, fs.FileInfoToDirEntry(node.info(child)))
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}

// Stat is os.Stat.
func (m *Mem) Stat(name string) (fs.FileInfo, error) { return m.stat("stat", name, true) }

// Lstat is os.Lstat.
func (m *Mem) Lstat(name string) (fs.FileInfo, error) { return m.stat("lstat", name, false) }

func (m *Mem) stat(op, name string, follow bool) (fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(name, follow)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return n.info(path.Base(name)), nil
}

// SyncDir makes the directory's entries durable.
func (m *Mem) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(name, true)
	if err == nil && !n.mode.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return &fs.PathError{Op: "open", Path: name, Err: err}
	}
	n.syncedEntries = make(map[string]*inode, len(n.entries))
	for child, node := range n.entries {
		n.syncedEntries[child] = node
	}
	return nil
}

// Space gives the capacity and what is left of it; without a limit, a quarter of what an int64 holds.
func (m *Mem) Space(name string) (Space, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.find(name, true); err != nil {
		return Space{}, &fs.PathError{Op: "statfs", Path: name, Err: err}
	}
	total := m.capacity
	if total == 0 {
		total = math.MaxInt64 / 4
	}
	return Space{Total: total, Free: max(0, total-m.used)}, nil
}
