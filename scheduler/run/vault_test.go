package run_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
	"holdfast/configs"
	"holdfast/reports"
	"holdfast/scheduler/run"
)

// vaultYAML is siteYAML with a vault after two days, of other parts, on volumes that dumps span.
func vaultYAML(vault string) string {
	const storage = `
  offsite: {path: /offsite, slots: 40, volume-size: 1280KiB, part-size: 256KiB, label: O-%%%, run-volumes: 20, VAULT}
dump-types:`
	return strings.Replace(siteYAML, "\ndump-types:", strings.Replace(storage, "VAULT", vault, 1), 1)
}

func newVault(t testing.TB, nights int, vault string) *site {
	t.Helper()
	return newSite(t, newImages(t, nights), vaultYAML(vault))
}

// levels lists the dumps of a run as "vm:level", of those that lie whole in a storage.
func (s *site) levels(storage string, stamp catalog.Stamp) []string {
	s.t.Helper()
	copies, err := s.store.AllCopies(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	var list []string
	for _, c := range copies {
		dle, made, level, err := catalog.ParseDumpID(c.Dump)
		if err != nil {
			s.t.Fatal(err)
		}
		if c.Storage == storage && c.Status.Usable() && made == stamp {
			list = append(list, dle.VM+":"+string('0'+rune(level)))
		}
	}
	slices.Sort(list)
	return list
}

// checkOnce makes sure that no dump lies twice in the vault.
func (s *site) checkOnce() {
	s.t.Helper()
	copies, err := s.store.AllCopies(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	seen := map[catalog.DumpID]bool{}
	for _, c := range copies {
		if c.Storage == "offsite" && c.Status.Usable() {
			if seen[c.Dump] {
				s.t.Errorf("%s was copied twice", c.Dump)
			}
			seen[c.Dump] = true
		}
	}
}

// restoreAlone restores, with every other storage gone, each dump that the vault holds.
func (s *site) restoreAlone() (restored int) {
	s.t.Helper()
	s.rename("/vtapes", "/lost")
	defer s.rename("/lost", "/vtapes")
	dumps, err := s.store.Dumps(context.Background(), sqlstore.DumpFilter{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, d := range dumps {
		if !slices.Contains(s.levels("offsite", d.Stamp), d.DLE.VM+":"+string('0'+rune(d.Level))) {
			continue
		}
		if err := s.restore(d); err != nil {
			s.t.Errorf("from the vault alone: %v", err)
		}
		restored++
	}
	return restored
}

func notes(r reports.Report) string {
	var all []string
	for _, n := range r.Notes {
		all = append(all, n.Text)
	}
	return strings.Join(all, "\n")
}

// After two days every dump is in the vault, once, in parts of the vault's size, with its own stamp and a new write stamp; and
// the vault alone restores all it has.
func TestVault(t *testing.T) {
	s := newVault(t, 6, "no-reuse: true, vault: {from: vtapes, after: 2d}")
	defer s.close()
	var nights []reports.Report
	for night := range 6 {
		r := s.goodNight(night)
		nights = append(nights, r)
		s.checkCopies("offsite", r.Head.Stamp, "")
		if night >= 2 {
			s.checkCopies("offsite", nights[night-2].Head.Stamp, everybody)
			if text := reportText(r); !strings.Contains(text, "VAULT") || !strings.Contains(text, "O-0") {
				t.Errorf("the report does not tell of the copies:\n%s", text)
			}
		}
		if night >= 1 {
			s.checkCopies("offsite", nights[night-1].Head.Stamp, "")
		}
		s.checkTidy("after the night")
		s.checkOnce()
	}
	copies, err := s.store.AllCopies(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	spans := false
	for _, c := range copies {
		if c.Storage != "offsite" {
			continue
		}
		_, made, _, _ := catalog.ParseDumpID(c.Dump)
		if c.WriteStamp <= made {
			t.Errorf("%s: written by run %s", c.Dump, c.WriteStamp)
		}
		for _, p := range c.Parts {
			if p.Bytes > 256<<10 {
				t.Errorf("%s part %d has %d bytes", c.Dump, p.Number, p.Bytes)
			}
			spans = spans || p.Label != c.Parts[0].Label
		}
	}
	if !spans {
		t.Error("no copy spans volumes: make the vault's smaller")
	}
	if records, err := s.store.Records(context.Background(), "offsite"); err != nil || len(records) < 4 {
		t.Errorf("%d catalog records in the vault, %v", len(records), err)
	}
	if n := s.restoreAlone(); n != 20 {
		t.Errorf("restored %d dumps from the vault, want 20", n)
	}
}

// Only the latest fulls: one that has a newer full when it is due is left out with a note; a clone's full brings what it
// builds on.
func TestVaultLatestFull(t *testing.T) {
	s := newVault(t, 8, "vault: {from: vtapes, after: 1d, dumps: latest-full}")
	defer s.close()
	s.config.DumpCycle = 4
	for night := range 6 {
		s.goodNight(night)
		s.checkOnce()
	}
	full := func(stamp catalog.Stamp) []string {
		return slices.DeleteFunc(s.levels("vtapes", stamp), func(l string) bool { return !strings.HasSuffix(l, ":0") })
	}
	for stamp, night := range s.made {
		if night > 4 {
			continue
		}
		for _, l := range s.levels("offsite", stamp) {
			if !strings.HasSuffix(l, ":0") && !strings.HasPrefix(l, "golden") {
				t.Errorf("night %d: %s is in the vault", night, l)
			}
		}
		if night == 0 && !slices.Equal(s.levels("offsite", stamp), full(stamp)) {
			t.Errorf("first fulls %v, in the vault %v", full(stamp), s.levels("offsite", stamp))
		}
	}
	if s.restoreAlone() < 5 {
		t.Error("the vault holds too little")
	}
}

// A full that is due after a newer one was made is not copied.
func TestVaultSuperseded(t *testing.T) {
	s := newVault(t, 4, "vault: {from: vtapes, after: 3d, dumps: latest-full}")
	defer s.close()
	var all []reports.Report
	for night := range 2 {
		all = append(all, s.goodNight(night))
	}
	s.goodNight(2) // fulls again
	r := s.goodNight(3)
	if got := s.levels("offsite", all[0].Head.Stamp); len(got) > 0 {
		t.Errorf("in the vault: %v, although there are newer fulls", got)
	}
	if !strings.Contains(notes(r), "not copied, since there are newer fulls: ") {
		t.Errorf("nothing is said of it: %s", notes(r))
	}
}

// A vault that is dead costs no dump and is told; one that is away and may be is a note. Both are filled when they are back.
func TestVaultDead(t *testing.T) {
	for name, c := range map[string]struct {
		vault  string
		status int
	}{
		"dead": {"vault: {from: vtapes, after: 1d}", 16},
		"away": {"removable: true, vault: {from: vtapes, after: 1d}", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newVault(t, 4, c.vault)
			defer s.close()
			first := s.goodNight(0)
			s.rename("/offsite", "/lost2")
			r, err := s.run(context.Background(), 1, run.Options{})
			wantStatus(t, r, err, c.status)
			s.checkCopies("vtapes", r.Head.Stamp, everybody)
			s.checkCopies("offsite", first.Head.Stamp, "")
			if c.status == 0 && !strings.Contains(notes(r), "storage offsite is away") {
				t.Errorf("nothing is said of the absence: %s", notes(r))
			}
			s.rename("/lost2", "/offsite")
			s.goodNight(2)
			s.checkCopies("offsite", first.Head.Stamp, everybody)
			s.checkCopies("offsite", r.Head.Stamp, everybody)
			s.checkOnce()
			s.checkTidy("when it is back")
		})
	}
}

// What was lost before it was copied is a problem that is told once.
func TestVaultGone(t *testing.T) {
	ctx := context.Background()
	s := newVault(t, 4, "vault: {from: vtapes, after: 1d}")
	defer s.close()
	s.goodNight(0)
	for _, v := range s.volumes() {
		if v.Files == 0 {
			continue
		}
		if err := s.store.Retire(ctx, v.Label); err != nil {
			t.Fatal(err)
		}
	}
	r, err := s.run(ctx, 1, run.Options{})
	if err != nil || r.Head.ExitStatus == 0 || !strings.Contains(reportText(r), "never copied, and there is nothing left to copy from") {
		t.Errorf("exit status %d, %v\n%s", r.Head.ExitStatus, err, reportText(r))
	}
	s.goodNight(2)
	s.checkCopies("offsite", r.Head.Stamp, everybody)
}

// Copies that are left only in a storage which is no longer in the configuration can be copied by nobody: they are given up, once,
// and with a word.
func TestVaultOfStorageThatIsNoMore(t *testing.T) {
	ctx := context.Background()
	const second = "\n  second: {path: /second, slots: 14, volume-size: 1152KiB, part-size: 384KiB, label: S-%%%, run-volumes: 8, vault: {from: vtapes, after: 1d}}\ndump-types:"
	s := newSite(t, newImages(t, 4), strings.Replace(siteYAML, "\ndump-types:", second, 1))
	defer s.close()
	first := s.goodNight(0)
	anew := strings.NewReplacer("  vtapes: {path: /vtapes,", "  other: {path: /other,", "from: vtapes", "from: other", "T-%%%", "O-%%%")
	s.config = parseConfig(t, anew.Replace(strings.Replace(siteYAML, "\ndump-types:", second, 1)))
	if err := (run.Opener{FS: s.mem}).Create(ctx, s.config.Storage["other"]); err != nil {
		t.Fatal(err)
	}
	r, err := s.run(ctx, 1, run.Options{})
	if err != nil || strings.Count(reportText(r), "storage second: never copied, and there is nothing left to copy from: ") != 1 {
		t.Errorf("exit status %d, %v\n%s", r.Head.ExitStatus, err, reportText(r))
	}
	wanted, err := s.store.WantedCopies(ctx)
	if err != nil || slices.ContainsFunc(wanted, func(w catalog.Wanted) bool { return strings.Contains(string(w.Dump), string(first.Head.Stamp)) }) {
		t.Errorf("still wanted: %v, %v", wanted, err)
	}
	if text := notes(r); !slices.Equal(s.levels("other", r.Head.Stamp), []string{"clone:0", "db:0", "golden:0", "vault:0", "web:0"}) {
		t.Errorf("dumps build on what nobody finds: %s", text)
	}
	s.goodNight(2)
	s.checkCopies("second", r.Head.Stamp, everybody)
}

// By hand: what is not due yet, what the catalog has of an image from before there was a vault, and nothing twice.
func TestVaultByHand(t *testing.T) {
	s := newSite(t, newImages(t, 4), siteYAML)
	defer s.close()
	first := s.goodNight(0)
	second := s.goodNight(1)
	s.config = parseConfig(t, vaultYAML("vault: {from: vtapes, after: 2d}"))
	if err := (run.Opener{FS: s.mem}).Create(t.Context(), s.config.Storage["offsite"]); err != nil {
		t.Fatal(err)
	}
	o := run.Options{Command: run.CommandVault, Vault: run.VaultOptions{
		Storages: []string{"offsite"}, DLEs: []catalog.DLE{{VM: "clone", Disk: "disk0"}}, Dumps: configs.VaultFull, Run: first.Head.Stamp,
	}}
	s.mustRun(2, o)
	if got := strings.Join(s.levels("offsite", first.Head.Stamp), " "); got != "clone:0 golden:0" {
		t.Errorf("in the vault: %s", got)
	}
	p, err := s.Night().PlanVault(context.Background(), o.Vault)
	if err != nil || !p.Empty() {
		t.Errorf("still to be copied: %v, %v", p, err)
	}
	o.Vault = run.VaultOptions{Dumps: configs.VaultAll}
	s.mustRun(3, o)
	s.checkCopies("offsite", first.Head.Stamp, everybody)
	s.checkCopies("offsite", second.Head.Stamp, everybody)
	s.checkOnce()
	s.checkTidy("after the runs")
	if n := s.restoreAlone(); n != 10 {
		t.Errorf("restored %d dumps, want 10", n)
	}
}
