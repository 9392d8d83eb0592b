package run

import (
	"context"
	"slices"

	"holdfast/configs"
)

// ChooseStorages gives the direct storages that a run writes to, in the order of the configuration. Of the storages of one
// pool it is the first that is there; when none is, the first of all, whose absence the run will tell.
func (n *Night) ChooseStorages(ctx context.Context) []configs.Storage {
	var chosen []configs.Storage
	pools := map[string]int{} // index in chosen
	found := map[string]bool{}
	for _, st := range n.Config.Storages() {
		at, seen := pools[st.Pool]
		switch {
		case st.Vault.On():
		case st.Pool == "":
			chosen = append(chosen, st)
		case seen && found[st.Pool]:
		default:
			_, err := n.Opener().Open(ctx, st)
			found[st.Pool] = err == nil
			if !seen {
				pools[st.Pool] = len(chosen)
				chosen = append(chosen, st)
			} else if err == nil {
				chosen[at] = st
			}
		}
	}
	return chosen
}

// standIn gives the storage of this run that stands for another one: itself, or the one chosen of its pool.
func standIn(c *configs.Config, chosen []configs.Storage, name string) (configs.Storage, bool) {
	i := slices.IndexFunc(chosen, func(st configs.Storage) bool { return st.Name == name })
	if pool := c.Storage[name].Pool; i < 0 && pool != "" {
		i = slices.IndexFunc(chosen, func(st configs.Storage) bool { return st.Pool == pool })
	}
	if i < 0 {
		return configs.Storage{}, false
	}
	return chosen[i], true
}
