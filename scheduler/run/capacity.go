package run

import (
	"context"
	"time"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/scheduler"
	"holdfast/vtape"
)

// What a run's own record is taken to hold where no earlier one tells: so much, and so much for each image.
const recordBytes, recordBytesEach = 64 << 10, 512

// waitedRuns is how many of the last runs are asked whether they left out an image that has no dump yet.
const waitedRuns = 14

// media tells the planner what the run can write to: its storages, or the holding disk alone when there are none.
func (n *Night) media(ctx context.Context, o Options, in *scheduler.Input, backlogBytes int64) error {
	chosen := n.ChooseStorages(ctx)
	if len(n.Config.Holding) > 0 && (o.NoTaper || !n.anyThere(ctx, chosen)) {
		in.Holding = scheduler.Holding{Alone: true, ReservePercent: n.Config.Reserve}
		for _, u := range openHolding(n.FS, n.Config).Usage() {
			if u.Err == nil {
				in.Holding.Bytes += u.Room
			}
		}
	}
	if o.NoTaper || in.Holding.Alone {
		return nil
	}
	backlog, err := n.backlog(ctx, chosen, backlogBytes)
	if err != nil {
		return err
	}
	for i, st := range chosen {
		c, err := n.capacity(ctx, st)
		if err != nil {
			return err
		}
		c.BacklogBytes = backlog[st.Name]
		if len(chosen) > 1 {
			c.Name, c.Takes = st.Name, n.takes(chosen, st.Name)
		}
		if i == 0 {
			in.Capacity = c
			continue
		}
		in.Storages = append(in.Storages, c)
	}
	return nil
}

// anyThere tells whether one of the storages can be opened.
func (n *Night) anyThere(ctx context.Context, chosen []configs.Storage) bool {
	for _, st := range chosen {
		if _, err := n.Opener().Open(ctx, st); err == nil {
			return true
		}
	}
	return false
}

// capacity is what a run can write to a storage. The run's own record needs its place, too: as much as the last one took and a
// quarter more.
func (n *Night) capacity(ctx context.Context, st configs.Storage) (scheduler.Capacity, error) {
	c := scheduler.Capacity{
		VolumeBytes: int64(st.VolumeSize), Volumes: st.RunVolumes, PartBytes: int64(st.PartSize), HeaderBytes: vtape.HeaderBytes,
		RecordBytes: recordBytes + recordBytesEach*int64(len(n.Config.DLEs)),
	}
	parts, err := n.Store.Records(ctx, st.Name)
	if err != nil || len(parts) == 0 {
		return c, err
	}
	last := int64(0)
	for _, p := range parts {
		if p.WriteStamp == parts[len(parts)-1].WriteStamp {
			last += p.Bytes
		}
	}
	c.RecordBytes = last + last/4
	return c, nil
}

// takes tells which dumps go to a storage of the run.
func (n *Night) takes(chosen []configs.Storage, storage string) func(catalog.DLE, catalog.Level) bool {
	return func(dle catalog.DLE, level catalog.Level) bool {
		for _, w := range destinations(n.Config, chosen, catalog.Dump{DLE: dle, Level: level}, time.Time{}) {
			if w.Storage == storage {
				return true
			}
		}
		return false
	}
}

// backlog is what the run will flush to each of its storages.
func (n *Night) backlog(ctx context.Context, chosen []configs.Storage, bytes int64) (map[string]int64, error) {
	if len(chosen) < 2 || bytes == 0 {
		only := map[string]int64{}
		for _, st := range chosen {
			only[st.Name] = bytes
		}
		return only, nil
	}
	held, err := n.Store.Held(ctx)
	if err != nil {
		return nil, err
	}
	wanted, err := n.Store.WantedCopies(ctx)
	if err != nil {
		return nil, err
	}
	size := map[catalog.DumpID]int64{}
	for _, h := range held {
		size[h.Dump] += heldBytes([]catalog.Holding{h})
	}
	each := map[string]int64{}
	for _, w := range wanted {
		if st, ok := standIn(n.Config, chosen, w.Storage); ok {
			each[st.Name] += size[w.Dump]
		}
	}
	return each, nil
}

// waited tells of each image that has no dump how many of the last runs left it out, up to the latest that did not.
func (n *Night) waited(ctx context.Context, images []scheduler.Image) error {
	fresh := map[catalog.DLE]*scheduler.Image{}
	for i := range images {
		if len(images[i].Dumps) == 0 {
			fresh[images[i].DLE] = &images[i]
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	runs, err := n.Store.Runs(ctx, waitedRuns) // the latest first
	if err != nil {
		return err
	}
	for _, r := range runs {
		if r.Command != CommandRun || len(fresh) == 0 {
			continue
		}
		events, err := n.Store.Events(ctx, r.Stamp, 0)
		if err != nil {
			return err
		}
		fresh = leftOutIn(events, fresh)
	}
	return nil
}

// leftOutIn counts one more run for the images that its events say were left out, and gives these. A run that has decided nothing
// yet, such as the one that asks, counts for none.
func leftOutIn(events []catalog.Event, images map[catalog.DLE]*scheduler.Image) map[catalog.DLE]*scheduler.Image {
	left, decided := map[catalog.DLE]*scheduler.Image{}, false
	for _, e := range events {
		switch body := e.Body.(type) {
		case catalog.Skipped:
			if img := images[body.DLE]; img != nil && left[body.DLE] == nil {
				img.Waited++
				left[body.DLE] = img
			}
		case catalog.PlanFinished:
			decided = true
		}
	}
	if !decided {
		return images
	}
	return left
}
