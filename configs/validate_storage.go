package configs

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	minVolume = 1 * MiB
	// maxSlots keeps a listing of the library, which every run makes, within seconds.
	maxSlots = 100_000
	// headerBlock is the size of Amanda's header: one stands before the volume's first file, and one before each part.
	headerBlock = 32 * KiB
	// maxLabel leaves room for the file number before it in a file's name.
	maxLabel = 80
)

func (k check) storages() {
	names := slices.Sorted(maps.Keys(k.c.Storage))
	k.must(len(names) > 0, "storage", "names no storage", "")
	direct := slices.ContainsFunc(names, func(n string) bool { return !k.c.Storage[n].Vault.On() })
	k.must(len(names) == 0 || direct, "storage", "names vaults only: no run could write a dump", "")
	for _, name := range names {
		k.storage(join("storage", name), k.c.Storage[name])
	}
	k.apart()
	k.labels()
}

func (k check) storage(path string, s Storage) {
	k.device(path, s)
	k.must(s.Slots >= 1 && s.Slots <= maxSlots, join(path, "slots"), fmt.Sprintf("must be 1 to %d", maxSlots), "")
	k.must(s.VolumeSize >= minVolume, join(path, "volume-size"), fmt.Sprintf("%s is less than %s", s.VolumeSize, minVolume), "")
	k.partSize(path, s)
	k.label(join(path, "label"), s)
	k.access(path, s)
	k.selections(path, s)
	k.vault(path, s)
	k.writing(path, s)
	k.retention(path, s)
}

func (k check) partSize(path string, s Storage) {
	at, unit := join(path, "part-size"), s.partUnit()
	if s.PartSize == 0 {
		k.must(defaultPart(s) > 0 || s.VolumeSize < minVolume, join(path, "volume-size"),
			fmt.Sprintf("%s is too little: parts on these members are multiples of %s, and a volume takes four at least", s.VolumeSize, unit), "")
		return
	}
	hint := "so that parts fit on parity sets, too"
	if unit != partUnit {
		hint = fmt.Sprintf("so that parts are whole stripes over %d data members and fit on other sets, too", s.dataMembers())
	}
	k.must(s.PartSize > 0 && s.PartSize%unit == 0, at, fmt.Sprintf("%s is not a multiple of %s", s.PartSize, unit), hint)
	k.must(s.PartSize+2*headerBlock <= s.VolumeSize, at,
		fmt.Sprintf("%s and its headers do not fit on a volume of %s", s.PartSize, s.VolumeSize), "")
}

var (
	labelLetters = regexp.MustCompile(`^[A-Za-z0-9._%-]+$`)
	percentRun   = regexp.MustCompile(`%+`)
)

// label checks a label template. A label is one word in a header and part of a file's name.
func (k check) label(path string, s Storage) {
	fault := func(message, hint string) {
		k.fail(path, problem{Message: fmt.Sprintf("%q: %s", s.Label, message), Hint: hint})
	}
	runs := percentRun.FindAllString(s.Label, -1)
	switch {
	case !labelLetters.MatchString(s.Label):
		fault("a label is made of letters, digits, '.', '_' and '-'", "")
	case len(s.Label) > maxLabel:
		fault(fmt.Sprintf("a label has at most %d letters", maxLabel), "")
	case len(runs) != 1:
		fault("a label has one run of % for the number", "DEMO-%%% gives DEMO-001, DEMO-002 ...")
	case len(runs[0]) < len(strconv.Itoa(s.Slots)):
		fault(fmt.Sprintf("has no numbers for %d slots", s.Slots), "write "+strings.Replace(s.Label, runs[0], strings.Repeat("%", len(strconv.Itoa(s.Slots))), 1))
	}
}

// labels finds storages that would give the same label. Labels are unique over all storages; those of a pool, of which one
// stands for another, may count on together.
func (k check) labels() {
	storages := k.c.Storages()
	for i, s := range storages {
		for _, o := range storages[:i] {
			if sameLabels(s.Label, o.Label) && (s.Pool == "" || s.Pool != o.Pool) {
				k.fail(join(join("storage", s.Name), "label"), problem{
					Message: fmt.Sprintf("%q gives labels that storage %s gives, too", s.Label, o.Name), Hint: "a label names one volume of all storages",
				})
				break
			}
		}
	}
}

// sameLabels tells whether there is a label that both templates give: one that fits both letter by letter.
func sameLabels(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		digit := func(c byte) bool { return c == '%' || '0' <= c && c <= '9' }
		if x != y && !(x == '%' && digit(y)) && !(y == '%' && digit(x)) {
			return false
		}
	}
	return true
}
