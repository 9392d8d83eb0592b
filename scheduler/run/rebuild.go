package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"filippo.io/age"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
	"holdfast/internal/vfs"
	"holdfast/scheduler/recovery"
	"holdfast/vtape"
	"holdfast/vtape/taper"
)

// ErrCatalogThere: there is a catalog that is not empty, and a rebuild was not told to replace it.
var ErrCatalogThere = errors.New("a catalog is there, and it is not empty")

// RebuildOptions are what the administrator says of a rebuild.
type RebuildOptions struct {
	// Path is the catalog to make.
	Path string
	// Force puts the new catalog in the place of one that is there, which is kept under another name.
	Force bool
	// Read reads all parts of which no checksum is known, to record it.
	Read bool
	// Progress is told what is being read; nil for none.
	Progress func(what string)
	// Files is the file system of Path; nil for the machine's.
	Files vfs.FS
}

// Rebuilt is what came of a rebuild.
type Rebuilt struct {
	// Volumes and Records were read; Dumps, Copies and Held are in the new catalog.
	Volumes, Records, Dumps, Copies, Held int
	// Backup is where the old catalog is now; empty when there was none.
	Backup string
	// Notes are removable storages that are elsewhere.
	Notes []error
	// Problems are storages that are absent, files that are damaged, volumes that are lost, dumps that are not whole.
	Problems []error
}

// Rebuild makes a catalog from nothing but media: those of all storages that are there, and of the holding disks. Until the new
// catalog is whole and durable an old one stays as it is. n.Store is not used.
func (n *Night) Rebuild(ctx context.Context, o RebuildOptions) (Rebuilt, error) {
	if o.Files == nil {
		o.Files = vfs.OS()
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	var r Rebuilt
	there, err := n.catalogThere(ctx, o)
	if err != nil {
		return r, err
	}
	var places []recovery.Place
	places, r.Notes, r.Problems = n.places(ctx)
	media, err := recovery.OpenMedia(ctx, n.FS, places, func(volume string) { o.Progress("read " + volume) })
	if err != nil {
		return r, fmt.Errorf("rebuild catalog: %w", errors.Join(append(r.Problems, err)...))
	}
	c := media.Contents()
	for i := range c.Volumes {
		if c.Volumes[i].Slot != "" {
			c.Volumes[i].Seen = n.Now()
		}
	}
	r.Problems = append(r.Problems, media.Damaged...)
	if o.Read {
		r.Problems = append(r.Problems, readChecksums(ctx, media, c.Copies, o.Progress)...)
	}
	for _, d := range c.Dumps {
		if !d.Status.Usable() {
			r.Problems = append(r.Problems, fmt.Errorf("%s is %s", d.ID, d.Outcome()))
		}
	}
	r.Volumes, r.Records, r.Dumps, r.Copies, r.Held = media.Volumes, media.Records, len(c.Dumps), len(c.Copies), len(c.Held)
	if err := ctx.Err(); err != nil {
		return r, err
	}
	o.Progress("write " + o.Path)
	if r.Backup, err = n.install(ctx, o, c, there); err != nil {
		return r, fmt.Errorf("rebuild catalog: %w", err)
	}
	return r, nil
}

// catalogThere tells whether a catalog stands where the new one shall be. One that holds something is refused unless forced.
func (n *Night) catalogThere(ctx context.Context, o RebuildOptions) (bool, error) {
	_, err := o.Files.Lstat(o.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	empty := false
	store, err := sqlstore.Open(ctx, o.Path, sqlstore.Options{ReadOnly: true})
	if err == nil {
		empty, err = store.Empty(ctx)
		err = errors.Join(err, store.Close())
	}
	if o.Force || err == nil && empty {
		return true, nil
	}
	return true, fmt.Errorf("%s: %w", o.Path, errors.Join(ErrCatalogThere, err))
}

// places gives the places of the site's media that are there, and why others are not: of removable storages that is no problem.
func (n *Night) places(ctx context.Context) (places []recovery.Place, elsewhere, absent []error) {
	for _, st := range n.Config.Storages() {
		lib, err := n.Opener().Open(ctx, st)
		switch {
		case err == nil:
			places = append(places, recovery.Place{Name: "storage " + st.Name, Storage: st.Name, Shelf: lib, Removable: st.Removable})
		case st.Removable && errors.Is(err, vtape.ErrAbsent):
			elsewhere = append(elsewhere, fmt.Errorf("storage %s: %w", st.Name, err))
		default:
			absent = append(absent, fmt.Errorf("storage %s: %w", st.Name, err))
		}
	}
	for _, h := range n.Config.Holding {
		if _, err := n.FS.ReadDir(h.Dir); err != nil {
			absent = append(absent, fmt.Errorf("holding disk: %w", err))
			continue
		}
		places = append(places, recovery.Place{Name: "holding disk " + h.Dir, Holding: h.Dir})
	}
	return places, elsewhere, absent
}

// readChecksums reads the parts of which no checksum is known.
func readChecksums(ctx context.Context, media *recovery.Media, copies []catalog.Copy, progress func(string)) (problems []error) {
	for _, c := range copies {
		for i, p := range c.Parts {
			if p.CRC != 0 || ctx.Err() != nil {
				continue
			}
			progress(fmt.Sprintf("read volume %s file %d", p.Label, p.File))
			dev, err := media.Device(ctx, p.Storage, p.Label)
			if errors.Is(err, vtape.ErrAbsent) {
				continue // a problem of its own, or none: a volume that is elsewhere
			}
			if err == nil {
				c.Parts[i].CRC, err = taper.PartCRC(ctx, dev, p)
			}
			if err != nil {
				problems = append(problems, err)
			}
		}
	}
	return problems
}

// install writes the new catalog beside its place, and puts it there when it is whole.
func (n *Night) install(ctx context.Context, o RebuildOptions, c sqlstore.Contents, there bool) (backup string, err error) {
	fresh := o.Path + ".rebuilt"
	for _, suffix := range []string{"", "-wal", "-shm"} { // of a rebuild that was killed
		if err := o.Files.Remove(fresh + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	if err := vfs.MkdirAll(o.Files, filepath.Dir(o.Path), 0o700); err != nil {
		return "", err
	}
	store, err := sqlstore.Open(ctx, fresh, sqlstore.Options{Create: true})
	if err != nil {
		return "", err
	}
	if err = store.Load(ctx, c); err == nil {
		err = store.Check(ctx)
	}
	if err = errors.Join(err, store.Close()); err != nil {
		return "", err
	}
	if there {
		if backup, err = freeName(o.Files, o.Path+".before-"+string(catalog.NewStamp(n.Now()))); err != nil {
			return "", err
		}
		// What the old one has in its log is brought into its file, if it can be opened at all.
		if old, err := sqlstore.Open(ctx, o.Path, sqlstore.Options{}); err == nil {
			_ = old.Close() // it is copied as it is
		}
	}
	return backup, sqlstore.Replace(o.Files, o.Path, fresh, backup)
}

// freeName gives a name that no file has.
func freeName(fsys vfs.FS, name string) (string, error) {
	free := name
	for n := 2; ; n++ {
		_, err := fsys.Lstat(free)
		if errors.Is(err, fs.ErrNotExist) {
			return free, nil
		}
		if err != nil {
			return "", err
		}
		free = fmt.Sprintf("%s-%d", name, n)
	}
}

// RebuildMaps makes the block maps anew that the next run may need: of the latest dump of each DLE that can be restored, and of
// the dumps it builds on. It tells how many it made, and what kept it from making others.
func (n *Night) RebuildMaps(ctx context.Context, ids []age.Identity, progress func(what string)) (made int, problems []error, err error) {
	h, err := n.history(ctx)
	if err != nil {
		return 0, nil, err
	}
	src := &recovery.Site{
		Catalog: recovery.FromStore{Store: n.Store}, FS: n.FS, Device: n.Device(), Workers: n.Workers, Identities: ids,
		Note: func(text string) { problems = append(problems, errors.New(text)) },
	}
	var latest []catalog.DumpID
	for dle := range h.byDLE {
		if dumps := h.restorable(dle); len(dumps) > 0 {
			latest = append(latest, dumps[len(dumps)-1].ID)
		}
	}
	var needed []catalog.DumpID
	for id := range catalog.Needed(h.all(), latest) {
		needed = append(needed, id)
	}
	slices.Sort(needed)
	for _, id := range needed {
		if err := ctx.Err(); err != nil {
			return made, problems, err
		}
		d := h.byID[id]
		if d.Program != catalog.ProgramImage || !n.MapLost(id) {
			continue
		}
		progress("make block map of " + string(id))
		if err := n.RebuildMap(ctx, src, d); err != nil {
			problems = append(problems, fmt.Errorf("block map of %s: %w", id, err))
			continue
		}
		made++
	}
	return made, problems, nil
}
