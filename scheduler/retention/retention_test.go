package retention_test

import (
	"maps"
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

// volume is a volume of the storage "main", written on a day of March; 0: never.
func volume(label string, day int) catalog.Volume {
	v := catalog.Volume{Label: catalog.Label(label), Storage: "main"}
	if day > 0 {
		v.WriteStamp = stamp(day)
	}
	return v
}

// site is an input being put together. Dumps are named by VM.
type site struct{ retention.Input }

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
	c := catalog.Copy{Dump: id, Storage: "main", Status: status}
	for i, l := range labels {
		c.Parts = append(c.Parts, catalog.Part{Dump: id, Number: i + 1, Label: l})
	}
	s.Copies = append(s.Copies, c)
}

func (s *site) volumes(v ...catalog.Volume) { s.Volumes = append(s.Volumes, v...) }

func noReuse(v catalog.Volume) catalog.Volume {
	v.NoReuse = true
	return v
}

func retired(v catalog.Volume) catalog.Volume {
	v.Retired = true
	return v
}

// TestKeep: each volume that is kept, and the reason given. What is not named may be overwritten.
func TestKeep(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(s *site)
		want string
	}{
		{"nothing known", func(s *site) {}, ""},
		{"never written", func(s *site) { s.volumes(volume("A", 0)); s.KeepVolumes = 5 }, ""},
		{"written, but nothing on it", func(s *site) { s.volumes(volume("A", 1)) }, ""},
		{"by hand, and what this run wrote", func(s *site) {
			s.volumes(noReuse(volume("A", 1)), retired(volume("B", 2)), volume("C", 3), volume("D", 4))
			s.Current = stamp(4)
		}, "A: marked no-reuse\nB: retired\nD: written in this run"},
		{"the latest, with all it builds on, over several volumes", func(s *site) {
			full := s.dump("web", 1, 0, "", "A", "B")
			one := s.dump("web", 2, 1, full, "C")
			s.dump("web", 3, 2, one, "D")
			s.dump("web", 4, 2, one, "E")
		}, "A: holds web/d/20250301010000/0, which web/d/20250304010000/2 needs\n" +
			"B: holds web/d/20250301010000/0, which web/d/20250304010000/2 needs\n" +
			"C: holds web/d/20250302010000/1, which web/d/20250304010000/2 needs\n" +
			"E: holds web/d/20250304010000/2, the latest dump of web:d"},
		{"a later full frees what was before", func(s *site) {
			s.dump("web", 2, 1, s.dump("web", 1, 0, "", "A"), "B")
			s.dump("web", 3, 0, "", "C")
		}, "C: holds web/d/20250303010000/0, the latest dump of web:d"},
		{"the base image of a clone, though it has a later dump", func(s *site) {
			golden := s.dump("golden", 1, 0, "", "A")
			s.dump("clone", 2, 0, golden, "B")
			s.dump("golden", 3, 0, "", "C")
		}, "A: holds golden/d/20250301010000/0, which clone/d/20250302010000/0 needs\n" +
			"B: holds clone/d/20250302010000/0, the latest dump of clone:d\nC: holds golden/d/20250303010000/0, the latest dump of golden:d"},
		{"of two levels of one run the higher is the later", func(s *site) {
			full := s.dump("web", 1, 0, "", "A")
			s.dump("web", 1, 1, full, "B")
		}, "A: holds web/d/20250301010000/0, which web/d/20250301010000/1 needs\nB: holds web/d/20250301010000/1, the latest dump of web:d"},
		{"a dump that failed or lies nowhere is not the latest", func(s *site) {
			s.dump("web", 1, 0, "", "A")
			s.dump("web", 2, 0, "", "B")
			s.Dumps[1].Status = catalog.StatusPartial
			s.dump("web", 3, 0, "")
			s.copy(s.dump("web", 4, 0, ""), catalog.StatusPartial, "C")
		}, "A: holds web/d/20250301010000/0, the latest dump of web:d"},
		{"strange is usable", func(s *site) {
			s.dump("web", 1, 0, "", "A")
			s.dump("web", 2, 0, "", "B")
			s.Dumps[1].Status, s.Copies[1].Status = catalog.StatusStrange, catalog.StatusStrange
		}, "B: holds web/d/20250302010000/0, the latest dump of web:d"},
		{"a held dump needs its bases, and the latest on volumes stays", func(s *site) {
			full := s.dump("web", 1, 0, "", "A")
			s.dump("web", 3, 0, "", "C")
			s.Held = append(s.Held, s.dump("web", 4, 1, full))
		}, "A: holds web/d/20250301010000/0, which web/d/20250304010000/1 needs\nC: holds web/d/20250303010000/0, the latest dump of web:d"},
		{"all copies of what is needed, partial ones too", func(s *site) {
			id := s.dump("web", 1, 0, "", "A")
			s.copy(id, catalog.StatusOK, "B")
			s.copy(id, catalog.StatusPartial, "C")
		}, "A: holds web/d/20250301010000/0, the latest dump of web:d\nB: holds web/d/20250301010000/0, the latest dump of web:d\n" +
			"C: holds web/d/20250301010000/0, the latest dump of web:d"},
		{"what dumps on a volume kept by hand build on", func(s *site) {
			s.volumes(volume("A", 1), noReuse(volume("B", 2)), volume("C", 3))
			s.dump("web", 2, 1, s.dump("web", 1, 0, "", "A"), "B")
			s.dump("web", 3, 0, "", "C")
		}, "A: holds web/d/20250301010000/0, which web/d/20250302010000/1 needs\nB: marked no-reuse\n" +
			"C: holds web/d/20250303010000/0, the latest dump of web:d"},
		{"a volume that only holds a base keeps nothing more", func(s *site) {
			full := s.dump("web", 1, 0, "", "A")
			s.dump("db", 2, 1, s.dump("db", 1, 0, "", "Z"), "A") // on the volume that web's base keeps
			s.dump("db", 3, 0, "", "C")
			s.dump("web", 3, 1, full, "C")
		}, "A: holds web/d/20250301010000/0, which web/d/20250303010000/1 needs\nC: holds db/d/20250303010000/0, the latest dump of db:d"},
		{"a retired volume is gone: what is left is kept", func(s *site) {
			s.volumes(volume("A", 1), volume("B", 2), retired(volume("C", 3)), volume("D", 4))
			full := s.dump("web", 1, 0, "", "A")
			s.dump("web", 2, 1, full, "B")
			s.dump("web", 4, 1, s.dump("web", 3, 0, "", "C"), "D")
			s.dump("old", 3, 1, s.dump("old", 1, 0, "", "E"), "C")
		}, "A: holds web/d/20250301010000/0, which web/d/20250302010000/1 needs\nB: holds web/d/20250302010000/1, the latest dump of web:d that can be restored\n" +
			"C: retired\nD: holds web/d/20250304010000/1, the latest dump of web:d\nE: holds old/d/20250301010000/0, the latest dump of old:d"},
		{"the volumes written last, of each storage", func(s *site) {
			other := volume("X", 1)
			other.Storage = "other"
			s.volumes(volume("A", 1), volume("C", 3), volume("B", 2), retired(volume("R", 9)), other)
			s.KeepVolumes = 2
		}, "B: one of the 2 volumes written last\nC: one of the 2 volumes written last\nR: retired\nX: one of the 2 volumes written last"},
		{"what the volumes written last need", func(s *site) {
			s.volumes(volume("A", 1), volume("B", 2), volume("C", 3))
			s.dump("web", 2, 1, s.dump("web", 1, 0, "", "A"), "B")
			s.dump("web", 3, 0, "", "C")
			s.KeepVolumes = 2
		}, "A: holds web/d/20250301010000/0, which web/d/20250302010000/1 needs\nB: one of the 2 volumes written last\nC: one of the 2 volumes written last"},
		{"the last days, to the day", func(s *site) {
			old := s.dump("web", 9, 0, "", "A")
			s.dump("web", 12, 0, "", "B")
			s.dump("web", 13, 1, old, "C")
			s.dump("web", 19, 0, "", "D")
			s.RecoverDays = 7
		}, "A: holds web/d/20250309010000/0, which web/d/20250313010000/1 needs\nC: holds web/d/20250313010000/1, a dump of the last 7 days\n" +
			"D: holds web/d/20250319010000/0, the latest dump of web:d"},
		{"bases in a circle end", func(s *site) {
			s.dump("web", 1, 1, catalog.NewDumpID(catalog.DLE{VM: "web", Disk: "d"}, stamp(1), 1), "A")
		}, "A: holds web/d/20250301010000/1, the latest dump of web:d"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &site{retention.Input{Now: now}}
			c.make(s)
			keep := retention.Keep(s.Input)
			var lines []string
			for _, label := range slices.Sorted(maps.Keys(keep)) {
				lines = append(lines, string(label)+": "+keep[label])
			}
			if diff := cmp.Diff(c.want, strings.Join(lines, "\n")); diff != "" {
				t.Errorf("- want, + got:\n%s", diff)
			}
		})
	}
}
