package run_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
	"holdfast/dumpers"
	"holdfast/dumpers/dumpertest"
	"holdfast/internal/vfs"
	"holdfast/reports"
	"holdfast/scheduler/run"
	"holdfast/vtape/library"
)

// A week of nights: fulls, incrementals, fulls again on volumes that are reused.
func TestNights(t *testing.T) {
	s := newSite(t, newImages(t, 7), siteYAML)
	defer s.close()
	for night := range 7 {
		r := s.goodNight(night)
		s.checkDone("after the night")
		s.checkLatest("after the night", r.Head.Stamp)
		s.checkTidy("after the night")
	}
}

// A clone is a delta to the dump of its base that was made in the same night, minutes before.
func TestCloneOfTonight(t *testing.T) {
	s := newSite(t, newImages(t, 3), siteYAML)
	defer s.close()
	r := s.goodNight(0)
	clone := catalog.DLE{VM: "clone", Disk: "disk0"}
	d, err := s.store.Dump(context.Background(), catalog.NewDumpID(clone, r.Head.Stamp, 0))
	if err != nil {
		t.Fatal(err)
	}
	if want := catalog.NewDumpID(catalog.DLE{VM: "golden", Disk: "disk0"}, r.Head.Stamp, 0); d.Base != want {
		t.Errorf("the clone's base is %q, want %q", d.Base, want)
	}
}

// The smallest library that does, and nothing kept on purpose: whatever is overwritten, each image can be restored as
// it was last, even while the night that overwrites is under way.
func TestReuse(t *testing.T) {
	t.Parallel()
	for _, slots := range []int{4, 6, 8} {
		t.Run(fmt.Sprintf("%d slots", slots), func(t *testing.T) {
			const nights = 14
			yaml := strings.Replace(siteYAML, "slots: 14", fmt.Sprintf("slots: %d", slots), 1)
			yaml = strings.Replace(yaml, "run-volumes: 8", fmt.Sprintf("run-volumes: %d", min(slots, 5)), 1)
			s := newSite(t, newImages(t, nights), yaml)
			defer s.close()
			latest, overwritten := map[catalog.DLE]catalog.DumpID{}, 0
			for night := range nights {
				r, err := s.run(context.Background(), night, run.Options{})
				if err != nil || r.Head.ExitStatus&^16 != 0 && slots > 6 {
					t.Fatalf("night %d: exit status %d, error %v\n%s", night, r.Head.ExitStatus, err, reportText(r))
				}
				s.checkDone(fmt.Sprintf("night %d", night))
				latest = s.checkNotLost(latest)
				for _, v := range s.volumes() {
					if v.WriteStamp == r.Head.Stamp && night > slots {
						overwritten++
					}
				}
			}
			if slots > 6 && overwritten == 0 {
				t.Error("no volume was ever used again")
			}
		})
	}
}

func (s *site) volumes() []catalog.Volume {
	s.t.Helper()
	list, err := s.store.Volumes(context.Background(), "vtapes")
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

// checkNotLost makes sure that the latest dump of each DLE is never an older one than before.
func (s *site) checkNotLost(before map[catalog.DLE]catalog.DumpID) map[catalog.DLE]catalog.DumpID {
	s.t.Helper()
	dumps, err := s.store.Dumps(context.Background(), sqlstore.DumpFilter{Restorable: true})
	if err != nil {
		s.t.Fatal(err)
	}
	now := map[catalog.DLE]catalog.DumpID{}
	for _, d := range dumps {
		now[d.DLE] = d.ID
	}
	for dle, id := range before {
		if now[dle] < id {
			s.t.Errorf("%s could be restored, now the latest is %q", id, now[dle])
		}
	}
	return now
}

// level gives the level and the reason of a DLE's dump in the run.
func (s *site) level(stamp catalog.Stamp, vm string) (catalog.Level, string) {
	s.t.Helper()
	events, err := s.store.Events(context.Background(), stamp, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	var why string
	for _, e := range events {
		switch b := e.Body.(type) {
		case catalog.Planned:
			if b.DLE.VM == vm {
				why = b.Reason
			}
		case catalog.DumpFinished:
			if b.DLE.VM == vm {
				return b.Level, why + "; " + b.Why
			}
		}
	}
	return -1, why
}

func wantStatus(t *testing.T, r reports.Report, err error, status int) {
	t.Helper()
	if err != nil || r.Head.ExitStatus != status {
		t.Fatalf("exit status %d, want %d; error %v\n%s", r.Head.ExitStatus, status, err, reportText(r))
	}
}

// settled makes sure that the night after all trouble is a good one.
func (s *site) settled(night int) {
	s.t.Helper()
	r := s.goodNight(night)
	s.checkDone("at last")
	s.checkLatest("at last", r.Head.Stamp)
	s.checkTidy("at last")
}

// Without a volume the dumps stay on the holding disk, and the next run writes them.
func TestNoVolumeLeft(t *testing.T) {
	s := newSite(t, newImages(t, 3), siteYAML)
	defer s.close()
	st := s.config.Storage["vtapes"]
	st.RunVolumes = 1
	s.config.Storage["vtapes"] = st
	for i := range s.config.DLEs {
		s.config.DLEs[i].Type = "default"
	}
	s.config.Storage["vtapes"] = st
	for name, typ := range s.config.DumpTypes {
		typ.Holding = "auto"
		s.config.DumpTypes[name] = typ
	}
	// The planner goes by estimates; here they are too low.
	r, err := s.run(context.Background(), 0, run.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Head.ExitStatus&16 == 0 && r.Head.ExitStatus&4 == 0 {
		t.Errorf("exit status %d\n%s", r.Head.ExitStatus, reportText(r))
	}
	s.checkDone("without a volume")
	st.RunVolumes = 8
	s.config.Storage["vtapes"] = st
	s.settled(1)
}

// Slots that nothing may be written to are each named once, in the notes; the dumps that are left name the fact alone.
func TestNoSlotTaken(t *testing.T) {
	s := newSite(t, newImages(t, 3), siteYAML)
	defer s.close()
	st := s.config.Storage["vtapes"]
	for n := 1; n <= st.Slots; n++ {
		foreign := fmt.Sprintf("/vtapes/slot%d/00000.FOREIGN-%d", n, n)
		if err := vfs.WriteFileDurable(s.mem, foreign, []byte("somebody else's"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := s.run(context.Background(), 0, run.Options{})
	wantStatus(t, r, err, 16|4)
	text := reportText(r)
	for n := 1; n <= st.Slots; n++ {
		if got := strings.Count(text, fmt.Sprintf("FOREIGN-%d:", n)); got != 1 {
			t.Errorf("slot %d is named %d times", n, got)
		}
	}
	const short = "no volume can be written in storage vtapes; why not is under NOTES"
	for _, f := range r.Failures {
		if strings.Contains(f.Text, "no volume") && !strings.HasPrefix(f.Text, short) {
			t.Errorf("failure %q, want it to begin with %q", f.Text, short)
		}
	}
	if !strings.Contains(text, short) {
		t.Errorf("the report does not say that %s:\n%s", short, text)
	}
}

// A library that is not there: all dumps stay on the holding disk, but for those that must not go there.
func TestLibraryAbsent(t *testing.T) {
	s := newSite(t, newImages(t, 3), siteYAML)
	defer s.close()
	if err := s.mem.Rename("/vtapes", "/elsewhere"); err != nil {
		t.Fatal(err)
	}
	r, err := s.run(context.Background(), 0, run.Options{})
	wantStatus(t, r, err, 16|4)
	s.checkDone("without a library")
	if held, err := s.store.Held(context.Background()); err != nil || len(held) != 4 {
		t.Errorf("%d dumps are held, %v", len(held), err)
	}
	if level, _ := s.level(r.Head.Stamp, "db"); level != -1 {
		t.Errorf("db was dumped at level %d", level)
	}
	if err := s.mem.Rename("/elsewhere", "/vtapes"); err != nil {
		t.Fatal(err)
	}
	r, err = s.run(context.Background(), 1, run.Options{Command: run.CommandFlush})
	wantStatus(t, r, err, 0)
	s.checkTidy("after the flush")
	s.settled(2)
}

// Without its holding disk a night goes straight to volumes, and says so.
func TestHoldingAbsent(t *testing.T) {
	s := newSite(t, newImages(t, 4), siteYAML)
	defer s.close()
	s.goodNight(0)
	s.mustRun(1, run.Options{NoTaper: true, DLEs: []catalog.DLE{{VM: "web", Disk: "disk0"}}})
	if err := s.mem.Rename("/holding", "/elsewhere"); err != nil {
		t.Fatal(err)
	}
	r, err := s.run(context.Background(), 2, run.Options{})
	if err != nil || r.Head.ExitStatus&1 == 0 || r.Head.ExitStatus&4 != 0 {
		t.Errorf("exit status %d, error %v\n%s", r.Head.ExitStatus, err, reportText(r))
	}
	s.checkLatest("without a holding disk", r.Head.Stamp)
	for _, d := range s.config.DLEs {
		dump, err := s.store.Dumps(context.Background(), sqlstore.DumpFilter{Restorable: true, VM: d.VM, Stamp: r.Head.Stamp})
		if err != nil || len(dump) != 1 {
			t.Fatal(dump, err)
		}
		if err := s.restore(dump[0]); err != nil {
			t.Error(err)
		}
	}
	if err := s.mem.Rename("/elsewhere", "/holding"); err != nil {
		t.Fatal(err)
	}
	s.settled(3)
}

// Without volumes and without room a dump fails for want of room: no volume is to blame, nor tried.
func TestNoTaperNoRoom(t *testing.T) {
	s := newSite(t, newImages(t, 4), siteYAML)
	defer s.close()
	s.config.Holding[0].Use = 64 << 10
	r, err := s.run(context.Background(), 0, run.Options{NoTaper: true, DLEs: []catalog.DLE{{VM: "web", Disk: "disk0"}}})
	if err != nil || r.Head.ExitStatus != 4 || len(r.Failures) != 1 {
		t.Fatalf("exit status %d, error %v\n%s", r.Head.ExitStatus, err, reportText(r))
	}
	for _, f := range r.Failures {
		if !strings.Contains(f.Text, "does not fit: the holding disk holds 64 KiB") {
			t.Errorf("failure %q", f.Text)
		}
	}
}

// What the holding disk has lost is told once; nothing is built on it.
func TestHoldingLost(t *testing.T) {
	s := newSite(t, newImages(t, 4), siteYAML)
	defer s.close()
	s.mustRun(0, run.Options{NoTaper: true, DLEs: []catalog.DLE{{VM: "web", Disk: "disk0"}}})
	for _, name := range files(s.mem, "/holding") {
		if !strings.HasSuffix(name, "/") {
			if err := s.mem.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	r, err := s.run(context.Background(), 1, run.Options{})
	wantStatus(t, r, err, 1)
	if level, _ := s.level(r.Head.Stamp, "web"); level != 0 {
		t.Errorf("web was dumped at level %d, on what is lost", level)
	}
	s.checkDone("after the loss")
	s.settled(2)
}

// One image that cannot be read fails alone.
func TestUnreadable(t *testing.T) {
	for _, how := range []string{"no source", "bad block"} {
		t.Run(how, func(t *testing.T) {
			s := newSite(t, newImages(t, 3), siteYAML)
			defer s.close()
			s.source["golden"] = func() (dumpers.Source, error) { return nil, errInjected }
			if how == "bad block" {
				broken := dumpertest.NewMem("disk0", 4*cluster)
				broken.Write(0, []byte("x"))
				broken.Break(0, errInjected)
				s.source["golden"] = func() (dumpers.Source, error) { return named{broken, "image of golden"}, nil }
			}
			r, err := s.run(context.Background(), 0, run.Options{})
			wantStatus(t, r, err, 4)
			s.checkDone("with a bad image")
			for _, vm := range []string{"clone", "web", "db", "vault"} {
				if level, why := s.level(r.Head.Stamp, vm); level != 0 {
					t.Errorf("%s: level %d, %s", vm, level, why)
				}
			}
			if _, why := s.level(r.Head.Stamp, "clone"); !strings.Contains(why, "its base golden:disk0 has no dump: full that stands alone") {
				t.Errorf("clone: %s", why)
			}
			delete(s.source, "golden")
			s.settled(1)
		})
	}
}

// What makes a full out of an incremental, and the reason given.
func TestFullInstead(t *testing.T) {
	maps := func(s *site, vm string, change func(name string)) {
		for _, name := range files(s.mem, "/state/maps") {
			if strings.Contains(name, vm) {
				change(name)
			}
		}
	}
	for name, c := range map[string]struct {
		vm     string
		change func(s *site)
		why    string
	}{
		"resized": {"web", func(s *site) {
			larger := dumpertest.NewMem("disk0", 40*cluster)
			s.source["web"] = func() (dumpers.Source, error) { return named{larger, "image of web"}, nil }
		}, "image was resized from"},
		"replaced": {"web", func(s *site) {
			s.source["web"] = func() (dumpers.Source, error) { return named{s.im.nights[1]["web"], "another"}, nil }
		}, "image was replaced by another one"},
		"map lost": {"vault", func(s *site) {
			maps(s, "vault", func(name string) {
				if err := s.mem.Remove(name); err != nil {
					t.Fatal(err)
				}
			})
		}, "no block map of an earlier dump is left; the dumps are encrypted"},
		"map damaged": {"web", func(s *site) {
			maps(s, "web", func(name string) { flip(t, s.mem, name, 200, 0) })
		}, "damaged"},
		"map cut short": {"vault", func(s *site) {
			maps(s, "vault", func(name string) {
				f, err := s.mem.OpenFile(name, os.O_RDWR, 0)
				if err == nil {
					err = errors.Join(f.Truncate(60), f.Sync(), f.Close())
				}
				if err != nil {
					t.Fatal(err)
				}
			})
		}, "the dumps are encrypted"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, newImages(t, 3), siteYAML)
			s.t = t
			defer s.close()
			s.goodNight(0)
			c.change(s)
			r := s.goodNight(1)
			level, why := s.level(r.Head.Stamp, c.vm)
			if level != 0 || !strings.Contains(why, c.why) {
				t.Errorf("level %d: %s, want 0: %s", level, why, c.why)
			}
			if level, _ := s.level(r.Head.Stamp, "db"); level != 1 {
				t.Errorf("db: level %d", level)
			}
			if s.source["web"] == nil {
				s.checkDone("after the full")
				s.settled(2)
			}
		})
	}
}

// flip changes one bit of a file.
func flip(t testing.TB, fsys vfs.FS, name string, off int64, bit uint) {
	t.Helper()
	f, err := fsys.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := []byte{0}
	_, err = f.ReadAt(b, off)
	b[0] ^= 1 << bit
	if err == nil {
		_, err = f.WriteAt(b, off)
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// A cancelled night ends at once and in good order, wherever it is.
func TestCancelled(t *testing.T) {
	im := newImages(t, 2)
	for _, at := range []int{1, 5, 20, 40, 60, 90, 120, 150, 180} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			s := newSite(t, im, siteYAML)
			defer s.close()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			s.fs = vfs.Wrap(s.mem, func(op vfs.Op) error {
				if op.Kind.Changes() && op.N == at {
					cancel()
				}
				return nil
			})
			var r reports.Report
			var err error
			watched("cancelled night", func() { r, err = s.run(ctx, 0, run.Options{}) })
			if ctx.Err() == nil {
				t.Fatal("the night has fewer operations than that: choose a point within it")
			}
			if err != nil || !r.Head.Cancelled || r.Head.ExitStatus == 0 {
				t.Errorf("cancelled %v, exit status %d, error %v\n%s", r.Head.Cancelled, r.Head.ExitStatus, err, reportText(r))
			}
			s.fs = s.mem
			s.checkDone("after the end")
			if tmp := filepath.Join("/state/maps", "*.tmp"); strings.Contains(fmt.Sprint(files(s.mem, "/")), ".tmp") {
				t.Errorf("left: %v %s", files(s.mem, "/"), tmp)
			}
			s.settled(1)
		})
	}
}

// A wish of the administrator lasts until it is fulfilled, and no longer.
func TestForced(t *testing.T) {
	ctx := context.Background()
	s := newSite(t, newImages(t, 4), siteYAML)
	defer s.close()
	s.goodNight(0)
	web := catalog.DLE{VM: "web", Disk: "disk0"}
	if err := s.store.SetForce(ctx, catalog.Force{DLE: web, Command: catalog.ForceFull}); err != nil {
		t.Fatal(err)
	}
	// A night that has room for an incremental only leaves the wish.
	st := s.config.Storage["vtapes"]
	small := st
	small.RunVolumes = 1
	s.config.Storage["vtapes"] = small
	r := s.goodNight(1)
	if level, why := s.level(r.Head.Stamp, "web"); level != 1 {
		t.Fatalf("level %d: %s", level, why)
	}
	if forces, err := s.store.Forces(ctx); err != nil || len(forces) != 1 {
		t.Fatalf("after an incremental: %v, %v", forces, err)
	}
	s.config.Storage["vtapes"] = st
	r = s.goodNight(2)
	if level, why := s.level(r.Head.Stamp, "web"); level != 0 {
		t.Fatalf("level %d: %s", level, why)
	}
	if forces, err := s.store.Forces(ctx); err != nil || len(forces) != 0 {
		t.Fatalf("after the full: %v, %v", forces, err)
	}
}

// When the latest dump has lost what it rests on, the one before it that has not is kept.
func TestKeepsLatestWhole(t *testing.T) {
	ctx := context.Background()
	s := newSite(t, newImages(t, 4), siteYAML)
	defer s.close()
	plain := s.config.Storage["vtapes"]
	keeping := plain
	keeping.KeepVolumes = plain.Slots - plain.RunVolumes // else the first ones would be used again at once
	s.config.Storage["vtapes"] = keeping
	for night := range 4 { // full, incremental, full, incremental
		s.goodNight(night)
	}
	s.config.Storage["vtapes"] = plain
	web, err := s.store.Dumps(ctx, sqlstore.DumpFilter{VM: "web"})
	if err != nil || len(web) != 4 {
		t.Fatal(web, err)
	}
	copies, err := s.store.Copies(ctx, web[2].ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.DropCopiesOn(ctx, copies[0].Parts[0].Label); err != nil {
		t.Fatal(err)
	}
	keep, _, err := s.Night().Verdicts(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range web[:2] {
		copies, err := s.store.Copies(ctx, d.ID)
		if err != nil || len(copies) != 1 {
			t.Fatal(copies, err)
		}
		for _, p := range copies[0].Parts {
			if keep[p.Label] == "" {
				t.Errorf("volume %s with part %d of %s may be overwritten", p.Label, p.Number, d.ID)
			}
		}
	}
}

// nextSlot is the slot that the next run writes to first.
func (s *site) nextSlot() string {
	s.t.Helper()
	ctx := context.Background()
	lib, err := run.Opener{FS: s.mem}.Open(ctx, s.config.MainStorage())
	if err != nil {
		s.t.Fatal(err)
	}
	inv, err := lib.Inventory(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	keep, volumes, err := s.Night().Verdicts(ctx, "")
	if err != nil {
		s.t.Fatal(err)
	}
	choice, err := library.Pick(inv, volumes, keep)
	if err != nil {
		s.t.Fatal(err)
	}
	return choice.Slot
}

// A slot that cannot be written is passed over: the night goes to the others.
func TestBadSlot(t *testing.T) {
	for _, what := range []string{"blank", "labelled"} {
		t.Run(what, func(t *testing.T) {
			s := newSite(t, newImages(t, 8), strings.Replace(siteYAML, "slots: 14", "slots: 10", 1))
			defer s.close()
			night := 0
			if what == "labelled" {
				for ; night < 5; night++ {
					s.goodNight(night)
				}
			}
			bad := "/vtapes/slot" + s.nextSlot() + "/"
			s.fs = vfs.Wrap(s.mem, func(op vfs.Op) error {
				if op.Kind.Changes() && strings.HasPrefix(op.Path+"/", bad) {
					return errInjected
				}
				return nil
			})
			for range 2 {
				r, err := s.run(context.Background(), night, run.Options{})
				if err != nil || r.Head.ExitStatus&^16 != 0 {
					t.Fatalf("exit status %d, error %v\n%s", r.Head.ExitStatus, err, reportText(r))
				}
				s.checkDone("with a bad slot")
				s.checkLatest("with a bad slot", r.Head.Stamp)
				night++
			}
			s.fs = s.mem
			s.settled(night)
		})
	}
}

// A dump that was finished, but not recorded when the power went, is taken in with its block map: what follows builds
// upon it.
func TestTakenIn(t *testing.T) {
	s := newSite(t, newImages(t, 2), siteYAML)
	defer func() { s.close() }()
	// The power goes as soon as the dump's files have their names.
	done := false
	s.fs = vfs.Wrap(s.mem, func(op vfs.Op) error {
		if done && !(op.Kind == vfs.OpSyncDir && strings.HasPrefix(op.Path, "/holding")) {
			return errInjected
		}
		done = done || op.Kind == vfs.OpRename && strings.HasSuffix(op.To, "/web.disk0.0")
		return nil
	})
	s.open(sqlstore.Options{BeforeCommit: func() error {
		if done {
			return errInjected
		}
		return nil
	}})
	if _, err := s.run(context.Background(), 0, run.Options{DLEs: []catalog.DLE{{VM: "web", Disk: "disk0"}}}); err == nil {
		t.Fatal("the catalog failed, and nobody noticed")
	}
	next := s.fork(t)
	s.close()
	s = next
	s.open(sqlstore.Options{})
	r := s.goodNight(1)
	if level, why := s.level(r.Head.Stamp, "web"); level != 1 {
		t.Errorf("level %d: %s", level, why)
	}
	s.checkDone("after the next night")
}
