package retention_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/catalog"
	"holdfast/scheduler/retention"
)

var now = time.Date(2025, 3, 20, 1, 0, 0, 0, time.UTC)

func stamp(day int) catalog.Stamp {
	return catalog.NewStamp(time.Date(2025, 3, day, 1, 0, 0, 0, time.UTC))
}

func dleOf(i int) catalog.DLE { return catalog.DLE{VM: fmt.Sprintf("vm%d", i), Disk: "d"} }

// volume is a volume of the storage "main", written on a day of March; 0: never.
func volume(label string, day int) catalog.Volume {
	v := catalog.Volume{Label: catalog.Label(label), Storage: "main"}
	if day > 0 {
		v.WriteStamp, v.Files = stamp(day), 1
	}
	return v
}

// site is an input being put together. Dumps are named by VM. Volumes whose label begins with S or X are of the storages
// "second" and "old", others of "main"; "old" is not in the configuration.
type site struct{ retention.Input }

func newSite() *site {
	return &site{retention.Input{Now: now, Policies: map[string]retention.Policy{"main": {}, "second": {}}}}
}

// main sets the policy of the main storage.
func (s *site) main(p retention.Policy) { s.Policies["main"] = p }

// dump adds a dump of a day with a copy on the labels, a part on each.
func (s *site) dump(vm string, day int, level catalog.Level, base catalog.DumpID, labels ...catalog.Label) catalog.DumpID {
	d := catalog.Dump{
		DLE: catalog.DLE{VM: vm, Disk: "d"}, Stamp: stamp(day), Level: level, Base: base, Status: catalog.StatusOK,
	}
	d.ID = catalog.NewDumpID(d.DLE, d.Stamp, level)
	s.Dumps = append(s.Dumps, d)
	if len(labels) > 0 {
		s.copy(d.ID, catalog.StatusOK, labels...)
	}
	return d.ID
}

func (s *site) copy(id catalog.DumpID, status catalog.Status, labels ...catalog.Label) {
	c := catalog.Copy{Dump: id, Status: status}
	_, written, _, _ := catalog.ParseDumpID(id)
	for i, l := range labels {
		c.Parts = append(c.Parts, catalog.Part{Dump: id, Number: i + 1, Label: l})
		v := s.volume(l)
		v.WriteStamp, v.Files = max(v.WriteStamp, written), v.Files+1
		c.Storage = v.Storage
	}
	s.Copies = append(s.Copies, c)
}

// volume is the volume of a label, made when it is not there.
func (s *site) volume(label catalog.Label) *catalog.Volume {
	i := slices.IndexFunc(s.Volumes, func(v catalog.Volume) bool { return v.Label == label })
	if i < 0 {
		v := volume(string(label), 0)
		switch label[0] {
		case 'S':
			v.Storage = "second"
		case 'X':
			v.Storage = "old"
		}
		i = len(s.Volumes)
		s.Volumes = append(s.Volumes, v)
	}
	return &s.Volumes[i]
}

func (s *site) volumes(v ...catalog.Volume) { s.Volumes = append(s.Volumes, v...) }

func (s *site) want(id catalog.DumpID, storage string) {
	s.Wanted = append(s.Wanted, catalog.Wanted{Dump: id, Storage: storage})
}

var (
	stampForm = regexp.MustCompile(`/d/202503(\d\d)010000/(\d)`)
	timeForm  = regexp.MustCompile(`2025-03-(\d\d) 01:00:00`)
)

// text writes verdicts: for each volume that is kept "LABEL: REASON", a line for each further reason, and the day until
// when it lasts. A dump is written VM.DAY.LEVEL, and "~" stands before what yields.
func text(v retention.Verdicts) string {
	var b strings.Builder
	for _, one := range v.Volumes {
		name := string(one.Label) + ": "
		if one.Yields {
			name = "~" + name
		}
		for _, r := range one.Reasons {
			fmt.Fprintf(&b, "%s%s", name, r.Text)
			if !r.Until.IsZero() {
				fmt.Fprintf(&b, " [until %d]", r.Until.Day())
			}
			b.WriteString("\n")
			name = "   "
		}
	}
	return timeForm.ReplaceAllString(stampForm.ReplaceAllString(b.String(), ".$1.$2"), "$1")
}

// TestJudge: each volume that is kept, with all reasons. What is not named may be overwritten.
func TestJudge(t *testing.T) {
	for _, c := range slices.Concat(ruleCases, chainCases, storageCases) {
		t.Run(c.name, func(t *testing.T) {
			s := newSite()
			c.make(s)
			want := strings.TrimLeft(c.want, "\n")
			v := retention.Judge(s.Input)
			if diff := cmp.Diff(want, text(v)); diff != "" {
				t.Errorf("- want, + got:\n%s", diff)
			}
			if why := differs(s.Input, v); why != "" {
				t.Errorf("the oracle: %s", why)
			}
		})
	}
}

// TestKeep: what the library is told: the weightiest reason of each volume of one storage, and what is firm.
func TestKeep(t *testing.T) {
	s := newSite()
	old := s.dump("web", 1, 0, "", "A")
	s.dump("web", 2, 0, "", "B")
	s.copy(s.Dumps[1].ID, catalog.StatusOK, "S")
	s.volume("D").NoReuse = true
	s.want(old, "second")
	v := retention.Judge(s.Input)
	latest := "holds web/d/20250302010000/0, the latest dump of web:d"
	want := map[catalog.Label]string{"A": "holds web/d/20250301010000/0, still to be copied to second", "B": latest, "D": "marked no-reuse"}
	if diff := cmp.Diff(want, v.Keep("main")); diff != "" {
		t.Errorf("keep: - want, + got:\n%s", diff)
	}
	delete(want, "A")
	if diff := cmp.Diff(want, v.Firm("main")); diff != "" {
		t.Errorf("firm: - want, + got:\n%s", diff)
	}
	if _, ok := v.Of("NONE"); ok {
		t.Error("there is a verdict on a volume that is not there")
	}
	if one, ok := v.Of("S"); !ok || one.Label != "S" || one.Storage != "second" {
		t.Errorf("verdict on S: %+v, %t", one, ok)
	}
}

// TestErasable: only what nothing keeps, was written, and whose storage asks for it.
func TestErasable(t *testing.T) {
	s := newSite()
	s.main(retention.Policy{Erase: true})
	old := s.dump("web", 1, 0, "", "OLD")
	s.copy(old, catalog.StatusOK, "S-OLD")
	s.want(s.dump("web", 2, 0, "", "YIELDS"), "second")
	s.copy(s.dump("web", 3, 0, ""), catalog.StatusPartial, "PARTIAL")
	s.dump("web", 4, 0, "", "LATEST")
	s.volumes(volume("NEVER", 0), volume("WRITTEN", 5), volume("LOCKED", 5), volume("RETIRED", 5))
	s.volume("LOCKED").LockedUntil = now.Add(time.Second)
	s.volume("RETIRED").Retired = true
	if diff := cmp.Diff([]catalog.Label{"OLD", "PARTIAL", "WRITTEN"}, retention.Judge(s.Input).Erasable()); diff != "" {
		t.Errorf("- want, + got:\n%s", diff)
	}
}

// TestOnlyOn: what is lost with a volume: dumps that something keeps, and that lie nowhere else.
func TestOnlyOn(t *testing.T) {
	s := newSite()
	full := s.dump("web", 1, 0, "", "A", "B")
	s.copy(full, catalog.StatusOK, "B", "C")
	incr := s.dump("web", 2, 1, full, "C")
	s.dump("db", 1, 0, "", "C") // nothing keeps it
	s.copy(s.dump("db", 2, 0, "", "C"), catalog.StatusOK, "S")
	s.Held = append(s.Held, s.dump("db", 3, 0, "", "C"))
	for label, want := range map[catalog.Label][]catalog.DumpID{"A": nil, "B": {full}, "C": {incr}, "S": nil, "NONE": nil} {
		if diff := cmp.Diff(want, retention.Judge(s.Input).OnlyOn(label)); diff != "" {
			t.Errorf("on %s alone: - want, + got:\n%s", label, diff)
		}
	}
}
