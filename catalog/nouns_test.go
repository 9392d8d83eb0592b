package catalog_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"holdfast/catalog"
)

func TestStamp(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 20, 22, 30, 5, 999, berlin)
	s := catalog.NewStamp(at)
	if s != "20261120223005" {
		t.Errorf("stamp %s", s)
	}
	if got := s.Time(berlin); !got.Equal(at.Truncate(time.Second)) {
		t.Errorf("time %v", got)
	}
	for _, bad := range []string{"", "2026112022300", "202611202230055", "20261320223005", "20261120253005", "2026112022300x", "+0261120223005"} {
		if _, err := catalog.ParseStamp(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
		if got := catalog.Stamp(bad).Time(berlin); !got.IsZero() {
			t.Errorf("%q has time %v", bad, got)
		}
	}
	if got, err := catalog.ParseStamp(string(s)); err != nil || got != s {
		t.Errorf("%s, %v", got, err)
	}
}

func TestNames(t *testing.T) {
	d := catalog.DLE{VM: "rack/1:web", Disk: `C:\data`}
	if got := catalog.StandardName(d, "20261120220000", 3); got != "rack_1_web.C__data.20261120220000.3.qcow2" {
		t.Errorf("standard name %s", got)
	}
	if d.String() != `rack/1:web:C:\data` || !d.Less(catalog.DLE{VM: "z"}) || d.Less(d) || !d.Less(catalog.DLE{VM: d.VM, Disk: "D"}) {
		t.Error("DLE")
	}
}

func FuzzDumpID(f *testing.F) {
	f.Add("web01", "disk0", 0)
	f.Add("db/1", "C:\\ü %2F", 9)
	f.Add("", "\x00\xff", math.MaxInt32)
	f.Fuzz(func(t *testing.T, vm, disk string, level int) {
		d := catalog.DLE{VM: vm, Disk: disk}
		id := catalog.NewDumpID(d, "20261120220000", catalog.Level(level))
		gotDLE, stamp, gotLevel, err := catalog.ParseDumpID(id)
		if level < 0 {
			if err == nil {
				t.Errorf("%s was taken", id)
			}
			return
		}
		if err != nil || gotDLE != d || stamp != "20261120220000" || gotLevel != catalog.Level(level) {
			t.Errorf("%s gives %v %s %d, %v", id, gotDLE, stamp, gotLevel, err)
		}
	})
}

// An id has one form only, or one dump could stand in the catalog twice.
func FuzzParseDumpID(f *testing.F) {
	for _, id := range []string{"web01/disk0/20261120220000/0", "db%2F1/x/20261120220000/9", "a/b/20261120220000/01", "a/b/20261120220000/+1",
		"a/b/20261120220000", "a/b/c/20261120220000/0", "%zz/b/20261120220000/0", "%61/b/20261120220000/0", "a/b/20261320220000/0", "a/b/20261120220000/-1", ""} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		d, s, l, err := catalog.ParseDumpID(catalog.DumpID(id))
		if err == nil && catalog.NewDumpID(d, s, l) != catalog.DumpID(id) {
			t.Errorf("%q is taken for %s", id, catalog.NewDumpID(d, s, l))
		}
	})
}

func TestParseDumpIDRefuses(t *testing.T) {
	for _, id := range []catalog.DumpID{"", "a/b/20261120220000", "a/b/20261120220000/01", "a/b/20261120220000/+1", "a/b/20261120220000/-1",
		"%61/b/20261120220000/0", "%zz/b/20261120220000/0", "a/b/20261320220000/0", "a/b/20261120220000/99999999999999999999"} {
		if _, _, _, err := catalog.ParseDumpID(id); err == nil || !strings.Contains(err.Error(), "want VM/DISK/STAMP/LEVEL") {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestCovers(t *testing.T) {
	whole := []catalog.Part{{Number: 1, Bytes: 70}, {Number: 2, Offset: 70, Bytes: 30}}
	for _, c := range []struct {
		name  string
		parts []catalog.Part
		want  string
	}{
		{"whole", whole, ""},
		{"no parts", nil, "its 0 parts hold 0 bytes of 100"},
		{"no first", whole[1:], "part 1 is missing"},
		{"no second", whole[:1], "its 1 parts hold 70 bytes of 100"},
		{"gap", []catalog.Part{whole[0], {Number: 2, Offset: 71, Bytes: 29}}, "part 2 has bytes 71+29, want it to begin at 70"},
		{"overlap", []catalog.Part{whole[0], {Number: 2, Offset: 69, Bytes: 31}}, "want it to begin at 70"},
		{"backwards", []catalog.Part{{Number: 1, Bytes: -70}}, "0+-70"},
		{"too much", []catalog.Part{{Number: 1, Bytes: 101}}, "hold 101 bytes of 100"},
	} {
		err := catalog.Copy{Dump: "d", Storage: "main", Parts: c.parts}.Covers(catalog.Dump{StoredBytes: 100})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
