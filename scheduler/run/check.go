package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"

	"holdfast/configs"
	"holdfast/dumpers"
	"holdfast/internal/vfs"
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
// directory that must be writable, and what the hooks of checks do.
func (n *Night) Check(ctx context.Context) []Finding {
	var f findings
	for _, w := range n.Config.Warnings {
		f.add(SeverityWarning, "", "%s", w)
	}
	if err := n.Store.Check(ctx); err != nil {
		f.add(SeverityError, "the catalog can be copied from a backup of the state directory", "catalog: %v", err)
	}
	n.checkHooked(ctx, &f)
	return f
}

// checkImage looks at an image. The error is in the findings already.
func (n *Night) checkImage(ctx context.Context, f *findings, d configs.DLE) error {
	info, err := n.describe(ctx, d)
	if err != nil {
		f.add(SeverityError, hint(err), "%s: %v", d.Name(), err)
		return err
	}
	n.checkBacking(f, d.Name().String(), d.Base != nil, info)
	return nil
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

func size(bytes int64) string { return humanize.IBytes(uint64(max(0, bytes))) }

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
