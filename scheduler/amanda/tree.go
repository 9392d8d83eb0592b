package amanda

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"holdfast/internal/vfs"
)

// ErrNotOurs: the directory holds something that no export has written.
var ErrNotOurs = errors.New("it holds something else than an export")

const (
	// listName is the file that lists what exports have written, a line each; it also tells that the directory is one of an
	// export.
	listName = ".holdfast-export"
	listHead = "written by holdfast volume export-amanda:"
	dirMode  = fs.FileMode(0o700)
	fileMode = fs.FileMode(0o600)
)

// tree is the directory of an export: what an earlier one has left, and what is to be there.
type tree struct {
	fsys vfs.FS
	dir  string
	old  []string
	// files by their names below dir; once are those that are left alone when they are there.
	files, once map[string]string
	dirs        []string
}

// openTree looks at the directory: it must be new, empty, or that of an export.
func openTree(fsys vfs.FS, dir string) (*tree, error) {
	t := &tree{fsys: fsys, dir: dir, files: map[string]string{}, once: map[string]string{}}
	list, err := vfs.ReadFile(fsys, path.Join(dir, listName))
	if err == nil {
		t.old, err = parseList(string(list))
		return t, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	entries, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err == nil && len(entries) > 0 && entries[0].Name() != listName+".tmp" { // that a crash has left
		err = fmt.Errorf("%w: %s", ErrNotOurs, entries[0].Name())
	}
	return t, err
}

// parseList reads the list of files. Names that lead out of the directory are refused: files of old exports are removed.
func parseList(text string) ([]string, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if lines[0] != listHead {
		return nil, fmt.Errorf("%w: %s is not a list of ours", ErrNotOurs, listName)
	}
	for _, name := range lines[1:] {
		if !fs.ValidPath(name) || name == "." {
			return nil, fmt.Errorf("%w: %s names %q", ErrNotOurs, listName, name)
		}
	}
	return lines[1:], nil
}

func (t *tree) add(name, text string)     { t.files[name] = text }
func (t *tree) addOnce(name, text string) { t.once[name] = text }
func (t *tree) addDir(name string)        { t.dirs = append(t.dirs, name) }

// write brings the directory up to date. The list names every file before it is made and until it is removed, so that a
// crash leaves nothing that the next export does not know.
func (t *tree) write() error {
	if err := vfs.MkdirAll(t.fsys, t.dir, dirMode); err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(t.files))
	all := slices.Compact(slices.Sorted(slices.Values(slices.Concat(t.old, names))))
	if err := t.writeFile(listName, listText(all)); err != nil {
		return err
	}
	for _, dir := range t.dirs {
		if err := vfs.MkdirAll(t.fsys, path.Join(t.dir, dir), dirMode); err != nil {
			return err
		}
	}
	// The tapelist of each storage last: what it names is there then.
	slices.SortStableFunc(names, func(a, b string) int { return order(a) - order(b) })
	for _, name := range names {
		if err := t.writeFile(name, t.files[name]); err != nil {
			return err
		}
	}
	for name, text := range t.once {
		if _, err := t.fsys.Lstat(path.Join(t.dir, name)); err == nil {
			continue
		}
		if err := t.writeFile(name, text); err != nil {
			return err
		}
	}
	if err := t.removeOld(); err != nil {
		return err
	}
	slices.Sort(names)
	return t.writeFile(listName, listText(names))
}

func order(name string) int {
	if path.Base(name) == "tapelist" {
		return 1
	}
	return 0
}

func listText(names []string) string {
	return strings.Join(append([]string{listHead}, names...), "\n") + "\n"
}

// writeFile leaves a file as it is that says the same already.
func (t *tree) writeFile(name, text string) error {
	at := path.Join(t.dir, name)
	if old, err := vfs.ReadFile(t.fsys, at); err == nil && bytes.Equal(old, []byte(text)) {
		return nil
	}
	if err := vfs.MkdirAll(t.fsys, path.Dir(at), dirMode); err != nil {
		return err
	}
	return vfs.WriteFileDurable(t.fsys, at, []byte(text), fileMode)
}

// removeOld removes what an earlier export has written and this one does not.
func (t *tree) removeOld() error {
	for _, name := range t.old {
		if _, stays := t.files[name]; stays {
			continue
		}
		at := path.Join(t.dir, name)
		err := t.fsys.Remove(at)
		if err == nil {
			err = t.fsys.SyncDir(path.Dir(at))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
