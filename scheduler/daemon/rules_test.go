package daemon_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/scheduler/daemon"
)

// untilStopped is work that goes on until it shall end.
func untilStopped(ctx context.Context, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

// A night that was broken off twice does not keep the next one from being begun again.
func TestBrokenOffNextNight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "UTC", daemon.Entry{Job: "run", Text: "0 1 * * *", CatchUp: 6 * time.Hour})
		s.work = untilStopped
		for _, at := range []string{"2000-01-01 01:10", "2000-01-02 01:10"} {
			s.start()
			s.until(at)
			s.down()
			s.start()
			s.down()
		}
		s.forget()
		s.start()
		s.expect("started", "run 02T01:00 was broken off")
		s.down()
	})
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "UTC", daemon.Entry{Job: "run", Text: "0 1 * * *", CatchUp: 6 * time.Hour})
		s.work = untilStopped
		s.start()
		s.until("2000-01-01 01:10")
		s.down()
		s.start() // begun again
		s.down()
		s.start() // given up
		s.until("2000-01-02 01:10")
		s.down()
		s.forget()
		s.start()
		s.expect("started", "run 02T01:00 was broken off, begun again", "run 02T01:00 begun")
		s.down()
	})
}

// A clock that goes back by more than half the way to the next time was wrong before; by less, its times are the same ones.
func TestClockBackHalfWay(t *testing.T) {
	for _, c := range []struct {
		back time.Duration
		want []string
	}{
		{12 * time.Hour, nil},
		{14 * time.Hour, []string{"run 01T01:00 the clock went back", "run 01T01:00 due", "run 01T01:00 begun", "run 01T01:00 done"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, "UTC", daemon.Entry{Job: "run", Text: "0 1 * * *", CatchUp: 6 * time.Hour})
			s.start()
			s.until("2000-01-01 01:30")
			s.forget()
			s.jump(-c.back)
			s.until("2000-01-01 01:30")
			s.expect(c.want...)
			s.down()
		})
	}
}

// A job that a reload takes out of the schedule while it waits is not done; put in again, it has missed nothing.
func TestReloadTakesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "UTC",
			daemon.Entry{Job: "run", Text: "0 1 * * *", CatchUp: 6 * time.Hour}, daemon.Entry{Job: "flush", Text: "0 2 * * *", CatchUp: 24 * time.Hour})
		s.work = lasting(3 * time.Hour)
		both := s.entries
		s.start()
		s.until("2000-01-01 02:30")
		s.entries = both[:1]
		s.reload <- struct{}{}
		s.until("2000-01-01 03:00")
		s.entries = both
		s.reload <- struct{}{}
		s.until("2000-01-01 12:00")
		s.expect("started", "run 01T01:00 due", "run 01T01:00 begun", "flush 01T02:00 due", "reloaded", "reloaded", "run 01T01:00 done")
		s.down()
	})
}
