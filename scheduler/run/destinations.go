package run

import (
	"slices"
	"time"

	"holdfast/catalog"
	"holdfast/configs"
)

// destinations gives the copies that are to be made of a dump: to each storage of the run that selects it, at once; and to
// each vault, when the dump has its age. Chosen are the direct storages of this run.
//
// A dump that no direct storage selects goes to the first of them: none is left without a copy. Of an image that is no longer
// in the configuration neither type nor tags are known: it goes where these are not asked for.
func destinations(c *configs.Config, chosen []configs.Storage, d catalog.Dump, now time.Time) []catalog.Wanted {
	var wanted []catalog.Wanted
	for _, st := range chosen {
		if selects(c, st, d) {
			wanted = append(wanted, catalog.Wanted{Dump: d.ID, Storage: st.Name, Due: now})
		}
	}
	if len(wanted) == 0 && len(chosen) > 0 {
		wanted = append(wanted, catalog.Wanted{Dump: d.ID, Storage: chosen[0].Name, Due: now})
	}
	made := d.Stamp.Time(now.Location())
	for _, st := range c.Storages() {
		if st.Vault.On() && vaulted(c, st, d) {
			wanted = append(wanted, catalog.Wanted{Dump: d.ID, Storage: st.Name, Due: made.AddDate(0, 0, int(st.Vault.After))})
		}
	}
	return wanted
}

// selects tells whether a storage's selection takes the dump.
func selects(c *configs.Config, st configs.Storage, d catalog.Dump) bool {
	full := d.Level == 0
	if dle, ok := c.Find(d.DLE); ok {
		return c.Takes(st, dle, full)
	}
	anyDLE := slices.DeleteFunc(slices.Clone(st.Select), func(s configs.Selection) bool { return len(s.Types)+len(s.Tags) > 0 })
	if len(st.Select) > 0 && len(anyDLE) == 0 {
		return false
	}
	st.Select = anyDLE
	return c.Takes(st, configs.DLE{}, full)
}

// vaulted tells whether a vault takes the dump: it selects it, and so does what it is copied from. Of the latest fulls each
// is one when it is made.
func vaulted(c *configs.Config, vault configs.Storage, d catalog.Dump) bool {
	switch vault.Vault.Dumps {
	case configs.VaultFull, configs.VaultLatestFull:
		if d.Level > 0 {
			return false
		}
	case configs.VaultIncremental:
		if d.Level == 0 {
			return false
		}
	}
	if !selects(c, vault, d) {
		return false
	}
	from, ok := c.Storage[vault.Vault.From]
	switch {
	case !ok:
		return false
	case from.Vault.On() && from.Vault.From != vault.Name: // a vault of a vault; the bound keeps two from asking each other
		return vaulted(c, from, d)
	}
	return selects(c, from, d)
}
