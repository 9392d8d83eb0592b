package library

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"holdfast/catalog"
)

// NextLabel gives the label after the highest of those that fit the library's template. Gaps are not filled: a label
// that is missing may be on a volume in a drawer, and no two volumes ever have the same.
func (l *Library) NextLabel(existing []catalog.Label) (catalog.Label, error) {
	template := l.opts.Label
	before, rest, _ := strings.Cut(template, "%")
	after := strings.TrimLeft(rest, "%")
	digits := len(template) - len(before) - len(after)
	if digits == 0 || strings.Contains(after, "%") {
		return "", fmt.Errorf("label template %q: want one run of %%", template)
	}
	var highest uint64
	for _, label := range existing {
		if !Fits(template, label) {
			continue
		}
		middle := string(label)[len(before) : len(before)+digits]
		if n, err := strconv.ParseUint(middle, 10, 63); err == nil {
			highest = max(highest, n)
		}
	}
	number := fmt.Sprintf("%0*d", digits, highest+1)
	if len(number) > digits {
		return "", fmt.Errorf("label template %q: all labels are given; take one with more %%", template)
	}
	return catalog.Label(before + number + after), nil
}

// Fits tells whether a label is one that the template gives.
func Fits(template string, label catalog.Label) bool {
	before, rest, _ := strings.Cut(template, "%")
	after := strings.TrimLeft(rest, "%")
	digits := len(template) - len(before) - len(after)
	middle := strings.TrimSuffix(strings.TrimPrefix(string(label), before), after)
	_, err := strconv.ParseUint(middle, 10, 63)
	return before+middle+after == string(label) && len(middle) == digits && err == nil
}

// Choice is the volume to write next.
type Choice struct {
	Slot string
	// Label is the volume's, to be kept when it is overwritten; empty for a blank slot, which needs a new one.
	Label catalog.Label
}

// NoVolume is the error of Pick: why each slot is not to be written.
type NoVolume struct{ Reasons []string }

// Error gives the reasons a line each.
func (e *NoVolume) Error() string {
	if len(e.Reasons) == 0 {
		return "no volume can be written: the library has no slots"
	}
	return "no volume can be written:\n  " + strings.Join(e.Reasons, "\n  ")
}

// Pick chooses the volume to write next, as Amanda's scan `oldest` does: of the volumes that may be overwritten the one
// written longest ago; when there is none, a volume that was labelled and never written; then the first blank slot. Vols
// are the catalog's volumes of this storage; keep tells, for labels that must not be overwritten, why: retention's verdict,
// or that this run has filled them. A slot that gave trouble in this run is passed with its Err set. The error is a
// *NoVolume.
func Pick(inv []SlotInfo, vols []catalog.Volume, keep map[catalog.Label]string) (Choice, error) {
	known := make(map[catalog.Label]catalog.Volume, len(vols))
	for _, v := range vols {
		known[v.Label] = v
	}
	var usable []SlotInfo
	none := new(NoVolume)
	for _, info := range inv {
		if reason := notReusable(info, known, keep); reason != "" {
			none.Reasons = append(none.Reasons, reason)
			continue
		}
		usable = append(usable, info)
	}
	if len(usable) == 0 {
		return Choice{}, none
	}
	rank := func(info SlotInfo) int {
		switch {
		case info.Blank:
			return 2
		case known[info.Label].WriteStamp == "":
			return 1
		}
		return 0
	}
	best := slices.MinFunc(usable, func(a, b SlotInfo) int { // the first of equals
		return cmp.Or(rank(a)-rank(b), cmp.Compare(known[a.Label].WriteStamp, known[b.Label].WriteStamp))
	})
	return Choice{Slot: best.Slot, Label: best.Label}, nil
}

// notReusable gives the reason why nothing may be written to the slot, "" when there is none.
func notReusable(info SlotInfo, known map[catalog.Label]catalog.Volume, keep map[catalog.Label]string) string {
	var why string
	v, ok := known[info.Label]
	kept, isKept := keep[info.Label]
	switch {
	case info.Err != nil:
		return fmt.Sprintf("slot %s: %v", info.Slot, info.Err)
	case info.Blank:
		return ""
	case !ok:
		why = "it is not in the catalog"
	case v.Retired:
		why = "it is retired"
	case v.NoReuse:
		why = "it is marked no-reuse"
	case writeStamp(info) > v.WriteStamp:
		// Written by somebody else, or the catalog is an old one: what is on it is not known. An older volume than the
		// catalog's is what a crash leaves between recording that it will be overwritten and doing so.
		why = fmt.Sprintf("it was written at %s, later than the catalog knows", info.Stamp)
	case isKept:
		why = cmp.Or(kept, "it is kept")
	}
	if why == "" {
		return ""
	}
	return fmt.Sprintf("slot %s with label %s is not reusable: %s", info.Slot, info.Label, why)
}

// writeStamp is the stamp in the catalog's terms, where a volume never written has none.
func writeStamp(info SlotInfo) catalog.Stamp {
	if info.Stamp == "X" || info.Stamp == "0" {
		return ""
	}
	return info.Stamp
}
