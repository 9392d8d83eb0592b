package taping

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"holdfast/catalog"
	"holdfast/vtape"
	"holdfast/vtape/taper"
)

var _ interface {
	taper.Scan
	taper.Feedback
} = (*worker)(nil)

// VolumeStarted records that a volume is being written.
func (k *worker) VolumeStarted(ctx context.Context, v catalog.VolumeStarted) error {
	k.w.change(func() { k.started, k.roomBytes = true, v.Capacity-vtape.HeaderBytes })
	k.label = v.Label
	if _, ok := k.device.(vtape.Locker); ok {
		if err := k.record(ctx, v.Label, func(*catalog.Volume) {}); err != nil {
			return err
		}
	}
	return k.w.o.Event(ctx, v)
}

// PartWritten records a part that is durable.
func (k *worker) PartWritten(ctx context.Context, p catalog.Part, seconds float64) error {
	if p.Dump == k.w.recording {
		return nil // it is recorded when it is whole, and is no dump
	}
	if err := k.w.o.Store.PutPart(ctx, p); err != nil {
		return err
	}
	k.w.change(func() {
		k.leftBytes = max(0, k.leftBytes-p.Bytes)
		k.roomBytes -= p.Bytes + vtape.HeaderBytes
	})
	dle, stamp, level, err := catalog.ParseDumpID(p.Dump)
	if err != nil {
		return err
	}
	return k.w.o.Event(ctx, catalog.PartWritten{
		Storage: p.Storage, Label: p.Label, File: p.File, Number: p.Number, DLE: dle, Level: level, Stamp: stamp,
		Bytes: p.Bytes, Seconds: seconds,
	})
}

// VolumeFinished records how full the volume is, and what was wrong with it.
func (k *worker) VolumeFinished(ctx context.Context, v catalog.VolumeFinished, cause error) error {
	k.w.change(func() { k.started, k.roomBytes = false, 0 })
	faults := k.faults()
	err := k.record(ctx, v.Label, func(vol *catalog.Volume) {
		vol.Bytes, vol.Files, vol.Degraded = v.Bytes, v.Files, members(faults)
	})
	if err != nil {
		return err
	}
	events := []catalog.EventBody{v}
	if len(faults) > 0 {
		events = append(events, degraded(v, faults))
	}
	if cause != nil {
		events = append(events, k.w.mediaError(fmt.Sprintf("volume %s: %v", v.Label, cause)))
	}
	return k.w.o.Event(ctx, events...)
}

func (k *worker) faults() []vtape.MemberFault {
	if d, ok := k.device.(vtape.Degradable); ok {
		return d.Degraded()
	}
	return nil
}

func members(faults []vtape.MemberFault) []string {
	var names []string
	for _, f := range faults {
		names = append(names, f.Member)
	}
	return names
}

func degraded(v catalog.VolumeFinished, faults []vtape.MemberFault) catalog.VolumeDegraded {
	event := catalog.VolumeDegraded{Storage: v.Storage, Label: v.Label}
	var why []string
	for _, f := range faults {
		event.Members = append(event.Members, f.Member)
		why = append(why, fmt.Sprintf("%s: %v", f.Member, f.Err))
	}
	event.Error = strings.Join(why, "; ")
	return event
}

// record changes what the catalog says of the volume that is being written. How long it is locked is asked of its device;
// an answer that does not come leaves what was known.
func (k *worker) record(ctx context.Context, label catalog.Label, change func(*catalog.Volume)) error {
	vol, err := k.w.o.Store.Volume(ctx, label)
	if err != nil {
		return err
	}
	change(&vol)
	var asked error
	if l, ok := k.device.(vtape.Locker); ok {
		until, err := l.LockedUntil(ctx)
		if err == nil {
			vol.LockedUntil = until
		} else {
			asked = k.w.o.Event(ctx, catalog.Note{Program: "taper", Text: fmt.Sprintf("volume %s: until when is it locked? %v", label, err)})
		}
	}
	return errors.Join(asked, k.w.o.Store.PutVolume(ctx, vol))
}
