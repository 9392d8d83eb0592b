package recovery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"holdfast/catalog"
	"holdfast/catalog/record"
	"holdfast/internal/vfs"
)

// WriteMetadata writes the documents that were kept with a dump into a directory, each under its name, and gives the names.
// A file that is there is replaced only with force; else it is ErrExists, and nothing is written.
func (s *Site) WriteMetadata(ctx context.Context, d catalog.Dump, dir string, force bool) ([]string, error) {
	names, docs, err := s.documents(ctx, d)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	for _, name := range names {
		_, err := s.FS.Lstat(path.Join(dir, name))
		if err == nil && !force {
			return nil, fmt.Errorf("%s: %w", path.Join(dir, name), ErrExists)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if err := vfs.MkdirAll(s.FS, dir, 0o700); err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := vfs.WriteFileDurable(s.FS, path.Join(dir, name), docs[name], 0o600); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// documents gives the documents of a dump whose names can be files.
func (s *Site) documents(ctx context.Context, d catalog.Dump) ([]string, map[string][]byte, error) {
	from, ok := s.Catalog.(Documents)
	if !ok {
		return nil, nil, nil
	}
	docs, err := from.Metadata(ctx, d.ID)
	if err != nil {
		return nil, nil, err
	}
	var names []string
	for name, data := range docs {
		if err := (record.Document{Name: name, Data: data}).Check(); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", d.ID, err)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, docs, nil
}
