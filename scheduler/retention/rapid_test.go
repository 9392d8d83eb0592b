package retention_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"holdfast/catalog"
	"holdfast/scheduler/retention"
)

func drawPolicy(t *rapid.T, name string) retention.Policy {
	n := func(what string, most int) int {
		return max(0, rapid.IntRange(-2, most).Draw(t, name+" "+what)) // nothing, as often as something
	}
	return retention.Policy{
		KeepVolumes: n("keep-volumes", 3), KeepDays: n("keep-days", 8), WindowDays: n("recovery-window", 9), KeepFulls: n("keep-fulls", 2),
		KeepFullDays: n("keep-full-days", 9), NoReuse: rapid.IntRange(0, 12).Draw(t, name+" no-reuse") == 0,
	}
}

// drawInput makes a site such as no night would leave it: any dump may be anything, anywhere.
func drawInput(t *rapid.T) retention.Input {
	in := retention.Input{Now: now, Policies: map[string]retention.Policy{}}
	names := []string{"main", "second", "vault", "gone"}
	for _, name := range names[:rapid.IntRange(1, 3).Draw(t, "storages")] {
		in.Policies[name] = drawPolicy(t, name)
	}
	chance := func(n int, what string) bool { return rapid.IntRange(0, n-1).Draw(t, what) == n-1 }
	for i := range 12 {
		v := volume(fmt.Sprintf("V%02d", i), rapid.IntRange(0, 20).Draw(t, "written"))
		v.Storage = rapid.SampledFrom(append(names, "main", "main", "second")).Draw(t, "storage")
		v.NoReuse, v.Retired = chance(15, "no-reuse"), chance(12, "retired")
		if chance(12, "locked") {
			v.LockedUntil = now.AddDate(0, 0, rapid.IntRange(-2, 4).Draw(t, "lock"))
		}
		in.Volumes = append(in.Volumes, v)
	}
	for range rapid.IntRange(0, 14).Draw(t, "dumps") {
		drawDump(t, &in, chance)
	}
	if chance(3, "a run goes on") {
		in.Current = stamp(20)
	}
	return in
}

func drawDump(t *rapid.T, in *retention.Input, chance func(int, string) bool) {
	d := catalog.Dump{
		DLE: dleOf(rapid.IntRange(0, 2).Draw(t, "vm")), Stamp: stamp(rapid.IntRange(1, 20).Draw(t, "day")),
		Level: catalog.Level(rapid.IntRange(0, 2).Draw(t, "level")), Status: catalog.StatusOK,
	}
	d.ID = catalog.NewDumpID(d.DLE, d.Stamp, d.Level)
	if slices.ContainsFunc(in.Dumps, func(o catalog.Dump) bool { return o.ID == d.ID }) {
		return
	}
	if len(in.Dumps) > 0 && (d.Level > 0 || chance(4, "clone")) {
		d.Base = rapid.SampledFrom(in.Dumps).Draw(t, "base").ID
	}
	if chance(15, "bad") {
		d.Status = catalog.StatusPartial
	}
	if chance(20, "unknown base") {
		d.Base = catalog.NewDumpID(d.DLE, stamp(1), 9)
	}
	if chance(15, "on hold") {
		d.Hold = "court"
	}
	in.Dumps = append(in.Dumps, d)
	if chance(30, "circle") {
		in.Dumps[0].Base = d.ID
	}
	for range rapid.IntRange(0, 3).Draw(t, "copies") {
		drawCopy(t, in, d.ID, chance)
	}
	if chance(8, "held") {
		in.Held = append(in.Held, d.ID)
	}
	if chance(5, "wanted") {
		in.Wanted = append(in.Wanted, catalog.Wanted{Dump: d.ID, Storage: rapid.SampledFrom([]string{"main", "vault", "gone"}).Draw(t, "to")})
	}
}

// drawCopy places a dump on one to three volumes of one storage.
func drawCopy(t *rapid.T, in *retention.Input, id catalog.DumpID, chance func(int, string) bool) {
	first := rapid.SampledFrom(in.Volumes).Draw(t, "volume")
	c := catalog.Copy{Dump: id, Storage: first.Storage, Status: catalog.StatusOK}
	if chance(8, "partial") {
		c.Status = catalog.StatusPartial
	}
	for _, v := range in.Volumes {
		if v.Label == first.Label || v.Storage == first.Storage && len(c.Parts) < 3 && chance(5, "part") {
			c.Parts = append(c.Parts, catalog.Part{Dump: id, Number: len(c.Parts) + 1, Label: v.Label})
		}
	}
	if chance(20, "unknown volume") {
		c.Parts = append(c.Parts, catalog.Part{Dump: id, Number: len(c.Parts) + 1, Label: "UNKNOWN"})
	}
	in.Copies = append(in.Copies, c)
}

// TestOracle: the code and the oracle agree on every volume and every dump, what yields included; and the order of the
// input does not matter.
func TestOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		got := retention.Judge(in)
		if why := differs(in, got); why != "" {
			t.Fatal(why)
		}
		for _, v := range got.Volumes {
			if v.Reusable != (len(v.Reasons) == 0) || v.Yields && v.Reusable {
				t.Fatalf("%+v contradicts itself", v)
			}
		}
		shuffled := in
		shuffled.Dumps = rapid.Permutation(in.Dumps).Draw(t, "dumps in another order")
		shuffled.Volumes = rapid.Permutation(in.Volumes).Draw(t, "volumes in another order")
		shuffled.Copies = rapid.Permutation(in.Copies).Draw(t, "copies in another order")
		again := retention.Judge(shuffled)
		if diff := cmp.Diff(got.Volumes, again.Volumes) + cmp.Diff(got.Dumps, again.Dumps); diff != "" {
			t.Fatalf("in another order:\n%s", diff)
		}
	})
}

// differs tells where the verdicts are not the oracle's.
func differs(in retention.Input, got retention.Verdicts) string {
	o := newOracle(in)
	for i, soft := range []bool{true, false} {
		kept, needed := o.kept(soft), o.needed(soft)
		for _, v := range got.Volumes {
			if is := !v.Reusable && (soft || !v.Yields); is != kept[v.Label] {
				return fmt.Sprintf("pass %d: volume %s is kept: %t, want %t: %v", i, v.Label, is, kept[v.Label], v.Reasons)
			}
		}
		for _, d := range got.Dumps {
			if at := (spot{d.Storage, d.Dump}); (soft || !d.Yields) != needed[at] {
				return fmt.Sprintf("pass %d: %v is retained: %v", i, at, d.Reasons)
			}
		}
		count := 0
		for at := range needed {
			if len(o.whole[at]) > 0 {
				count++
			}
		}
		if soft && count != len(got.Dumps) {
			return fmt.Sprintf("%d dumps are retained, want %d", len(got.Dumps), count)
		}
	}
	return ""
}

// TestMonotone: what is added to the rules makes no volume reusable, nor one that yields of one that does not.
func TestMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		before := retention.Judge(in)
		strengthen(t, &in)
		for i, v := range retention.Judge(in).Volumes {
			was := before.Volumes[i]
			if v.Reusable && !was.Reusable || (v.Reusable || v.Yields) && !was.Reusable && !was.Yields {
				t.Fatalf("with more to keep, %s is less kept: %v", v.Label, was.Reasons)
			}
		}
	})
}

// strengthen adds retention of every kind.
func strengthen(t *rapid.T, in *retention.Input) {
	in.Policies = maps.Clone(in.Policies)
	for name, p := range in.Policies {
		more := drawPolicy(t, "more "+name)
		in.Policies[name] = retention.Policy{
			KeepVolumes: p.KeepVolumes + more.KeepVolumes, KeepDays: p.KeepDays + more.KeepDays, WindowDays: p.WindowDays + more.WindowDays,
			KeepFulls: p.KeepFulls + more.KeepFulls, KeepFullDays: p.KeepFullDays + more.KeepFullDays, NoReuse: p.NoReuse || more.NoReuse,
		}
	}
	for i := range in.Volumes {
		v := &in.Volumes[i]
		v.NoReuse = v.NoReuse || rapid.IntRange(0, 9).Draw(t, "mark") == 0
		if rapid.IntRange(0, 9).Draw(t, "lock more") == 0 {
			v.LockedUntil = v.LockedUntil.Add(100 * time.Hour)
			if v.LockedUntil.Before(now) {
				v.LockedUntil = now.Add(time.Hour)
			}
		}
	}
	for i := range in.Dumps {
		if rapid.IntRange(0, 9).Draw(t, "hold") == 0 {
			in.Dumps[i].Hold = "tax"
		}
		if rapid.IntRange(0, 9).Draw(t, "want") == 0 {
			in.Wanted = append(in.Wanted, catalog.Wanted{Dump: in.Dumps[i].ID, Storage: "vault"})
		}
	}
}

// TestUntil: when a verdict says until when, the volume is reusable then and not a second before; when it does not, time
// alone frees nothing.
func TestUntil(t *testing.T) {
	known := 0
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		for _, v := range retention.Judge(in).Volumes {
			at := func(when time.Time) retention.Verdict {
				later := in
				later.Now = when
				one, _ := retention.Judge(later).Of(v.Label)
				return one
			}
			switch {
			case v.Reusable && !v.Until.IsZero():
				t.Fatalf("%s is reusable, and kept until %s", v.Label, v.Until)
			case v.Reusable:
			case v.Until.IsZero():
				if at(now.AddDate(10, 0, 0)).Reusable {
					t.Fatalf("%s is reusable in ten years, and nothing says when: %v", v.Label, v.Reasons)
				}
			default:
				known++
				if then, before := at(v.Until), at(v.Until.Add(-time.Second)); !then.Reusable || before.Reusable {
					t.Fatalf("%s is kept until %s, then by %v, before by %v", v.Label, v.Until, then.Reasons, before.Reasons)
				}
			}
		}
	})
	if known == 0 {
		t.Error("no volume had a known end: nothing was shown")
	}
}
