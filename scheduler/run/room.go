package run

import (
	"context"
	"errors"
	"time"

	"holdfast/configs"
	"holdfast/scheduler/run/driving"
	"holdfast/vtape/holding"
)

func timeSpan(d configs.Duration) time.Duration { return time.Duration(d) }

// mayHold tells whether dumps of a type go to a holding disk if they can.
func (s *session) mayHold(t configs.DumpType) bool {
	return t.Holding != configs.HoldingNever && len(s.Config.Holding) > 0
}

// room is the holding disks as the driver sees them.
type room struct {
	*session
	// mostBytes is what the largest of them takes when it is empty.
	mostBytes int64
}

func (s *session) newRoom() *room {
	r := &room{session: s}
	for _, u := range s.holding.Usage() {
		if u.Err == nil {
			r.mostBytes = max(r.mostBytes, u.Total())
		}
	}
	return r
}

// Reserve promises room; dumps that are safe on volumes are let go of for it.
func (r *room) Reserve(ctx context.Context, bytes int64) (driving.Reservation, error) {
	var promised *holding.Reservation
	ok, err := r.roomFor(ctx, func() (err error) {
		promised, err = r.holding.Reserve(bytes)
		return err
	})
	if !ok || err != nil {
		return nil, err
	}
	return promised, nil
}

// Holds tells whether so much would fit on an empty holding disk.
func (r *room) Holds(bytes int64) bool { return bytes <= r.mostBytes }

// Coming tells whether something is being written to volumes.
func (r *room) Coming() bool {
	for _, w := range r.writers {
		if w.Working() {
			return true
		}
	}
	return false
}

// roomFor tries to get room until there is none left to let go of; false when there is no room now.
func (s *session) roomFor(ctx context.Context, try func() error) (bool, error) {
	for {
		err := try()
		if err == nil || !errors.Is(err, holding.ErrNoRoom) {
			return err == nil, err
		}
		gone, err := s.letGo(ctx)
		if err != nil {
			return false, recorded(err)
		}
		if !gone {
			return false, nil
		}
	}
}

// awaitRoom waits until there is room.
func (d *dumping) awaitRoom(ctx context.Context, try func() error) error {
	d.held.waiting.Add(1)
	defer d.held.waiting.Add(-1)
	return d.task.Await(ctx, func() (bool, error) {
		ok, err := d.roomFor(ctx, try)
		if !ok && err == nil {
			d.pokeWriters()
		}
		return ok, err
	})
}

// reserve makes the room that the driver has reserved such that a dump of so many bytes fits, and grows with it. Where it has
// reserved none, there may be room for what the dump proves to be.
func (d *dumping) reserve(ctx context.Context, bytes int64) (*holding.Reservation, error) {
	r, ok := d.task.Room.(*holding.Reservation)
	if !ok {
		var err error
		if _, gone := d.roomFor(ctx, func() error { r, err = d.holding.Reserve(bytes); return err }); gone != nil {
			return nil, gone
		}
		return r, err
	}
	try := func() error { return r.Resize(bytes) }
	if err := d.awaitRoom(ctx, try); err != nil {
		return nil, err
	}
	r.OnFull(func(try func() error) error { return d.awaitRoom(ctx, try) })
	return r, nil
}

// pokeWriters has the writers look anew: no threshold counts while a dump waits for room.
func (s *session) pokeWriters() {
	for _, w := range s.writers {
		w.Poke()
	}
}

// noRoom tells whether an error means that a dump has to go straight to a volume.
func noRoom(err error) bool {
	return errors.Is(err, holding.ErrNoRoom) || errors.Is(err, driving.ErrGiveWay)
}
