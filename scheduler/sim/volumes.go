package sim

import (
	"fmt"
	"slices"
	"time"

	"holdfast/catalog"
	"holdfast/scheduler/retention"
)

// safePart is the part of the space that the volumes of a library may take, all full, by Amanda's rule.
const safePart = 0.9

// storage is the name of the one that is simulated.
const storage = "simulated"

// Library is a set of volumes as a simulation fills it.
type Library struct {
	// VolumeBytes is the size of one of Volumes, all of which lie in a space of SpaceBytes (0: of any size).
	VolumeBytes int64
	Volumes     int
	SpaceBytes  int64
	// Policy is what retention goes by.
	Policy retention.Policy

	written []written
	dumps   []catalog.Dump
}

// written is one volume with what it holds now.
type written struct {
	volume catalog.Volume
	bytes  int64
	dumps  []catalog.DumpID
}

// Oversubscribed warns when the volumes, all full, would take more than nine tenths of the space; empty when not.
func (l *Library) Oversubscribed() string {
	all := l.VolumeBytes * int64(l.Volumes)
	if l.SpaceBytes == 0 || float64(all) <= safePart*float64(l.SpaceBytes) {
		return ""
	}
	return fmt.Sprintf("the library is oversubscribed: %d volumes of %d bytes may take %d, nine tenths of the space are %d",
		l.Volumes, l.VolumeBytes, all, int64(safePart*float64(l.SpaceBytes)))
}

// used is what the volumes take now, and how many hold anything.
func (l *Library) used() (bytes int64, volumes int) {
	for _, w := range l.written {
		bytes += w.bytes
	}
	return bytes, len(l.written)
}

// Write puts a night's dumps on volumes: a new one for each night, blank ones first, then those written longest ago that
// retention has released. It tells how many were filled, and why the night failed, if it did.
func (l *Library) Write(at time.Time, dumps []catalog.Dump) (filled int, fault string) {
	stamp := catalog.NewStamp(at)
	var open *written
	for _, d := range dumps {
		l.dumps = append(l.dumps, d)
		for left := d.StoredBytes; left > 0; {
			if open == nil || open.bytes >= l.VolumeBytes {
				if open = l.next(at, stamp); open == nil {
					return filled, "no volume is free: all are kept"
				}
				filled++
			}
			n := min(left, l.VolumeBytes-open.bytes)
			open.bytes += n
			open.dumps = append(open.dumps, d.ID)
			left -= n
		}
	}
	if bytes, _ := l.used(); l.SpaceBytes > 0 && bytes > l.SpaceBytes {
		return filled, fmt.Sprintf("the space is full: %d bytes of %d", bytes, l.SpaceBytes)
	}
	return filled, ""
}

// next gives a volume to write to, nil when there is none.
func (l *Library) next(at time.Time, stamp catalog.Stamp) *written {
	if len(l.written) < l.Volumes {
		label := catalog.Label(fmt.Sprintf("sim-%04d", len(l.written)+1))
		l.written = append(l.written, written{volume: catalog.Volume{Label: label, Storage: storage, WriteStamp: stamp}})
		return &l.written[len(l.written)-1]
	}
	keep := l.keep(at, stamp)
	oldest := -1
	for i, w := range l.written {
		if !keep[w.volume.Label] && (oldest < 0 || w.volume.WriteStamp < l.written[oldest].volume.WriteStamp) {
			oldest = i
		}
	}
	if oldest < 0 {
		return nil
	}
	w := &l.written[oldest]
	w.volume.WriteStamp, w.bytes, w.dumps = stamp, 0, nil
	return w
}

// keep asks retention which volumes must stay.
func (l *Library) keep(at time.Time, stamp catalog.Stamp) map[catalog.Label]bool {
	in := retention.Input{Now: at, Policies: map[string]retention.Policy{storage: l.Policy}, Current: stamp}
	parts := map[catalog.DumpID][]catalog.Part{}
	for _, w := range l.written {
		in.Volumes = append(in.Volumes, w.volume)
		for _, id := range w.dumps {
			parts[id] = append(parts[id], catalog.Part{Label: w.volume.Label})
		}
	}
	l.dumps = slices.DeleteFunc(l.dumps, func(d catalog.Dump) bool { return parts[d.ID] == nil })
	in.Dumps = l.dumps
	for _, d := range l.dumps {
		in.Copies = append(in.Copies, catalog.Copy{Dump: d.ID, Storage: storage, WriteStamp: d.Stamp, Status: catalog.StatusOK, Parts: parts[d.ID]})
	}
	keep := map[catalog.Label]bool{}
	for _, v := range retention.Judge(in).Volumes {
		keep[v.Label] = !v.Reusable && !v.Yields
	}
	return keep
}
