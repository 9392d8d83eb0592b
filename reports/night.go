package reports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/catalog"
)

// night is one run as its events tell it: what a report and a status are both drawn from.
type night struct {
	run         catalog.Run
	started     catalog.RunStarted
	finished    *catalog.RunFinished
	lastEvent   time.Time
	planned     bool // planning is over
	planSeconds float64
	trails      map[dumpKey]*trail
	storages    []*StorageUse
	states      []catalog.StorageChanged // the latest of each storage, the main one first
	driver      *catalog.DriverState     // the latest
	degraded    string                   // why the run went on without volumes; empty when it did not
	volumes     []*VolumeUse
	mediaErrors []catalog.MediaError
	notes       []ProgramNote
	problems    []ProgramNote
	hooks       []catalog.HookFinished
	left        *catalog.HoldingLeft
	held        map[dumpKey]int64 // stored bytes of what left lists
}

// dumpKey names a dump within a run. The level is no part of it: a dump may end at another level than the planned one.
type dumpKey struct {
	dle   catalog.DLE
	stamp catalog.Stamp
}

// trail is what the events say of one dump.
type trail struct {
	DumpRef
	planned *catalog.Planned
	skipped *catalog.Skipped
	// running is the attempt that goes on, finished the one that succeeded; at most one is set.
	running  *catalog.DumpStarted
	finished *catalog.DumpFinished
	progress catalog.DumpProgress
	failed   []catalog.DumpFailed
	waits    catalog.DumpWaits // the latest, while it waits
	copies   []*copyTrail
	// toVolume tells that the latest attempt went straight to a volume.
	toVolume bool
	// changed is when the dump last changed its state, its copies not counted.
	changed time.Time
}

// copyTrail is one attempt to get a dump onto the volumes of a storage.
type copyTrail struct {
	storage  string
	parts    []catalog.PartWritten
	finished *catalog.CopyFinished
	failed   *catalog.CopyFailed
	changed  time.Time
}

func gather(run catalog.Run, events []catalog.Event) *night {
	n := &night{run: run, trails: map[dumpKey]*trail{}, held: map[dumpKey]int64{}, lastEvent: run.Started}
	for _, e := range events {
		n.lastEvent = e.At
		switch b := e.Body.(type) {
		case catalog.RunStarted:
			n.started = b
		case catalog.RunFinished:
			n.finished = &b
		case catalog.Note:
			n.note(b)
		case catalog.HoldingLeft:
			n.left = &b
		case catalog.HookFinished:
			n.hooks = append(n.hooks, b)
		default:
			n.planEvent(b)
			n.dumpEvent(e.At, b)
			n.mediaEvent(e.At, b)
		}
	}
	n.addNotFlushed()
	return n
}

// trail finds or makes the trail of a dump; an empty stamp is that of the run.
func (n *night) trail(d catalog.DLE, s catalog.Stamp, l catalog.Level) *trail {
	if s == "" {
		s = n.run.Stamp
	}
	key := dumpKey{d, s}
	t := n.trails[key]
	if t == nil {
		t = &trail{DumpRef: DumpRef{DLE: d, Level: l, Stamp: s}}
		n.trails[key] = t
	}
	t.Level = l
	return t
}

func (n *night) planEvent(body catalog.EventBody) {
	switch b := body.(type) {
	case catalog.Planned:
		n.trail(b.DLE, "", b.Level).planned = &b
		if b.Note != "" && !b.Late {
			n.notes = append(n.notes, ProgramNote{"planner", b.Note})
		}
	case catalog.Skipped:
		n.trail(b.DLE, "", b.Level).skipped = &b
		if !b.Failure {
			n.notes = append(n.notes, ProgramNote{"planner", fmt.Sprintf("%s skipped: %s", b.DLE, b.Reason)})
		}
	case catalog.PlanFinished:
		n.planned, n.planSeconds = true, b.Seconds
	}
}

func (n *night) dumpEvent(at time.Time, body catalog.EventBody) {
	switch b := body.(type) {
	case catalog.DumpStarted:
		t := n.trail(b.DLE, b.Stamp, b.Level)
		t.running, t.finished, t.progress, t.waits = &b, nil, catalog.DumpProgress{}, catalog.DumpWaits{}
		t.toVolume, t.changed = b.To == "volume", at
	case catalog.DumpWaits:
		if t := n.trails[dumpKey{b.DLE, n.run.Stamp}]; t != nil {
			t.waits = b
		}
	case catalog.DriverState:
		n.driver = &b
	case catalog.DumpProgress:
		if t := n.trails[dumpKey{b.DLE, n.run.Stamp}]; t != nil {
			t.progress = b
		}
	case catalog.DumpFinished:
		t := n.trail(b.DLE, b.Stamp, b.Level)
		t.running, t.finished, t.changed = nil, &b, at
		n.noteFinished(t)
	case catalog.DumpFailed:
		t := n.trail(b.DLE, b.Stamp, b.Level)
		t.running, t.finished, t.changed = nil, nil, at
		t.failed = append(t.failed, b)
	}
}

// noteFinished notes what is unusual in a complete dump: another level than planned, an estimate far off.
func (n *night) noteFinished(t *trail) {
	f, p := t.finished, t.planned
	if f.Why != "" {
		text := fmt.Sprintf("%s level %d", f.DLE, f.Level)
		if p != nil && p.Level != f.Level {
			text += fmt.Sprintf(" instead of %d", p.Level)
		}
		n.notes = append(n.notes, ProgramNote{"dumper", text + ": " + f.Why})
	}
	if p != nil && p.Level == f.Level && bigEstimate(p.StoredEstimate, f.StoredBytes) {
		n.notes = append(n.notes, ProgramNote{"driver", fmt.Sprintf("big estimate: %s level %d: estimated %dK, dumped %dK",
			f.DLE, f.Level, p.StoredEstimate>>10, f.StoredBytes>>10)})
	}
}

// bigEstimate holds Amanda's bounds: more than a ninth and more than 100 000 KB too much.
func bigEstimate(estimate, dumped int64) bool {
	return float64(estimate)*0.9 > float64(dumped) && estimate-dumped > 100_000<<10
}

func (n *night) mediaEvent(at time.Time, body catalog.EventBody) {
	switch b := body.(type) {
	case catalog.VolumeStarted:
		n.volumeStarted(b)
	case catalog.PartWritten:
		c := n.trail(b.DLE, b.Stamp, b.Level).attempt(b.Storage)
		c.parts, c.changed = append(c.parts, b), at
		n.partWritten(b)
	case catalog.CopyFinished:
		c := n.trail(b.DLE, b.Stamp, b.Level).attempt(b.Storage)
		c.finished, c.changed = &b, at
	case catalog.CopyFailed:
		c := n.trail(b.DLE, b.Stamp, b.Level).attempt(b.Storage)
		c.failed, c.changed = &b, at
	case catalog.VolumeFinished:
		v := n.volume(b.Storage, b.Label)
		v.Bytes, v.Closed = b.Bytes, true
		n.notes = append(n.notes, ProgramNote{"taper", fmt.Sprintf("tape %s kb %d fm %d [OK]", b.Label, b.Bytes>>10, b.Files)})
	case catalog.MediaError:
		n.mediaError(b)
	case catalog.VolumeDegraded:
		n.mediaError(catalog.MediaError{
			Storage: b.Storage, Hint: fmt.Sprintf("it can be read; `holdfast volume repair %s` writes what is missing", b.Label),
			Error: fmt.Sprintf("volume %s was written without %s: %s", b.Label, strings.Join(b.Members, ", "), b.Error),
		})
	case catalog.StorageChanged:
		n.storageChanged(b)
	case catalog.Degraded:
		n.degraded = b.Reason
	case catalog.NextVolumes:
		s := n.storage(b.Storage)
		s.Next, s.NextNew, s.NextKnown = append([]catalog.Label{}, b.Labels...), b.New, true
	}
}

func (n *night) mediaError(b catalog.MediaError) {
	s := n.storage(b.Storage)
	s.Errors = append(s.Errors, b.Error)
	n.mediaErrors = append(n.mediaErrors, b)
}

func (n *night) storageChanged(b catalog.StorageChanged) {
	n.storage(b.Storage)
	if at := n.rank(b.Storage); at < len(n.states) {
		n.states[at] = b
		return
	}
	n.states = append(n.states, b)
}

// rank is the place of a storage in the run's order; those that it did not name come last.
func (n *night) rank(storage string) int {
	at := slices.IndexFunc(n.states, func(s catalog.StorageChanged) bool { return s.Storage == storage })
	if at < 0 {
		return len(n.states)
	}
	return at
}

func (n *night) volumeStarted(b catalog.VolumeStarted) {
	v := n.volume(b.Storage, b.Label)
	v.Slot, v.CapacityBytes, v.New = b.Slot, b.Capacity, b.New
	s := n.storage(b.Storage)
	if slices.Contains(s.Used, b.Label) {
		return
	}
	s.Used = append(s.Used, b.Label)
	if b.New {
		s.New = append(s.New, b.Label)
		n.notes = append(n.notes, ProgramNote{"taper", fmt.Sprintf("Slot %s without label: new tape %s labelled", b.Slot, b.Label)})
	}
}

func (n *night) partWritten(b catalog.PartWritten) {
	v := n.volume(b.Storage, b.Label)
	v.Parts++
	v.Seconds += b.Seconds
	v.Bytes += b.Bytes // replaced by the volume's own count when it is closed
	if b.Number == 1 {
		v.Dumps++
	}
}

func (n *night) note(b catalog.Note) {
	note := ProgramNote{b.Program, b.Text}
	if b.Problem {
		n.problems = append(n.problems, note)
		return
	}
	n.notes = append(n.notes, note)
}

func (n *night) storage(name string) *StorageUse {
	for _, s := range n.storages {
		if s.Storage == name {
			return s
		}
	}
	s := &StorageUse{Storage: name, Used: []catalog.Label{}, New: []catalog.Label{}, Next: []catalog.Label{}, Errors: []string{}}
	n.storages = append(n.storages, s)
	return s
}

func (n *night) volume(storage string, l catalog.Label) *VolumeUse {
	for _, v := range n.volumes {
		if v.Storage == storage && v.Label == l {
			return v
		}
	}
	v := &VolumeUse{Storage: storage, Label: l}
	n.volumes = append(n.volumes, v)
	return v
}

// addNotFlushed makes trails for what earlier runs left on the holding disk and this one did not touch.
func (n *night) addNotFlushed() {
	if n.left == nil {
		return
	}
	for _, h := range n.left.Dumps {
		key := dumpKey{h.DLE, h.Stamp}
		n.held[key] = h.Bytes
		if n.trails[key] == nil {
			n.trail(h.DLE, h.Stamp, h.Level)
		}
	}
}

// sorted gives the trails by DLE, then by stamp.
func (n *night) sorted() []*trail {
	var all []*trail
	for _, t := range n.trails {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *trail) int { return cmp.Or(compareDLE(a.DLE, b.DLE), cmp.Compare(a.Stamp, b.Stamp)) })
	return all
}

// attempt gives the attempt that goes on for a storage; a new one follows upon one that has ended.
func (t *trail) attempt(storage string) *copyTrail {
	if c := t.lastCopy(storage); c != nil && c.finished == nil && c.failed == nil {
		return c
	}
	c := &copyTrail{storage: storage}
	t.copies = append(t.copies, c)
	return c
}

func (t *trail) lastCopy(storage string) *copyTrail {
	for _, c := range slices.Backward(t.copies) {
		if c.storage == storage {
			return c
		}
	}
	return nil
}

// lastCopies gives the latest attempt for each storage: in the run's order of storages, else in that in which they first took
// part.
func (n *night) lastCopies(t *trail) []*copyTrail {
	var last []*copyTrail
	for _, c := range t.copies {
		at := slices.IndexFunc(last, func(o *copyTrail) bool { return o.storage == c.storage })
		if at < 0 {
			last = append(last, c)
		} else {
			last[at] = c
		}
	}
	slices.SortStableFunc(last, func(a, b *copyTrail) int { return cmp.Compare(n.rank(a.storage), n.rank(b.storage)) })
	return last
}

// vaulted tells that all that the run made of the dump were copies to vaults.
func (t *trail) vaulted() bool {
	return len(t.copies) > 0 && !slices.ContainsFunc(t.copies, func(c *copyTrail) bool {
		return !(c.finished != nil && c.finished.Vault || c.failed != nil && c.failed.Vault)
	})
}

// onVolumes tells whether some storage holds the whole dump.
func (t *trail) onVolumes() bool {
	return slices.ContainsFunc(t.copies, func(c *copyTrail) bool { return c.finished != nil })
}

// heldBytes is the dump's size on the holding disk if the run says that it was left there.
func (n *night) heldBytes(t *trail) (int64, bool) {
	size, held := n.held[dumpKey{t.DLE, t.Stamp}]
	return size, held
}

func (c *copyTrail) bytes() int64 {
	var sum int64
	for _, p := range c.parts {
		sum += p.Bytes
	}
	return sum
}

func (c *copyTrail) labels() []catalog.Label {
	labels := []catalog.Label{}
	for _, p := range c.parts {
		if !slices.Contains(labels, p.Label) {
			labels = append(labels, p.Label)
		}
	}
	return labels
}
