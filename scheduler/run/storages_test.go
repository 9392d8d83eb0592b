package run_test

import (
	"context"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
	"holdfast/internal/vfs"
	"holdfast/reports"
	"holdfast/scheduler/run"
)

// secondStorage is put beside the storage of siteYAML: other parts, and two places for the disk of one pool, of which the
// first is away.
const secondStorage = `
  second: {path: /second, slots: 14, volume-size: 1536KiB, part-size: 256KiB, label: S-%%%, run-volumes: 8}
  usb1: {path: /usb1, slots: 14, volume-size: 1152KiB, part-size: 256KiB, label: U-%%%, run-volumes: 8, pool: usb, removable: true, select: [{types: [plain, direct]}]}
  usb2: {path: /usb2, slots: 14, volume-size: 1152KiB, part-size: 256KiB, label: V-%%%, run-volumes: 8, pool: usb, removable: true, select: [{types: [plain, direct]}]}
dump-types:`

// severalYAML is siteYAML with more storages.
func severalYAML() string { return strings.Replace(siteYAML, "\ndump-types:", secondStorage, 1) }

func newSeveral(t testing.TB, im *images) *site {
	t.Helper()
	s := newSite(t, im, severalYAML())
	s.rename("/usb1", "/away")
	return s
}

func (s *site) rename(from, to string) {
	s.t.Helper()
	if err := s.mem.Rename(from, to); err != nil {
		s.t.Fatal(err)
	}
}

// copiesIn lists the VMs of the run's dumps that lie whole in a storage.
func (s *site) copiesIn(storage string, stamp catalog.Stamp) string {
	s.t.Helper()
	copies, err := s.store.AllCopies(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	var vms []string
	for _, c := range copies {
		dle, made, _, err := catalog.ParseDumpID(c.Dump)
		if err != nil {
			s.t.Fatal(err)
		}
		if c.Storage == storage && c.Status.Usable() && made == stamp {
			vms = append(vms, dle.VM)
		}
	}
	slices.Sort(vms)
	return strings.Join(vms, " ")
}

func (s *site) checkCopies(storage string, stamp catalog.Stamp, want string) {
	s.t.Helper()
	if got := s.copiesIn(storage, stamp); got != want {
		s.t.Errorf("storage %s holds of run %s: %s, want %s", storage, stamp, got, want)
	}
}

// checkNothingWanted makes sure that no copy is left to be made by now.
func (s *site) checkNothingWanted(when string) {
	s.t.Helper()
	wanted, err := s.store.WantedCopies(context.Background())
	now := s.clock.now()
	wanted = slices.DeleteFunc(wanted, func(w catalog.Wanted) bool { return w.Due.After(now) })
	if err != nil || len(wanted) > 0 {
		s.t.Errorf("%s: copies still to be made: %v, %v", when, wanted, err)
	}
}

const everybody = "clone db golden vault web"

// Each dump goes to every storage that selects it, and can be restored from each alone.
func TestSeveralStorages(t *testing.T) {
	s := newSeveral(t, newImages(t, 4))
	defer s.close()
	for night := range 4 {
		r := s.goodNight(night)
		s.checkCopies("vtapes", r.Head.Stamp, everybody)
		s.checkCopies("second", r.Head.Stamp, everybody)
		s.checkCopies("usb2", r.Head.Stamp, "db web")
		s.checkTidy("after the night")
		s.checkNothingWanted("after the night")
		if night == 1 { // all is there yet: later each storage overwrites what it need not keep
			s.rename("/vtapes", "/lost")
			s.checkDone("from the second storage")
			s.rename("/lost", "/vtapes")
			s.rename("/second", "/lost")
			s.checkDone("from the main storage")
			s.rename("/lost", "/second")
		}
	}
	s.checkDone("with all storages")
}

// A storage that is dead from the start keeps nothing from the others; it gets its copies when it is back: from the holding
// disk, and of what went straight to a volume from there.
func TestStorageDead(t *testing.T) {
	s := newSeveral(t, newImages(t, 4))
	defer s.close()
	s.rename("/second", "/lost")
	r, err := s.run(context.Background(), 0, run.Options{})
	wantStatus(t, r, err, 16)
	s.checkCopies("vtapes", r.Head.Stamp, everybody)
	s.checkCopies("usb2", r.Head.Stamp, "db web")
	s.checkDone("with a dead storage")
	if r.Head.Degraded != "" || !strings.HasPrefix(r.Subject(), "test MEDIA: HOLDFAST") {
		t.Errorf("degraded: %q, subject %q", r.Head.Degraded, r.Subject())
	}
	s.rename("/lost", "/second")
	next := s.goodNight(1)
	s.checkCopies("second", r.Head.Stamp, everybody)
	s.checkCopies("second", next.Head.Stamp, everybody)
	s.checkNothingWanted("when it is back")
	s.checkTidy("when it is back")
	s.rename("/vtapes", "/lost")
	s.checkDone("from the storage that was dead")
}

// A storage that dies in the midst of a part.
func TestStorageDies(t *testing.T) {
	for _, at := range []int{2, 6, 15} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			s := newSeveral(t, newImages(t, 3))
			defer s.close()
			var mu sync.Mutex
			writes := 0
			s.fs = vfs.Wrap(s.mem, func(op vfs.Op) error {
				mu.Lock()
				defer mu.Unlock()
				if !strings.HasPrefix(op.Path, "/second/") {
					return nil
				}
				if op.Kind == vfs.OpWrite {
					writes++
				}
				if writes >= at {
					return errInjected
				}
				return nil
			})
			var r reports.Report
			var err error
			watched("a dying storage", func() { r, err = s.run(context.Background(), 0, run.Options{}) })
			wantStatus(t, r, err, 16)
			s.checkCopies("vtapes", r.Head.Stamp, everybody)
			s.checkDone("after a death")
			s.fs = s.mem
			s.goodNight(1)
			s.checkCopies("second", r.Head.Stamp, everybody)
			s.checkNothingWanted("when it is back")
			s.checkTidy("when it is back")
		})
	}
}

// gate is a file system that keeps who opens a file waiting.
type gate struct {
	vfs.FS
	wait func(path string)
}

func (g gate) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	g.wait(name)
	return g.FS.OpenFile(name, flag, perm)
}

// A storage that stands still delays no other: the main one has everything before the second gets a byte.
func TestStorageSlow(t *testing.T) {
	s := newSeveral(t, newImages(t, 2))
	defer s.close()
	release := make(chan struct{})
	s.fs = gate{s.mem, func(path string) {
		if strings.HasPrefix(path, "/second") {
			<-release
		}
	}}
	done := make(chan reports.Report, 1)
	watched("a slow storage", func() {
		go func() {
			r, err := s.run(context.Background(), 0, run.Options{})
			wantStatus(t, r, err, 0)
			done <- r
		}()
		for s.finishedIn("vtapes") < 5 {
			runtime.Gosched()
		}
		if n := s.finishedIn("second"); n != 0 {
			t.Errorf("the storage that stands still has %d dumps", n)
		}
		close(release)
		r := <-done
		s.checkCopies("second", r.Head.Stamp, everybody)
	})
}

// finishedIn counts the copies that the latest run has told of.
func (s *site) finishedIn(storage string) int {
	n := 0
	for _, e := range s.events() {
		if b, ok := e.Body.(catalog.CopyFinished); ok && b.Storage == storage {
			n++
		}
	}
	return n
}

func (s *site) events() []catalog.Event {
	stamp, err := s.store.LastStamp(context.Background())
	if err != nil {
		return nil
	}
	events, err := s.store.Events(context.Background(), stamp, 0)
	if err != nil {
		return nil
	}
	return events
}

// Of a pool the disk that is there is written; what waits for one that was taken away goes to the other. That none is there
// is no failure.
func TestPool(t *testing.T) {
	s := newSeveral(t, newImages(t, 4))
	defer s.close()
	s.rename("/usb2", "/away2")
	r := s.goodNight(0)
	s.checkCopies("second", r.Head.Stamp, everybody)
	if !strings.Contains(reportText(r), "storage usb1 is away") {
		t.Errorf("the report does not tell of the absence:\n%s", reportText(r))
	}
	s.rename("/away2", "/usb2")
	r1 := s.goodNight(1)
	s.checkCopies("usb2", r.Head.Stamp, "db web")
	s.checkCopies("usb2", r1.Head.Stamp, "db web")
	s.checkNothingWanted("with the second disk")
	s.rename("/usb2", "/away2")
	s.rename("/away", "/usb1")
	r2 := s.goodNight(2)
	s.checkCopies("usb1", r2.Head.Stamp, "db web")
	s.checkCopies("usb1", r1.Head.Stamp, "")
	s.checkNothingWanted("with the first disk")
	s.checkTidy("with the first disk")
}

// What is written somewhere leaves the holding disk when room is needed, the oldest first; the storage that lacked it gets it
// from volumes.
func TestLetGo(t *testing.T) {
	s := newSeveral(t, newImages(t, 6))
	defer s.close()
	s.rename("/second", "/lost")
	s.config.Holding[0].Use = 2600 << 10
	var stamps []catalog.Stamp
	for night := range 3 {
		r, err := s.run(context.Background(), night, run.Options{})
		wantStatus(t, r, err, 16)
		s.checkCopies("vtapes", r.Head.Stamp, everybody)
		stamps = append(stamps, r.Head.Stamp)
	}
	if !slices.ContainsFunc(s.events(), func(e catalog.Event) bool {
		n, ok := e.Body.(catalog.Note)
		return ok && strings.Contains(n.Text, "left the holding disk to make room")
	}) {
		t.Fatal("nothing was let go of: choose a smaller holding disk")
	}
	s.rename("/lost", "/second")
	s.goodNight(3)
	for _, stamp := range stamps {
		s.checkCopies("second", stamp, everybody)
	}
	s.checkNothingWanted("when it is back")
	s.checkTidy("when it is back")
	s.rename("/vtapes", "/lost")
	s.checkDone("from the storage that caught up")
}

// A copy whose source is damaged is not taken for good: nothing wrong gets onto the other storage.
func TestCatchUpDamaged(t *testing.T) {
	s := newSeveral(t, newImages(t, 4))
	defer s.close()
	s.rename("/second", "/lost")
	db := run.Options{DLEs: []catalog.DLE{{VM: "db", Disk: "disk0"}}}
	r, err := s.run(context.Background(), 0, db)
	wantStatus(t, r, err, 16)
	s.rename("/lost", "/second")
	dumps, err := s.store.Dumps(context.Background(), sqlstore.DumpFilter{VM: "db"})
	if err != nil || len(dumps) != 1 {
		t.Fatal(dumps, err)
	}
	for _, dir := range []string{"/vtapes", "/usb2"} {
		for _, name := range files(s.mem, dir) {
			if strings.Contains(name, "/00001.") {
				flip(t, s.mem, name, 40<<10, 0)
			}
		}
	}
	r, err = s.run(context.Background(), 1, run.Options{Command: run.CommandFlush})
	wantStatus(t, r, err, 16)
	if s.checkCopies("second", dumps[0].Stamp, ""); !strings.Contains(reportText(r), "its header says") {
		t.Errorf("the report does not tell of the damage:\n%s", reportText(r))
	}
}

// A flush needs no image, no disk list and no rows of wanted copies: what an older catalog left, and what is of images that are
// gone, goes to where nothing particular is asked for.
func TestFlushUnknown(t *testing.T) {
	ctx := context.Background()
	s := newSeveral(t, newImages(t, 3))
	defer s.close()
	var held []catalog.DLE
	for _, vm := range []string{"golden", "web", "vault"} {
		held = append(held, catalog.DLE{VM: vm, Disk: "disk0"})
	}
	r := s.mustRun(0, run.Options{NoTaper: true, DLEs: held})
	wanted, err := s.store.WantedCopies(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wanted {
		if err := s.store.DropWanted(ctx, w.Dump, w.Storage); err != nil {
			t.Fatal(err)
		}
	}
	s.config.DLEs = nil
	s.mustRun(1, run.Options{Command: run.CommandFlush})
	s.checkCopies("vtapes", r.Head.Stamp, "golden vault web")
	s.checkCopies("second", r.Head.Stamp, "golden vault web")
	s.checkCopies("usb2", r.Head.Stamp, "")
	s.checkNothingWanted("after the flush")
	s.checkTidy("after the flush")
	s.checkDone("after the flush")
}

// A volume that nothing needs is erased when its storage asks for it: it keeps its label, nothing else, and is used again.
func TestErase(t *testing.T) {
	ctx := context.Background()
	s := newSite(t, newImages(t, 9), strings.Replace(siteYAML, "run-volumes: 8", "run-volumes: 5, erase: true", 1))
	defer s.close()
	erased := map[catalog.Label]bool{}
	again := false
	for night := range 9 {
		r := s.goodNight(night)
		s.checkDone("after the night")
		s.checkTidy("after the night")
		for _, v := range s.volumes() {
			parts, err := s.store.PartsOn(ctx, v.Label)
			if err != nil {
				t.Fatal(err)
			}
			again = again || erased[v.Label] && v.WriteStamp == r.Head.Stamp
			if v.WriteStamp == "" {
				erased[v.Label] = true
				if left := files(s.mem, "/vtapes/slot"+v.Slot); len(parts) > 0 || len(left) != 1 {
					t.Errorf("volume %s is erased, and holds %d parts: %v", v.Label, len(parts), left)
				}
			}
		}
		if keep, _, err := s.Night().Verdicts(ctx, ""); err != nil {
			t.Fatal(err)
		} else if i := slices.IndexFunc(s.volumes(), func(v catalog.Volume) bool {
			return v.WriteStamp != "" && v.WriteStamp != r.Head.Stamp && keep[v.Label] == ""
		}); i >= 0 {
			t.Errorf("night %d: volume %s is kept by nothing, and not erased", night, s.volumes()[i].Label)
		}
	}
	if len(erased) == 0 || !again {
		t.Errorf("erased %v, used again: %v", erased, again)
	}
}

// An erasure that fails is told, loses nothing, and is done by the next run.
func TestEraseFails(t *testing.T) {
	s := newSite(t, newImages(t, 9), strings.Replace(siteYAML, "run-volumes: 8", "run-volumes: 5, erase: true", 1))
	defer s.close()
	for night := range 2 {
		s.goodNight(night)
	}
	var mu sync.Mutex
	failed := false
	s.fs = vfs.Wrap(s.mem, func(op vfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if op.Kind == vfs.OpRemove && strings.HasPrefix(op.Path, "/vtapes/slot") && strings.Contains(op.Path, "/0000") && s.finishedIn("vtapes") == 5 {
			failed = true
			return errInjected
		}
		return nil
	})
	r, err := s.run(context.Background(), 2, run.Options{})
	wantStatus(t, r, err, 0)
	s.fs = s.mem
	if !failed || !strings.Contains(reportText(r), "not erased: ") {
		t.Fatalf("failed %v\n%s", failed, reportText(r))
	}
	s.checkDone("after the failure")
	s.settled(3)
}

// A dump that is written twice to a storage in one run, since the first time no further volume could be found, leaves nothing of
// the first time that the catalog does not know.
func TestSecondAttempt(t *testing.T) {
	yaml := strings.Replace(severalYAML(), "  direct: {", "  bare: {compress: none, holding: never}\n  direct: {", 1)
	base := newSite(t, newImages(t, 2), strings.Replace(yaml, "{vm: web, image: /images/web, format: raw, type: plain}",
		"{vm: web, image: /images/web, format: raw, type: bare}", 1))
	twice := 0
	for n, more := 1, true; more; n++ {
		s := base.fork(t)
		var looks atomic.Int64
		s.fs = vfs.Wrap(s.mem, func(op vfs.Op) error {
			if op.Kind == vfs.OpReadDir && op.Path == "/vtapes" && looks.Add(1) == int64(n) {
				return errInjected
			}
			return nil
		})
		s.open(sqlstore.Options{})
		r, err := s.run(t.Context(), 0, run.Options{})
		if err != nil {
			t.Fatal(err)
		}
		more = looks.Load() >= int64(n)
		events, err := s.store.Events(t.Context(), r.Head.Stamp, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if failed, ok := e.Body.(catalog.CopyFailed); ok && failed.Parts > 0 && !failed.Held {
				twice++
			}
		}
		s.fs = s.mem
		s.checkVolumes(fmt.Sprintf("look %d failed", n), s.config.MainStorage())
		s.close()
	}
	if twice == 0 {
		t.Error("no dump was written twice")
	}
}
