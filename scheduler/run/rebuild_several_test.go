package run_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/catalog"
	"holdfast/reports"
	"holdfast/scheduler/run"
)

// paritySet is put beside the other storages: a set of three members.
const paritySet = `
  parity: {device: rait, members: [{path: /r1}, {path: /r2}, {path: /r3}], parity: 1, slots: 14, volume-size: 2304KiB, part-size: 256KiB, label: P-%%%, run-volumes: 8}
dump-types:`

// nightOfSet runs a night. Degraded, the parity set lacks a member: all dumps are made and written, and the report says so.
func (s *site) nightOfSet(night int, degraded bool) reports.Report {
	s.t.Helper()
	const media = 16
	want := 0
	if degraded {
		want = media
	}
	r, err := s.run(context.Background(), night, run.Options{})
	if err != nil || r.Head.ExitStatus != want {
		s.t.Fatalf("night %d: exit status %d, error %v\n%s", night, r.Head.ExitStatus, err, reportText(r))
	}
	return r
}

// After 14 nights to three storages, one of them a parity set that has lost a member, the catalog is lost. The one made from
// the media is the same in all that a restore needs, and the next night is planned the same.
func TestRebuildSeveral(t *testing.T) {
	t.Parallel()
	const nights = 14
	s := newSeveral(t, newImages(t, nights+2))
	defer func() { s.close() }()
	s.close()
	s = newSite(t, s.im, strings.Replace(severalYAML(), "\ndump-types:", paritySet, 1))
	s.rename("/usb1", "/away")
	s.document()
	for night := range nights {
		if night == nights/2 {
			s.rename("/r2", "/lost")
		}
		s.nightOfSet(night, night >= nights/2)
	}
	want, plan := s.knowledge(), s.planOf(nights)
	storages := map[string]bool{}
	degraded := false
	for _, v := range want.Volumes {
		storages[v.Storage] = true
		degraded = degraded || len(v.Degraded) > 0
	}
	if len(storages) != 4 || !degraded || len(want.Dumps) < 10 {
		t.Fatalf("the site is not what the test is about: storages %v, degraded %v, %d dumps", storages, degraded, len(want.Dumps))
	}
	r := s.rebuild(run.RebuildOptions{})
	s.noProblems(r)
	if err := s.store.Check(context.Background()); err != nil {
		t.Error(err)
	}
	s.sameKnowledge(want)
	if diff := cmp.Diff(plan, s.planOf(nights), forecastSeconds); diff != "" {
		t.Errorf("the next night is planned otherwise: -old +new:\n%s", diff)
	}
	s.checkDone("with the new catalog")
	last := s.nightOfSet(nights, true)
	s.checkLatest("after the next night", last.Head.Stamp)
	for _, storage := range []string{"vtapes", "second", "parity"} {
		s.checkCopies(storage, catalog.Stamp(last.Head.Stamp), everybody)
	}
}
