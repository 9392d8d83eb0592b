package retention_test

import (
	"holdfast/catalog"
	"holdfast/scheduler/retention"
)

// ruleCases are cases of TestJudge: each rule by itself.
var ruleCases = []judgeCase{
	{"nothing known", func(s *site) {}, ``},
	{"never written", func(s *site) {
		s.volumes(volume("A", 0))
		s.main(retention.Policy{KeepVolumes: 5, KeepDays: 9, NoReuse: true})
	}, ``},
	{"written, but nothing on it", func(s *site) { s.volumes(volume("A", 1)) }, ``},
	{"by hand, locked, and what this run wrote", func(s *site) {
		s.volumes(volume("A", 1), volume("B", 2), volume("C", 3), volume("D", 4), volume("E", 5), volume("F", 6))
		s.volume("A").NoReuse, s.volume("B").Retired, s.Current = true, true, stamp(4)
		s.volume("E").LockedUntil, s.volume("F").LockedUntil = stamp(21).Time(now.Location()), now
	}, `
A: marked no-reuse
B: retired
D: written in this run
E: locked at its storage until 21 [until 21]
`},
	{"all reasons, the weightiest first", func(s *site) {
		s.main(retention.Policy{KeepVolumes: 1, KeepDays: 9, NoReuse: true, WindowDays: 8, KeepFulls: 1, KeepFullDays: 3})
		s.dump("web", 18, 0, "", "A")
		s.volume("A").NoReuse, s.volume("A").LockedUntil, s.Current = true, stamp(25).Time(now.Location()), stamp(18)
		s.Dumps[0].Hold = "court"
		s.want(s.Dumps[0].ID, "second")
	}, `
A: marked no-reuse
   storage main overwrites nothing (no-reuse)
   holds web.18.0, on hold: court
   locked at its storage until 25 [until 25]
   written in this run
   holds web.18.0, the latest dump of web:d
   holds web.18.0, a dump of the last 8 days
   holds web.18.0, the latest full of web:d
   holds web.18.0, a full of the last 3 days [until 21]
   the volume written last
   written in the last 9 days [until 27]
   holds web.18.0, still to be copied to second
`},
	{"a storage that reuses nothing", func(s *site) {
		s.main(retention.Policy{NoReuse: true})
		s.volumes(volume("A", 1), volume("S", 1))
		s.volume("S").Storage = "second"
	}, `
A: storage main overwrites nothing (no-reuse)
`},
	{"the volumes written last, of each storage", func(s *site) {
		s.volumes(volume("A", 1), volume("C", 3), volume("B", 2), volume("R", 9), volume("S", 1))
		s.volume("S").Storage, s.volume("R").Retired = "second", true
		s.main(retention.Policy{KeepVolumes: 2})
		s.Policies["second"] = retention.Policy{KeepVolumes: 1}
	}, `
B: one of the 2 volumes written last
C: one of the 2 volumes written last
R: retired
S: the volume written last
`},
	{"volumes written in the last days, to the second", func(s *site) {
		s.volumes(volume("A", 13), volume("B", 14))
		s.main(retention.Policy{KeepDays: 7})
	}, `
B: written in the last 7 days [until 21]
`},
	{"the recovery window, with the state at its first instant", func(s *site) {
		s.main(retention.Policy{WindowDays: 7})
		s.dump("web", 9, 0, "", "A")
		old := s.dump("web", 11, 0, "", "B")
		s.dump("web", 12, 1, old, "C")
		s.dump("web", 14, 1, old, "D")
		s.dump("web", 19, 0, "", "E")
	}, `
B: holds web.11.0, which web.14.1 needs (a dump of the last 7 days) [until 26]
C: holds web.12.1, the latest dump of web:d before the last 7 days [until 21]
D: holds web.14.1, a dump of the last 7 days [until 26]
E: holds web.19.0, the latest dump of web:d
   holds web.19.0, a dump of the last 7 days
`},
	{"the state at the window's first instant is one that can be restored", func(s *site) {
		s.main(retention.Policy{WindowDays: 7})
		s.dump("web", 9, 0, "", "A")
		s.dump("web", 11, 1, s.dump("web", 10, 0, "", "LOST"), "B")
		s.volume("LOST").Retired = true
		s.dump("web", 19, 0, "", "C")
	}, `
A: holds web.09.0, the latest dump of web:d before the last 7 days [until 26]
C: holds web.19.0, the latest dump of web:d
   holds web.19.0, a dump of the last 7 days
LOST: retired
`},
	{"a dump of the very instant that the window begins is the state then", func(s *site) {
		s.main(retention.Policy{WindowDays: 7})
		s.dump("web", 12, 0, "", "A")
		s.dump("web", 13, 0, "", "B")
		s.dump("web", 19, 0, "", "C")
	}, `
B: holds web.13.0, the latest dump of web:d before the last 7 days [until 26]
C: holds web.19.0, the latest dump of web:d
   holds web.19.0, a dump of the last 7 days
`},
	{"the latest fulls of each image", func(s *site) {
		s.main(retention.Policy{KeepFulls: 2})
		for day, label := range []catalog.Label{"A", "B", "C"} {
			s.dump("web", day*3+1, 0, "", label)
			s.dump("web", day*3+2, 1, s.Dumps[len(s.Dumps)-1].ID, label+"1")
		}
		s.dump("db", 1, 0, "", "D")
	}, `
B: holds web.04.0, one of the 2 latest fulls of web:d
C: holds web.07.0, which web.08.1 needs (the latest dump of web:d)
   holds web.07.0, one of the 2 latest fulls of web:d
C1: holds web.08.1, the latest dump of web:d
D: holds db.01.0, the latest dump of db:d
   holds db.01.0, one of the 2 latest fulls of db:d
`},
	{"each full for some days", func(s *site) {
		s.main(retention.Policy{KeepFullDays: 10})
		s.dump("web", 10, 0, "", "A")
		full := s.dump("web", 11, 0, "", "B")
		s.dump("web", 12, 1, full, "C")
		s.dump("web", 13, 0, "", "D")
	}, `
B: holds web.11.0, a full of the last 10 days [until 21]
D: holds web.13.0, the latest dump of web:d
   holds web.13.0, a full of the last 10 days [until 23]
`},
	{"a dump on hold, with its base", func(s *site) {
		s.dump("web", 2, 1, s.dump("web", 1, 0, "", "A"), "B")
		s.Dumps[1].Hold = "case 12/345"
		s.dump("web", 3, 0, "", "C")
	}, `
A: holds web.01.0, which web.02.1 needs (on hold: case 12/345)
B: holds web.02.1, on hold: case 12/345
C: holds web.03.0, the latest dump of web:d
`},
	{"what is still to be copied yields, unless something else keeps it", func(s *site) {
		full := s.dump("web", 1, 0, "", "A")
		s.want(s.dump("web", 2, 1, full, "B"), "second")
		s.want(s.dump("web", 3, 0, "", "C"), "second")
		s.want(s.dump("db", 1, 0, "", "D"), "nowhere")
		s.dump("db", 2, 0, "", "E")
	}, `
~A: holds web.01.0, which web.02.1 needs (still to be copied to second)
~B: holds web.02.1, still to be copied to second
C: holds web.03.0, the latest dump of web:d
   holds web.03.0, still to be copied to second
E: holds db.02.0, the latest dump of db:d
`},
	{"a copy is made: the source is free", func(s *site) {
		old := s.dump("web", 1, 0, "", "A")
		s.copy(old, catalog.StatusOK, "S")
		s.want(old, "second")
		s.dump("web", 2, 0, "", "B")
		s.copy(s.Dumps[1].ID, catalog.StatusOK, "S2")
	}, `
B: holds web.02.0, the latest dump of web:d
S2: holds web.02.0, the latest dump of web:d
`},
}

// judgeCase is a case of TestJudge.
type judgeCase struct {
	name string
	make func(s *site)
	want string
}

// chainCases are cases of TestJudge: the latest dumps, and what they build on.
var chainCases = []judgeCase{
	{"the latest, with all it builds on, over several volumes", func(s *site) {
		full := s.dump("web", 1, 0, "", "A", "B")
		one := s.dump("web", 2, 1, full, "C")
		s.dump("web", 3, 2, one, "D")
		s.dump("web", 4, 2, one, "E")
	}, `
A: holds web.01.0, which web.04.2 needs (the latest dump of web:d)
B: holds web.01.0, which web.04.2 needs (the latest dump of web:d)
C: holds web.02.1, which web.04.2 needs (the latest dump of web:d)
E: holds web.04.2, the latest dump of web:d
`},
	{"a later full frees what was before", func(s *site) {
		s.dump("web", 2, 1, s.dump("web", 1, 0, "", "A"), "B")
		s.dump("web", 3, 0, "", "C")
	}, `
C: holds web.03.0, the latest dump of web:d
`},
	{"the base image of a clone, though it has a later dump", func(s *site) {
		golden := s.dump("golden", 1, 0, "", "A")
		s.dump("clone", 2, 0, golden, "B")
		s.dump("golden", 3, 0, "", "C")
	}, `
A: holds golden.01.0, which clone.02.0 needs (the latest dump of clone:d)
B: holds clone.02.0, the latest dump of clone:d
C: holds golden.03.0, the latest dump of golden:d
`},
	{"of two levels of one run the higher is the later", func(s *site) {
		full := s.dump("web", 1, 0, "", "A")
		s.dump("web", 1, 1, full, "B")
	}, `
A: holds web.01.0, which web.01.1 needs (the latest dump of web:d)
B: holds web.01.1, the latest dump of web:d
`},
	{"a dump that failed or lies nowhere is not the latest", func(s *site) {
		s.dump("web", 1, 0, "", "A")
		s.dump("web", 2, 0, "", "B")
		s.Dumps[1].Status = catalog.StatusPartial
		s.dump("web", 3, 0, "")
		s.copy(s.dump("web", 4, 0, ""), catalog.StatusPartial, "C")
	}, `
A: holds web.01.0, the latest dump of web:d
`},
	{"strange is usable", func(s *site) {
		s.dump("web", 1, 0, "", "A")
		s.dump("web", 2, 0, "", "B")
		s.Dumps[1].Status, s.Copies[1].Status = catalog.StatusStrange, catalog.StatusStrange
	}, `
B: holds web.02.0, the latest dump of web:d
`},
	{"a held dump needs its bases, and the latest on volumes stays", func(s *site) {
		full := s.dump("web", 1, 0, "", "A")
		s.dump("web", 3, 0, "", "C")
		s.Held = append(s.Held, s.dump("web", 4, 1, full))
	}, `
A: holds web.01.0, which web.04.1 needs (on the holding disk)
C: holds web.03.0, the latest dump of web:d
`},
	{"all whole copies of what is needed, and no partial one", func(s *site) {
		id := s.dump("web", 1, 0, "", "A")
		s.copy(id, catalog.StatusOK, "B")
		s.copy(id, catalog.StatusPartial, "C")
	}, `
A: holds web.01.0, the latest dump of web:d
B: holds web.01.0, the latest dump of web:d
`},
	{"what dumps on a volume kept by hand build on", func(s *site) {
		s.dump("web", 2, 1, s.dump("web", 1, 0, "", "A"), "B", "B2")
		s.dump("web", 3, 0, "", "C")
		s.volume("B").NoReuse = true
	}, `
A: holds web.01.0, which web.02.1 needs (on B, which is kept: marked no-reuse)
B: marked no-reuse
B2: holds web.02.1, on B, which is kept: marked no-reuse
C: holds web.03.0, the latest dump of web:d
`},
	{"a volume that only holds a base keeps nothing more", func(s *site) {
		full := s.dump("web", 1, 0, "", "A")
		s.dump("db", 2, 1, s.dump("db", 1, 0, "", "Z"), "A") // on the volume that web's base keeps
		s.dump("db", 3, 0, "", "C")
		s.dump("web", 3, 1, full, "C")
	}, `
A: holds web.01.0, which web.03.1 needs (the latest dump of web:d)
C: holds db.03.0, the latest dump of db:d
   holds web.03.1, the latest dump of web:d
`},
	{"a retired volume is gone: what is left is kept, and what rests on it, should it come back", func(s *site) {
		full := s.dump("web", 1, 0, "", "A")
		s.dump("web", 2, 1, full, "B")
		s.dump("web", 4, 1, s.dump("web", 3, 0, "", "C"), "D")
		s.dump("old", 3, 1, s.dump("old", 1, 0, "", "E"), "C")
		s.volume("C").Retired = true
	}, `
A: holds web.01.0, which web.02.1 needs (the latest dump of web:d that can be restored)
B: holds web.02.1, the latest dump of web:d that can be restored
C: retired
D: holds web.04.1, the latest dump of web:d
E: holds old.01.0, the latest dump of old:d
`},
	{"what the volumes written last need", func(s *site) {
		s.dump("web", 2, 1, s.dump("web", 1, 0, "", "A"), "B")
		s.dump("web", 3, 0, "", "C")
		s.main(retention.Policy{KeepVolumes: 2})
	}, `
A: holds web.01.0, which web.02.1 needs (on B, which is kept: one of the 2 volumes written last)
B: one of the 2 volumes written last
C: holds web.03.0, the latest dump of web:d
   one of the 2 volumes written last
`},
	{"bases in a circle end", func(s *site) {
		s.dump("web", 1, 1, catalog.NewDumpID(catalog.DLE{VM: "web", Disk: "d"}, stamp(1), 1), "A")
	}, `
A: holds web.01.1, the latest dump of web:d
`},
	{"needed by several: for the one that lasts longest", func(s *site) {
		s.main(retention.Policy{WindowDays: 5})
		full := s.dump("web", 11, 0, "", "A")
		s.dump("web", 16, 1, full, "B")
		s.dump("web", 17, 1, full, "C")
		s.dump("web", 18, 0, "", "D")
		s.dump("web", 19, 0, "", "E")
	}, `
A: holds web.11.0, which web.17.1 needs (a dump of the last 5 days) [until 23]
   holds web.11.0, the latest dump of web:d before the last 5 days [until 21]
B: holds web.16.1, a dump of the last 5 days [until 22]
C: holds web.17.1, a dump of the last 5 days [until 23]
D: holds web.18.0, a dump of the last 5 days [until 24]
E: holds web.19.0, the latest dump of web:d
   holds web.19.0, a dump of the last 5 days
`},
}

// storageCases are cases of TestJudge with several storages.
var storageCases = []judgeCase{
	{"each storage keeps its latest and its own chain", func(s *site) {
		full := s.dump("web", 1, 0, "", "A")
		s.copy(full, catalog.StatusOK, "S1")
		incr := s.dump("web", 2, 1, full, "B")
		s.copy(incr, catalog.StatusOK, "S2")
		s.dump("web", 3, 0, "", "C")
	}, `
C: holds web.03.0, the latest dump of web:d
S1: holds web.01.0, which web.02.1 needs (the latest dump of web:d)
S2: holds web.02.1, the latest dump of web:d
`},
	{"a base that lies in another storage only is kept there", func(s *site) {
		full := s.dump("web", 1, 0, "", "A")
		s.dump("web", 2, 1, full, "S1")
		s.dump("web", 3, 0, "", "C")
	}, `
A: holds web.01.0, which web.02.1 needs (the latest dump of web:d)
C: holds web.03.0, the latest dump of web:d
S1: holds web.02.1, the latest dump of web:d
`},
	{"what can be restored from a storage alone stays beside what needs another", func(s *site) {
		s.dump("web", 1, 0, "", "S1")
		full := s.dump("web", 2, 0, "", "A")
		s.dump("web", 3, 1, full, "S3")
		s.dump("web", 4, 0, "", "D")
	}, `
A: holds web.02.0, which web.03.1 needs (the latest dump of web:d)
D: holds web.04.0, the latest dump of web:d
S1: holds web.01.0, the latest dump of web:d that can be restored from second alone
S3: holds web.03.1, the latest dump of web:d
`},
	{"one storage has lost it: the other's copy is the one that is needed", func(s *site) {
		full := s.dump("web", 1, 0, "", "A")
		s.copy(full, catalog.StatusOK, "S1")
		s.dump("web", 2, 1, full, "B")
		s.copy(s.dump("web", 3, 0, ""), catalog.StatusOK, "S2")
		s.volume("A").Retired = true
	}, `
A: retired
B: holds web.02.1, the latest dump of web:d
S1: holds web.01.0, which web.02.1 needs (the latest dump of web:d)
S2: holds web.03.0, the latest dump of web:d
`},
	{"a storage that is not in the configuration is not relied upon, nor overwritten", func(s *site) {
		full := s.dump("web", 1, 0, "", "A")
		s.copy(full, catalog.StatusOK, "X1")
		s.dump("web", 2, 1, full, "X2")
		s.dump("web", 3, 0, "", "C")
	}, `
C: holds web.03.0, the latest dump of web:d
X1: its storage old is not in the configuration
X2: its storage old is not in the configuration
`},
	{"each storage has its own policy: a vault's fulls stay, the nights' are used again", func(s *site) {
		s.Policies["second"] = retention.Policy{KeepFulls: 2}
		for day, label := range []catalog.Label{"A", "B", "C"} {
			s.copy(s.dump("web", day+1, 0, "", label), catalog.StatusOK, "S"+label)
		}
	}, `
C: holds web.03.0, the latest dump of web:d
SB: holds web.02.0, one of the 2 latest fulls of web:d
SC: holds web.03.0, the latest dump of web:d
   holds web.03.0, one of the 2 latest fulls of web:d
`},
	{"on hold in every storage", func(s *site) {
		s.copy(s.dump("web", 1, 0, "", "A"), catalog.StatusOK, "S1")
		s.Dumps[0].Hold = "court"
		s.copy(s.dump("web", 2, 0, "", "B"), catalog.StatusOK, "S2")
	}, `
A: holds web.01.0, on hold: court
B: holds web.02.0, the latest dump of web:d
S1: holds web.01.0, on hold: court
S2: holds web.02.0, the latest dump of web:d
`},
	{"a volume holds two copies of one dump", func(s *site) {
		id := s.dump("web", 1, 0, "", "A", "B")
		s.copy(id, catalog.StatusOK, "A", "C")
	}, `
A: holds web.01.0, the latest dump of web:d
B: holds web.01.0, the latest dump of web:d
C: holds web.01.0, the latest dump of web:d
`},
}
