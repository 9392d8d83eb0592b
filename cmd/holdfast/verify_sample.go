package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"github.com/urfave/cli/v2"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/internal/vfs"
	"holdfast/scheduler/recovery"
)

// sampling is what verify --sample remembers: when each dump was read last.
type sampling struct {
	site *site
	lock *flock.Flock
	read map[catalog.DumpID]time.Time
}

func (s *site) sampleFile() string { return filepath.Join(s.Config.State, "verified.json") }

// beginSample picks the dumps of a sample of all.
func beginSample(s *site, all []catalog.Dump, percent configs.Share) (*sampling, []catalog.Dump, error) {
	lock := flock.New(filepath.Join(s.Config.State, "verified.lock"))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, nil, fmt.Errorf("lock %s: %w", lock.Path(), err)
	}
	if !ok {
		return nil, nil, errors.New("another verify --sample is at work")
	}
	m := &sampling{site: s, lock: lock, read: map[catalog.DumpID]time.Time{}}
	text, err := vfs.ReadFile(s.FS, s.sampleFile())
	if err == nil {
		err = json.Unmarshal(text, &m.read)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.close()
		return nil, nil, withHint(fmt.Errorf("samples: %s: %w", s.sampleFile(), err), "without the file, the samples begin anew")
	}
	return m, recovery.Sample(all, m.read, float64(percent)), nil
}

// note remembers that a dump was read. Without sampling nothing is noted.
func (m *sampling) note(d catalog.Dump) {
	if m != nil {
		m.read[d.ID] = m.site.Now().UTC()
	}
}

// end writes down what was read, once it has been told, and forgets dumps that are nowhere any more.
func (m *sampling) end(c *cli.Context) error {
	if m == nil {
		return nil
	}
	placed, err := m.site.Placed(c.Context)
	if err == nil { // else nothing is forgotten: the context may be over
		for id := range m.read {
			if !placed[id] {
				delete(m.read, id)
			}
		}
	}
	text, err := json.MarshalIndent(m.read, "", " ")
	if err == nil {
		err = vfs.WriteFileDurable(m.site.FS, m.site.sampleFile(), append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	return nil
}

// close lets the next one begin. Without sampling there is nothing to close.
func (m *sampling) close() {
	if m != nil {
		_ = m.lock.Unlock()
	}
}
