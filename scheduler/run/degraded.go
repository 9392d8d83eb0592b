package run

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/scheduler"
	"holdfast/scheduler/run/taping"
	"holdfast/vtape/holding"
	"holdfast/vtape/taper"
)

// degradation is the run's degraded mode: when none of a dump's storages can be written, it goes on to the holding disk.
// Incrementals always do; fulls as far as they leave the reserve to incrementals.
type degradation struct {
	mu   sync.Mutex
	told bool
	// admitted are fulls on their way to the holding disk, with their expected bytes.
	admitted map[catalog.DLE]int64
}

// keepsFull tells whether a full of so many bytes may go to the holding disk, by Amanda's rule: what is reserved for
// incrementals, the fulls there and this one must not be more than there is.
func keepsFull(totalBytes int64, reservePercent int, fullsBytes, bytes int64) bool {
	reserved := float64(totalBytes) * float64(reservePercent) / 100
	return reserved+float64(fullsBytes)+float64(bytes) <= float64(totalBytes)
}

// degrade gives what is dumped in place of a planned entry while nothing can be written to its storages, and why. The error is
// why nothing is.
func (s *session) degrade(ctx context.Context, e scheduler.Entry) (entry scheduler.Entry, why string, err error) {
	writers := s.targets(catalog.Dump{ID: catalog.NewDumpID(e.DLE, s.stamp, e.Level), DLE: e.DLE, Stamp: s.stamp, Level: e.Level})
	if !s.options.NoTaper && s.canTape(ctx, writers) {
		return e, "", nil
	}
	off := offReason(writers)
	if err := s.tellDegraded(ctx, off); err != nil {
		return e, "", recorded(err)
	}
	dle, _ := s.Config.Find(e.DLE)
	switch {
	case s.Config.TypeOf(dle).Holding == configs.HoldingNever:
		return e, "", fmt.Errorf("%w, and its dump type keeps it from the holding disk (holding: never)", off)
	case len(s.Config.Holding) == 0:
		return e, "", fmt.Errorf("%w, and there is no holding disk", off)
	case e.Level > 0:
		return e, "", nil
	}
	full := s.admit(e.DLE, e.StoredBytes)
	switch {
	case full == nil:
		return e, "", nil
	case e.Degraded == nil:
		return e, "", fmt.Errorf("%w; there is no incremental to make instead: %s", full, e.Reason)
	}
	return *e.Degraded, fmt.Sprintf("%v: incremental instead", full), nil
}

// offReason joins why nothing can be written to any of the storages.
func offReason(writers []*taping.Writer) error {
	var why []error
	for _, w := range writers {
		if _, off := w.State(); off != nil && !slices.ContainsFunc(why, func(e error) bool { return e.Error() == off.Error() }) {
			why = append(why, off)
		}
	}
	switch len(why) {
	case 0:
		return taper.ErrNoVolume
	case 1:
		return why[0]
	}
	texts := make([]string, len(why))
	for i, err := range why {
		texts[i] = strings.TrimPrefix(err.Error(), taper.ErrNoVolume.Error()+": ")
	}
	return fmt.Errorf("%w: %s", taper.ErrNoVolume, strings.Join(texts, "; "))
}

// tellDegraded records once that the run goes on without volumes. What the administrator asked for needs no telling.
func (s *session) tellDegraded(ctx context.Context, off error) error {
	s.degraded.mu.Lock()
	defer s.degraded.mu.Unlock()
	if s.degraded.told || s.options.NoTaper {
		return nil
	}
	s.degraded.told = true
	return s.event(ctx, catalog.Degraded{Reason: off.Error()})
}

// canTape waits until one of the writers is known to be able to write, or all are known not to be.
func (s *session) canTape(ctx context.Context, writers []*taping.Writer) bool {
	defer context.AfterFunc(ctx, s.held.changed)()
	s.held.mu.Lock()
	defer s.held.mu.Unlock()
	for ctx.Err() == nil {
		open := false
		for _, w := range writers {
			probed, off := w.State()
			if probed && off == nil {
				return true
			}
			open = open || !probed
		}
		if !open {
			return false
		}
		s.held.cond.Wait()
	}
	return true
}

// admit takes a full in, or says why the holding disk has no room for it.
func (s *session) admit(dle catalog.DLE, bytes int64) error {
	var total, most int64
	for _, u := range s.holding.Usage() {
		if u.Err == nil {
			total, most = total+u.Total(), max(most, u.Room)
		}
	}
	s.degraded.mu.Lock()
	defer s.degraded.mu.Unlock()
	fulls := s.held.fullBytes()
	for other, size := range s.degraded.admitted {
		if other != dle {
			fulls += size
		}
	}
	if !keepsFull(total, s.Config.Reserve, fulls, bytes) || bytes > most+s.held.looseBytes() {
		return fmt.Errorf("full of %s does not go to the holding disk without a volume: %w: it has %s, %d%% of which is for incrementals, and %s are taken by fulls",
			size(bytes), holding.ErrNoRoom, size(total), s.Config.Reserve, size(fulls))
	}
	s.degraded.admitted[dle] = bytes
	return nil
}

// settled forgets a full that is on the holding disk, or will not be.
func (d *degradation) settled(dle catalog.DLE) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.admitted, dle)
}

// admitUnplanned is for a dump that became a full only when it was made.
func (d *dumping) admitUnplanned(bytes int64) error {
	d.degraded.mu.Lock()
	_, admitted := d.degraded.admitted[d.dle.Name()]
	d.degraded.mu.Unlock()
	if d.level > 0 || admitted || d.entry.Level == 0 || able(d.targets(d.id())) {
		return nil
	}
	return d.admit(d.dle.Name(), bytes)
}
