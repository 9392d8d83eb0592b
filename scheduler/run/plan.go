package run

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
	"holdfast/configs"
	"holdfast/dumpers"
	"holdfast/scheduler"
	"holdfast/vtape"
)

// Plan decides tonight's levels without doing anything: what `plan` and `run --dry-run` show.
func (n *Night) Plan(ctx context.Context, o Options) (scheduler.Plan, error) {
	held, err := n.Store.Held(ctx)
	if err != nil {
		return scheduler.Plan{}, err
	}
	return n.makePlan(ctx, o, heldBytes(held))
}

func heldBytes(held []catalog.Holding) int64 {
	var total int64
	for _, h := range held {
		for _, c := range h.Chunks {
			total += c.Bytes
		}
	}
	return total
}

// plan makes the plan and records each decision.
func (s *session) plan(ctx context.Context, backlog []catalog.Holding) (scheduler.Plan, error) {
	begun := s.Now()
	plan, err := s.makePlan(ctx, s.options, heldBytes(backlog))
	if err != nil {
		return plan, err
	}
	var events []catalog.EventBody
	for _, e := range plan.Entries {
		events = append(events, e.Event())
	}
	for _, skip := range plan.Skipped {
		events = append(events, catalog.Skipped{DLE: skip.DLE, Level: skip.Level, Reason: skip.Reason, Failure: skip.Failure})
	}
	events = append(events, catalog.PlanFinished{Seconds: s.Now().Sub(begun).Seconds()})
	return plan, s.event(ctx, events...)
}

func (n *Night) makePlan(ctx context.Context, o Options, backlogBytes int64) (scheduler.Plan, error) {
	hist, err := n.history(ctx)
	if err != nil {
		return scheduler.Plan{}, err
	}
	forces, err := n.Store.Forces(ctx)
	if err != nil {
		return scheduler.Plan{}, err
	}
	in := scheduler.Input{Now: n.Now()}
	for _, d := range n.Config.DLEs {
		if len(o.DLEs) > 0 && !slices.Contains(o.DLEs, d.Name()) {
			continue
		}
		img := n.image(ctx, d, hist)
		for _, f := range forces {
			if f.DLE == d.Name() {
				img.Force = f.Command
			}
		}
		in.Images = append(in.Images, img)
	}
	if !o.NoTaper {
		st := n.Config.MainStorage()
		in.Capacity = scheduler.Capacity{
			VolumeBytes: int64(st.VolumeSize), Volumes: st.RunVolumes, PartBytes: int64(st.PartSize),
			HeaderBytes: vtape.HeaderBytes, BacklogBytes: backlogBytes,
		}
	}
	return scheduler.Make(in), ctx.Err()
}

// image shows a DLE to the planner.
func (n *Night) image(ctx context.Context, d configs.DLE, h history) scheduler.Image {
	t := n.Config.TypeOf(d)
	img := scheduler.Image{
		DLE: d.Name(), Base: d.Base, Dumps: h.restorable(d.Name()),
		Policy: scheduler.Policy{
			CycleDays:     float64(t.DumpCycle),
			BumpSizeBytes: int64(t.Bump.Size), BumpPercent: float64(t.Bump.Percent), BumpMult: t.Bump.Mult, BumpDays: t.Bump.Days,
			MaxLevel: catalog.Level(t.MaxLevel), Strategy: scheduler.Strategy(t.Strategy), Priority: int(t.Priority),
			Compressed: t.Compress != configs.CompressNone,
		},
	}
	if img.Policy.Strategy == scheduler.StrategySkip {
		return img
	}
	info, err := n.describe(ctx, d)
	if err != nil {
		img.Unreadable = err.Error()
		return img
	}
	img.AllocatedBytes, img.Overlay = info.AllocatedBytes, info.Backing != ""
	img.MustFull = n.mustFull(info, img.Dumps)
	return img
}

// describe looks at a DLE's image.
func (n *Night) describe(ctx context.Context, d configs.DLE) (dumpers.DiskInfo, error) {
	src, err := n.Source(d)
	if err != nil {
		return dumpers.DiskInfo{}, err
	}
	desc, err := src.Describe(ctx)
	if err != nil {
		return dumpers.DiskInfo{}, err
	}
	for _, info := range desc.Disks {
		if info.Name == d.Disk {
			return info, nil
		}
	}
	return dumpers.DiskInfo{}, fmt.Errorf("%s: the source has no disk %q", d.Name(), d.Disk)
}

// mustFull tells why no incremental can be made of an image that has been dumped before; empty when one can.
func (n *Night) mustFull(info dumpers.DiskInfo, dumps []catalog.Dump) string {
	if len(dumps) == 0 {
		return ""
	}
	latest := dumps[len(dumps)-1]
	if why := changedKind(info, latest); why != "" {
		return why
	}
	if !slices.ContainsFunc(dumps, func(d catalog.Dump) bool { return n.Maps().has(d.ID) }) {
		return "no block map of an earlier dump is left"
	}
	return ""
}

// changedKind tells how an image is not the one that was dumped: its size, or what the source says it is.
func changedKind(info dumpers.DiskInfo, d catalog.Dump) string {
	switch {
	case info.SizeBytes != d.ImageBytes:
		return fmt.Sprintf("image was resized from %d to %d bytes", d.ImageBytes, info.SizeBytes)
	case info.Identity != d.Identity:
		return "image was replaced by another one"
	}
	return ""
}

// history is what the catalog knows of all dumps.
type history struct {
	byDLE  map[catalog.DLE][]catalog.Dump
	byID   map[catalog.DumpID]catalog.Dump
	copies []catalog.Copy
	// placed are the dumps that lie whole on volumes or on the holding disk.
	placed map[catalog.DumpID]bool
	held   []catalog.DumpID
}

func (n *Night) history(ctx context.Context) (history, error) {
	h := history{byDLE: map[catalog.DLE][]catalog.Dump{}, byID: map[catalog.DumpID]catalog.Dump{}, placed: map[catalog.DumpID]bool{}}
	dumps, err := n.Store.Dumps(ctx, sqlstore.DumpFilter{})
	if err != nil {
		return h, err
	}
	h.copies, err = n.Store.AllCopies(ctx)
	if err != nil {
		return h, err
	}
	held, err := n.Store.Held(ctx)
	if err != nil {
		return h, err
	}
	for _, c := range h.copies {
		if c.Status.Usable() {
			h.placed[c.Dump] = true
		}
	}
	for _, hd := range held {
		h.placed[hd.Dump] = true
		h.held = append(h.held, hd.Dump)
	}
	for _, d := range dumps {
		h.byID[d.ID] = d
		h.byDLE[d.DLE] = append(h.byDLE[d.DLE], d)
	}
	return h, nil
}

// restorable gives the dumps of a DLE that can be restored now, with all they rest on, oldest first.
func (h history) restorable(dle catalog.DLE) []catalog.Dump {
	var out []catalog.Dump
	for _, d := range h.byDLE[dle] {
		if h.canRestore(d.ID) {
			out = append(out, d)
		}
	}
	return out
}

func (h history) canRestore(id catalog.DumpID) bool {
	_, err := catalog.Chain(id, func(id catalog.DumpID) (catalog.Dump, bool) {
		d, ok := h.byID[id]
		return d, ok && h.placed[id]
	})
	return err == nil
}

// all gives every dump known.
func (h history) all() []catalog.Dump {
	var out []catalog.Dump
	for _, d := range h.byID {
		out = append(out, d)
	}
	return out
}

// errNoBase: the dump that was to be built upon cannot be used; the text says why.
var errNoBase = errors.New("cannot build on the base")

// Placed tells which dumps lie whole on volumes or on the holding disk.
func (n *Night) Placed(ctx context.Context) (map[catalog.DumpID]bool, error) {
	h, err := n.history(ctx)
	return h.placed, err
}
