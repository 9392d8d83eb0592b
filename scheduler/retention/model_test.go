package retention_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/scheduler/retention"
)

// media is a site whose nights go as chance will have them: dumps that span volumes, fail, stay on the holding disk and
// are flushed later, clones with bases in other DLEs, one to three storages of which one may be a vault or dead for a
// while, volumes that are marked, locked, damaged or retired, dumps on hold, policies that change; and volumes that are
// overwritten as the verdicts let them.
type media struct {
	t *testing.T
	r *rand.Rand
	site
	night int
	names []string
	// dead is a storage that cannot be written tonight; vault one that only copies go to; fulls: only fulls do.
	dead, vault string
	fulls       bool
	// writing is the volume of each storage that is being written, with the number of its files.
	writing map[string]*catalog.Volume
	files   map[string]int
	// losses counts the volumes that were damaged or retired.
	losses int
	tally
}

// tally counts what happened, to know that the histories show something.
type tally struct{ written, overwritten, yielded, states, effects int }

const (
	dles    = 4
	slots   = 12
	perVol  = 3 // parts on a volume
	nights  = 14
	oddness = 20 // one in so many dumps, copies or nights is odd
)

// TestHistories plays hundreds of histories, and with HOLDFAST_SWEEP=full (`make sweep`) thousands. Nothing that a retained dump needs is ever overwritten; every state that was
// promised can be restored until its window is over or a volume is lost; what is kept is what the oracle keeps, and no more;
// and no volume is kept without which all promises would hold. A history that fails is played again by
// `go test -run 'TestHistories/seed=N$'`.
func TestHistories(t *testing.T) {
	seeds := 300
	if os.Getenv("HOLDFAST_SWEEP") == "full" {
		seeds = 5000
	}
	var sum tally
	for seed := range uint64(seeds) {
		ok := t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			m := newMedia(t, seed)
			for m.night = 1; m.night <= nights; m.night++ {
				m.play()
			}
			sum.written += m.written
			sum.overwritten += m.overwritten
			sum.yielded += m.yielded
			sum.states += m.states
			sum.effects += m.effects
		})
		if !ok {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%+v", sum)
	if sum.overwritten < 4*seeds || sum.yielded < seeds/10 || sum.states < 50*seeds || sum.effects < seeds {
		t.Errorf("the histories show too little: %+v", sum)
	}
}

func newMedia(t *testing.T, seed uint64) *media {
	m := &media{t: t, r: rand.New(rand.NewPCG(seed, 1)), site: *newSite()}
	m.names = []string{"main", "second", "vault"}[:1+m.r.IntN(3)]
	if len(m.names) > 1 && m.r.IntN(2) == 0 {
		m.vault, m.fulls = m.names[len(m.names)-1], m.r.IntN(2) == 0
	}
	m.Policies = map[string]retention.Policy{}
	for _, name := range m.names {
		m.Policies[name] = m.policy()
		for range slots {
			m.newVolume(name)
		}
	}
	return m
}

func (m *media) policy() retention.Policy {
	n := func(most int) int { return max(0, m.r.IntN(most+3)-2) }
	return retention.Policy{KeepVolumes: n(4), KeepDays: n(4), WindowDays: n(6), KeepFulls: n(2), KeepFullDays: n(6)}
}

func (m *media) newVolume(storage string) {
	m.Volumes = append(m.Volumes, catalog.Volume{Label: catalog.Label(fmt.Sprintf("%s-%03d", storage, len(m.Volumes))), Storage: storage})
}

func (m *media) odd() bool { return m.r.IntN(oddness) == 0 }

// play runs a night.
func (m *media) play() {
	m.Now = time.Date(2025, 3, 1, 1, 0, 0, 0, time.UTC).AddDate(0, 0, m.night)
	m.Current = catalog.NewStamp(m.Now)
	m.writing, m.files = map[string]*catalog.Volume{}, map[string]int{}
	if m.dead = ""; m.r.IntN(3) == 0 {
		m.dead = m.names[m.r.IntN(len(m.names))]
	}
	m.administer()
	before, lossesBefore := m.promises(), m.losses
	for _, id := range slices.Clone(m.Held) {
		m.flush(id)
	}
	for i := range dles {
		if m.r.IntN(8) > 0 && len(m.Held) < 6 {
			m.dumpOne(i)
		}
	}
	for _, w := range slices.Clone(m.Wanted) {
		m.copyTo(w)
	}
	if m.odd() && m.losses == lossesBefore {
		m.damage(m.Volumes[m.r.IntN(len(m.Volumes))].Label) // found while the night goes on
	}
	if m.losses == lossesBefore {
		m.checkPromises(before)
	}
	m.Current = ""
	if why := differs(m.Input, retention.Judge(m.Input)); why != "" {
		m.t.Fatalf("night %d: %s", m.night, why)
	}
	m.checkEffect()
}

// administer is what people do by day.
func (m *media) administer() {
	// A catalog forgets what lies nowhere; here that keeps the histories quick.
	m.Dumps = slices.DeleteFunc(m.Dumps, func(d catalog.Dump) bool {
		return !slices.Contains(m.Held, d.ID) && !slices.ContainsFunc(m.Copies, func(c catalog.Copy) bool { return c.Dump == d.ID })
	})
	if m.odd() {
		m.Policies[m.names[m.r.IntN(len(m.names))]] = m.policy()
	}
	v := &m.Volumes[m.r.IntN(len(m.Volumes))]
	switch m.r.IntN(2 * oddness) {
	case 0:
		v.NoReuse = true
	case 1:
		v.LockedUntil = m.Now.AddDate(0, 0, m.r.IntN(5))
	case 2:
		v.Retired = true
		m.damage(v.Label)
		m.newVolume(v.Storage)
	case 3:
		m.damage(v.Label)
	default:
		v.NoReuse = false
	}
	if len(m.Dumps) > 0 && m.odd() {
		d := &m.Dumps[m.r.IntN(len(m.Dumps))]
		if d.Hold != "" {
			d.Hold = ""
		} else {
			d.Hold = "court"
		}
	}
}

// damage drops what is on a volume.
func (m *media) damage(label catalog.Label) {
	m.losses++
	m.drop(label)
}

// drop does what the catalog does when a volume is lost or overwritten: copies with a part on it are whole no more.
func (m *media) drop(label catalog.Label) {
	on := func(p catalog.Part) bool { return p.Label == label }
	for i := range m.Copies {
		if c := &m.Copies[i]; slices.ContainsFunc(c.Parts, on) {
			c.Status = catalog.StatusPartial
			c.Parts = slices.DeleteFunc(slices.Clone(c.Parts), on)
		}
	}
	m.Copies = slices.DeleteFunc(m.Copies, func(c catalog.Copy) bool { return len(c.Parts) == 0 })
}

func (m *media) dumpOne(i int) {
	d := catalog.Dump{DLE: dleOf(i), Stamp: m.Current, Status: catalog.StatusOK}
	if m.odd() {
		d.Status = catalog.StatusStrange
	}
	o := newOracle(m.Input)
	var mine []catalog.Dump
	for _, old := range m.Dumps {
		if old.DLE == d.DLE && o.restores("any", old.ID) {
			mine = append(mine, old)
		}
	}
	if d.Level = catalog.Level(m.r.IntN(4)); m.r.IntN(4) == 0 {
		d.Level = 0
	}
	if base, ok := catalog.BaseFor(mine, d.Level); ok {
		d.Base = base.ID
	} else if d.Level = 0; i%2 == 1 && m.r.IntN(10) > 0 { // a clone of the one before it
		d.Base = m.state(o, "any", dleOf(i-1), m.Now)
	}
	d.ID = catalog.NewDumpID(d.DLE, d.Stamp, d.Level)
	if m.odd() {
		d.Status = catalog.StatusPartial
		m.Dumps = append(m.Dumps, d)
		return
	}
	m.Dumps = append(m.Dumps, d)
	m.Held = append(m.Held, d.ID)
	for _, name := range m.names {
		if name != m.vault || !m.fulls || d.Level == 0 {
			m.want(d.ID, name)
		}
	}
	if m.r.IntN(10) > 0 {
		m.flush(d.ID)
	}
}

// flush writes a held dump to the storages that no vault is, and lets go of it when one has it: the others wait for a copy.
func (m *media) flush(id catalog.DumpID) {
	for _, name := range m.names {
		if name != m.vault {
			m.write(id, name)
		}
	}
	if newOracle(retention.Input{Policies: m.Policies, Volumes: m.Volumes, Dumps: m.Dumps, Copies: m.Copies}).here("any", id) {
		m.Held = slices.DeleteFunc(m.Held, func(h catalog.DumpID) bool { return h == id })
	}
}

// copyTo makes a copy that is wanted, if its source is still there.
func (m *media) copyTo(w catalog.Wanted) {
	o := newOracle(m.Input)
	switch {
	case !o.here("any", w.Dump):
		m.Wanted = slices.DeleteFunc(m.Wanted, func(x catalog.Wanted) bool { return x == w })
	case !slices.Contains(m.Held, w.Dump) && m.r.IntN(2) == 0:
		m.write(w.Dump, w.Storage)
	}
}

// write puts a dump on volumes of a storage.
func (m *media) write(id catalog.DumpID, storage string) {
	if storage == m.dead || newOracle(m.Input).here(storage, id) {
		return
	}
	c := catalog.Copy{Dump: id, Storage: storage, WriteStamp: m.Current, Status: catalog.StatusPartial}
	mine := func(o catalog.Copy) bool { return o.Dump == id && o.Storage == storage && o.WriteStamp == m.Current }
	m.Copies = slices.DeleteFunc(m.Copies, mine)
	for range 1 + m.r.IntN(4) {
		if m.writing[storage] == nil || m.files[storage] == perVol {
			if !m.nextVolume(storage) {
				return
			}
		}
		v := m.writing[storage]
		m.files[storage]++
		v.Files++
		// Recorded part by part: the next volume is chosen while the copy is under way.
		c.Parts = append(slices.Clone(c.Parts), catalog.Part{Dump: id, Number: len(c.Parts) + 1, Label: v.Label})
		m.Copies = append(slices.DeleteFunc(m.Copies, mine), c)
	}
	if m.odd() || !newOracle(m.Input).here("any", id) {
		return // what it was made from was overwritten for it, at worst: then there is no copy
	}
	m.written++
	c.Status = catalog.StatusOK
	m.Copies = append(slices.DeleteFunc(m.Copies, mine), c)
	m.Wanted = slices.DeleteFunc(m.Wanted, func(w catalog.Wanted) bool { return w.Dump == id && w.Storage == storage })
}

// nextVolume overwrites a volume that may be, any of them: the code must not rely on the oldest being taken.
func (m *media) nextVolume(storage string) bool {
	verdicts := retention.Judge(m.Input)
	var free, yield []catalog.Label
	for _, v := range verdicts.Volumes {
		switch {
		case v.Storage != storage:
		case v.Reusable:
			free = append(free, v.Label)
		case v.Yields:
			yield = append(yield, v.Label)
		}
	}
	if len(free) == 0 {
		m.yielded += len(yield)
		free = yield
	}
	if len(free) == 0 {
		return false
	}
	label := free[m.r.IntN(len(free))]
	before := newOracle(m.Input)
	if before.kept(false)[label] {
		m.t.Fatalf("night %d: %s may be overwritten, and is needed", m.night, label)
	}
	v := m.volume(label)
	if v.WriteStamp != "" {
		m.overwritten++
	}
	v.WriteStamp, v.Files = m.Current, 0
	m.writing[storage], m.files[storage] = v, 0
	m.drop(label)
	if broken := m.broken(before); broken != "" {
		m.t.Fatalf("night %d: %s was overwritten: %s", m.night, label, broken)
	}
	return true
}
