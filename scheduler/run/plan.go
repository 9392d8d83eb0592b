package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/dumpers"
	"holdfast/scheduler"
)

// Plan decides tonight's levels without doing anything: what `plan` and `run --dry-run` show.
func (n *Night) Plan(ctx context.Context, o Options) (scheduler.Plan, error) {
	held, err := n.Store.Held(ctx)
	if err != nil {
		return scheduler.Plan{}, err
	}
	hist, err := n.history(ctx)
	if err != nil {
		return scheduler.Plan{}, err
	}
	backlog := int64(0)
	if n.Config.Autoflush {
		backlog = heldBytes(held)
	}
	return n.makePlan(ctx, o, hist, backlog)
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
func (s *session) plan(ctx context.Context, backlogBytes int64) (scheduler.Plan, error) {
	begun := s.Now()
	hist, err := s.history(ctx)
	if err != nil {
		return scheduler.Plan{}, err
	}
	s.known.history = hist
	o := s.options
	if o.estimating, err = s.beginEstimates(ctx); err != nil {
		return scheduler.Plan{}, err
	}
	plan, err := s.makePlan(ctx, o, hist, backlogBytes)
	if err = errors.Join(err, o.estimating.end(ctx, err)); err != nil {
		return plan, err
	}
	var events []catalog.EventBody
	for _, skip := range o.estimating.skipped {
		events = append(events, skip)
	}
	for _, e := range plan.Entries {
		events = append(events, e.Event())
	}
	for _, skip := range plan.Skipped {
		events = append(events, catalog.Skipped{DLE: skip.DLE, Level: skip.Level, Reason: skip.Reason, Failure: skip.Failure})
	}
	events = append(events, catalog.PlanFinished{Seconds: s.Now().Sub(begun).Seconds()})
	return plan, s.event(ctx, events...)
}

// Input is what the planner knows now of all images, with nothing on the holding disk.
func (n *Night) Input(ctx context.Context) (scheduler.Input, error) {
	hist, err := n.history(ctx)
	if err != nil {
		return scheduler.Input{}, err
	}
	return n.input(ctx, Options{}, hist, 0)
}

func (n *Night) makePlan(ctx context.Context, o Options, hist history, backlogBytes int64) (scheduler.Plan, error) {
	in, err := n.input(ctx, o, hist, backlogBytes)
	if err != nil {
		return scheduler.Plan{}, err
	}
	return scheduler.Make(in), ctx.Err()
}

// comingMax is as many of the schedule's runs as the planner looks ahead.
const comingMax = 32

func (n *Night) input(ctx context.Context, o Options, hist history, backlogBytes int64) (scheduler.Input, error) {
	in := scheduler.Input{Now: n.Now(), RunsPerCycle: n.Config.RunsPerCycle, CycleDays: float64(n.Config.DumpCycle)}
	in.Coming = n.coming(in.Now)
	if w := n.Config.Window; w.On() {
		in.Window = scheduler.Window{Length: w.Left(in.Now), Parallel: n.Config.InParallel}
	}
	forces, err := n.Store.Forces(ctx)
	if err != nil {
		return in, err
	}
	for _, d := range n.chosen(o) {
		img, planned, err := n.image(ctx, o, d, hist)
		if err != nil {
			return in, err
		}
		if !planned {
			continue
		}
		if len(o.DLEs) > 0 {
			img.Policy.MaxPromoteDays = -1 // a run for some images is no night to level
		}
		for _, f := range forces {
			if f.DLE == d.Name() {
				img.Force = f.Command
			}
		}
		in.Images = append(in.Images, img)
	}
	if err := errors.Join(n.media(ctx, o, &in, backlogBytes), n.waited(ctx, in.Images)); err != nil {
		return in, err
	}
	return in, ctx.Err()
}

// coming gives the times of the next runs by the schedule. A plan that is made some hours before a run is that of this run.
func (n *Night) coming(now time.Time) []time.Time {
	next := n.Config.ComingRuns(now, comingMax+1)
	if len(next) > 1 && next[0].Sub(now) < next[1].Sub(next[0])/2 {
		next = next[1:]
	}
	return next
}

// chosen gives the DLEs that a run is for.
func (n *Night) chosen(o Options) []configs.DLE {
	if len(o.DLEs) == 0 {
		return n.Config.DLEs
	}
	return slices.DeleteFunc(slices.Clone(n.Config.DLEs), func(d configs.DLE) bool { return !slices.Contains(o.DLEs, d.Name()) })
}

// image shows a DLE to the planner, unless a hook has vetoed that.
func (n *Night) image(ctx context.Context, o Options, d configs.DLE, h history) (img scheduler.Image, planned bool, err error) {
	img = n.asConfigured(d, h)
	if img.Policy.Strategy == scheduler.StrategySkip {
		return img, true, nil
	}
	planned, err = o.estimating.look(ctx, d, &img, func() { n.lookAt(ctx, d, h, &img) })
	return img, planned, err
}

// asConfigured is what is known of an image without looking at it.
func (n *Night) asConfigured(d configs.DLE, h history) scheduler.Image {
	t := n.Config.TypeOf(d)
	return scheduler.Image{
		DLE: d.Name(), Base: d.Base, Dumps: h.restorable(d.Name()),
		Policy: scheduler.Policy{
			CycleDays:     float64(t.DumpCycle),
			BumpSizeBytes: int64(t.Bump.Size), BumpPercent: float64(t.Bump.Percent), BumpMult: t.Bump.Mult, BumpDays: t.Bump.Days,
			MaxLevel: catalog.Level(t.MaxLevel), Strategy: scheduler.Strategy(t.Strategy), Priority: int(t.Priority),
			Compressed: t.Compress != configs.CompressNone, MaxChain: t.MaxChain, SkipFull: t.SkipFull, SkipIncr: t.SkipIncr,
			MaxPromoteDays: promoteDays(t.MaxPromote),
		},
	}
}

// lookAt fills in what is to be seen of an image.
func (n *Night) lookAt(ctx context.Context, d configs.DLE, h history, img *scheduler.Image) {
	info, err := n.describe(ctx, d)
	if err != nil {
		img.Unreadable = err.Error()
		return
	}
	img.AllocatedBytes, img.Overlay = info.AllocatedBytes, info.Backing != ""
	img.MustFull = n.mustFull(info, h, img.Dumps)
}

// promoteDays is the planner's word for it: a negative number for never.
func promoteDays(d configs.Days) float64 {
	if d == 0 {
		return -1
	}
	return float64(d)
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
func (n *Night) mustFull(info dumpers.DiskInfo, h history, dumps []catalog.Dump) string {
	if len(dumps) == 0 {
		return ""
	}
	latest := dumps[len(dumps)-1]
	if why := changedKind(info, latest); why != "" {
		return why
	}
	if slices.ContainsFunc(dumps, func(d catalog.Dump) bool { return n.Maps().has(d.ID) || !h.sealed(d.ID) }) {
		return "" // a map that is lost is made anew when it is needed
	}
	return fmt.Sprintf("no block map of an earlier dump is left; %v", errSealed)
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

// Placed tells which dumps lie whole on volumes or on the holding disk.
func (n *Night) Placed(ctx context.Context) (map[catalog.DumpID]bool, error) {
	h, err := n.history(ctx)
	return h.placed, err
}
