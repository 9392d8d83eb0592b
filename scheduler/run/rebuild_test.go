package run_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
	"holdfast/dumpers"
	"holdfast/internal/vfs"
	"holdfast/scheduler"
	"holdfast/scheduler/run"
	"holdfast/vtape/dir"
)

// known is what a restore and the next plan need of a catalog.
type known struct {
	Dumps   map[catalog.DumpID]catalog.Dump
	Copies  []catalog.Copy
	Held    []catalog.Holding
	Volumes []catalog.Volume
	Wanted  []catalog.Wanted
	Records []catalog.Part
	// Documents of the dumps, by dump and name.
	Documents map[catalog.DumpID]map[string][]byte
}

// knowledge reads all storages. Dumps that lie nowhere any more are history and left out; so is when a volume was seen.
func (s *site) knowledge() known {
	s.t.Helper()
	ctx := context.Background()
	must := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	k := known{Dumps: map[catalog.DumpID]catalog.Dump{}, Documents: map[catalog.DumpID]map[string][]byte{}}
	var err error
	k.Copies, err = s.store.AllCopies(ctx)
	must(err)
	k.Held, err = s.store.Held(ctx)
	must(err)
	k.Volumes, err = s.store.Volumes(ctx, "")
	must(err)
	for i := range k.Volumes {
		k.Volumes[i].Seen = firstNight()
	}
	k.Wanted, err = s.store.WantedCopies(ctx)
	must(err)
	k.Records, err = s.store.Records(ctx, "")
	must(err)
	placed := map[catalog.DumpID]bool{}
	for _, c := range k.Copies {
		placed[c.Dump] = true
	}
	for _, h := range k.Held {
		placed[h.Dump] = true
	}
	for id := range placed {
		k.Dumps[id], err = s.store.Dump(ctx, id)
		must(err)
		k.Documents[id], err = s.store.Metadata(ctx, id)
		must(err)
	}
	return k
}

// forecastSeconds leaves out how long nights are thought to take: a dump that is younger than the last record says nothing of its
// time. What is dumped, and why, is the same.
var forecastSeconds = cmpopts.IgnoreFields(scheduler.Night{}, "Seconds")

// planOf plans a night without doing it.
func (s *site) planOf(night int) scheduler.Plan {
	s.t.Helper()
	s.begin(night)
	p, err := s.Night().Plan(context.Background(), run.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// rebuild makes a catalog of the media in place of the one there was, which is lost.
func (s *site) rebuild(o run.RebuildOptions) run.Rebuilt {
	s.t.Helper()
	s.close()
	o.Path = filepath.Join(tempDir(s.t), "catalog.sqlite")
	n := s.Night()
	r, err := n.Rebuild(context.Background(), o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.path = o.Path
	s.open(sqlstore.Options{})
	return r
}

func (s *site) noProblems(r run.Rebuilt) {
	s.t.Helper()
	for _, err := range r.Problems {
		s.t.Errorf("problem: %v", err)
	}
}

func (s *site) sameKnowledge(want known) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.knowledge(), cmpopts.EquateEmpty()); diff != "" {
		s.t.Errorf("the catalog is not what it was: -old +new:\n%s", diff)
	}
}

// documented gives a source documents to keep with its dumps.
type documented struct {
	dumpers.Source
	docs map[string][]byte
}

func (d documented) Pin(ctx context.Context, j dumpers.Journal, disks ...string) (dumpers.Point, error) {
	p, err := d.Source.Pin(ctx, j, disks...)
	return documentedPoint{p, d.docs}, err
}

type documentedPoint struct {
	dumpers.Point
	docs map[string][]byte
}

func (p documentedPoint) Metadata() map[string][]byte { return p.docs }

// rebuildSite is a site after some nights: dumps that span volumes, clones, volumes used again, documents.
func rebuildSite(t *testing.T, nights int) *site {
	t.Helper()
	s := newSite(t, newImages(t, nights+4), siteYAML)
	s.document()
	for night := range nights {
		s.goodNight(night)
	}
	return s
}

// document gives the dumps of a VM documents that differ from night to night.
func (s *site) document() {
	s.source["web"] = func() (dumpers.Source, error) {
		docs := map[string][]byte{"domain.xml": fmt.Appendf(nil, "<domain>night %d</domain>\n", s.night), "nvram": {0, 1, 0xff}}
		return documented{named{s.im.nights[s.night]["web"], "image of web"}, docs}, nil
	}
}

// After 14 nights the catalog is lost. The one made from the media is the same in all that a restore needs, and the next night
// is planned the same.
func TestRebuild(t *testing.T) {
	t.Parallel()
	const nights = 14
	s := rebuildSite(t, nights)
	defer func() { s.close() }()
	ctx := context.Background()
	held := catalog.DLE{VM: "golden", Disk: "disk0"}
	s.mustRun(nights, run.Options{NoTaper: true, DLEs: []catalog.DLE{held}})
	volumes := s.volumes()
	if err := s.store.SetReuse(ctx, volumes[1].Label, true); err != nil {
		t.Fatal(err)
	}
	s.mustRun(nights+1, run.Options{DLEs: []catalog.DLE{{VM: "db", Disk: "disk0"}}}) // its record tells of no-reuse
	s.mustRun(nights+2, run.Options{NoTaper: true, DLEs: []catalog.DLE{held}})
	want, plan := s.knowledge(), s.planOf(nights+2)
	if len(want.Held) != 1 || !want.Volumes[1].NoReuse || len(want.Dumps) < 10 {
		t.Fatalf("the site is not what the test is about: %d held, %d dumps", len(want.Held), len(want.Dumps))
	}
	r := s.rebuild(run.RebuildOptions{})
	s.noProblems(r)
	if err := s.store.Check(ctx); err != nil {
		t.Error(err)
	}
	got := s.knowledge()
	// The dump on the holding disk is younger than the last record: its header does not tell all, and where it is to go is settled
	// by the next run.
	want.Wanted = slices.DeleteFunc(want.Wanted, func(w catalog.Wanted) bool { return w.Dump == want.Held[0].Dump })
	for i, h := range want.Held {
		d := want.Dumps[h.Dump]
		d.ChangedBytes, d.MapDigest = 0, ""
		d.Started, d.Ended = got.Dumps[h.Dump].Started, got.Dumps[h.Dump].Ended
		want.Dumps[h.Dump] = d
		for j := range h.Chunks {
			want.Held[i].Chunks[j].CRC, want.Held[i].Chunks[j].HeaderCRC = got.Held[i].Chunks[j].CRC, got.Held[i].Chunks[j].HeaderCRC
		}
	}
	s.sameKnowledge(want)
	if diff := cmp.Diff(plan, s.planOf(nights+2), forecastSeconds); diff != "" {
		t.Errorf("the next night is planned otherwise: -old +new:\n%s", diff)
	}
	s.checkDone("with the new catalog")
	last := s.goodNight(nights + 3)
	s.checkDone("after the next night")
	s.checkLatest("after the next night", last.Head.Stamp)
	if held, err := s.store.Held(ctx); err != nil || len(held) > 0 {
		t.Errorf("%d dumps are still on the holding disk, %v", len(held), err)
	}
}

// Block maps that are lost with the state directory are made anew, the same to the byte: by the run that needs them where
// the dumps are not encrypted, and with the key beforehand.
func TestMapsMadeAnew(t *testing.T) {
	t.Parallel()
	s := rebuildSite(t, 3)
	defer func() { s.close() }()
	want := map[string][]byte{}
	for _, name := range files(s.mem, "/state/maps") {
		data, err := vfs.ReadFile(s.mem, name)
		if err != nil {
			t.Fatal(err)
		}
		want[name] = data
	}
	lose := func() {
		if err := vfs.RemoveAll(s.mem, "/state/maps"); err != nil {
			t.Fatal(err)
		}
	}
	plan := s.planOf(3)
	lose()
	s.noProblems(s.rebuild(run.RebuildOptions{}))
	for _, e := range s.planOf(3).Entries {
		i := slices.IndexFunc(plan.Entries, func(p scheduler.Entry) bool { return p.DLE == e.DLE })
		if e.DLE.VM == "vault" {
			if e.Level != 0 || !strings.Contains(e.Reason, "no block map") || !strings.Contains(e.Reason, "encrypted") {
				t.Errorf("vault: level %d: %s", e.Level, e.Reason)
			}
		} else if diff := cmp.Diff(plan.Entries[i], e); diff != "" {
			t.Errorf("%s is planned otherwise: %s", e.DLE, diff)
		}
	}
	made, problems, err := s.Night().RebuildMaps(context.Background(), []age.Identity{s.im.identity}, func(string) {})
	if err != nil || len(problems) > 0 || made < 5 {
		t.Fatalf("%d maps made: %v, %v", made, problems, err)
	}
	for _, name := range files(s.mem, "/state/maps") {
		got, err := vfs.ReadFile(s.mem, name)
		if err != nil || !bytes.Equal(got, want[name]) {
			t.Errorf("%s is not what it was (%v)", name, err)
		}
	}
	if diff := cmp.Diff(plan, s.planOf(3)); diff != "" {
		t.Errorf("with all maps the night is planned otherwise: %s", diff)
	}
	lose()
	r := s.goodNight(3)
	for _, e := range plan.Entries {
		if level, why := s.level(r.Head.Stamp, e.DLE.VM); e.DLE.VM != "vault" && level != e.Level {
			t.Errorf("%s: level %d, planned was %d: %s", e.DLE, level, e.Level, why)
		}
	}
	s.checkDone("after a night without maps")
}

// slotOf gives the slot directory of a volume.
func (s *site) slotOf(label catalog.Label) string {
	s.t.Helper()
	for _, v := range s.volumes() {
		if v.Label == label {
			return dir.SlotPath("/vtapes", v.Slot)
		}
	}
	s.t.Fatalf("no volume %s", label)
	return ""
}

// record finds the file of a run's catalog record.
func (s *site) recordFile(stamp catalog.Stamp) string {
	s.t.Helper()
	for _, slot := range files(s.mem, "/vtapes") {
		if !strings.Contains(slot, ".holdfast-catalog.") {
			continue
		}
		data, err := vfs.ReadFile(s.mem, slot)
		if err != nil {
			s.t.Fatal(err)
		}
		if bytes.HasPrefix(data, []byte("AMANDA: SPLIT_FILE "+string(stamp)+" here holdfast-catalog ")) {
			return slot
		}
	}
	s.t.Fatalf("no record of run %s", stamp)
	return ""
}

// A record that is cut short, damaged, or from a newer holdfast is named and left out. Headers tell the rest: every dump is
// restored, and what the headers cannot tell is empty.
func TestRebuildWithoutTheLastRecord(t *testing.T) {
	t.Parallel()
	base := rebuildSite(t, 3)
	last := base.volumes()
	stamp := slices.MaxFunc(last, func(a, b catalog.Volume) int { return strings.Compare(string(a.WriteStamp), string(b.WriteStamp)) }).WriteStamp
	name := base.recordFile(stamp)
	want := base.knowledge()
	base.close()
	for _, c := range []struct {
		name   string
		change func(s *site)
		says   string
	}{
		{"gone", func(s *site) { must(s.t, s.mem.Remove(name)) }, ""},
		{"cut short", func(s *site) { truncate(s.t, s.mem, name, 32768+200) }, "catalog record of run " + string(stamp)},
		{"header only", func(s *site) { truncate(s.t, s.mem, name, 32768) }, "catalog record of run " + string(stamp)},
		{"damaged", func(s *site) { flip(s.t, s.mem, name, 32768+100, 3) }, "catalog record is damaged"},
		{"header damaged", func(s *site) { flip(s.t, s.mem, name, 3, 1) }, "file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := base.snapshot(t, base.mem.CrashClone())
			s.document()
			defer s.close()
			s.open(sqlstore.Options{})
			c.change(s)
			r := s.rebuild(run.RebuildOptions{Read: true})
			told := ""
			for _, err := range r.Problems {
				told += err.Error() + "\n"
			}
			if c.says == "" && told != "" || !strings.Contains(told, c.says) {
				t.Errorf("problems: %s, want %q", told, c.says)
			}
			got := s.knowledge()
			for id, d := range want.Dumps {
				if d.Stamp != stamp {
					continue
				}
				d.ChangedBytes, d.MapDigest, d.Messages = 0, "", nil
				d.Started, d.Ended = got.Dumps[id].Started, got.Dumps[id].Ended
				if diff := cmp.Diff(d, got.Dumps[id], cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("%s: -old +new:\n%s", id, diff)
				}
			}
			if diff := cmp.Diff(want.Copies, got.Copies); diff != "" { // checksums were read
				t.Errorf("copies: -old +new:\n%s", diff)
			}
			s.checkDone("without the last record")
			next := s.goodNight(3)
			s.checkDone("after the next night")
			s.checkLatest("after the next night", next.Head.Stamp)
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func truncate(t testing.TB, fsys vfs.FS, name string, size int64) {
	t.Helper()
	f, err := fsys.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	must(t, errors.Join(f.Truncate(size), f.Sync(), f.Close()))
}

// Volumes that are lost: the last one, with the last record on it, or one in the middle. What lay on it is partial, and
// named; all else is as it was.
func TestRebuildVolumeLost(t *testing.T) {
	t.Parallel()
	base := rebuildSite(t, 4)
	want := base.knowledge()
	base.close()
	for i, v := range want.Volumes {
		t.Run(string(v.Label), func(t *testing.T) {
			s := base.snapshot(t, base.mem.CrashClone())
			s.document()
			defer s.close()
			s.open(sqlstore.Options{})
			for _, name := range files(s.mem, s.slotOf(v.Label)) {
				must(t, s.mem.Remove(name))
			}
			r := s.rebuild(run.RebuildOptions{})
			var told strings.Builder
			for _, err := range r.Problems {
				fmt.Fprintln(&told, err)
			}
			got := s.knowledge()
			for _, c := range want.Copies {
				hurt := slices.ContainsFunc(c.Parts, func(p catalog.Part) bool { return p.Label == v.Label })
				j := slices.IndexFunc(got.Copies, func(g catalog.Copy) bool { return g.Dump == c.Dump && g.WriteStamp == c.WriteStamp })
				switch {
				case hurt && j >= 0 && got.Copies[j].Status.Usable():
					t.Errorf("%s is called %s without %s", c.Dump, got.Copies[j].Status, v.Label)
				case hurt && i < len(want.Volumes)-1 && !strings.Contains(told.String(), string(c.Dump)):
					t.Errorf("%s is not named as hurt:\n%s", c.Dump, told.String())
				case !hurt && c.Status.Usable() && (j < 0 || !got.Copies[j].Status.Usable()):
					t.Errorf("%s does not lie on %s, but is no longer good", c.Dump, v.Label)
				}
			}
			s.checkDone("without " + string(v.Label))
		})
	}
}

// A volume that was written over after the record was made is not taken for what the record says, and of two records that
// disagree the later one counts, as far as the headers do not gainsay it.
func TestRebuildOldRecords(t *testing.T) {
	t.Parallel()
	s := rebuildSite(t, 2)
	defer func() { s.close() }()
	volumes := s.volumes()
	saved := map[string][]byte{} // the first volume as it was
	slot := s.slotOf(volumes[0].Label)
	for _, name := range files(s.mem, slot) {
		data, err := vfs.ReadFile(s.mem, name)
		must(t, err)
		saved[name] = data
	}
	for night := 2; night < 5; night++ {
		s.goodNight(night)
	}
	want := s.knowledge()
	s.noProblems(s.rebuild(run.RebuildOptions{}))
	s.sameKnowledge(want)
	// An old volume comes back into the slot of a later one: its record is older than the others', and its dumps are believed by their headers.
	for _, name := range files(s.mem, slot) {
		must(t, s.mem.Remove(name))
	}
	for name, data := range saved {
		must(t, vfs.WriteFileDurable(s.mem, name, data, 0o600))
	}
	s.rebuild(run.RebuildOptions{})
	if err := s.store.Check(context.Background()); err != nil {
		t.Error(err)
	}
	s.checkDone("with an old volume")
}

// A catalog that is there is replaced only when that is asked for, and kept.
func TestRebuildReplaces(t *testing.T) {
	t.Parallel()
	s := rebuildSite(t, 2)
	defer func() { s.close() }()
	want := s.knowledge()
	n := s.Night()
	ctx := context.Background()
	if _, err := n.Rebuild(ctx, run.RebuildOptions{Path: s.path}); !errors.Is(err, run.ErrCatalogThere) {
		t.Fatalf("%v", err)
	}
	s.sameKnowledge(want)
	s.close()
	r, err := n.Rebuild(ctx, run.RebuildOptions{Path: s.path, Force: true})
	must(t, err)
	s.open(sqlstore.Options{})
	s.sameKnowledge(want)
	runs, err := s.store.Runs(ctx, 0)
	must(t, err)
	if len(runs) != 2 || runs[0].Ended.IsZero() {
		t.Errorf("runs: %+v", runs)
	}
	old, err := sqlstore.Open(ctx, r.Backup, sqlstore.Options{ReadOnly: true})
	must(t, err)
	defer old.Close()
	events, err := old.Events(ctx, runs[0].Stamp, 0) // only the old one has them
	if err != nil || len(events) == 0 {
		t.Errorf("the old catalog has %d events, %v", len(events), err)
	}
}

// The rebuild is killed at each of its steps: the old catalog or the new one stands there, whole.
func TestRebuildKilled(t *testing.T) {
	t.Parallel()
	base := rebuildSite(t, 2)
	base.close()
	count := 0
	for n := 1; ; n++ {
		s := base.snapshot(t, base.mem.CrashClone())
		step, over := 0, false
		s.fs = base.mem
		disk := vfs.Wrap(vfs.OS(), func(op vfs.Op) error {
			if op.Kind.Changes() {
				step++
			}
			over = over || step == n
			if over {
				return errInjected
			}
			return nil
		})
		_, err := s.Night().Rebuild(context.Background(), run.RebuildOptions{Path: s.path, Force: true, Files: disk})
		if err == nil && !over {
			break
		}
		count++
		s.open(sqlstore.Options{})
		if err := s.store.Check(context.Background()); err != nil {
			t.Errorf("killed at step %d: %v", n, err)
		}
		if dumps, err := s.store.Dumps(context.Background(), sqlstore.DumpFilter{Restorable: true}); err != nil || len(dumps) < 9 {
			t.Errorf("killed at step %d: %d dumps, %v", n, len(dumps), err)
		}
		s.close()
		if _, err := s.Night().Rebuild(context.Background(), run.RebuildOptions{Path: s.path, Force: true}); err != nil {
			t.Errorf("killed at step %d, and again: %v", n, err)
		}
	}
	if count < 8 {
		t.Errorf("only %d steps", count)
	}
}
