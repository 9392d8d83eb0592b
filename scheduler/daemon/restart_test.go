package daemon_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/cronline"
	"holdfast/internal/vfs"
	"holdfast/scheduler/daemon"
)

// A job that is broken off with the daemon ends first, and is begun again by the next daemon, once.
func TestBrokenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "UTC", daemon.Entry{Job: "run", Text: "0 1 * * *", CatchUp: 6 * time.Hour})
		s.work = func(ctx context.Context, job string) error {
			<-ctx.Done()
			<-time.After(5 * time.Minute) // the good order takes its time
			return ctx.Err()
		}
		s.start()
		for range 3 {
			if s.now().Hour() < 1 {
				s.until("2000-01-01 01:10")
			}
			s.down()
			s.start()
		}
		s.expect("started", "run 01T01:00 due", "run 01T01:00 begun", "stopping", "run 01T01:00 failed: context canceled",
			"started", "run 01T01:00 was broken off, begun again", "run 01T01:00 begun", "stopping", "run 01T01:00 failed: context canceled",
			"started", "run 01T01:00 was broken off", "stopping", "started")
		s.down()
	})
}

// After a power cut in the middle of a job the next daemon begins it again if its time is not too long ago.
func TestPowerCut(t *testing.T) {
	for _, c := range []struct {
		at   string
		want []string
	}{
		{"2000-01-01 03:00", []string{"started", "run 01T01:00 was broken off, begun again", "run 01T01:00 begun"}},
		{"2000-01-01 09:00", []string{"started", "run 01T01:00 was broken off"}},
		{"2000-01-02 03:00", []string{"started", "run 01T01:00 was broken off", "run 02T01:00 missed, made up for", "run 02T01:00 begun"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			disk := vfs.NewMem()
			s := newSite(t, "UTC", daemon.Entry{Job: "run", Text: "0 1 * * *", CatchUp: 6 * time.Hour})
			s.fs, s.work = disk, lasting(time.Hour)
			s.start()
			s.until("2000-01-01 01:10")
			after := disk.CrashClone()
			s.down()
			s.fs = after
			s.forget()
			s.until(c.at)
			s.start()
			s.expect(c.want...)
			s.down()
		})
	}
}

// A job begins when that is in the file, and not before, however slow the disk is.
func TestBegunIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "UTC", daemon.Entry{Job: "run", Text: "0 1 * * *"})
		disk := s.fs
		s.fs = vfs.Wrap(disk, func(vfs.Op) error {
			<-time.After(time.Second)
			return nil
		})
		s.work = func(context.Context, string) error {
			if text, err := vfs.ReadFile(disk, "/daemon.json"); err != nil || !strings.Contains(string(text), `"begun": "2000-01-01T01:00`) {
				t.Errorf("begun with this in the file, %v:\n%s", err, text)
			}
			return nil
		}
		s.start()
		s.until("2000-01-01 02:00")
		if got := s.log(); !slices.Contains(got, "run 01T01:00 done") {
			t.Errorf("%q", got)
		}
		s.down()
	})
}

// Whatever goes wrong with the file at any operation: each job is still done, and it is told.
func TestNoMemory(t *testing.T) {
	for n := 1; ; n++ {
		var ops int
		var events []string
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, "UTC", daemon.Entry{Job: "run", Text: "0 1 * * *"})
			disk := s.fs
			s.fs = vfs.Wrap(disk, func(vfs.Op) error {
				if ops++; ops == n {
					return errors.New("the disk is gone")
				}
				return nil
			})
			s.start()
			s.until("2000-01-01 01:30")
			events = s.log()
			s.down()
			if _, err := vfs.ReadFile(disk, "/daemon.json"); err != nil {
				t.Errorf("operation %d failed: no file in the end: %v", n, err)
			}
		})
		if !slices.Contains(events, "run 01T01:00 done") {
			t.Errorf("operation %d failed: %q", n, events)
		}
		told := slices.ContainsFunc(events, func(e string) bool { return strings.HasPrefix(e, "cannot remember: ") })
		if ops < n {
			if told || n < 5 {
				t.Errorf("%d operations, told %v", n, told)
			}
			return
		}
	}
}

// A file that is no memory is told, and the nights go on.
func TestDamagedMemory(t *testing.T) {
	for _, text := range []string{"", "{", "[]", `{"run":{"last":"yesterday"}}`, "null"} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, "UTC", daemon.Entry{Job: "run", Text: "0 1 * * *"})
			if err := vfs.WriteFileDurable(s.fs, "/daemon.json", []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			s.start()
			s.until("2000-01-01 01:30")
			got := strings.Join(s.log(), "; ")
			if !strings.HasSuffix(got, "run 01T01:00 done") || text != "null" && !strings.HasPrefix(got, "cannot remember: ") {
				t.Errorf("%q: %s", text, got)
			}
			s.down()
		})
	}
}

// On reload a bad schedule changes nothing; a new one counts from then, so that nothing of it was missed; a job in it no more is
// not done.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "UTC", daemon.Entry{Job: "run", Text: "0 1 * * *", CatchUp: 24 * time.Hour}, daemon.Entry{Job: "flush", Text: "0 2 * * *"})
		s.start()
		s.until("2000-01-01 00:30")
		s.loadErr = errors.New("line 7 is odd")
		s.reload <- struct{}{}
		s.until("2000-01-01 12:00")
		s.expect("started", "kept the old schedule: line 7 is odd", "run 01T01:00 due", "run 01T01:00 begun", "run 01T01:00 done",
			"flush 01T02:00 due", "flush 01T02:00 begun", "flush 01T02:00 done")
		line, err := cronline.Parse("0 11 * * *", time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		s.entries, s.loadErr = []daemon.Entry{{Job: "run", Text: "0 11 * * *", Line: line, CatchUp: 24 * time.Hour}}, nil
		s.reload <- struct{}{}
		s.until("2000-01-02 12:00")
		s.expect("reloaded", "run 02T11:00 due", "run 02T11:00 begun", "run 02T11:00 done")
		s.down()
		told := strings.Join(s.told, "\n")
		for _, want := range []string{"READY=1", "STATUS=next run Sun 2000-01-02 01:00 UTC", "RELOADING=1|", "STOPPING=1"} {
			if !strings.Contains(strings.ReplaceAll(told, "RELOADING=1\n", "RELOADING=1|"), want) {
				t.Errorf("%s was not told:\n%s", want, told)
			}
		}
	})
}

// A daemon that cannot read its first schedule does not begin.
func TestNoSchedule(t *testing.T) {
	d := &daemon.Daemon{Load: func() ([]daemon.Entry, error) { return nil, errors.New("no such file") }}
	if err := d.Run(t.Context()); err == nil || err.Error() != "no such file" {
		t.Errorf("it ended with %v", err)
	}
}

// The service manager hears from the daemon twice in its time, also while a job takes long and while it is being ended.
func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "UTC", daemon.Entry{Job: "run", Text: "0 1 * * *"})
		var last, longest time.Duration
		begun := time.Now()
		ctx, stop := context.WithCancel(t.Context())
		d := &daemon.Daemon{
			FS: s.fs, Path: "/daemon.json", Now: s.now, Watchdog: 30 * time.Second, Runner: s,
			Load: func() ([]daemon.Entry, error) { return s.entries, nil },
			Notify: func(lines ...string) {
				if slices.Contains(lines, "WATCHDOG=1") {
					longest, last = max(longest, time.Since(begun)-last), time.Since(begun)
				}
			},
		}
		s.work = func(ctx context.Context, _ string) error {
			<-ctx.Done()
			<-time.After(10 * time.Minute)
			return nil
		}
		end := make(chan error)
		go func() { end <- d.Run(ctx) }()
		s.until("2000-01-01 03:00")
		stop()
		if err := <-end; err != nil {
			t.Error(err)
		}
		if longest > 15*time.Second || last < 3*time.Hour {
			t.Errorf("silent for %v; heard last after %v", longest, last)
		}
	})
}
