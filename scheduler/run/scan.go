package run

import (
	"context"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/scheduler/retention"
)

// Verdicts tells for each volume of the main storage that must not be overwritten why not.
func (n *Night) Verdicts(ctx context.Context, current catalog.Stamp) (map[catalog.Label]string, []catalog.Volume, error) {
	return n.verdicts(ctx, n.Config.MainStorage(), current)
}

// verdicts tells the same for the volumes of one storage, and lists these.
func (n *Night) verdicts(ctx context.Context, st configs.Storage, current catalog.Stamp) (map[catalog.Label]string, []catalog.Volume, error) {
	volumes, err := n.Store.Volumes(ctx, st.Name)
	if err != nil {
		return nil, nil, err
	}
	h, err := n.history(ctx)
	if err != nil {
		return nil, nil, err
	}
	return retention.Keep(retention.Input{
		Now: n.Now(), Volumes: volumes, Dumps: h.all(), Copies: h.copies, Held: h.held,
		KeepVolumes: st.KeepVolumes, Current: current,
	}), volumes, nil
}
