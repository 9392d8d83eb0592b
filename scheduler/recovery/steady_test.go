package recovery

import (
	"errors"
	"sync"
	"testing"

	"holdfast/internal/vfs"
)

// lossyFile takes writes, and loses what is written before its first sync.
type lossyFile struct {
	vfs.File
	mu     sync.Mutex
	synced chan struct{} // closed by the first sync
	syncs  int
	closed bool
}

var errLost = errors.New("lost")

func (l *lossyFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

func (l *lossyFile) Sync() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.syncs++; l.syncs == 1 {
		close(l.synced)
		return errLost
	}
	return nil
}

func (l *lossyFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return nil
}

// What the disk has lost beside the writing is known at the end, though the last sync succeeds.
func TestSteadyFileKeepsLosses(t *testing.T) {
	disk := &lossyFile{synced: make(chan struct{})}
	f := &steadyFile{File: disk}
	piece := make([]byte, 1<<20)
	for off := int64(0); off < steadyBytes; off += int64(len(piece)) {
		if disk.syncs != 0 {
			t.Fatalf("synced after %d bytes", off)
		}
		if _, err := f.WriteAt(piece, off); err != nil {
			t.Fatal(err)
		}
	}
	<-disk.synced // before the end asks for it
	if err := f.Sync(); !errors.Is(err, errLost) {
		t.Errorf("sync: %v, want the error of the sync before it", err)
	}
	if err := f.Close(); err != nil || !disk.closed {
		t.Errorf("close: %v, closed %v", err, disk.closed)
	}
}

// Little is synced once, at the end.
func TestSteadyFileSmall(t *testing.T) {
	disk := &lossyFile{synced: make(chan struct{}), syncs: 1}
	f := &steadyFile{File: disk}
	if _, err := f.WriteAt(make([]byte, 1<<20), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil || disk.syncs != 2 {
		t.Errorf("sync: %v, %d syncs, want 1", err, disk.syncs-1)
	}
}
