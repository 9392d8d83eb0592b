package run

import (
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"strings"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/scheduler/run/taping"
	"holdfast/vtape"
	"holdfast/vtape/dir"
	"holdfast/vtape/library"
)

// checkLibraries looks at the library of each storage. Of a pool one is enough, and a removable one may be away.
func (n *Night) checkLibraries(ctx context.Context, f *findings) {
	there := map[string]bool{} // pools
	for _, st := range n.Config.Storages() {
		n.checkCommands(f, st)
		lib, err := n.Opener().Open(ctx, st)
		switch {
		case err == nil:
			there[st.Pool] = true
			n.checkLibrary(ctx, f, st, lib)
		case errors.Is(err, vtape.ErrAbsent) && st.Removable:
			f.add(SeverityNote, "", "storage %s is away: %v", st.Name, err)
		case errors.Is(err, vtape.ErrAbsent) && st.Pool != "":
			f.add(SeverityWarning, absentHint(st, err), "storage %s: %v", st.Name, err)
		default:
			f.add(SeverityError, absentHint(st, err), "storage %s: %v", st.Name, err)
		}
	}
	told := map[string]bool{}
	for _, st := range n.Config.Storages() {
		if st.Pool != "" && !there[st.Pool] && !told[st.Pool] {
			told[st.Pool] = true
			f.add(SeverityError, "mount one of its storages; dumps wait on the holding disk until then", "pool %s: none of its storages is there", st.Pool)
		}
	}
}

// checkCommands looks that the programs of the storage's commands are there.
func (n *Night) checkCommands(f *findings, st configs.Storage) {
	for _, words := range [][]string{st.Mount, st.Unmount} {
		if len(words) == 0 {
			continue
		}
		if _, err := exec.LookPath(words[0]); err != nil {
			f.add(SeverityError, "write its full path", "storage %s: %v", st.Name, err)
		}
	}
}

func (n *Night) checkLibrary(ctx context.Context, f *findings, st configs.Storage, lib *library.Library) {
	inv, err := lib.Inventory(ctx)
	if err != nil {
		f.add(SeverityError, "", "storage %s: %v", st.Name, err)
		return
	}
	for _, slot := range inv {
		if slot.Err != nil {
			f.add(SeverityWarning, slotHint(slot), "storage %s: slot %s: %v", st.Name, slot.Slot, slot.Err)
			continue
		}
		n.checkWritable(f, st, slot.Slot)
	}
	verdicts, volumes, err := n.Judge(ctx, "")
	if err != nil {
		f.add(SeverityError, "", "storage %s: %v", st.Name, err)
		return
	}
	n.checkDegraded(f, st, inv, volumes)
	for _, slot := range unknownVolumes(inv, taping.VolumesOf(st.Name, volumes)) {
		f.add(SeverityWarning, "it is never overwritten; was the catalog lost? `holdfast volume scan --rebuild` makes a new one",
			"storage %s: slot %s holds volume %s, which the catalog does not know", st.Name, slot.Slot, slot.Label)
	}
	choice, givenUp, err := taping.PickVolume(inv, volumes, verdicts, st.Name)
	switch {
	case err != nil:
		f.add(SeverityError, "raise slots and call `holdfast volume create`, or lower keep-volumes", "storage %s: %v", st.Name, err)
	case choice.Label == "":
		f.add(SeverityNote, "", "storage %s: the next run writes to a new volume in slot %s", st.Name, choice.Slot)
	case len(givenUp) > 0:
		f.add(SeverityWarning, "raise slots, or see to the storage that the copy goes to",
			"storage %s: the next run overwrites volume %s in slot %s, the only one left; it %s", st.Name, choice.Label, choice.Slot, givenUp[0].Text)
	default:
		f.add(SeverityNote, "", "storage %s: the next run overwrites volume %s in slot %s", st.Name, choice.Label, choice.Slot)
	}
}

// checkDegraded warns of volumes of which some members hold nothing or not all: by their labels, or as the catalog knows.
func (n *Night) checkDegraded(f *findings, st configs.Storage, inv []library.SlotInfo, volumes []catalog.Volume) {
	seen := map[catalog.Label][]string{}
	for _, slot := range inv {
		seen[slot.Label] = faulty(slot.Degraded)
	}
	for _, v := range volumes {
		members := merged(v.Degraded, seen[v.Label])
		if v.Storage == st.Name && !v.Retired && len(members) > 0 {
			f.add(SeverityWarning, "`holdfast volume repair "+string(v.Label)+"`", "storage %s: volume %s is degraded: %s",
				st.Name, v.Label, strings.Join(members, ", "))
		}
	}
}

// checkWritable looks whether files can be made in a slot, where slots are directories.
func (n *Night) checkWritable(f *findings, st configs.Storage, slot string) {
	if st.Device != configs.DeviceDir {
		return
	}
	if err := writable(n.FS, dir.SlotPath(st.Path, slot)); err != nil {
		f.add(SeverityError, "does it belong to this user? Is the file system mounted read-only?", "storage %s: slot %s: %v", st.Name, slot, err)
	}
}

// slotHint says how a slot that has no volume that can be read is put to use.
func slotHint(slot library.SlotInfo) string {
	if errors.Is(slot.Err, vtape.ErrAbsent) {
		return "bring the directory back; for a new vtape, `holdfast volume create` makes it"
	}
	return "it is left as it is; empty the slot's directory by hand to have it used"
}

// unknownVolumes are those in the library that the catalog has no word of.
func unknownVolumes(inv []library.SlotInfo, volumes []catalog.Volume) []library.SlotInfo {
	known := map[catalog.Label]bool{}
	for _, v := range volumes {
		known[v.Label] = true
	}
	var out []library.SlotInfo
	for _, slot := range inv {
		if slot.Err == nil && !slot.Blank && !known[slot.Label] {
			out = append(out, slot)
		}
	}
	return out
}

func absentHint(st configs.Storage, err error) string {
	switch {
	case !errors.Is(err, vtape.ErrAbsent) && !errors.Is(err, fs.ErrNotExist):
		return ""
	case st.Device == configs.DeviceS3:
		return "is the server up? A new library is made by `holdfast volume create`"
	case st.Device == configs.DeviceRAIT:
		return "mount its members; a new library is made by `holdfast volume create`"
	}
	return "mount its file system; a new library is made by `holdfast volume create`"
}
