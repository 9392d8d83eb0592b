package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"

	"holdfast/catalog"
	"holdfast/dumpers"
	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/dir"
	"holdfast/vtape/library"
)

// Severity of a finding.
type Severity string

// The severities: a note is for information, an error would make the night fail.
const (
	SeverityNote    Severity = "note"
	SeverityWarning Severity = "warning"
	SeverityError   Severity = "error"
)

// Finding is one thing that `check` has to say.
type Finding struct {
	Severity Severity `json:"severity"`
	Text     string   `json:"text"`
	Hint     string   `json:"hint,omitempty"`
}

// findings collects what the checks say.
type findings []Finding

func (f *findings) add(severity Severity, hint, format string, args ...any) {
	*f = append(*f, Finding{Severity: severity, Text: fmt.Sprintf(format, args...), Hint: hint})
}

// Check looks at everything the night will need, and changes nothing but for a file it makes and removes in each
// directory that must be writable.
func (n *Night) Check(ctx context.Context) []Finding {
	var f findings
	for _, w := range n.Config.Warnings {
		f.add(SeverityWarning, "", "%s", w)
	}
	if err := n.Store.Check(ctx); err != nil {
		f.add(SeverityError, "the catalog can be copied from a backup of the state directory", "catalog: %v", err)
	}
	n.checkHolding(&f)
	n.checkLibrary(ctx, &f)
	n.checkKeys(&f)
	for _, d := range n.Config.DLEs {
		info, err := n.describe(ctx, d)
		if err != nil {
			f.add(SeverityError, hint(err), "%s: %v", d.Name(), err)
			continue
		}
		n.checkBacking(&f, d.Name().String(), d.Base != nil, info)
	}
	return f
}

// checkBacking warns of an overlay whose base is dumped within it, again for each overlay.
func (n *Night) checkBacking(f *findings, name string, hasBase bool, info dumpers.DiskInfo) {
	if info.Backing == "" || hasBase {
		return
	}
	for _, other := range n.Config.DLEs {
		if other.Image == info.Backing {
			f.add(SeverityWarning, fmt.Sprintf("set base: %s, and the base is dumped once", other.Name()),
				"%s: is an overlay of %s, which is dumped with it", name, info.Backing)
			return
		}
	}
}

func (n *Night) checkHolding(f *findings) {
	if len(n.Config.Holding) == 0 {
		f.add(SeverityNote, "", "no holding disk: dumps go straight to a volume, one at a time")
		return
	}
	for _, u := range openHolding(n.FS, n.Config).Usage() {
		if u.Err == nil {
			u.Err = writable(n.FS, u.Path)
		}
		if u.Err != nil {
			f.add(SeverityError, "is its file system mounted? Does it belong to this user?", "holding disk %s: %v", u.Path, u.Err)
			continue
		}
		f.add(SeverityNote, "", "holding disk %s: room for %s, %s used", u.Path, size(u.Room), size(u.Used))
	}
}

// writable makes a file and removes it.
func writable(fsys vfs.FS, dir string) error {
	probe := filepath.Join(dir, ".holdfast-check")
	file, err := fsys.OpenFile(probe, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), fsys.Remove(probe))
}

func (n *Night) checkLibrary(ctx context.Context, f *findings) {
	st := n.Config.MainStorage()
	lib, err := n.Opener().Open(ctx, st)
	if err != nil {
		f.add(SeverityError, absentHint(err), "storage %s: %v", st.Name, err)
		return
	}
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
		if err := writable(n.FS, dir.SlotPath(st.Path, slot.Slot)); err != nil {
			f.add(SeverityError, "does it belong to this user? Is the file system mounted read-only?", "storage %s: slot %s: %v", st.Name, slot.Slot, err)
		}
	}
	keep, volumes, err := n.Verdicts(ctx, "")
	if err != nil {
		f.add(SeverityError, "", "storage %s: %v", st.Name, err)
		return
	}
	for _, slot := range unknownVolumes(inv, volumes) {
		f.add(SeverityWarning, "it is never overwritten; was the catalog lost? `holdfast volume scan --rebuild` makes a new one",
			"storage %s: slot %s holds volume %s, which the catalog does not know", st.Name, slot.Slot, slot.Label)
	}
	choice, err := library.Pick(inv, volumes, keep)
	switch {
	case err != nil:
		f.add(SeverityError, "raise slots and call `holdfast volume create`, or lower keep-volumes", "storage %s: %v", st.Name, err)
	case choice.Label == "":
		f.add(SeverityNote, "", "storage %s: the next run writes to a new volume in slot %s", st.Name, choice.Slot)
	default:
		f.add(SeverityNote, "", "storage %s: the next run overwrites volume %s in slot %s", st.Name, choice.Label, choice.Slot)
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

func size(bytes int64) string { return humanize.IBytes(uint64(max(0, bytes))) }

func absentHint(err error) string {
	if errors.Is(err, vtape.ErrAbsent) || errors.Is(err, fs.ErrNotExist) {
		return "mount its file system; a new library is made by `holdfast volume create`"
	}
	return ""
}

func (n *Night) checkKeys(f *findings) {
	seen := map[string]bool{}
	for _, d := range n.Config.DLEs {
		path := n.Config.TypeOf(d).Encrypt.Recipients
		if path == "" || seen[path] {
			continue
		}
		seen[path] = true
		if _, err := n.Recipients(path); err != nil {
			f.add(SeverityError, "`holdfast key generate` makes a pair of keys", "%v", err)
		}
	}
}
