package run_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
	"holdfast/internal/vfs"
	"holdfast/reports"
	"holdfast/scheduler/run"
)

var errInjected = errors.New("injected fault")

// fault is what goes wrong in a night, and when.
type fault struct {
	kind  faultKind
	n     int
	night int
}

type faultKind string

const (
	failChange faultKind = "change"     // the n-th operation that changes something fails
	failLook   faultKind = "look"       // the n-th operation that only looks fails
	failCommit faultKind = "commit"     // the n-th commit of the catalog fails
	diskFull   faultKind = "full"       // from the n-th change on nothing more can be written
	diskGone   faultKind = "gone"       // from the n-th change on every operation on files fails
	noCatalog  faultKind = "no-catalog" // from the n-th commit on none succeeds
	killed     faultKind = "killed"     // at the n-th change or commit the program ends; files are as written
	powerLost  faultKind = "power"      // at the n-th change or commit the power goes; files are as synced
	powerAt    faultKind = "power-at"   // the same at the n-th commit
)

// trouble makes a fault happen. One lock over files and catalog: what comes after the end of the world is refused
// everywhere at once.
type trouble struct {
	fault
	mu                      sync.Mutex
	changes, looks, commits int
	over                    bool
	hit                     string // what failed first
}

func (tr *trouble) operation(op vfs.Op) error {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if op.Kind.Changes() {
		tr.changes++
	} else {
		tr.looks++
	}
	return tr.verdict(string(op.Kind)+" "+op.Path, op.Kind)
}

func (tr *trouble) commit() error {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.commits++
	return tr.verdict("commit", "")
}

// verdict is called after the counters have moved; kind is empty for a commit.
func (tr *trouble) verdict(what string, kind vfs.OpKind) error {
	isChange, isCommit := kind != "" && kind.Changes(), kind == ""
	var err error = errInjected
	now := false
	switch tr.kind {
	case failChange:
		now = isChange && tr.changes == tr.n
	case failLook:
		now = !isChange && !isCommit && tr.looks == tr.n
	case failCommit:
		now = isCommit && tr.commits == tr.n
	case diskFull:
		takes := kind == vfs.OpCreate || kind == vfs.OpWrite || kind == vfs.OpMkdir || kind == vfs.OpSymlink
		now, err = takes && tr.changes >= tr.n, syscall.ENOSPC
	case diskGone:
		tr.over = tr.over || isChange && tr.changes == tr.n
		now = tr.over && !isCommit
	case noCatalog:
		now = isCommit && tr.commits >= tr.n
	case powerAt:
		tr.over = tr.over || isCommit && tr.commits == tr.n
		now = tr.over
	case killed, powerLost:
		tr.over = tr.over || (isChange || isCommit) && tr.changes+tr.commits == tr.n
		now = tr.over
	}
	if !now {
		return nil
	}
	if tr.hit == "" {
		tr.hit = what
	}
	return err
}

// nightWith runs a night with a fault on a site that stands after the nights before.
func (s *site) nightWith(f fault) (*trouble, reports.Report, error) {
	tr := &trouble{fault: f}
	s.fs = vfs.Wrap(s.mem, tr.operation)
	s.open(sqlstore.Options{BeforeCommit: tr.commit})
	r, err := s.run(context.Background(), f.night, run.Options{})
	s.fs = s.mem
	s.open(sqlstore.Options{})
	return tr, r, err
}

// checkHonest makes sure that a run that says it went well did, and that whoever is said to be dumped is.
func (s *site) checkHonest(r reports.Report, err error) {
	s.t.Helper()
	if err == nil && r.Head.ExitStatus == 0 {
		s.checkLatest("the run said that all is well", r.Head.Stamp)
		held, err := s.store.Held(context.Background())
		if err != nil || len(held) > 0 {
			s.t.Errorf("the run said that all is well, but %d dumps are not on volumes (%v)\n%s", len(held), err, reportText(r))
		}
		return
	}
	if r.Head.Stamp == "" {
		return
	}
	events, err := s.store.Events(context.Background(), r.Head.Stamp, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range events {
		done, ok := e.Body.(catalog.DumpFinished)
		if !ok {
			continue
		}
		id := catalog.NewDumpID(done.DLE, done.Stamp, done.Level)
		if placed, err := s.Night().Placed(context.Background()); err != nil || !placed[id] {
			s.t.Errorf("%s is said to be finished, but lies nowhere (%v)", id, err)
		}
	}
}

// sweep runs the fault on a copy of the site, then a night without, and looks whether all is well at each step.
func sweep(t *testing.T, base *site, f fault) {
	what := fmt.Sprintf("night %d %s %d", f.night, f.kind, f.n)
	s := base.fork(t)
	defer func() { s.close() }()
	watched(what, func() {
		tr, r, err := s.nightWith(f)
		switch f.kind {
		case killed:
			next := s.snapshot(t, s.mem)
			s.close()
			s = next
		case powerLost, powerAt:
			next := s.fork(t)
			s.close()
			s = next
		default:
			s.checkHonest(r, err)
		}
		if s.store == nil {
			s.open(sqlstore.Options{})
		}
		s.checkDone("after the fault")
		next, err := s.run(context.Background(), f.night+1, run.Options{})
		if err != nil || next.Head.ExitStatus != 0 {
			t.Errorf("next night: exit status %d, error %v\n%s", next.Head.ExitStatus, err, reportText(next))
		}
		s.checkDone("after the next night")
		s.checkLatest("after the next night", next.Head.Stamp)
		s.checkTidy("after the next night")
		s.checkNothingWanted("after the next night")
		s.checkOnce()
		if t.Failed() {
			t.Logf("%s hit %s; its run: exit status %d\n%s", what, tr.hit, r.Head.ExitStatus, reportText(r))
		}
	})
}

// bases are sites before each night of the scenario; they are only copied. The nights: fulls; incrementals; fulls again
// while dumps of the night before still lie on the holding disk; incrementals on volumes that are used again.
func bases(t *testing.T, newSite func(t *testing.T, im *images) *site) []*site {
	const nights = 7
	s := newSite(t, newImages(t, nights+1))
	var list []*site
	for night := range nights {
		s.close()
		if night < 3 || night == nights-1 {
			list = append(list, s.fork(t))
		}
		s.open(sqlstore.Options{})
		if night == 1 {
			var held []catalog.DLE // what goes straight to a volume cannot go without
			for _, d := range s.config.DLEs {
				if d.VM != "db" {
					held = append(held, d.Name())
				}
			}
			s.mustRun(night, run.Options{NoTaper: true, DLEs: held})
		} else {
			s.mustRun(night, run.Options{})
		}
	}
	s.close()
	return list
}

// sweepSite makes a site; share is its part of the points.
type sweepSite struct {
	share float64
	make  func(t *testing.T, im *images) *site
}

// sweepSites are the sites that the sweeps go over, one storage; two, of which one erases, with a pool beside them.
var sweepSites = map[string]sweepSite{
	"one storage": {1, func(t *testing.T, im *images) *site {
		return newSite(t, im, strings.Replace(siteYAML, "slots: 14", "slots: 11", 1))
	}},
	"several storages": {0.25, func(t *testing.T, im *images) *site {
		yaml := strings.ReplaceAll(severalYAML(), "slots: 14", "slots: 11")
		s := newSite(t, im, strings.Replace(yaml, "label: S-%%%,", "label: S-%%%, erase: true,", 1))
		s.rename("/usb1", "/away")
		return s
	}},
	"a vault": {0.12, func(t *testing.T, im *images) *site {
		// Copied the night after, so that the night after the fault has everything to make good.
		return newSite(t, im, strings.Replace(vaultYAML("vault: {from: vtapes, after: 1d}"), "slots: 14", "slots: 11", 1))
	}},
}

// count tells how often each kind of fault could strike in a night.
func count(t *testing.T, base *site, night int) *trouble {
	s := base.fork(t)
	defer s.close()
	tr, r, err := s.nightWith(fault{night: night})
	if err != nil || r.Head.ExitStatus != 0 {
		t.Fatalf("exit status %d, error %v\n%s", r.Head.ExitStatus, err, reportText(r))
	}
	return tr
}

// points spreads at most budget points, but at least two, over 1..n: the first alone, before anything was done, shows little. With
// HOLDFAST_SWEEP=full it is the site's share of all of them, which for the site with one storage is every one; with
// HOLDFAST_SWEEP=one those of that site alone.
func points(n, budget int, of sweepSite) []int {
	if sweep := os.Getenv("HOLDFAST_SWEEP"); sweep == "full" || sweep == "one" && of.share == 1 {
		budget = int(float64(n) * min(1, of.share))
	}
	step := max(1, float64(n)/float64(max(2, budget)))
	var list []int
	for at := 1.0; int(at) <= n; at += step {
		list = append(list, int(at))
	}
	return list
}

// sweepBases makes the bases of all sites, once for all kinds of faults: they are only copied, and large.
func sweepBases(t *testing.T) map[string][]*site {
	made := map[string][]*site{}
	for name, of := range sweepSites {
		made[name] = bases(t, of.make)
	}
	return made
}

// sweepAll runs the points of one kind, in each night of the scenario of each site.
func sweepAll(t *testing.T, made map[string][]*site, kind faultKind, budget int) {
	for name, of := range sweepSites {
		t.Run(name, func(t *testing.T) { sweepOne(t, made[name], kind, budget, of) })
	}
}

func sweepOne(t *testing.T, all []*site, kind faultKind, budget int, of sweepSite) {
	budget = int(float64(budget) * of.share)
	for _, base := range all {
		night := base.night
		if len(base.made) == 0 {
			night = 0
		} else {
			night++
		}
		c := count(t, base, night)
		n := map[faultKind]int{
			failChange: c.changes, failLook: c.looks, failCommit: c.commits, diskFull: c.changes, diskGone: c.changes,
			noCatalog: c.commits, killed: c.changes + c.commits, powerLost: c.changes + c.commits, powerAt: c.commits,
		}[kind]
		if kind == powerAt && night == 0 {
			budget = int(float64(len(all)*n) * of.share) // every commit of the first night
		} else if kind == powerAt {
			return
		}
		t.Logf("night %d: %d points", night, n)
		for _, at := range points(n, budget/len(all), of) {
			t.Run(fmt.Sprintf("night%d-%d", night, at), func(t *testing.T) {
				t.Parallel()
				sweep(t, base, fault{kind: kind, n: at, night: night})
			})
		}
	}
}

// Whatever fails in a night: the run ends and says so, nothing that is recorded is lost, and the next night puts all
// right.
func TestFaults(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("all", func(t *testing.T) {
		made := sweepBases(t)
		for kind, budget := range map[faultKind]int{
			failChange: 48, failLook: 20, failCommit: 32, diskFull: 12, diskGone: 12, noCatalog: 12,
		} {
			t.Run(string(kind), func(t *testing.T) {
				t.Parallel()
				sweepAll(t, made, kind, budget)
			})
		}
	})
	checkGoroutines(t, before)
}

// checkGoroutines waits for those that are just ending.
func checkGoroutines(t *testing.T, before int) {
	for begun := time.Now(); time.Since(begun) < 10*time.Second; runtime.Gosched() {
		if runtime.NumGoroutine() <= before {
			return
		}
	}
	buf := make([]byte, 1<<16)
	t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
}

// Killed or without power at any moment: the same.
func TestCrashes(t *testing.T) {
	made := sweepBases(t)
	for kind, budget := range map[faultKind]int{powerLost: 72, powerAt: 0, killed: 40} {
		t.Run(string(kind), func(t *testing.T) { sweepAll(t, made, kind, budget) })
	}
}
