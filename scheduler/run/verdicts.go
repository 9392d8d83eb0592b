package run

import (
	"context"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/scheduler/retention"
	"holdfast/scheduler/run/taping"
)

// Policies are the storages' rules of retention.
func Policies(c *configs.Config) map[string]retention.Policy {
	policies := map[string]retention.Policy{}
	for _, st := range c.Storages() {
		policies[st.Name] = retention.Policy{
			KeepVolumes: st.KeepVolumes, KeepDays: int(st.KeepDays), WindowDays: int(st.RecoveryWindow),
			KeepFulls: st.KeepFulls, KeepFullDays: int(st.KeepFullDays), NoReuse: st.NoReuse, Erase: st.Erase,
		}
	}
	return policies
}

// Judge gives retention's verdict on the volumes and dumps of all storages, and the volumes. current is the run that goes
// on; empty for none.
func (n *Night) Judge(ctx context.Context, current catalog.Stamp) (retention.Verdicts, []catalog.Volume, error) {
	volumes, err := n.Store.Volumes(ctx, "")
	if err != nil {
		return retention.Verdicts{}, nil, err
	}
	wanted, err := n.Store.WantedCopies(ctx)
	if err != nil {
		return retention.Verdicts{}, nil, err
	}
	h, err := n.history(ctx)
	if err != nil {
		return retention.Verdicts{}, nil, err
	}
	return retention.Judge(retention.Input{
		Now: n.Now(), Policies: Policies(n.Config), Volumes: volumes, Dumps: h.all(), Copies: h.copies, Held: h.held,
		Wanted: wanted, Current: current,
	}), volumes, nil
}

// Verdicts tells for each volume of the main storage that must not be overwritten why not, and gives its volumes.
func (n *Night) Verdicts(ctx context.Context, current catalog.Stamp) (map[catalog.Label]string, []catalog.Volume, error) {
	st := n.Config.MainStorage()
	v, volumes, err := n.Judge(ctx, current)
	return v.Keep(st.Name), taping.VolumesOf(st.Name, volumes), err
}
