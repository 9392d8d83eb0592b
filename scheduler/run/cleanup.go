package run

import (
	"context"
	"errors"
	"fmt"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/vtape"
)

// reapVolumes removes from the volumes of the runs given what these did not come to record: the part that was being written,
// uploads that never ended. Volumes that are not there keep it until they are written again, or until Cleanup.
func (s *session) reapVolumes(ctx context.Context, runs map[catalog.Stamp]bool) error {
	if len(runs) == 0 {
		return nil
	}
	for _, st := range s.Config.Storages() {
		volumes, err := s.Store.Volumes(ctx, st.Name)
		if err != nil {
			return err
		}
		for _, v := range volumes {
			if !runs[v.WriteStamp] || v.Retired {
				continue
			}
			removed, err := s.cleanVolume(ctx, st, v, cleaning{})
			for _, what := range removed {
				if err := s.note(ctx, "reaper", "volume %s: removed %s, which was never finished", v.Label, what); err != nil {
					return err
				}
			}
			if err != nil && !errors.Is(err, vtape.ErrAbsent) {
				if err := s.problem(ctx, "volume %s: %v", v.Label, err); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// cleaning is how a volume is cleaned.
type cleaning struct {
	// dry: nothing is changed.
	dry bool
	// careful: it is not known that a run of ours ended badly on the volume, and files of others stay.
	careful bool
}

// cleanVolume removes what the catalog does not know from a volume, provided that it is the volume which the catalog means.
// It tells what it has removed.
func (n *Night) cleanVolume(ctx context.Context, st configs.Storage, v catalog.Volume, how cleaning) (removed []string, err error) {
	dev, err := n.loadAsWritten(ctx, st, v)
	if dev == nil || err != nil {
		return nil, err
	}
	unknown, err := n.unknownFiles(ctx, dev, v, how)
	if err != nil {
		return nil, err
	}
	r, ok := dev.(vtape.Remover)
	for _, number := range unknown {
		if !ok {
			break
		}
		if !how.dry {
			if err := r.Remove(ctx, number); err != nil {
				return removed, err
			}
		}
		removed = append(removed, fmt.Sprintf("file %d", number))
	}
	if c, ok := dev.(vtape.Cleaner); ok {
		clean := c.CleanUp
		if how.dry {
			clean = c.Litter
		}
		n, err := clean(ctx)
		if n > 0 {
			removed = append(removed, fmt.Sprintf("%d pieces that belong to no file", n))
		}
		return removed, err
	}
	return removed, nil
}

// loadAsWritten gives the volume's device if its label is the one that the catalog recorded: a crash may have come between
// recording a label and writing it, and what is on the volume then is older, and none of ours to judge.
func (n *Night) loadAsWritten(ctx context.Context, st configs.Storage, v catalog.Volume) (vtape.Device, error) {
	lib, err := n.Opener().Open(ctx, st)
	if err != nil {
		return nil, err
	}
	_, dev, err := lib.Load(ctx, v.Label)
	if err != nil {
		return nil, err
	}
	label, err := dev.ReadLabel(ctx)
	if err != nil || catalog.Stamp(label.Stamp) != v.WriteStamp {
		return nil, err
	}
	return dev, nil
}

// errFinished: the run that is thought to have been killed had come to its end.
var errFinished = errors.New("it holds the catalog record of a run that this catalog takes for unfinished: the catalog is older than the volume; " +
	"`holdfast volume scan --rebuild` makes a new one")

// unknownFiles are the files behind the last one that the catalog knows. A catalog record that is whole is taken in: it tells
// nothing that the catalog does not know, unless dumps that the catalog does not know lie before it. Then the catalog was put
// back from an older copy, and nothing may be removed.
func (n *Night) unknownFiles(ctx context.Context, dev vtape.Device, v catalog.Volume, how cleaning) ([]int, error) {
	last, err := n.lastFile(ctx, v.Label)
	if err != nil {
		return nil, err
	}
	files, err := dev.Files(ctx)
	if err != nil {
		return nil, err
	}
	var unknown []int
	for _, f := range files {
		if f.Number <= last {
			continue
		}
		record, whole, others, err := recordAt(ctx, dev, f.Number)
		switch {
		case err != nil:
			return nil, err
		case others && how.careful:
			continue
		case record.Dump != "" && len(unknown) > 0:
			return nil, errFinished
		case !whole:
			unknown = append(unknown, f.Number)
			continue
		}
		if how.dry {
			continue
		}
		record.Storage, record.WriteStamp, record.Label = v.Storage, v.WriteStamp, v.Label
		if err := n.Store.PutRecord(ctx, []catalog.Part{record}); err != nil {
			return nil, err
		}
	}
	if f, ok := dev.(vtape.Fragmented); ok {
		fragments, err := f.Fragments(ctx)
		if err != nil {
			return nil, err
		}
		for _, number := range fragments {
			if number > last {
				unknown = append(unknown, number)
			}
		}
	}
	return unknown, nil
}

// lastFile is the number of the last file on a volume that the catalog knows, a dump's or a catalog record's.
func (n *Night) lastFile(ctx context.Context, label catalog.Label) (int, error) {
	parts, err := n.Store.PartsOn(ctx, label)
	if err != nil {
		return 0, err
	}
	records, err := n.Store.Records(ctx, "")
	if err != nil {
		return 0, err
	}
	last := 0
	for _, p := range append(parts, records...) {
		if p.Label == label {
			last = max(last, p.File)
		}
	}
	return last, nil
}

// recordAt gives the catalog record that a file is, and whether it is all of it; the zero part for another file. Others is set
// for a file that no run of ours has written.
func recordAt(ctx context.Context, dev vtape.Device, number int) (p catalog.Part, whole, others bool, err error) {
	r, err := dev.Open(ctx, number)
	if err != nil {
		return p, false, false, err
	}
	defer r.Close() // it was only read
	h := r.Header()
	if h.Program != catalog.ProgramRecord {
		return p, false, h != (vtape.Header{}) && h.Program != catalog.ProgramImage, nil
	}
	p = catalog.Part{
		Dump: h.DumpID(), Number: h.Part, File: number, Bytes: r.SizeBytes(), CRC: h.Server.Sum, HeaderCRC: vtape.Checksum(r.RawHeader()),
	}
	return p, h.Part == 1 && p.Bytes == h.Server.Bytes, false, nil
}
