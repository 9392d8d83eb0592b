package retention_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/scheduler/retention"
)

// media is a site whose nights go as chance will have them: dumps that span volumes, fail, stay on the holding disk and
// are flushed later, clones with bases in other DLEs, volumes that are retired or marked, and overwritten as Keep lets them.
type media struct {
	t    *testing.T
	seed uint64
	r    *rand.Rand
	site
	night int
	// filled counts the files on the volume being written.
	current catalog.Label
	filled  int
}

const (
	dles   = 4
	slots  = 16
	perVol = 3 // parts on a volume
	nights = 20
)

func dleOf(i int) catalog.DLE { return catalog.DLE{VM: fmt.Sprintf("vm%d", i), Disk: "d"} }

// TestHistories plays thousands of histories. After each night no volume is offered that any kept dump needs, reckoned
// here in another way than by the code; and a DLE that could be restored to a night can still be, to that or a later one.
func TestHistories(t *testing.T) {
	const seeds = 1000
	full := 0
	for seed := range uint64(seeds) {
		m := &media{t: t, seed: seed, r: rand.New(rand.NewPCG(seed, 1))}
		for i := range slots {
			m.volumes(volume(fmt.Sprintf("V%02d", i), 0))
		}
		m.KeepVolumes, m.RecoverDays = m.r.IntN(4), float64(m.r.IntN(5))
		before := map[catalog.DLE]catalog.Stamp{}
		for m.night = 1; m.night <= nights && !t.Failed(); m.night++ {
			m.play()
			m.check()
			before = m.checkNotLost(before)
		}
		if t.Failed() {
			t.Fatalf("seed %d, night %d", seed, m.night-1)
		}
		full += len(before)
	}
	if full < seeds*dles*9/10 {
		t.Errorf("only %d DLEs of %d could be restored at last: the histories show nothing", full, seeds*dles)
	}
}

// play runs a night.
func (m *media) play() {
	// A catalog forgets what lies nowhere; here that keeps the histories quick.
	m.Dumps = slices.DeleteFunc(m.Dumps, func(d catalog.Dump) bool {
		return !slices.Contains(m.Held, d.ID) && !slices.ContainsFunc(m.Copies, func(c catalog.Copy) bool { return c.Dump == d.ID })
	})
	m.Now = time.Date(2025, 3, 1, 1, 0, 0, 0, time.UTC).AddDate(0, 0, m.night)
	m.Current, m.current = catalog.NewStamp(m.Now), ""
	for _, id := range slices.Clone(m.Held) {
		if m.r.IntN(3) > 0 {
			m.write(id)
		}
	}
	for i := range dles {
		if m.r.IntN(8) > 0 && len(m.Held) < 6 {
			m.dumpOne(i)
		}
	}
	m.Current = ""
	for i := range m.Volumes {
		switch v := &m.Volumes[i]; m.r.IntN(400) {
		case 0:
			v.NoReuse = v.WriteStamp != ""
		case 1:
			m.retire(v)
		case 2, 3, 4, 5:
			v.NoReuse = false
		}
	}
}

// retire takes a volume away for good; two at most.
func (m *media) retire(v *catalog.Volume) {
	v.Retired = true
	if retired := slices.DeleteFunc(slices.Clone(m.Volumes), func(v catalog.Volume) bool { return !v.Retired }); len(retired) > 2 {
		v.Retired = false
	}
}

func (m *media) dumpOne(i int) {
	d := catalog.Dump{DLE: dleOf(i), Stamp: m.Current, Status: catalog.StatusOK}
	if m.r.IntN(20) == 0 {
		d.Status = catalog.StatusStrange
	}
	var mine []catalog.Dump
	for _, old := range m.Dumps {
		if old.DLE == d.DLE && m.restorable(old.ID) {
			mine = append(mine, old)
		}
	}
	if d.Level = catalog.Level(m.r.IntN(4)); m.r.IntN(4) == 0 {
		d.Level = 0
	}
	if base, ok := catalog.BaseFor(mine, d.Level); ok {
		d.Base = base.ID
	} else if d.Level = 0; i%2 == 1 { // a clone of the one before it
		d.Base = m.latestOf(dleOf(i - 1))
	}
	if d.Base != "" && d.Level == 0 && m.r.IntN(10) == 0 {
		d.Base = "" // stands alone
	}
	d.ID = catalog.NewDumpID(d.DLE, d.Stamp, d.Level)
	if m.r.IntN(25) == 0 {
		d.Status = catalog.StatusPartial
		m.Dumps = append(m.Dumps, d)
		return
	}
	m.Dumps = append(m.Dumps, d)
	m.Held = append(m.Held, d.ID)
	if m.r.IntN(10) > 0 {
		m.write(d.ID)
	}
}

// write puts a dump on volumes, and lets go of it on the holding disk when it is there whole.
func (m *media) write(id catalog.DumpID) {
	c := catalog.Copy{Dump: id, Storage: "main", WriteStamp: m.Current, Status: catalog.StatusOK}
	n := 1 + m.r.IntN(4)
	if m.r.IntN(20) == 0 {
		c.Status = catalog.StatusPartial
		n--
	}
	for k := range n {
		if m.current == "" || m.filled == perVol {
			if !m.nextVolume() {
				c.Status = catalog.StatusPartial
				break
			}
		}
		c.Parts = append(c.Parts, catalog.Part{Dump: id, Number: k + 1, Label: m.current})
		m.filled++
		// Recorded part by part: the next volume is chosen while the copy is under way.
		m.Copies = slices.DeleteFunc(m.Copies, func(o catalog.Copy) bool { return o.Dump == id && o.WriteStamp == m.Current })
		under := c
		under.Status, under.Parts = catalog.StatusPartial, slices.Clone(c.Parts)
		m.Copies = append(m.Copies, under)
	}
	if c.Status == catalog.StatusOK {
		m.Copies[len(m.Copies)-1] = c
		m.Held = slices.DeleteFunc(m.Held, func(h catalog.DumpID) bool { return h == id })
	}
}

// nextVolume overwrites the oldest volume that may be: all copies with a part on it are no longer whole.
func (m *media) nextVolume() bool {
	keep := retention.Keep(m.Input)
	var free []*catalog.Volume
	for i := range m.Volumes {
		if _, kept := keep[m.Volumes[i].Label]; !kept {
			free = append(free, &m.Volumes[i])
		}
	}
	if len(free) == 0 {
		return false
	}
	v := free[m.r.IntN(len(free))] // any that is offered must be good
	v.WriteStamp = m.Current
	m.current, m.filled = v.Label, 0
	on := func(p catalog.Part) bool { return p.Label == v.Label }
	for i := range m.Copies {
		if c := &m.Copies[i]; slices.ContainsFunc(c.Parts, on) {
			c.Status = catalog.StatusPartial
			c.Parts = slices.DeleteFunc(slices.Clone(c.Parts), on)
		}
	}
	m.Copies = slices.DeleteFunc(m.Copies, func(c catalog.Copy) bool { return len(c.Parts) == 0 })
	return true
}

func (m *media) get(id catalog.DumpID) (catalog.Dump, bool) {
	i := slices.IndexFunc(m.Dumps, func(d catalog.Dump) bool { return d.ID == id })
	if i < 0 {
		return catalog.Dump{}, false
	}
	return m.Dumps[i], true
}

// volume is what is known of a label.
func (m *media) volume(label catalog.Label) catalog.Volume {
	return m.Volumes[slices.IndexFunc(m.Volumes, func(v catalog.Volume) bool { return v.Label == label })]
}

// there tells whether a dump lies whole somewhere.
func (m *media) there(id catalog.DumpID) bool {
	return slices.Contains(m.Held, id) || slices.ContainsFunc(m.Copies, func(c catalog.Copy) bool {
		return c.Dump == id && c.Status.Usable() &&
			!slices.ContainsFunc(c.Parts, func(p catalog.Part) bool { return m.volume(p.Label).Retired })
	})
}

func (m *media) restorable(id catalog.DumpID) bool {
	d, ok := m.get(id)
	return ok && d.Status.Usable() && m.there(id) && (d.Base == "" || m.restorable(d.Base))
}

func (m *media) latestOf(dle catalog.DLE) catalog.DumpID {
	var best catalog.Dump
	for _, d := range m.Dumps {
		if d.DLE == dle && d.Stamp >= best.Stamp && m.restorable(d.ID) {
			best = d
		}
	}
	return best.ID
}

// check reckons what must be kept: the latest dumps, the held ones and those on volumes kept by hand or by policy, each
// with its bases; none of them has a part on a volume that may be overwritten.
func (m *media) check() {
	m.t.Helper()
	keep := retention.Keep(m.Input)
	must := func(id catalog.DumpID, why string) {
		for id != "" {
			for _, c := range m.Copies {
				for _, p := range c.Parts {
					if _, kept := keep[p.Label]; c.Dump == id && !kept {
						m.t.Errorf("seed %d night %d: %s may be overwritten, and holds %s: %s", m.seed, m.night, p.Label, id, why)
					}
				}
			}
			d, _ := m.get(id)
			id = d.Base
		}
	}
	for i := range dles {
		must(m.latestOf(dleOf(i)), "the latest of its DLE")
	}
	for _, id := range m.Held {
		must(id, "held")
	}
	since := catalog.NewStamp(m.Now.AddDate(0, 0, -int(m.RecoverDays)))
	for _, d := range m.Dumps {
		if d.Status.Usable() && m.RecoverDays > 0 && d.Stamp >= since {
			must(d.ID, "recent")
		}
	}
	for label := range m.byPolicy() {
		if _, kept := keep[label]; !kept {
			m.t.Errorf("seed %d night %d: %s may be overwritten", m.seed, m.night, label)
		}
		for _, c := range m.Copies {
			if slices.ContainsFunc(c.Parts, func(p catalog.Part) bool { return p.Label == label }) && !m.volume(label).Retired {
				must(c.Dump, "on "+string(label))
			}
		}
	}
}

// byPolicy are the volumes kept for their own sake.
func (m *media) byPolicy() map[catalog.Label]bool {
	out := map[catalog.Label]bool{}
	var written []catalog.Volume
	for _, v := range m.Volumes {
		if v.NoReuse || v.Retired || m.Current != "" && v.WriteStamp == m.Current {
			out[v.Label] = true
		}
		if v.WriteStamp != "" && !v.Retired {
			written = append(written, v)
		}
	}
	slices.SortFunc(written, func(a, b catalog.Volume) int { return -1 * compare(a, b) })
	for _, v := range written[:min(m.KeepVolumes, len(written))] {
		out[v.Label] = true
	}
	return out
}

func compare(a, b catalog.Volume) int {
	switch {
	case a.WriteStamp+catalog.Stamp(a.Label) < b.WriteStamp+catalog.Stamp(b.Label):
		return -1
	default:
		return 1
	}
}

// checkNotLost: what can be restored is never older than the night before, unless a volume was taken away.
func (m *media) checkNotLost(before map[catalog.DLE]catalog.Stamp) map[catalog.DLE]catalog.Stamp {
	m.t.Helper()
	after := map[catalog.DLE]catalog.Stamp{}
	for i := range dles {
		if d, ok := m.get(m.latestOf(dleOf(i))); ok {
			after[d.DLE] = d.Stamp
		}
	}
	lost := slices.ContainsFunc(m.Volumes, func(v catalog.Volume) bool { return v.Retired })
	for dle, stamp := range before {
		if after[dle] < stamp && !lost {
			m.t.Errorf("seed %d night %d: %s could be restored to %s, now to %q", m.seed, m.night, dle, stamp, after[dle])
		}
	}
	return after
}
