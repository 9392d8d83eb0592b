package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"holdfast/catalog"
	"holdfast/scheduler/run/taping"
	"holdfast/vtape/holding"
	"holdfast/vtape/taper"
)

// heldDumps is what lies on the holding disk during a run: who reads it, and what may be let go of.
type heldDumps struct {
	mu   sync.Mutex
	cond *sync.Cond // told when there may be more room, or less to wait for
	// dumps are in the order in which they came, the oldest first.
	dumps []*heldDump
	// watcher is told what cond is; nil for nobody.
	watcher func()
	// waiting are the dumps that wait for room in their midst; short tells that others wait for it to begin. They are read while
	// a writer's lock is held, so not under mu.
	waiting atomic.Int32
	short   atomic.Bool
}

// heldDump is one of them.
type heldDump struct {
	catalog.Holding
	full    bool
	readers int
	// whole tells that some storage holds all of it.
	whole bool
}

func newHeldDumps() *heldDumps {
	h := &heldDumps{}
	h.cond = sync.NewCond(&h.mu)
	return h
}

// changed tells those who wait to look anew.
func (h *heldDumps) changed() {
	h.mu.Lock()
	h.cond.Broadcast()
	watcher := h.watcher
	h.mu.Unlock()
	if watcher != nil {
		watcher()
	}
}

// watch has f told of each change from now on; nil: nobody.
func (h *heldDumps) watch(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watcher = f
}

func (h *heldDumps) add(d catalog.Dump, held catalog.Holding, whole bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dumps = append(h.dumps, &heldDump{Holding: held, full: d.Level == 0, whole: whole})
}

func (h *heldDumps) find(id catalog.DumpID) *heldDump {
	if i := slices.IndexFunc(h.dumps, func(d *heldDump) bool { return d.Dump == id }); i >= 0 {
		return h.dumps[i]
	}
	return nil
}

// read keeps a dump where it is until done is called; false when it is gone.
func (h *heldDumps) read(id catalog.DumpID) (held catalog.Holding, done func(), ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.find(id)
	if d == nil {
		return held, nil, false
	}
	d.readers++
	return d.Holding, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		d.readers--
	}, true
}

// written notes that some storage holds all of a dump, and tells whether it is on the holding disk.
func (h *heldDumps) written(id catalog.DumpID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.find(id)
	if d != nil {
		d.whole = true
	}
	return d != nil
}

// take takes the first such dump off the list, for it to be removed. One that is being read stays.
func (h *heldDumps) take(which func(*heldDump) bool) (catalog.Holding, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.dumps, func(d *heldDump) bool { return d.readers == 0 && which(d) })
	if i < 0 {
		return catalog.Holding{}, false
	}
	d := h.dumps[i]
	h.dumps = slices.Delete(h.dumps, i, i+1)
	return d.Holding, true
}

// fullBytes is what fulls take on the holding disk.
func (h *heldDumps) fullBytes() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	var sum int64
	for _, d := range h.dumps {
		if d.full {
			sum += heldBytes([]catalog.Holding{d.Holding})
		}
	}
	return sum
}

// looseBytes is what dumps take that could be let go of.
func (h *heldDumps) looseBytes() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	var sum int64
	for _, d := range h.dumps {
		if d.whole && d.readers == 0 {
			sum += heldBytes([]catalog.Holding{d.Holding})
		}
	}
	return sum
}

// has tells whether a dump is on the holding disk.
func (h *heldDumps) has(id catalog.DumpID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.find(id) != nil
}

// openHeld opens a dump on the holding disk for a writer.
func (s *session) openHeld(id catalog.DumpID) func(context.Context) (taper.Dump, func() error, error) {
	return func(context.Context) (taper.Dump, func() error, error) {
		held, done, ok := s.held.read(id)
		if !ok {
			return taper.Dump{}, nil, fmt.Errorf("%s: %w", id, taping.ErrGone)
		}
		r, err := holding.Open(s.FS, held)
		if err != nil {
			done()
			return taper.Dump{}, nil, err
		}
		return taper.Dump{ID: id, Header: r.Header(), Held: r, HeldBytes: r.Size()}, func() error {
			defer done()
			return r.Close()
		}, nil
	}
}

// written is told of each copy that is whole. The dump leaves the holding disk when every direct storage has it.
func (s *session) written(ctx context.Context, id catalog.DumpID) error {
	if !s.held.written(id) {
		return nil
	}
	still, err := s.Store.WantedOf(ctx, id)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(still, s.isDirect) {
		return nil
	}
	if held, ok := s.held.take(func(d *heldDump) bool { return d.Dump == id }); ok {
		return s.release(ctx, held)
	}
	return nil
}

// isDirect tells whether a storage is one that runs write to while dumping.
func (s *session) isDirect(name string) bool {
	st, ok := s.Config.Storage[name]
	return ok && !st.Vault.On()
}

// release removes a dump that is safe elsewhere from the holding disk.
func (s *session) release(ctx context.Context, h catalog.Holding) error {
	defer s.held.changed()
	if err := s.holding.Release(h); err != nil {
		return s.problem(ctx, "%s is on volumes, but cannot be removed from the holding disk: %v", h.Dump, err)
	}
	return s.Store.DropHeld(ctx, h.Dump)
}

// letGo makes room on the holding disk: the oldest dump goes that some storage holds whole. What other storages still want of
// it they get from there. It tells whether there was one.
func (s *session) letGo(ctx context.Context) (bool, error) {
	held, ok := s.held.take(func(d *heldDump) bool { return d.whole })
	if !ok {
		return false, nil
	}
	ctx = context.WithoutCancel(ctx)
	return true, errors.Join(
		s.note(ctx, "driver", "%s left the holding disk to make room; storages that lack it get it from volumes", held.Dump),
		s.release(ctx, held))
}
