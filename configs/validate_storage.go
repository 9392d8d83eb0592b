package configs

import (
	"fmt"
	"maps"
	"path/filepath"
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
}

func (k check) storage(path string, s Storage) {
	if s.Device == DeviceDir {
		k.path(join(path, "path"), s.Path)
	}
	for _, h := range k.c.Holding {
		k.must(filepath.Clean(h.Dir) != filepath.Clean(s.Path), join(path, "path"), "is also a holding disk", "")
	}
	k.must(s.Slots >= 1 && s.Slots <= maxSlots, join(path, "slots"), fmt.Sprintf("must be 1 to %d", maxSlots), "")
	k.must(s.VolumeSize >= minVolume, join(path, "volume-size"), fmt.Sprintf("%s is less than %s", s.VolumeSize, minVolume), "")
	if s.PartSize != 0 {
		k.must(s.PartSize > 0 && s.PartSize%partUnit == 0, join(path, "part-size"),
			fmt.Sprintf("%s is not a multiple of %s", s.PartSize, partUnit), "so that parts fit on parity sets, too")
		k.must(s.PartSize+2*headerBlock <= s.VolumeSize, join(path, "part-size"),
			fmt.Sprintf("%s and its headers do not fit on a volume of %s", s.PartSize, s.VolumeSize), "")
	}
	k.must(s.RunVolumes >= 1 && s.RunVolumes <= max(s.Slots, 1), join(path, "run-volumes"),
		fmt.Sprintf("must be 1 to %d, the number of slots", max(s.Slots, 1)), "")
	k.must(s.KeepVolumes >= 0 && s.KeepVolumes+s.RunVolumes <= max(s.Slots, s.RunVolumes), join(path, "keep-volumes"),
		fmt.Sprintf("must be 0 to %d: %d slots less the %d that a run may fill", max(s.Slots-s.RunVolumes, 0), s.Slots, s.RunVolumes), "")
	k.label(join(path, "label"), s)
	k.enoughSlots(path, s)
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

// enoughSlots warns, as Amanda does, if volumes come round again before a dump cycle is over.
func (k check) enoughSlots(path string, s Storage) {
	runs := k.c.RunsPerCycle
	if runs == 0 {
		runs = int(k.c.DumpCycle)
	}
	if s.Slots <= runs {
		k.warn(join(path, "slots"), fmt.Sprintf(
			"%d slots for %d runs in a dump cycle of %s: runs will fail once all volumes hold dumps that are needed", s.Slots, runs, k.c.DumpCycle))
	}
}
