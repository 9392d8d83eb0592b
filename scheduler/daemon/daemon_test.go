package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/cronline"
	"holdfast/internal/vfs"
	"holdfast/scheduler/daemon"
)

// site is a daemon with all around it, on a clock that can jump. Its time is that of a synctest bubble.
type site struct {
	t       *testing.T
	fs      vfs.FS
	zone    *time.Location
	entries []daemon.Entry
	loadErr error
	reload  chan struct{}
	// work is what a job does; nil: nothing.
	work func(ctx context.Context, job string) error

	mu     sync.Mutex // guards the three below
	offset time.Duration
	events []daemon.Event
	told   []string

	stop context.CancelFunc
	end  chan error
}

func newSite(t *testing.T, zone string, entries ...daemon.Entry) *site {
	t.Helper()
	s := &site{t: t, fs: vfs.NewMem(), entries: entries, reload: make(chan struct{})}
	var err error
	if s.zone, err = time.LoadLocation(zone); err != nil {
		t.Fatal(err)
	}
	for i := range s.entries {
		e := &s.entries[i]
		if e.Line, err = cronline.Parse(e.Text, s.zone); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *site) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.offset).In(s.zone)
}

// Do is the Runner.
func (s *site) Do(ctx context.Context, job string) error {
	if s.work == nil {
		return nil
	}
	return s.work(ctx, job)
}

// start brings the daemon up.
func (s *site) start() {
	ctx, cancel := context.WithCancel(s.t.Context())
	s.stop, s.end = cancel, make(chan error, 1)
	d := &daemon.Daemon{
		FS: s.fs, Path: "/daemon.json", Now: s.now, Runner: s, Reload: s.reload,
		Load: func() ([]daemon.Entry, error) { return s.entries, s.loadErr },
		Tell: func(e daemon.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, e)
		},
		Notify: func(lines ...string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.told = append(s.told, strings.Join(lines, "|"))
		},
	}
	go func() { s.end <- d.Run(ctx) }()
	synctest.Wait()
}

// down ends the daemon in good order.
func (s *site) down() {
	s.t.Helper()
	s.stop()
	if err := <-s.end; err != nil {
		s.t.Error(err)
	}
}

// pass lets real time go by.
func (s *site) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// until lets time go by until the clock shows a time.
func (s *site) until(text string) {
	s.t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04", text, s.zone)
	if err != nil || at.Before(s.now()) {
		s.t.Fatalf("to %s: it is %v, %v", text, s.now(), err)
	}
	s.pass(at.Sub(s.now()))
}

// jump sets the clock forward or back.
func (s *site) jump(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset += d
}

// forget drops the events so far, and gives them.
func (s *site) forget() []daemon.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.events
	s.events = nil
	return events
}

// log gives the events that are about times, in short, and forgets them.
func (s *site) log() []string {
	var out []string
	for _, e := range s.forget() {
		line := string(e.Kind)
		if e.Job != "" {
			line = e.Job + " " + e.At.In(s.zone).Format("02T15:04") + " " + line
		}
		if e.Err != nil {
			line += ": " + e.Err.Error()
		}
		out = append(out, line)
	}
	return out
}

func (s *site) expect(want ...string) {
	s.t.Helper()
	if got := s.log(); !slices.Equal(got, want) {
		s.t.Errorf("at %v:\n got %q\nwant %q", s.now(), got, want)
	}
}

// lasting is work of some length, which ends early when it shall.
func lasting(d time.Duration) func(context.Context, string) error {
	return func(ctx context.Context, _ string) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d):
			return nil
		}
	}
}

// nights tells of events how often a job was begun for each day. What was broken off with the daemon and is begun again is the same night.
func (s *site) nights(events []daemon.Event, job string) map[string]int {
	out := map[string]int{}
	for _, e := range events {
		day := e.At.In(s.zone).Format(time.DateOnly)
		switch {
		case e.Job != job:
		case e.Kind == daemon.Begun:
			out[day]++
		case e.Kind == daemon.Resumed:
			out[day]--
		}
	}
	return out
}

// Through a year with both clock changes each night comes once, in zones on both sides of midnight UTC; also while the clock is
// set back and forth by hours, now and then, and the daemon is restarted.
func TestYears(t *testing.T) {
	for _, zone := range []string{"Europe/Warsaw", "America/New_York"} {
		for _, jumpy := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", zone, jumpy), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { year(t, zone, jumpy) })
			})
		}
	}
}

func year(t *testing.T, zone string, jumpy bool) {
	s := newSite(t, zone,
		daemon.Entry{Job: "run", Text: "30 1 * * *", CatchUp: 6 * time.Hour}, daemon.Entry{Job: "vault", Text: "30 2 * * *", CatchUp: 6 * time.Hour})
	s.work = lasting(90 * time.Minute)
	random := rand.New(rand.NewPCG(7, 11))
	s.start()
	first := s.now().AddDate(0, 0, 1)
	for s.now().Before(first.AddDate(1, 0, 0)) {
		s.pass(time.Duration(1+random.IntN(47)) * time.Hour / 2)
		if !jumpy {
			continue
		}
		// Back by hours, and right again: neither way may a night be lost or come twice.
		d := time.Duration(random.IntN(300)) * time.Minute
		s.jump(-d)
		s.pass(time.Duration(random.IntN(60)) * time.Minute)
		if random.IntN(4) == 0 {
			s.down()
			s.pass(time.Duration(random.IntN(60)) * time.Minute)
			s.start()
		}
		s.jump(d)
	}
	s.down()
	events := s.forget()
	for _, job := range []string{"run", "vault"} {
		got := s.nights(events, job)
		for day, n := first, 0; n < 365; day, n = day.AddDate(0, 0, 1), n+1 {
			if got[day.Format(time.DateOnly)] != 1 {
				t.Errorf("%s of %s: %d times", job, day.Format(time.DateOnly), got[day.Format(time.DateOnly)])
			}
		}
	}
}

// A clock that was years ahead and is set right does not keep the nights away.
func TestClockFarAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "UTC", daemon.Entry{Job: "run", Text: "0 1 * * *", CatchUp: time.Hour})
		s.jump(5 * 365 * 24 * time.Hour)
		s.start()
		s.pass(26 * time.Hour)
		s.jump(-5 * 365 * 24 * time.Hour)
		s.forget()
		s.until("2000-01-03 02:00")
		s.expect("run 31T01:00 the clock went back", "run 03T01:00 due", "run 03T01:00 begun", "run 03T01:00 done")
		s.down()
	})
}

// What was missed while the daemon was down is made up for at once, once, if not too long ago; with skip it is told.
func TestMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "UTC",
			daemon.Entry{Job: "run", Text: "0 1 * * *", CatchUp: 6 * time.Hour}, daemon.Entry{Job: "flush", Text: "0 2 * * *"})
		s.start()
		s.down()
		s.expect("started", "stopping")
		s.until("2000-01-04 06:59")
		s.start()
		s.expect("started", "run 04T01:00 missed, made up for", "flush 04T02:00 missed", "run 04T01:00 begun", "run 04T01:00 done")
		s.down()
		s.forget()
		s.until("2000-01-05 07:01")
		s.start()
		s.expect("started", "run 05T01:00 missed", "flush 05T02:00 missed")
		s.down()
		s.forget()
		s.start()
		s.down()
		s.expect("started", "stopping")
	})
}

// The clock leaps over a night, or the machine sleeps: noticed within a minute.
func TestLeap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "UTC", daemon.Entry{Job: "run", Text: "0 1 * * *", CatchUp: 6 * time.Hour})
		s.start()
		s.until("2000-01-01 00:30")
		s.forget()
		s.jump(3 * time.Hour)
		s.pass(time.Minute)
		s.expect("run 01T01:00 missed, made up for", "run 01T01:00 begun", "run 01T01:00 done")
		s.jump(-3 * time.Hour)
		looks, err := daemon.Look(s.fs, "/daemon.json", s.entries, s.now())
		if err != nil || !looks[0].Next.Equal(time.Date(2000, 1, 2, 1, 0, 0, 0, time.UTC)) {
			t.Errorf("after the clock went back: %+v, %v", looks, err)
		}
		s.until("2000-01-01 23:00")
		s.expect()
		s.down()
	})
}

// Jobs are done one at a time, in the order of their times; one that is due again while it waits or runs is done once more, not
// each time.
func TestOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "UTC", daemon.Entry{Job: "run", Text: "0 1 * * *"}, daemon.Entry{Job: "verify", Text: "0 * * * *"},
			daemon.Entry{Job: "flush", Text: "30 1 * * *"})
		var busy int
		s.work = func(ctx context.Context, job string) error {
			if busy++; busy > 1 {
				t.Errorf("%s runs beside another", job)
			}
			defer func() { busy-- }()
			if job == "run" {
				return lasting(150*time.Minute)(ctx, job)
			}
			return nil
		}
		s.start()
		s.until("2000-01-01 00:59")
		s.forget()
		s.until("2000-01-01 01:45")
		looks, err := daemon.Look(s.fs, "/daemon.json", s.entries, s.now())
		if err != nil || looks[1].Due.IsZero() || !looks[0].Due.IsZero() || !looks[0].Ended.IsZero() {
			t.Errorf("while run is running and the others wait: %+v, %v", looks, err)
		}
		s.until("2000-01-01 03:59")
		s.expect("run 01T01:00 due", "verify 01T01:00 due", "run 01T01:00 begun", "flush 01T01:30 due",
			"run 01T01:00 done", "flush 01T01:30 begun", "flush 01T01:30 done", "verify 01T03:00 begun", "verify 01T03:00 done")
		s.down()
	})
}

// Neither an error nor a panic of a job ends the daemon.
func TestFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "UTC", daemon.Entry{Job: "run", Text: "0 1 * * *"}, daemon.Entry{Job: "vault", Text: "0 2 * * *"})
		s.work = func(_ context.Context, job string) error {
			if job == "run" {
				panic("out of paper")
			}
			return errors.New("exit status 16")
		}
		s.start()
		s.until("2000-01-01 12:00")
		s.expect("started", "run 01T01:00 due", "run 01T01:00 begun", "run 01T01:00 failed: panic: out of paper",
			"vault 01T02:00 due", "vault 01T02:00 begun", "vault 01T02:00 failed: exit status 16")
		looks, err := daemon.Look(s.fs, "/daemon.json", s.entries, s.now())
		if err != nil || len(looks) != 2 || looks[1].Result != "exit status 16" || !looks[0].Next.Equal(s.now().Add(13*time.Hour)) {
			t.Errorf("%+v, %v", looks, err)
		}
		s.down()
	})
}
