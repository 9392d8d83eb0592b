package holding

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"holdfast/catalog"
	"holdfast/vtape"
)

// Release removes a dump, and the directory of its run when nothing else is in it. It may be called again after a
// crash, or when all or a part is gone. The first chunk goes first, and lastingly: what a crash leaves then is chunks
// that belong to no dump, which Reap removes; the other way round it would look like a dump that lost data.
func (h *Holding) Release(held catalog.Holding) error {
	if len(held.Chunks) == 0 {
		return nil
	}
	err := h.removeChunks(held.Chunks)
	if err == nil {
		err = h.removeIfEmpty(path.Dir(held.Chunks[0].Path))
	}
	if err != nil {
		return fmt.Errorf("release holding: %s: %w", held.Dump, err)
	}
	return nil
}

// removeChunks removes the chunks of a dump under their final names.
func (h *Holding) removeChunks(chunks []catalog.HoldingChunk) error {
	first := chunks[0].Path
	if err := h.remove(first); err != nil {
		return err
	}
	if err := h.fs.SyncDir(path.Dir(first)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, c := range chunks[1:] {
		if err := h.remove(c.Path); err != nil {
			return err
		}
	}
	return nil
}

// remove removes a file that may be gone already.
func (h *Holding) remove(name string) error {
	if err := h.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// removeIfEmpty removes a run's directory when nothing is left in it, and nothing is being created there.
func (h *Holding) removeIfEmpty(dir string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	entries, err := h.fs.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || len(entries) > 0 {
		return err
	}
	return h.remove(dir)
}

// Reap removes what crashes left and tells the paths: unfinished chunks, chunks that belong neither to a dump found
// nor to one the catalog knows of, and run directories without anything in them. Nothing is removed on a guess: in a
// directory with a dump that is damaged or cannot be read, only unfinished chunks are. A complete dump that the catalog
// does not know stays; Scan finds it.
func (h *Holding) Reap(known func(path string) bool) ([]string, error) {
	return h.eachRun(func(run string) ([]string, error) { return h.reapRun(run, known) })
}

// Leftovers gives the paths that Reap would remove.
func (h *Holding) Leftovers(known func(path string) bool) ([]string, error) {
	return h.eachRun(func(run string) ([]string, error) { return h.leftIn(run, known) })
}

func (h *Holding) eachRun(do func(run string) ([]string, error)) ([]string, error) {
	var removed []string
	var errs []error
	for _, d := range h.dirs {
		runs, err := runDirs(h.fs, d.Path)
		if err != nil {
			errs = append(errs, err)
		}
		for _, run := range runs {
			gone, err := do(run)
			removed = append(removed, gone...)
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return removed, fmt.Errorf("reap holding: %w", err)
	}
	return removed, nil
}

func (h *Holding) reapRun(run string, known func(path string) bool) (removed []string, err error) {
	left, err := h.leftIn(run, known)
	if err != nil {
		return nil, err
	}
	for _, name := range left {
		if err := h.remove(name); err != nil {
			return removed, err
		}
		removed = append(removed, name)
	}
	return removed, h.removeIfEmpty(run)
}

// leftIn gives what is of no use in a run's directory.
func (h *Holding) leftIn(run string, known func(path string) bool) (left []string, err error) {
	keep, err := h.inUse(run)
	if err != nil {
		return nil, err
	}
	entries, err := h.fs.ReadDir(run)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := path.Join(run, e.Name())
		if !e.Type().IsRegular() || known(name) || keep(name) {
			continue
		}
		left = append(left, name)
	}
	return left, nil
}

// inUse tells which files of a run's directory are, or may be, of use.
func (h *Holding) inUse(run string) (func(name string) bool, error) {
	found, err := Scan(h.fs, run)
	if err != nil {
		return nil, err
	}
	used := make(map[string]bool)
	damaged := false
	for _, f := range found {
		damaged = damaged || f.Err != nil
		for _, c := range f.Holding.Chunks {
			used[c.Path] = true
		}
	}
	return func(name string) bool {
		final, unfinished := strings.CutSuffix(name, tmpSuffix)
		h.mu.Lock()
		writing := h.claimed[final]
		h.mu.Unlock()
		if unfinished {
			return writing
		}
		if writing || damaged || used[name] {
			return true
		}
		header, _, err := readHeader(h.fs, name)
		return err != nil || header.Type != vtape.TypeContFile
	}, nil
}
