package run_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/internal/vfs"
	"holdfast/reports"
	"holdfast/scheduler/run"
)

// change alters the main storage.
func (s *site) change(f func(st *configs.Storage)) {
	st := s.config.Storage["vtapes"]
	f(&st)
	s.config.Storage["vtapes"] = st
}

// allHeld makes every image go through the holding disk.
func (s *site) allHeld() {
	for i := range s.config.DLEs {
		if s.config.DLEs[i].VM == "db" {
			s.config.DLEs[i].Type = "default"
		}
	}
}

// Without a volume the fulls go to the holding disk as far as the reserve lets them; the others become incrementals, or fail
// with the reason when there is nothing to build on. The subject tells, and the next run flushes all. A library that cannot
// be opened is known to the planner, which then puts off what has no room; that no volume of it may be written shows in the run.
func TestDegraded(t *testing.T) {
	t.Run("no library", func(t *testing.T) {
		degraded(t, "incremental instead: level 2", "the holding disk holds 3.0 MiB", func(s *site) func() {
			s.rename("/vtapes", "/away")
			return func() { s.rename("/away", "/vtapes") }
		})
	})
	t.Run("no volume", func(t *testing.T) {
		degraded(t, "70% of which is for incrementals", "there is no incremental to make instead: first dump", func(s *site) func() {
			was := s.config.Storage["vtapes"]
			full := was
			full.KeepVolumes = was.Slots
			s.config.Storage["vtapes"] = full
			written, err := s.store.Volumes(context.Background(), "vtapes")
			if err != nil {
				t.Fatal(err)
			}
			blank := func(move func(slot string)) {
				for n := len(written) + 1; n <= was.Slots; n++ {
					move(fmt.Sprintf("/slot%d", n))
				}
			}
			if err := vfs.MkdirAll(s.mem, "/spare", 0o700); err != nil {
				t.Fatal(err)
			}
			blank(func(slot string) { s.rename("/vtapes"+slot, "/spare"+slot) })
			return func() {
				blank(func(slot string) { s.rename("/spare"+slot, "/vtapes"+slot) })
				s.config.Storage["vtapes"] = was
			}
		})
	})
}

// degraded makes a run without volumes; full is why there is no full of web, first why there is nothing of huge.
func degraded(t *testing.T, full, first string, without func(s *site) func()) {
	s := newSite(t, newImages(t, 6), siteYAML)
	defer s.close()
	s.allHeld()
	s.goodNight(0)
	s.goodNight(1)
	back := without(s)
	s.config.Holding[0].Use = 3 << 20
	s.config.Reserve = 70 // fulls may take 921 KiB: that of web alone is more
	s.config.DLEs = append(s.config.DLEs, configs.DLE{VM: "huge", Disk: "disk0", Image: "/images/huge", Format: "raw", Type: "plain"})
	for _, im := range s.im.nights {
		im["huge"] = im["web"]
	}
	for _, im := range s.im.contents {
		im["huge"] = im["web"]
	}
	r, err := s.run(context.Background(), 2, run.Options{})
	wantStatus(t, r, err, 16|4)
	for vm, want := range map[string]catalog.Level{"golden": 0, "clone": 2, "db": 0, "vault": 0, "web": 2, "huge": -1} {
		if level, why := s.level(r.Head.Stamp, vm); level != want {
			t.Errorf("%s: level %d (%s), want %d", vm, level, why, want)
		}
	}
	if _, why := s.level(r.Head.Stamp, "web"); !strings.Contains(why, full) || !strings.Contains(why, "incremental instead") {
		t.Errorf("web: %s", why)
	}
	if text := reportText(r); !strings.Contains(text, first) {
		t.Errorf("no reason for the image that failed:\n%s", text)
	}
	if !strings.Contains(r.Subject(), "DEGRADED, ") || !strings.Contains(r.Subject(), "MiB ON THE HOLDING DISK") {
		t.Errorf("subject %q", r.Subject())
	}
	back()
	s.checkDone("after degraded mode")
	s.config.Holding[0].Use = 0
	s.settled(3)
}

// What must not go to the holding disk fails, and says why.
func TestDegradedNeverHeld(t *testing.T) {
	s := newSite(t, newImages(t, 3), siteYAML)
	defer s.close()
	s.rename("/vtapes", "/away")
	r, err := s.run(context.Background(), 0, run.Options{DLEs: []catalog.DLE{{VM: "db", Disk: "disk0"}}})
	wantStatus(t, r, err, 16|4)
	if text := reportText(r); !strings.Contains(text, "its dump type keeps it from the holding disk (holding: never)") {
		t.Errorf("the report does not say why:\n%s", text)
	}
}

// While one of its storages can be written a dump is not degraded, whatever became of the main one.
func TestNotDegraded(t *testing.T) {
	s := newSeveral(t, newImages(t, 3))
	defer s.close()
	s.rename("/vtapes", "/lost")
	s.config.Reserve = 100 // no full would be held
	r, err := s.run(context.Background(), 0, run.Options{})
	wantStatus(t, r, err, 16)
	s.checkCopies("second", r.Head.Stamp, everybody)
	if r.Head.Degraded != "" {
		t.Errorf("degraded: %s", r.Head.Degraded)
	}
	s.rename("/lost", "/vtapes")
	s.settled(1)
	s.checkCopies("vtapes", r.Head.Stamp, everybody)
	s.checkNothingWanted("when it is back")
}

// Dumps wait on the holding disk for several nights, until they are worth a volume.
func TestThresholds(t *testing.T) {
	s := newSite(t, newImages(t, 9), siteYAML)
	defer s.close()
	s.allHeld()
	s.config.DumpCycle = 30
	for name, typ := range s.config.DumpTypes {
		typ.DumpCycle, typ.Strategy = 30, configs.StrategyNoFull
		s.config.DumpTypes[name] = typ
	}
	s.goodNight(0)
	s.change(func(st *configs.Storage) { st.FlushDumped, st.FlushScheduled, st.TaperFlush = 300, 300, 300 })
	begun := -1
	for night := 1; night < 8 && begun < 0; night++ {
		r := s.mustRun(night, run.Options{})
		s.checkDone("while dumps wait")
		held, err := s.store.Held(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		switch used := slices.Concat(used(r)...); {
		case len(used) > 0:
			begun = night
		case len(held) != 5*night || !strings.Contains(reportText(r), "less than its thresholds ask for"):
			t.Errorf("night %d: %d dumps wait\n%s", night, len(held), reportText(r))
		}
	}
	if begun < 2 {
		t.Errorf("the first volume was begun in night %d", begun)
	}
	// A flush, too, keeps to the thresholds; without them all is written.
	s.change(func(st *configs.Storage) { st.FlushDumped, st.FlushScheduled, st.TaperFlush = 0, 0, 0 })
	s.mustRun(8, run.Options{Command: run.CommandFlush})
	s.checkTidy("after the flush")
	s.checkDone("after the flush")
}

func used(r reports.Report) [][]catalog.Label {
	var all [][]catalog.Label
	for _, st := range r.Storages {
		all = append(all, st.Used)
	}
	return all
}

// No threshold counts while a dump waits for room, and for one that goes straight to a volume.
func TestThresholdsIgnored(t *testing.T) {
	s := newSite(t, newImages(t, 4), siteYAML)
	defer s.close()
	s.change(func(st *configs.Storage) { st.FlushDumped, st.FlushScheduled, st.TaperFlush = 500, 500, 500 })
	r := s.goodNight(0) // db goes straight to a volume; the others follow as far as that one has room
	if got := s.copiesIn("vtapes", r.Head.Stamp); !strings.Contains(got, "db") || got == everybody {
		t.Errorf("written: %s", got)
	}
	s.allHeld()
	s.config.Holding[0].Use = 2200 << 10
	for i := range s.config.DumpTypes {
		typ := s.config.DumpTypes[i]
		typ.Holding = configs.HoldingRequired
		s.config.DumpTypes[i] = typ
	}
	for night := 1; night < 4; night++ {
		s.mustRun(night, run.Options{}) // without a volume begun for their sake some would find no room
	}
	s.checkDone("with a small holding disk")
}

// Two volumes are written at once: the first waits in the midst of a part until the second has come as far.
func TestParallelWrite(t *testing.T) {
	s := newSite(t, newImages(t, 2), siteYAML)
	defer s.close()
	s.allHeld()
	s.change(func(st *configs.Storage) { st.ParallelWrite, st.RunVolumes = 2, 4 })
	var mu sync.Mutex
	slots := map[string]bool{}
	both := make(chan struct{})
	s.fs = gate{s.mem, func(path string) {
		if !strings.HasPrefix(path, "/vtapes/slot") || !strings.Contains(path, "/00001.") {
			return
		}
		mu.Lock()
		slot := strings.Split(path, "/")[2]
		if slots[slot] = true; len(slots) == 2 {
			select {
			case <-both:
			default:
				close(both)
			}
		}
		mu.Unlock()
		<-both
	}}
	watched("parallel write", func() {
		r := s.goodNight(0)
		labels := slices.Concat(used(r)...)
		if sorted := slices.Compact(slices.Sorted(slices.Values(labels))); len(sorted) != len(labels) || len(labels) < 3 || len(labels) > 4 {
			t.Errorf("volumes %v", labels)
		}
	})
	s.fs = s.mem
	s.checkTidy("after the night")
	s.checkDone("after the night")
	s.settled(1)
}

// run-volumes is shared: two workers fill no more than one run may, and what is left stays on the holding disk.
func TestParallelWriteLimit(t *testing.T) {
	s := newSite(t, newImages(t, 3), siteYAML)
	defer s.close()
	s.allHeld()
	for night := range 2 {
		s.mustRun(night, run.Options{NoTaper: true})
	}
	s.change(func(st *configs.Storage) { st.ParallelWrite, st.RunVolumes = 2, 2 })
	r, err := s.run(context.Background(), 2, run.Options{Command: run.CommandFlush})
	wantStatus(t, r, err, 16)
	if labels := slices.Concat(used(r)...); len(labels) != 2 {
		t.Errorf("volumes %v", labels)
	}
	s.checkDone("after the flush")
}

// Each algorithm through a whole flush: the order in which the dumps get onto volumes.
func TestAlgorithms(t *testing.T) {
	im := newImages(t, 3)
	for algorithm, sorted := range map[configs.TaperAlgorithm]func(made []catalog.Dump) []catalog.Dump{
		configs.TaperFirst: func(made []catalog.Dump) []catalog.Dump { return made },
		configs.TaperLast: func(made []catalog.Dump) []catalog.Dump {
			slices.Reverse(made)
			return made
		},
		configs.TaperLargest: func(made []catalog.Dump) []catalog.Dump {
			return slices.SortedStableFunc(slices.Values(made), func(a, b catalog.Dump) int { return cmp.Compare(b.StoredBytes, a.StoredBytes) })
		},
		configs.TaperSmallest: func(made []catalog.Dump) []catalog.Dump {
			return slices.SortedStableFunc(slices.Values(made), func(a, b catalog.Dump) int { return cmp.Compare(a.StoredBytes, b.StoredBytes) })
		},
		// Three volumes hold all but the end: what fits is as in the plain forms until little room is left.
		configs.TaperLargestFit: func(made []catalog.Dump) []catalog.Dump {
			return slices.SortedStableFunc(slices.Values(made), func(a, b catalog.Dump) int { return cmp.Compare(b.StoredBytes, a.StoredBytes) })
		},
	} {
		t.Run(string(algorithm), func(t *testing.T) {
			s := newSite(t, im, siteYAML)
			defer s.close()
			s.allHeld()
			s.mustRun(0, run.Options{NoTaper: true})
			s.change(func(st *configs.Storage) { st.TaperAlgorithm = algorithm })
			held, err := s.store.Held(context.Background())
			if err != nil || len(held) != 5 {
				t.Fatal(held, err)
			}
			var made []catalog.Dump
			for _, h := range held {
				d, err := s.store.Dump(context.Background(), h.Dump)
				if err != nil {
					t.Fatal(err)
				}
				made = append(made, d)
			}
			var want, got []string
			for _, d := range sorted(made) {
				want = append(want, d.DLE.VM)
			}
			s.mustRun(1, run.Options{Command: run.CommandFlush})
			for _, e := range s.events() {
				if b, ok := e.Body.(catalog.CopyFinished); ok {
					got = append(got, b.DLE.VM)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("written in the order %v, want %v", got, want)
			}
			s.checkTidy("after the flush")
		})
	}
}

var _ vfs.FS = gate{}
