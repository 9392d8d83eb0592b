package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

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
			removed, err := s.cleanVolume(ctx, st, v)
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

// cleanVolume removes what the catalog does not know from a volume, provided that it is the volume which the catalog means.
func (n *Night) cleanVolume(ctx context.Context, st configs.Storage, v catalog.Volume) (removed []string, err error) {
	dev, err := n.loadAsWritten(ctx, st, v)
	if dev == nil || err != nil {
		return nil, err
	}
	unknown, err := n.unknownFiles(ctx, dev, st, v.Label)
	if err != nil {
		return nil, err
	}
	if r, ok := dev.(vtape.Remover); ok {
		for _, number := range unknown {
			if err := r.Remove(ctx, number); err != nil {
				return removed, err
			}
			removed = append(removed, fmt.Sprintf("file %d", number))
		}
	}
	if c, ok := dev.(vtape.Cleaner); ok {
		n, err := c.CleanUp(ctx)
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

// errOldCatalog: a run that is thought to have been killed had come to its end.
var errOldCatalog = errors.New("it holds the catalog record of a run that this catalog takes for unfinished, behind files it does not know: " +
	"the catalog is older than the volume; `holdfast volume scan --rebuild` makes a new one")

// unknownFiles are the files behind the last one that the catalog knows. A catalog that was put back from an older copy knows
// less than there is: the record at the end of a finished run tells. By itself the record is what a crash just behind its
// writing leaves.
func (n *Night) unknownFiles(ctx context.Context, dev vtape.Device, st configs.Storage, label catalog.Label) ([]int, error) {
	last, err := n.lastKnownFile(ctx, st, label)
	if err != nil {
		return nil, err
	}
	files, err := dev.Files(ctx)
	if err != nil {
		return nil, err
	}
	var unknown []int
	for _, f := range files {
		if f.Number > last {
			unknown = append(unknown, f.Number)
		}
	}
	if len(unknown) < 2 {
		return unknown, nil
	}
	if record, err := isRecord(ctx, dev, unknown[len(unknown)-1]); record || err != nil {
		return nil, cmp.Or(err, errOldCatalog)
	}
	return unknown, nil
}

// lastKnownFile is the number of the last file on a volume that the catalog knows: a part of a dump or of a record.
func (n *Night) lastKnownFile(ctx context.Context, st configs.Storage, label catalog.Label) (int, error) {
	parts, err := n.Store.PartsOn(ctx, label)
	if err != nil {
		return 0, err
	}
	records, err := n.Store.Records(ctx, st.Name)
	if err != nil {
		return 0, err
	}
	last := 0
	for _, p := range slices.Concat(parts, records) {
		if p.Label == label {
			last = max(last, p.File)
		}
	}
	return last, nil
}

// isRecord tells whether a file is the catalog record of a run. One that cannot be read is none.
func isRecord(ctx context.Context, dev vtape.Device, number int) (bool, error) {
	r, err := dev.Open(ctx, number)
	if err != nil {
		return false, err
	}
	return r.Header().Program == catalog.ProgramRecord, r.Close()
}
