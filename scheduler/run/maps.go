package run

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"holdfast/catalog"
	"holdfast/internal/blockmap"
	"holdfast/internal/vfs"
	"holdfast/scheduler/recovery"
)

// MapStore keeps the block map of each dump in the state directory.
type MapStore struct {
	fs  vfs.FS
	dir string
}

const (
	mapSuffix = ".map"
	tmpSuffix = ".tmp"
)

// path is where a dump's map lies: its id as one file name.
func (m MapStore) path(id catalog.DumpID) string {
	return filepath.Join(m.dir, url.QueryEscape(string(id))+mapSuffix)
}

// id is the inverse of path.
func (m MapStore) id(name string) (catalog.DumpID, bool) {
	escaped, ok := strings.CutSuffix(name, mapSuffix)
	id, err := url.QueryUnescape(escaped)
	return catalog.DumpID(id), ok && err == nil
}

// Open opens a map; fs.ErrNotExist when there is none.
func (m MapStore) Open(id catalog.DumpID) (*recovery.Map, error) {
	f, err := m.fs.OpenFile(m.path(id), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	bm, err := blockmap.Open(f, info.Size())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("block map %s: %w", m.path(id), err), f.Close())
	}
	return &recovery.Map{Map: bm, Closer: f}, nil
}

// has tells whether there is a map of the dump.
func (m MapStore) has(id catalog.DumpID) bool {
	_, err := m.fs.Stat(m.path(id))
	return err == nil
}

// newMap is a map being written: it gets its name at keep, when the dump it belongs to is durable.
type newMap struct {
	vfs.File
	store MapStore
	id    catalog.DumpID
}

func (m MapStore) create(id catalog.DumpID) (*newMap, error) {
	if err := vfs.MkdirAll(m.fs, m.dir, 0o700); err != nil {
		return nil, err
	}
	f, err := m.fs.OpenFile(m.path(id)+tmpSuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return &newMap{File: f, store: m, id: id}, nil
}

// keep makes the map durable under its name.
func (n *newMap) keep() error {
	if err := errors.Join(n.Sync(), n.Close()); err != nil {
		return errors.Join(err, n.remove())
	}
	if err := n.store.fs.Rename(n.store.path(n.id)+tmpSuffix, n.store.path(n.id)); err != nil {
		return errors.Join(err, n.remove())
	}
	return n.store.fs.SyncDir(n.store.dir)
}

// drop forgets a map whose dump came to nothing.
func (n *newMap) drop() error { return errors.Join(n.Close(), n.remove()) }

func (n *newMap) remove() error { return n.store.fs.Remove(n.store.path(n.id) + tmpSuffix) }

// prune removes the maps of dumps that can no longer be restored, and what a crash left half written.
func (m MapStore) prune(keep func(id catalog.DumpID) bool) error {
	entries, err := m.fs.ReadDir(m.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var removed bool
	for _, e := range entries {
		id, ok := m.id(e.Name())
		if ok && keep(id) || !ok && !strings.HasSuffix(e.Name(), mapSuffix+tmpSuffix) {
			continue
		}
		err = errors.Join(err, m.fs.Remove(filepath.Join(m.dir, e.Name())))
		removed = true
	}
	if removed {
		err = errors.Join(err, m.fs.SyncDir(m.dir))
	}
	return err
}
