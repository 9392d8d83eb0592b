package configs

import "slices"

// Takes tells whether the dumps of a DLE, full or incremental, are for the storage by its `select`.
func (c *Config) Takes(s Storage, d DLE, full bool) bool {
	return len(s.Select) == 0 || slices.ContainsFunc(s.Select, func(sel Selection) bool {
		tags := append(slices.Clone(c.TypeOf(d).Tags), d.Tags...)
		hasTag := func(tag string) bool { return slices.Contains(tags, tag) }
		return (len(sel.Types) == 0 || slices.Contains(sel.Types, d.Type)) &&
			(len(sel.Tags) == 0 || slices.ContainsFunc(sel.Tags, hasTag)) &&
			sel.Levels.takes(full)
	})
}

func (l LevelSelection) takes(full bool) bool {
	switch l {
	case LevelsFull:
		return full
	case LevelsIncremental:
		return !full
	}
	return true
}

// direct tells whether a run writes the DLE's dumps to any storage.
func (c *Config) direct(d DLE, full bool) bool {
	return slices.ContainsFunc(c.Storages(), func(s Storage) bool { return !s.Vault.On() && c.Takes(s, d, full) })
}
