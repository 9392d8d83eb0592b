package retention

import (
	"fmt"
	"time"

	"holdfast/catalog"
)

// series is the dumps of one DLE that lie in one storage, the earlier first, under the storage's policy.
type series struct {
	*index
	storage int
	policy  Policy
	dle     catalog.DLE
	dumps   []int
	out     []root
}

// dleRoots are the dumps of a DLE, those numbered from first to before end, that a storage retains.
func (x *index) dleRoots(storage int, dle catalog.DLE, first, end int) []root {
	s := series{index: x, storage: storage, policy: x.in.Policies[x.storages[storage]], dle: dle}
	for d := first; d < end; d++ {
		if x.has(storage, d) {
			s.dumps = append(s.dumps, d)
		}
	}
	if len(s.dumps) == 0 {
		return nil
	}
	s.latest()
	s.window()
	s.fulls()
	return s.out
}

func (s *series) add(dump int, kind Kind, until time.Time, phrase string) {
	s.out = append(s.out, root{storage: s.storage, dump: dump, kind: kind, phrase: phrase, until: until, origin: none})
}

// last is the latest dump that is good and, unless the time is zero, not later than it.
func (s *series) last(good []bool, notAfter time.Time) int {
	for i := len(s.dumps) - 1; i >= 0; i-- {
		if d := s.dumps[i]; good[d] && (notAfter.IsZero() || !s.times[d].After(notAfter)) {
			return d
		}
	}
	return none
}

// latest retains the latest dump. One that rests on something lost is worth little, and the loss may prove to be none: both
// it and the latest that does not are retained.
func (s *series) latest() {
	latest := s.dumps[len(s.dumps)-1]
	s.add(latest, KindLatest, time.Time{}, fmt.Sprintf("the latest dump of %s", s.dle))
	sound := s.last(s.sound, time.Time{})
	if sound != none && sound != latest {
		s.add(sound, KindLatest, time.Time{}, fmt.Sprintf("the latest dump of %s that can be restored", s.dle))
	}
	alone := s.last(s.alone[s.storage], time.Time{})
	if alone != none && alone != latest && alone != sound {
		s.add(alone, KindLatest, time.Time{},
			fmt.Sprintf("the latest dump of %s that can be restored from %s alone", s.dle, s.storages[s.storage]))
	}
}

// window retains the dumps of the recovery window, and the state at its beginning.
func (s *series) window() {
	n := s.policy.WindowDays
	if n <= 0 {
		return
	}
	begin := after(s.in.Now, -n)
	sound, alone := s.last(s.sound, begin), s.last(s.alone[s.storage], begin)
	ends := s.windowEnds(n)
	for i, d := range s.dumps {
		switch {
		case s.times[d].After(begin):
			s.add(d, KindWindow, ends[i], fmt.Sprintf("a dump of the last %s", days(n)))
		case d == sound || d == alone:
			s.add(d, KindWindow, ends[i], fmt.Sprintf("the latest dump of %s before the last %s", s.dle, days(n)))
		}
	}
}

// windowEnds tells when a window of n days needs each dump no more: when the next that can stand for it has left the window.
// A dump that cannot be restored stands for nothing once it has left the window itself.
func (s *series) windowEnds(n int) []time.Time {
	ends := make([]time.Time, len(s.dumps))
	var nextSound, nextAlone time.Time // when the next one leaves; zero: there is none
	for i := len(s.dumps) - 1; i >= 0; i-- {
		d := s.dumps[i]
		leaves := after(s.times[d], n)
		ends[i] = leaves
		if s.sound[d] {
			ends[i] = nextSound
		}
		if s.alone[s.storage][d] && compareUntil(nextAlone, ends[i]) < 0 {
			ends[i] = nextAlone
		}
		if s.sound[d] {
			nextSound = leaves
		}
		if s.alone[s.storage][d] {
			nextAlone = leaves
		}
	}
	return ends
}

// fulls retains the latest fulls that can be restored, and all of the last days.
func (s *series) fulls() {
	count := 0
	for i := len(s.dumps) - 1; i >= 0; i-- {
		d := s.dumps[i]
		if s.index.dumps[d].Level != 0 {
			continue
		}
		if s.sound[d] && count < s.policy.KeepFulls {
			count++
			s.add(d, KindFulls, time.Time{}, fmt.Sprintf("%s of %s", oneOf(s.policy.KeepFulls, "latest full", "latest fulls"), s.dle))
		}
		if until := after(s.times[d], s.policy.KeepFullDays); s.policy.KeepFullDays > 0 && until.After(s.in.Now) {
			s.add(d, KindFullDays, until, fmt.Sprintf("a full of the last %s", days(s.policy.KeepFullDays)))
		}
	}
}
