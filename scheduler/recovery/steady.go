package recovery

import (
	"errors"
	"sync"

	"holdfast/internal/vfs"
)

// steadyBytes is how much is written between two syncs.
const steadyBytes = 64 << 20

// steadyFile goes to the disk while it is written: each time some more of it is there, it is synced beside the writing.
// So the disk works from the start, and the sync at the end has little to wait for. Left alone, the kernel holds back
// what memory it has, and the end waits for all of it.
type steadyFile struct {
	vfs.File

	mu       sync.Mutex // guards what follows
	unsynced int64      // bytes written since the last sync was begun
	syncing  bool
	err      error // of a sync beside; the kernel tells of each loss only once
	syncs    sync.WaitGroup
}

// WriteAt writes into the file. It is called from several goroutines.
func (s *steadyFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := s.File.WriteAt(p, off)
	s.wrote(n)
	return n, err
}

// Write appends to the file.
func (s *steadyFile) Write(p []byte) (int, error) {
	n, err := s.File.Write(p)
	s.wrote(n)
	return n, err
}

func (s *steadyFile) wrote(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unsynced += int64(n); s.unsynced < steadyBytes || s.syncing {
		return
	}
	s.unsynced, s.syncing = 0, true
	s.syncs.Go(func() {
		err := s.File.Sync()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.syncing, s.err = false, errors.Join(s.err, err)
	})
}

// Sync makes all of the file last; the writing has ended.
func (s *steadyFile) Sync() error {
	s.syncs.Wait()
	return errors.Join(s.err, s.File.Sync())
}

// Close closes the file; the writing has ended.
func (s *steadyFile) Close() error {
	s.syncs.Wait()
	return s.File.Close()
}
