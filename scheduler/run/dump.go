package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/dumpers"
	"holdfast/internal/blockmap"
	"holdfast/internal/frames"
	"holdfast/internal/throttle"
	"holdfast/scheduler"
	"holdfast/scheduler/run/driving"
	"holdfast/vtape"
	"holdfast/vtape/holding"
)

// dumping is one dump on its way.
type dumping struct {
	*session
	dle     configs.DLE
	kind    configs.DumpType
	entry   scheduler.Entry
	started time.Time
	// level and base are what the dump really gets; why says why that is not what was planned.
	level catalog.Level
	base  base
	why   string
	// alarm is a problem that the report must show though the dump is good.
	alarm string
	// documents are what the source gave with the point of time.
	documents map[string][]byte
	// task is the attempt as the driver sees it, line what its image is read over; nil: no limit. ready ends the time in which
	// it is not the source that is waited for.
	task  *driving.Task
	line  *throttle.Bucket
	ready func()
}

// dumping gives what an attempt at a dump works with.
func (s *session) dumping(t *driving.Task, e scheduler.Entry) *dumping {
	dle, _ := s.Config.Find(e.DLE) // the job was made of it
	return &dumping{session: s, dle: dle, kind: s.Config.TypeOf(dle), started: s.Now(), level: e.Level, task: t, ready: t.Patient()}
}

// degradedOr makes the dump that was planned, or what is left of it without volumes.
func (d *dumping) degradedOr(ctx context.Context, planned scheduler.Entry) (catalog.Dump, error) {
	e, why, err := d.degrade(ctx, planned)
	if err != nil {
		return catalog.Dump{}, err
	}
	d.entry, d.level = e, e.Level
	if why != "" {
		d.remark(why)
	}
	d.ready()
	made, err := d.make(ctx)
	d.task.Patient() // what follows are hooks
	return made, err
}

// catalogError is a failure to record: the run cannot go on, for nothing it does would count.
type catalogError struct{ error }

func (c *catalogError) Unwrap() error { return c.error }

func recorded(err error) error {
	if err == nil {
		return nil
	}
	return &catalogError{fmt.Errorf("record in the catalog: %w", err)}
}

// hint helps where we know better than the error.
func hint(err error) string {
	switch {
	case errors.Is(err, dumpers.ErrInUse):
		return "a running VM holds the image: shut it down for the dump, or take it out of the disk list for now"
	case errors.Is(err, holding.ErrNoRoom):
		return "give the holding disk more room, or let the dump type go to the volume directly (holding: auto)"
	}
	return ""
}

// make pins the source, finds what has changed, and writes it to the holding disk or to a volume.
func (d *dumping) make(ctx context.Context) (catalog.Dump, error) {
	src, err := d.Source(d.dle)
	if err != nil {
		return catalog.Dump{}, err
	}
	info, err := d.describe(ctx, d.dle)
	if err != nil {
		return catalog.Dump{}, err
	}
	d.chooseBase(ctx, info)
	point, err := src.Pin(ctx, d.Store.Journal(d.stamp), d.dle.Disk)
	if err != nil {
		return catalog.Dump{}, err
	}
	made, err := d.fromPoint(ctx, point, info)
	if err != nil {
		return made, errors.Join(err, abort(ctx, point))
	}
	if err := point.Commit(context.WithoutCancel(ctx)); err != nil {
		// The dump is good; the source keeps its older base, so the next dump is larger, not wrong.
		made.Messages = append(made.Messages, "commit: "+err.Error())
	}
	return made, nil
}

// abortTime is how long a source may take to put everything back as it was. What it has not done then is reaped by the next run.
const abortTime = 5 * time.Minute

// abort forgets a point of time, also when the dump was cancelled.
func abort(ctx context.Context, point dumpers.Point) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	return point.Abort(ctx)
}

func (d *dumping) fromPoint(ctx context.Context, point dumpers.Point, info dumpers.DiskInfo) (catalog.Dump, error) {
	if err := d.keepDocuments(ctx, point.Metadata()); err != nil {
		return catalog.Dump{}, recorded(err)
	}
	view, err := point.Disk(ctx, d.dle.Disk)
	if err != nil {
		return catalog.Dump{}, err
	}
	defer view.Close()
	view = d.watched(ctx, view)
	made, err := d.place(ctx, view, info)
	if errors.Is(err, blockmap.ErrDamaged) && d.base.blockM != nil {
		// The maps were what failed, not the image.
		d.standAlone(err.Error())
		return d.place(ctx, view, info)
	}
	return made, err
}

// place writes the dump where it belongs.
func (d *dumping) place(ctx context.Context, view dumpers.BlockView, info dumpers.DiskInfo) (catalog.Dump, error) {
	prepared, err := d.prepare(ctx, view)
	if err != nil {
		return catalog.Dump{}, err
	}
	if d.mayHold(d.kind) {
		made, err := d.toHolding(ctx, prepared, info)
		if !noRoom(err) || d.kind.Holding == configs.HoldingRequired || d.options.NoTaper {
			return made, err
		}
		d.leaveHolding()
		if targets := d.targets(d.id()); !able(targets) {
			return made, fmt.Errorf("%w; %w", err, offReason(targets))
		}
		d.remark("holding disk has no room: dumped straight to a volume")
	}
	return d.toVolume(ctx, prepared, info)
}

// leaveHolding gives the room back that was reserved, for a dump that goes elsewhere.
func (d *dumping) leaveHolding() {
	if d.task.Room != nil {
		d.task.Room.Release()
		d.held.changed()
	}
}

// prepare finds what the dump must hold. A source that was wrong about what changed gets a full, and an alarm.
func (d *dumping) prepare(ctx context.Context, view dumpers.BlockView) (*dumpers.Prepared, error) {
	job, err := d.job(view)
	if err != nil {
		return nil, err
	}
	p, err := dumpers.Prepare(ctx, job)
	if err != nil {
		return nil, err
	}
	if why := p.Mismatch(); why != "" {
		d.alarm = fmt.Sprintf("%s: the source was wrong about what changed (%s): full dump made", d.dle.Name(), why)
		d.standAlone("the source was wrong about what changed: " + why)
		job.Base, job.Parent, job.Backing = nil, nil, ""
		return dumpers.Prepare(ctx, job)
	}
	return p, nil
}

func (d *dumping) job(view dumpers.BlockView) (dumpers.Job, error) {
	recipients, err := d.recipients()
	if err != nil {
		return dumpers.Job{}, err
	}
	level, err := frames.ParseLevel(string(d.kind.Compress))
	if err != nil {
		return dumpers.Job{}, err
	}
	return dumpers.Job{
		View: view, Base: d.base.blocks(), Parent: d.base.parentBlocks(), Backing: d.base.name(),
		Level: level, Recipients: recipients, Workers: d.Workers, Seed: uint64(d.started.UnixNano()),
		Progress: d.progress(),
	}, nil
}

func (d *dumping) recipients() ([]age.Recipient, error) {
	if !d.kind.Encrypt.On() {
		return nil, nil
	}
	return d.Recipients(d.kind.Encrypt.Recipients)
}

// progress records how far the dump is, at most once a second.
func (d *dumping) progress() func(phase string, done, total int64) {
	var last time.Time
	return func(phase string, done, total int64) {
		now := d.Now()
		if now.Sub(last) < time.Second {
			return
		}
		last = now
		// What cannot be recorded here is no loss: progress is for the eye.
		_ = d.event(context.Background(), catalog.DumpProgress{DLE: d.dle.Name(), Phase: phase, Done: done, Total: total})
	}
}

func (d *dumping) remark(text string) {
	if d.why != "" {
		d.why += "; "
	}
	d.why += text
}

// header is the dump's header as far as it is known before the dump is made.
func (d *dumping) header(info dumpers.DiskInfo) vtape.Header {
	h := vtape.Header{
		Stamp: string(d.stamp), Host: d.dle.VM, Disk: d.dle.Disk, Level: d.level, Compress: "N", Program: catalog.ProgramImage,
		Image: &vtape.ImageInfo{Base: d.base.dump.ID, ImageBytes: info.SizeBytes, Identity: info.Identity},
	}
	if d.kind.Compress != configs.CompressNone {
		h.Compress, h.ServerCompress = ".zst", "/usr/bin/zstd"
	}
	if d.kind.Encrypt.On() {
		h.Encrypted, h.ServerEncrypt, h.ServerDecryptOpt = true, d.kind.Encrypt.Program, "-d"
	}
	return h
}

// completed adds to the header what is known when the dump is done.
func completed(h vtape.Header, m catalog.Dump) vtape.Header {
	h.OrigKiB = (m.OrigBytes + 1023) / 1024
	h.Native = vtape.CRC{Sum: m.NativeCRC, Bytes: m.OrigBytes}
	h.Client = h.Native
	h.Server = vtape.CRC{Sum: m.StoredCRC, Bytes: m.StoredBytes}
	image := *h.Image
	image.OrigBytes, image.StoredBytes = m.OrigBytes, m.StoredBytes
	if m.Status == catalog.StatusStrange {
		image.Status = string(m.Status)
	}
	h.Image = &image
	return h
}

// made gives the dump as it is recorded.
func (d *dumping) made(r dumpers.Result, info dumpers.DiskInfo) catalog.Dump {
	m := catalog.Dump{
		ID: catalog.NewDumpID(d.dle.Name(), d.stamp, d.level), DLE: d.dle.Name(), Stamp: d.stamp, Level: d.level,
		Base: d.base.dump.ID, Status: catalog.StatusOK, ImageBytes: r.ImageBytes,
		OrigBytes: r.OrigBytes, NativeCRC: r.NativeCRC, StoredBytes: r.StoredBytes, StoredCRC: r.StoredCRC,
		ChangedBytes: r.ChangedBytes, Program: catalog.ProgramImage, MapDigest: r.MapDigest, Identity: info.Identity,
		Started: d.started, Ended: d.Now(), Messages: r.Strange, Metadata: d.documents,
	}
	if len(r.Strange) > 0 {
		m.Status = catalog.StatusStrange
	}
	if d.kind.Compress != configs.CompressNone {
		m.Compress = "zstd"
	}
	if d.kind.Encrypt.On() {
		m.Encrypt = "age"
	}
	return m
}

// finished tells what was made, and lets go of the administrator's wish when it was fulfilled.
func (d *dumping) finished(ctx context.Context, m catalog.Dump) error {
	events := []catalog.EventBody{catalog.DumpFinished{
		DLE: m.DLE, Level: m.Level, Stamp: m.Stamp, Status: m.Status, ImageBytes: m.ImageBytes, OrigBytes: m.OrigBytes,
		StoredBytes: m.StoredBytes, ChangedBytes: m.ChangedBytes, Seconds: m.Ended.Sub(m.Started).Seconds(),
		Why: d.why, Messages: m.Messages,
	}}
	if d.alarm != "" {
		events = append(events, catalog.Note{Program: "dumper", Text: d.alarm, Problem: true})
	}
	if err := d.event(ctx, events...); err != nil {
		return err
	}
	return d.clearForce(context.WithoutCancel(ctx))
}

// clearForce forgets the administrator's wish when this dump fulfilled it.
func (d *dumping) clearForce(ctx context.Context) error {
	forces, err := d.Store.Forces(ctx)
	if err != nil {
		return err
	}
	for _, f := range forces {
		if f.DLE == d.dle.Name() && (f.Command == catalog.ForceFull) == (d.level == 0) {
			return d.Store.ClearForce(ctx, f.DLE)
		}
	}
	return nil
}

// write writes the dump's stream to w and its block map beside it.
func (d *dumping) write(ctx context.Context, p *dumpers.Prepared, w io.Writer) (dumpers.Result, *newMap, error) {
	m, err := d.maps.create(catalog.NewDumpID(d.dle.Name(), d.stamp, d.level))
	if err != nil {
		return dumpers.Result{}, nil, err
	}
	r, err := p.Write(ctx, w, m)
	if err != nil {
		return r, nil, errors.Join(err, m.drop())
	}
	return r, m, nil
}
