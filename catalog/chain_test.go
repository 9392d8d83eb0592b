package catalog_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"holdfast/catalog"
)

var (
	web  = catalog.DLE{VM: "web01", Disk: "disk0"}
	gold = catalog.DLE{VM: "golden", Disk: "disk0"}
)

// made is a dump of d on the day of November 2026, at level; base by its id.
func made(d catalog.DLE, day string, level catalog.Level, base catalog.DumpID) catalog.Dump {
	stamp := catalog.Stamp("202611" + day + "220000")
	return catalog.Dump{ID: catalog.NewDumpID(d, stamp, level), DLE: d, Stamp: stamp, Level: level, Base: base, Status: catalog.StatusOK}
}

func with(d catalog.Dump, s catalog.Status) catalog.Dump {
	d.Status = s
	return d
}

func ids(dumps []catalog.Dump) string {
	var all []string
	for _, d := range dumps {
		all = append(all, string(d.ID))
	}
	return strings.Join(all, " ")
}

func TestChain(t *testing.T) {
	base := made(gold, "01", 0, "")
	full := made(web, "01", 0, base.ID)
	one := made(web, "02", 1, full.ID)
	two := made(web, "03", 2, one.ID)
	loop := one
	loop.Base = two.ID
	self := full
	self.Base = full.ID
	for _, c := range []struct {
		name  string
		dumps []catalog.Dump
		id    catalog.DumpID
		want  string
		err   string
	}{
		{"alone", []catalog.Dump{base}, base.ID, ids([]catalog.Dump{base}), ""},
		{"through a linked clone to its base image", []catalog.Dump{two, one, full, base}, two.ID, ids([]catalog.Dump{base, full, one, two}), ""},
		{"strange is usable", []catalog.Dump{with(base, catalog.StatusStrange)}, base.ID, string(base.ID), ""},
		{"unknown", nil, two.ID, "", "dump web01/disk0/20261103220000/2: not in the catalog"},
		{"nothing", nil, "", "", "no dump is named"},
		{"missing link", []catalog.Dump{two, one, base}, two.ID, "", "dump web01/disk0/20261102220000/1: its base web01/disk0/20261101220000/0 is not in the catalog"},
		{"failed link", []catalog.Dump{two, with(one, catalog.StatusFailed), full, base}, two.ID, "", "dump web01/disk0/20261102220000/1: cannot be used: it is failed"},
		{"partial", []catalog.Dump{with(base, catalog.StatusPartial)}, base.ID, "", "it is partial"},
		{"cycle", []catalog.Dump{two, loop}, two.ID, "", "dump web01/disk0/20261102220000/1: its base web01/disk0/20261103220000/2 builds on it in turn"},
		{"its own base", []catalog.Dump{self}, self.ID, "", "builds on it in turn"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := catalog.Chain(c.id, func(id catalog.DumpID) (catalog.Dump, bool) {
				i := slices.IndexFunc(c.dumps, func(d catalog.Dump) bool { return d.ID == id })
				if i < 0 {
					return catalog.Dump{}, false
				}
				return c.dumps[i], true
			})
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Fatalf("error %v, want %q", err, c.err)
			}
			if ids(got) != c.want {
				t.Errorf("chain %s, want %s", ids(got), c.want)
			}
		})
	}
}

func TestBaseFor(t *testing.T) {
	full := made(web, "01", 0, "")
	one := made(web, "02", 1, full.ID)
	two := made(web, "03", 2, one.ID)
	one2 := made(web, "04", 1, full.ID)
	clone := made(web, "01", 0, made(gold, "01", 0, "").ID)
	for _, c := range []struct {
		name  string
		dumps []catalog.Dump
		level catalog.Level
		want  catalog.DumpID
	}{
		{"a full has no base", []catalog.Dump{full, one}, 0, ""},
		{"no dumps", nil, 1, ""},
		{"latest full", []catalog.Dump{full, one, two}, 1, full.ID},
		{"latest of a lower level", []catalog.Dump{full, one, two}, 2, one.ID},
		{"level 1 of a later night before level 2", []catalog.Dump{one2, two, one, full}, 3, one2.ID},
		{"levels may be skipped", []catalog.Dump{full}, 5, full.ID},
		{"failed is passed over", []catalog.Dump{full, one, with(one2, catalog.StatusFailed)}, 2, one.ID},
		{"strange is good enough", []catalog.Dump{full, one, with(one2, catalog.StatusStrange)}, 2, one2.ID},
		{"one whose own base is gone", []catalog.Dump{one, two}, 3, ""},
		{"one whose own base failed", []catalog.Dump{full, with(one, catalog.StatusPartial), two}, 3, full.ID},
		{"the base image of a linked clone is another DLE's affair", []catalog.Dump{clone}, 1, clone.ID},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := catalog.BaseFor(c.dumps, c.level)
			if got.ID != c.want || ok != (c.want != "") {
				t.Errorf("%s, %v, want %s", got.ID, ok, c.want)
			}
		})
	}
}

func TestNeeded(t *testing.T) {
	base := made(gold, "01", 0, "")
	full := made(web, "01", 0, base.ID)
	one := made(web, "02", 1, full.ID)
	old := made(web, "00", 0, "")
	loop := made(web, "09", 1, "")
	loop.Base = loop.ID
	for _, c := range []struct {
		name  string
		roots []catalog.DumpID
		want  []catalog.DumpID
	}{
		{"none", nil, nil},
		{"chain", []catalog.DumpID{one.ID}, []catalog.DumpID{base.ID, full.ID, one.ID}},
		{"shared", []catalog.DumpID{one.ID, full.ID, old.ID}, []catalog.DumpID{base.ID, full.ID, one.ID, old.ID}},
		{"unknown is needed all the same", []catalog.DumpID{"x"}, []catalog.DumpID{"x"}},
		{"a loop ends", []catalog.DumpID{loop.ID}, []catalog.DumpID{loop.ID}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := slices.Sorted(maps.Keys(catalog.Needed([]catalog.Dump{one, full, base, old, loop}, c.roots)))
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestNearest(t *testing.T) {
	names := []string{"web01", "web02", "db-primary", "Mail", "x"}
	for name, want := range map[string]string{
		"web1": "web01", "wbe02": "web02", "WEB01": "web01", "db-primray": "db-primary", "dbprimary": "db-primary", "mial": "Mail",
		"wobble": "", "": "", "zzz": "", "y": "", "X": "x", "grün": "",
	} {
		if got, ok := catalog.Nearest(name, names); got != want || ok != (want != "") {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if got, ok := catalog.Nearest("web01", nil); ok {
		t.Errorf("%q of no names", got)
	}
}
