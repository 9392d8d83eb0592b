package run

import (
	"cmp"
	"context"
	"slices"

	"holdfast/catalog"
	"holdfast/configs"
)

// VaultOptions say what is copied to vaults. The zero value: what is due, to each of them.
type VaultOptions struct {
	// Storages are the vaults; none for all.
	Storages []string
	// DLEs, Run and Dumps select dumps of the catalog, whether their copies were wanted or not. When one of them is set, nothing
	// else is copied. Dumps stands for the vault's own choice.
	DLEs  []catalog.DLE
	Run   catalog.Stamp
	Dumps configs.VaultSelection
	// Now copies what is not due yet, too.
	Now bool
}

func (o VaultOptions) selects() bool { return len(o.DLEs) > 0 || o.Run != "" || o.Dumps != "" }

func (o VaultOptions) takes(d catalog.Dump) bool {
	return (len(o.DLEs) == 0 || slices.Contains(o.DLEs, d.DLE)) && (o.Run == "" || d.Stamp == o.Run)
}

// VaultCopy is a copy that is to be made to a vault.
type VaultCopy struct {
	Dump catalog.Dump
	To   configs.Storage
	// Held tells that it can be made from the holding disk; From are the whole copies on volumes, the best source first.
	Held bool
	From []catalog.Copy
	// Base tells that the dump itself was not asked for: another that is copied, or lies there, builds on it.
	Base bool
}

// VaultPlan is what there is to do for vaults.
type VaultPlan struct {
	// Copies are in the order in which their sources lie on volumes, vault by vault.
	Copies []VaultCopy
	// Superseded are wanted no more, since there is a newer full; of Gone there is nothing left to copy.
	Superseded, Gone []catalog.Wanted
}

// Empty tells that there is nothing to do.
func (p VaultPlan) Empty() bool { return len(p.Copies)+len(p.Superseded)+len(p.Gone) == 0 }

// PlanVault finds out which copies are to be made to vaults now. Nothing is changed.
func (n *Night) PlanVault(ctx context.Context, o VaultOptions) (VaultPlan, error) {
	h, err := n.history(ctx)
	if err != nil {
		return VaultPlan{}, err
	}
	wanted, err := n.Store.WantedCopies(ctx)
	if err != nil {
		return VaultPlan{}, err
	}
	return n.planVault(h, wanted, o), nil
}

// planVault is PlanVault without looking anything up.
func (n *Night) planVault(h history, wanted []catalog.Wanted, o VaultOptions) VaultPlan {
	now := n.Now()
	var p VaultPlan
	copies := map[catalog.DumpID][]catalog.Copy{}
	for _, cp := range h.copies {
		if cp.Status.Usable() && len(cp.Parts) > 0 {
			copies[cp.Dump] = append(copies[cp.Dump], cp)
		}
	}
	var due []catalog.Wanted
	for _, w := range wanted {
		switch {
		case !h.placed[w.Dump]:
			p.Gone = append(p.Gone, w)
		case o.Now || !w.Due.After(now):
			due = append(due, w)
		}
	}
	for _, st := range n.Config.Storages() {
		if !st.Vault.On() || len(o.Storages) > 0 && !slices.Contains(o.Storages, st.Name) {
			continue
		}
		v := vaulting{config: n.Config, to: st, history: h, copies: copies}
		if o.selects() {
			v.choose(o)
		} else {
			p.Superseded = append(p.Superseded, v.wanted(due)...)
		}
		p.Copies = append(p.Copies, v.plan()...)
	}
	return p
}

// vaulting is the planning for one vault.
type vaulting struct {
	history
	config *configs.Config
	to     configs.Storage
	copies map[catalog.DumpID][]catalog.Copy // whole ones, by dump
	chosen []catalog.Dump
}

// choose takes the dumps of the catalog that the options select, and the vault as well.
func (v *vaulting) choose(o VaultOptions) {
	st := v.to
	st.Vault.Dumps = cmp.Or(o.Dumps, st.Vault.Dumps)
	latest := map[catalog.DLE]catalog.Dump{}
	for _, dumps := range v.byDLE {
		for _, d := range dumps {
			if !o.takes(d) || !d.Status.Usable() || !v.placed[d.ID] || !vaulted(v.config, st, d) {
				continue
			}
			if st.Vault.Dumps != configs.VaultLatestFull {
				v.chosen = append(v.chosen, d)
			} else if d.Stamp > latest[d.DLE].Stamp {
				latest[d.DLE] = d
			}
		}
	}
	for _, d := range latest {
		v.chosen = append(v.chosen, d)
	}
}

// wanted takes what is due to the vault, and gives what need not be copied any more.
func (v *vaulting) wanted(due []catalog.Wanted) (superseded []catalog.Wanted) {
	for _, w := range due {
		d := v.byID[w.Dump]
		switch {
		case w.Storage != v.to.Name:
		case v.to.Vault.Dumps == configs.VaultLatestFull && v.newerFull(d):
			superseded = append(superseded, w)
		default:
			v.chosen = append(v.chosen, d)
		}
	}
	needed := map[catalog.DumpID]bool{}
	for _, d := range v.withBases() {
		needed[d.ID] = true
	}
	return slices.DeleteFunc(superseded, func(w catalog.Wanted) bool { return needed[w.Dump] })
}

// newerFull tells whether there is a later full of the same DLE that the vault takes.
func (v *vaulting) newerFull(d catalog.Dump) bool {
	return slices.ContainsFunc(v.byDLE[d.DLE], func(other catalog.Dump) bool {
		return other.Level == 0 && other.Stamp > d.Stamp && other.Status.Usable() && v.placed[other.ID] &&
			vaulted(v.config, v.to, other)
	})
}

// withBases gives the chosen dumps, and what they build on as far as the vault should have it: all that a clone needs, whatever
// the vault selects, for its full alone is worth nothing; and of other dumps the bases that the vault selects, which may have been
// made before there was a vault.
func (v *vaulting) withBases() []catalog.Dump {
	in := map[catalog.DumpID]bool{}
	for _, d := range v.chosen {
		in[d.ID] = true
	}
	all := slices.Clone(v.chosen)
	for _, d := range v.chosen {
		ofClone := false
		for base, ok := v.byID[d.Base]; ok; base, ok = v.byID[d.Base] {
			ofClone = ofClone || d.Level == 0
			if !ofClone && !vaulted(v.config, v.to, base) {
				break
			}
			// A base that is in already was followed, or will be; one of a clone is followed with other eyes.
			if in[base.ID] && !ofClone || base.Stamp > d.Stamp {
				break
			}
			if !in[base.ID] {
				in[base.ID] = true
				all = append(all, base)
			}
			d = base
		}
	}
	return all
}

// plan gives the copies that the vault lacks, in the order in which their sources lie on volumes.
func (v *vaulting) plan() []VaultCopy {
	asked := map[catalog.DumpID]bool{}
	for _, d := range v.chosen {
		asked[d.ID] = true
	}
	var plan []VaultCopy
	for _, d := range v.withBases() {
		there := slices.ContainsFunc(v.copies[d.ID], func(c catalog.Copy) bool { return c.Storage == v.to.Name })
		c := VaultCopy{Dump: d, To: v.to, Base: !asked[d.ID], Held: slices.Contains(v.held, d.ID), From: v.sources(d.ID)}
		if !there && (c.Held || len(c.From) > 0) {
			plan = append(plan, c)
		}
	}
	slices.SortFunc(plan, func(a, b VaultCopy) int {
		return cmp.Or(compareSources(a.From, b.From), cmp.Compare(a.Dump.Stamp, b.Dump.Stamp), cmp.Compare(a.Dump.ID, b.Dump.ID))
	})
	return plan
}

// compareSources orders by where the first source begins; what has none on volumes comes first.
func compareSources(a, b []catalog.Copy) int {
	if len(a) == 0 || len(b) == 0 {
		return cmp.Compare(len(a), len(b))
	}
	p, q := a[0].Parts[0], b[0].Parts[0]
	return cmp.Or(cmp.Compare(p.Storage, q.Storage), cmp.Compare(p.Label, q.Label), cmp.Compare(p.File, q.File))
}

// sources gives the whole copies in other storages: that of the storage which the vault is filled from first, then in the order of
// the configuration, other vaults last.
func (v *vaulting) sources(id catalog.DumpID) []catalog.Copy {
	rank := func(c catalog.Copy) int {
		st := v.config.Storage[c.Storage]
		switch {
		case st.Name == v.to.Vault.From:
			return -1
		case st.Vault.On():
			return len(v.config.Storage) + st.Index
		}
		return st.Index
	}
	from := slices.DeleteFunc(slices.Clone(v.copies[id]), func(c catalog.Copy) bool {
		_, known := v.config.Storage[c.Storage]
		return !known || c.Storage == v.to.Name
	})
	slices.SortStableFunc(from, func(a, b catalog.Copy) int { return cmp.Compare(rank(a), rank(b)) })
	return from
}
