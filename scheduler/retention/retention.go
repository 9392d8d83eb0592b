package retention

import (
	"slices"
	"strings"
	"time"

	"holdfast/catalog"
)

// Policy is what a storage's configuration says of retention. The zero value keeps nothing beyond what always is.
type Policy struct {
	// KeepVolumes most recently written volumes are kept, and those written less than KeepDays days ago.
	KeepVolumes, KeepDays int
	// WindowDays is the recovery window: each DLE can be restored to its state at any time of the last so many days.
	WindowDays int
	// KeepFulls latest fulls of each DLE are retained, and each full for KeepFullDays days.
	KeepFulls, KeepFullDays int
	// NoReuse keeps every volume that was ever written.
	NoReuse bool
	// Erase asks for volumes to be erased when nothing keeps them any more; see Verdicts.Erasable.
	Erase bool
}

// Input is what the verdicts are made from. Lists may be in any order.
type Input struct {
	Now time.Time
	// Policies by storage: a storage without one is not in the configuration.
	Policies map[string]Policy
	// Volumes of all storages; Dumps are all dumps known, Copies where they lie.
	Volumes []catalog.Volume
	Dumps   []catalog.Dump
	Copies  []catalog.Copy
	// Held are the dumps on the holding disk, Wanted the copies that are still to be made.
	Held   []catalog.DumpID
	Wanted []catalog.Wanted
	// Current is the run that is going on, empty for none: what it wrote is never overwritten by itself.
	Current catalog.Stamp
}

// Verdict is what is decided on a volume.
type Verdict struct {
	Label   catalog.Label `json:"label"`
	Storage string        `json:"storage"`
	// Reusable: the volume may be overwritten. It has no Reasons then.
	Reusable bool `json:"reusable"`
	// Yields: the volume is kept only for copies that are still to be made, and may be overwritten when nothing else can be.
	Yields bool `json:"yields,omitempty"`
	// Until is when the last reason ends, as far as time alone decides; zero when it does not.
	Until time.Time `json:"until,omitzero"`
	// Reasons are all that keep the volume, the weightiest first.
	Reasons []Reason `json:"reasons,omitempty"`
}

// Retained is a dump that is kept in a storage.
type Retained struct {
	Dump    catalog.DumpID `json:"dump"`
	Storage string         `json:"storage"`
	// Yields: it is kept only for a copy that is still to be made.
	Yields  bool     `json:"yields,omitempty"`
	Reasons []Reason `json:"reasons"`
}

// Verdicts are what is decided on all volumes and dumps.
type Verdicts struct {
	// Volumes by label.
	Volumes []Verdict
	// Dumps that are kept, by id and storage; one that is in none of these may be overwritten wherever it lies.
	Dumps []Retained

	index *index
}

// Judge gives the verdict on each volume. The same input in another order gives the same answer.
func Judge(in Input) Verdicts {
	x := newIndex(in)
	own := x.volumeRules()
	n := x.propagate(x.roots(own))
	v := Verdicts{index: x, Dumps: x.retained(n)}
	reasons := x.volumeReasons(own, n)
	for i, vol := range x.volumes {
		v.Volumes = append(v.Volumes, newVerdict(vol, reasons[i]))
	}
	return v
}

func newVerdict(v catalog.Volume, reasons []Reason) Verdict {
	verdict := Verdict{Label: v.Label, Storage: v.Storage, Reusable: len(reasons) == 0, Reasons: reasons}
	verdict.Yields = len(reasons) > 0 && yields(reasons)
	for i, r := range reasons {
		if r.Until.IsZero() {
			verdict.Until = time.Time{}
			break
		}
		if i == 0 || r.Until.After(verdict.Until) {
			verdict.Until = r.Until
		}
	}
	return verdict
}

// Of is the verdict on one volume; false for a label that was not in the input.
func (v Verdicts) Of(label catalog.Label) (Verdict, bool) {
	i, ok := slices.BinarySearchFunc(v.Volumes, label, func(v Verdict, l catalog.Label) int {
		return strings.Compare(string(v.Label), string(l))
	})
	if !ok {
		return Verdict{}, false
	}
	return v.Volumes[i], true
}

// Keep gives, for each volume of a storage that must not be overwritten, the weightiest reason.
func (v Verdicts) Keep(storage string) map[catalog.Label]string {
	return v.keep(storage, func(Verdict) bool { return true })
}

// Firm is Keep without the volumes that yield: what may not be overwritten even when nothing else is left.
func (v Verdicts) Firm(storage string) map[catalog.Label]string {
	return v.keep(storage, func(v Verdict) bool { return !v.Yields })
}

func (v Verdicts) keep(storage string, want func(Verdict) bool) map[catalog.Label]string {
	keep := map[catalog.Label]string{}
	for _, one := range v.Volumes {
		if one.Storage == storage && !one.Reusable && want(one) {
			keep[one.Label] = one.Reasons[0].Text
		}
	}
	return keep
}

// Erasable are the volumes of storages that ask for erasing that nothing keeps any more, by label. Those never written (as
// one that was erased is recorded) or kept for whatever reason, be it one that yields, are not among them.
func (v Verdicts) Erasable() []catalog.Label {
	var out []catalog.Label
	for i, one := range v.Volumes {
		written := v.index.volumes[i].WriteStamp != ""
		if one.Reusable && written && v.index.in.Policies[one.Storage].Erase {
			out = append(out, one.Label)
		}
	}
	return out
}

// OnlyOn are the dumps that something keeps, and that lie whole on this volume alone or with others of the same copy: what
// is lost with the volume. By id.
func (v Verdicts) OnlyOn(label catalog.Label) []catalog.DumpID {
	x := v.index
	vol, ok := x.volumeOf[label]
	if !ok {
		return nil
	}
	var out []catalog.DumpID
	for _, r := range v.Dumps {
		d := x.dumpOf[r.Dump]
		elsewhere := func(c placed) bool { return !slices.Contains(c.volumes, vol) }
		if !x.held[d] && !slices.ContainsFunc(x.copies[d], elsewhere) {
			out = append(out, r.Dump)
		}
	}
	return slices.Compact(out)
}
