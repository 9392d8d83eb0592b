package library_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"holdfast/catalog"
	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/library"
)

func slot(n, label, stamp string) library.SlotInfo {
	return library.SlotInfo{Slot: n, Label: catalog.Label(label), Stamp: catalog.Stamp(stamp), Blank: label == ""}
}

func volume(label, stamp string) catalog.Volume {
	return catalog.Volume{Label: catalog.Label(label), Storage: "vtapes", WriteStamp: catalog.Stamp(stamp)}
}

const s1, s2, s3 = "20250101000000", "20250102000000", "20250103000000"

// failed is a blank slot that gave trouble.
func failed(n string, err error) library.SlotInfo {
	info := slot(n, "", "")
	info.Err = err
	return info
}

func TestPick(t *testing.T) {
	for name, tc := range map[string]struct {
		inv  []library.SlotInfo
		vols []catalog.Volume
		keep map[catalog.Label]string
		want library.Choice
	}{
		"reusable before blank": {
			inv:  []library.SlotInfo{slot("1", "", ""), slot("2", "A", s1), slot("3", "", "")},
			vols: []catalog.Volume{volume("A", s1)},
			want: library.Choice{Slot: "2", Label: "A"},
		},
		"blank when nothing may be overwritten": {
			inv:  []library.SlotInfo{slot("1", "A", s1), slot("2", "", ""), slot("3", "", "")},
			vols: []catalog.Volume{volume("A", s1)},
			keep: map[catalog.Label]string{"A": "kept"},
			want: library.Choice{Slot: "2"},
		},
		"oldest first": {
			inv:  []library.SlotInfo{slot("1", "A", s3), slot("2", "B", s1), slot("3", "C", s2)},
			vols: []catalog.Volume{volume("A", s3), volume("B", s1), volume("C", s2)},
			want: library.Choice{Slot: "2", Label: "B"},
		},
		"labelled and never written after those written": {
			inv:  []library.SlotInfo{slot("1", "B", "X"), slot("2", "C", "0"), slot("3", "A", s1)},
			vols: []catalog.Volume{volume("A", s1), volume("B", ""), volume("C", "")},
			want: library.Choice{Slot: "3", Label: "A"},
		},
		"labelled and never written before blank": {
			inv:  []library.SlotInfo{slot("1", "", ""), slot("2", "B", "X"), slot("3", "C", "0")},
			vols: []catalog.Volume{volume("B", ""), volume("C", "")},
			want: library.Choice{Slot: "2", Label: "B"},
		},
		"kept ones are passed over": {
			inv:  []library.SlotInfo{slot("1", "A", s1), slot("2", "B", s2)},
			vols: []catalog.Volume{volume("A", s1), volume("B", s2)},
			keep: map[catalog.Label]string{"A": "holds the only full of web01:root"},
			want: library.Choice{Slot: "2", Label: "B"},
		},
		"older than the catalog says: a crash before it was overwritten": {
			inv:  []library.SlotInfo{slot("1", "A", s1)},
			vols: []catalog.Volume{volume("A", s2)},
			want: library.Choice{Slot: "1", Label: "A"},
		},
		"a slot that failed in this run": {
			inv:  []library.SlotInfo{failed("4", syscall.EIO), slot("5", "B", s2)},
			vols: []catalog.Volume{volume("B", s2)},
			want: library.Choice{Slot: "5", Label: "B"},
		},
	} {
		if got, err := library.Pick(tc.inv, tc.vols, tc.keep); err != nil || got != tc.want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, tc.want)
		}
	}
}

// When nothing can be written, each slot has its reason.
func TestPickReasons(t *testing.T) {
	retired, noReuse := volume("R", s1), volume("N", s1)
	retired.Retired, noReuse.NoReuse = true, true
	got, err := library.Pick(
		[]library.SlotInfo{
			failed("1", vtape.ErrForeign), slot("2", "FOREIGN-1", s1), slot("3", "K", s1), slot("4", "E", s1),
			slot("5", "NEWER", s3), slot("6", "WRITTEN", s1), slot("7", "R", s1), slot("8", "N", s1), failed("9", syscall.EIO),
		},
		[]catalog.Volume{
			volume("K", s1), volume("E", s1), volume("NEWER", s2), volume("WRITTEN", ""), retired, noReuse,
		},
		map[catalog.Label]string{"K": "written in this run", "E": ""},
	)
	const want = `no volume can be written:
  slot 1: not a volume
  slot 2 with label FOREIGN-1 is not reusable: it is not in the catalog
  slot 3 with label K is not reusable: written in this run
  slot 4 with label E is not reusable: it is kept
  slot 5 with label NEWER is not reusable: it was written at 20250103000000, later than the catalog knows
  slot 6 with label WRITTEN is not reusable: it was written at 20250101000000, later than the catalog knows
  slot 7 with label R is not reusable: it is retired
  slot 8 with label N is not reusable: it is marked no-reuse
  slot 9: input/output error`
	var none *library.NoVolume
	if !errors.As(err, &none) || err.Error() != want || got != (library.Choice{}) {
		t.Errorf("%+v, %v\nwant %s", got, err, want)
	}
	if _, err := library.Pick(nil, nil, nil); err == nil || err.Error() != "no volume can be written: the library has no slots" {
		t.Errorf("no slots: %v", err)
	}
}

// Whatever the library and the catalog hold: what is picked may be written, a written volume before a new one, and it is the
// oldest.
func TestPickNeverTakesWhatIsNeeded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stamps := []string{"X", "0", "", "20250101000000", "20250102000000", "junk"}
		var inv []library.SlotInfo
		var vols []catalog.Volume
		keep := make(map[catalog.Label]string)
		blank := false
		for _, label := range []string{"A", "B", "C", "D"} {
			info := slot("slot of "+label, label, rapid.SampledFrom(stamps).Draw(t, "on medium"))
			if rapid.IntRange(0, 3).Draw(t, "kind") == 0 {
				info.Label, info.Stamp, info.Blank = "", "", true
				blank = true
			}
			inv = append(inv, info)
			if rapid.Bool().Draw(t, "known") {
				v := volume(label, rapid.SampledFrom(stamps[2:5]).Draw(t, "in catalog"))
				v.NoReuse, v.Retired = rapid.Bool().Draw(t, "no-reuse"), rapid.Bool().Draw(t, "retired")
				vols = append(vols, v)
			}
			if rapid.Bool().Draw(t, "keep") {
				keep[catalog.Label(label)] = "kept"
			}
		}
		got, err := library.Pick(inv, vols, keep)
		if err != nil {
			return
		}
		if got.Label == "" && !blank {
			t.Fatalf("%+v, and no slot is blank", got)
		}
		for _, info := range inv {
			// Alone it would be taken: so it may be written, and nothing older or better than the choice may.
			if other, err := library.Pick([]library.SlotInfo{info}, vols, keep); err == nil && rank(other, vols) < rank(got, vols) {
				t.Fatalf("picked %+v, not %+v", got, other)
			}
		}
		for _, v := range vols {
			if v.Label == got.Label && (v.NoReuse || v.Retired || keep[v.Label] != "") {
				t.Fatalf("picked %+v", v)
			}
		}
		for _, info := range inv {
			if info.Label == got.Label && info.Stamp == "junk" {
				t.Fatalf("picked %+v", info)
			}
		}
	})
}

// rank orders choices: by the time of writing, then new ones with a label, then blank ones.
func rank(c library.Choice, vols []catalog.Volume) string {
	for _, v := range vols {
		if v.Label == c.Label && v.WriteStamp != "" {
			return string(v.WriteStamp)
		}
		if v.Label == c.Label {
			return "new"
		}
	}
	return "newer than new"
}

func TestNextLabel(t *testing.T) {
	for _, tc := range []struct {
		template, existing, want string
	}{
		{"DEMO-%%%", "", "DEMO-001"},
		{"DEMO-%%%", "DEMO-001 DEMO-002", "DEMO-003"},
		{"DEMO-%%%", "DEMO-009 DEMO-002", "DEMO-010"}, // gaps stay: the label may be in a drawer
		{"DEMO-%%%", "OTHER-077 DEMO-5 DEMO-0050 DEMO-x01 DEMO- demo-008", "DEMO-001"},
		{"%%-tape", "41-tape", "42-tape"},
		{"A%A", "A A7A A8B", "A8A"},
		{"%", "", "1"},
		{"DEMO-%%%", "DEMO-999", ""},
		{"DEMO", "", ""},
		{"D%M%", "", ""},
		{"", "", ""},
		{"%%%%%%%%%%%%%%%%%%%%", "99999999999999999999", "00000000000000000001"}, // no number that we count to
	} {
		var existing []catalog.Label
		for _, l := range strings.Fields(tc.existing) {
			existing = append(existing, catalog.Label(l))
		}
		l := library.New(shelf(vfs.NewMem(), 1), library.Options{Storage: "vtapes", Label: tc.template})
		got, err := l.NextLabel(existing)
		if string(got) != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("%s after %s: %q, %v, want %q", tc.template, tc.existing, got, err, tc.want)
		}
		if err != nil && !strings.Contains(err.Error(), tc.template) {
			t.Errorf("%v", err)
		}
	}
}
