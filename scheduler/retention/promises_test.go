package retention_test

import (
	"fmt"
	"slices"
	"time"

	"holdfast/catalog"
)

// broken says what was retained before and is worth less now: gone from its storage, or not to be restored any more, from
// anywhere or from the storage alone. It looks at what can be restored, not at what builds on what.
func (m *media) broken(before *oracle) string {
	after := newOracle(m.Input)
	for _, at := range before.roots(false) {
		switch {
		case at.storage != "" && !after.here(at.storage, at.id):
			return fmt.Sprintf("%v is gone", at)
		case before.restores("any", at.id) && !after.restores("any", at.id):
			return fmt.Sprintf("%v can be restored no more", at)
		case before.restores(at.storage, at.id) && !after.restores(at.storage, at.id):
			return fmt.Sprintf("%v can be restored no more from its storage alone", at)
		}
	}
	return ""
}

// state is the dump that gives the latest state of a DLE not later than a time, of those in a storage or in "any".
func (m *media) state(o *oracle, storage string, dle catalog.DLE, at time.Time) catalog.DumpID {
	var best catalog.Dump
	for _, d := range m.Dumps {
		if d.DLE == dle && !o.time(d.Stamp).After(at) && later(d, best) && o.here(storage, d.ID) && o.restores("any", d.ID) {
			best = d
		}
	}
	return best.ID
}

func later(a, b catalog.Dump) bool {
	return a.Stamp > b.Stamp || a.Stamp == b.Stamp && a.Level > b.Level
}

// moment is a time at which a storage knows a DLE's state.
type moment struct {
	storage string
	dle     catalog.DLE
	at      time.Time
}

// promises are the states that can be restored now, at the times of the recovery windows and at present.
func (m *media) promises() map[moment]catalog.DumpID {
	o, states := newOracle(m.Input), map[moment]catalog.DumpID{}
	for _, name := range m.names {
		for i := range dles {
			for ago := range max(1, m.Policies[name].WindowDays) {
				at := m.Now.AddDate(0, 0, -ago)
				if id := m.state(o, name, dleOf(i), at); id != "" {
					states[moment{name, dleOf(i), at}] = id
				}
			}
		}
	}
	return states
}

// checkPromises: each state that could be restored before the night still can, from the same dump. A later one that was
// copied to the storage meanwhile may stand in for it when it is of the same time or before.
func (m *media) checkPromises(before map[moment]catalog.DumpID) {
	o := newOracle(m.Input)
	for when, id := range before {
		m.states++
		now := m.state(o, when.storage, when.dle, when.at)
		if now != id && (now == "" || !later(o.dumps[now], o.dumps[id])) {
			m.t.Fatalf("night %d: the state of %s at %s was %s in %s, and is now %q", m.night, when.dle, when.at, id, when.storage, now)
		}
	}
}

// checkEffect: no volume is kept without need: were it overwritten, something retained would be worth less. With several
// storages a base may be kept twice, and after a loss what rests on it is kept in case it is none: there the oracle is
// the only judge.
func (m *media) checkEffect() {
	if len(m.names) > 1 || m.losses > 0 {
		return
	}
	o := newOracle(m.Input)
	kept := o.kept(false)
	copies := m.Copies
	for _, v := range m.Volumes {
		if !kept[v.Label] || o.rule(v) {
			continue
		}
		m.effects++
		m.Copies = slices.Clone(copies)
		m.drop(v.Label)
		if m.broken(o) == "" {
			m.t.Fatalf("night %d: %s is kept, and nothing would be worse without it", m.night, v.Label)
		}
	}
	m.Copies = copies
}
