package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/vtape"
	"holdfast/vtape/rait"
)

// RepairOptions say what is to be written anew.
type RepairOptions struct {
	Label catalog.Label
	// Members are written anew whatever is known of them; none: those that are known to lack something, and if none is,
	// those that are found so when all is read.
	Members []string
	// Overwrite lets members named in Members lose what else they hold.
	Overwrite bool
	// Progress is told after each file; nil: nobody wants to know.
	Progress func(RepairProgress)
}

// RepairProgress is how far a repair is: Done of Files were looked at on the member.
type RepairProgress struct {
	Member      string
	Done, Files int
}

// Repaired is what a repair has done.
type Repaired struct {
	Label   catalog.Label `json:"label"`
	Members []string      `json:"members"`
	// Checked counts the members' files that were compared, Written those of them that were written anew.
	Checked int `json:"checked"`
	Written int `json:"written"`
	// Degraded are the members that still lack something.
	Degraded []string `json:"degraded,omitempty"`
}

// Errors that callers branch on.
var (
	// ErrNoSet: the volume is not on a parity set.
	ErrNoSet = errors.New("it is not on a parity set")
	// ErrWhole: no member lacks anything.
	ErrWhole = errors.New("nothing to repair: all members hold all of it")
)

// Repair writes members of a volume on a parity set anew from the others. It may be killed at any moment and called
// again. When too few members are there, the error names those that are missing.
func (n *Night) Repair(ctx context.Context, o RepairOptions) (Repaired, error) {
	done, err := n.repair(ctx, o)
	if err != nil && !strings.Contains(err.Error(), "volume "+string(o.Label)) {
		err = fmt.Errorf("repair volume %s: %w", o.Label, err)
	}
	return done, err
}

func (n *Night) repair(ctx context.Context, o RepairOptions) (Repaired, error) {
	done := Repaired{Label: o.Label, Members: []string{}}
	v, err := n.Store.Volume(ctx, o.Label)
	if err != nil {
		return done, err
	}
	st := n.Config.Storage[v.Storage]
	switch {
	case st.Device != configs.DeviceRAIT:
		return done, fmt.Errorf("%w: storage %s is on %s", ErrNoSet, v.Storage, st.Device)
	case v.Retired:
		return done, errors.New("it is retired")
	}
	if err := checkMemberNames(st, o.Members); err != nil {
		return done, err
	}
	set, header, err := n.openBroken(ctx, st, v)
	if err != nil {
		return done, err
	}
	parts, err := n.filesOn(ctx, v.Label)
	if err != nil {
		return done, err
	}
	if done.Members, err = toRepair(ctx, set, o, v, parts); err != nil {
		return done, err
	}
	err = set.Repair(ctx, rait.Repair{
		Label: header, Members: done.Members, Parts: parts, Overwrite: o.Overwrite,
		Progress: func(p rait.Progress) {
			done.Checked++
			if p.Written {
				done.Written++
			}
			if o.Progress != nil {
				o.Progress(RepairProgress{p.Member, p.Done, p.Files})
			}
		},
	})
	if err != nil {
		return done, err
	}
	done.Degraded = slices.DeleteFunc(merged(v.Degraded, faulty(set.Degraded())), func(m string) bool { return slices.Contains(done.Members, m) })
	v.Degraded = done.Degraded
	return done, n.Store.PutVolume(context.WithoutCancel(ctx), v)
}

// checkMemberNames refuses names that are no member's.
func checkMemberNames(st configs.Storage, names []string) error {
	var known []string
	for _, m := range st.Members {
		known = append(known, memberName(m))
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return fmt.Errorf("storage %s has no member %q; its members are %s", st.Name, name, strings.Join(known, ", "))
		}
	}
	return nil
}

// openBroken opens the set that a volume is on, with the slots that members lack made anew. A volume that is in no slot is
// looked for in the one it was seen in last: the error then says which members are missing there.
func (n *Night) openBroken(ctx context.Context, st configs.Storage, v catalog.Volume) (*rait.Device, vtape.Header, error) {
	if err := n.Opener().fillMembers(ctx, st); err != nil {
		return nil, vtape.Header{}, err
	}
	lib, err := n.Opener().Open(ctx, st)
	if err != nil {
		return nil, vtape.Header{}, err
	}
	_, dev, err := lib.Load(ctx, v.Label)
	if errors.Is(err, vtape.ErrAbsent) && v.Slot != "" {
		dev, err = lib.Device(v.Slot)
	}
	if err != nil {
		return nil, vtape.Header{}, err
	}
	header, err := dev.ReadLabel(ctx)
	if err != nil {
		return nil, header, err
	}
	if header.Label != v.Label || catalog.Stamp(header.Stamp) != v.WriteStamp && v.WriteStamp != "" {
		return nil, header, fmt.Errorf("the members hold volume %s of run %s", header.Label, header.Stamp)
	}
	set, ok := dev.(*rait.Device)
	if !ok {
		return nil, header, ErrNoSet
	}
	return set, header, nil
}

// filesOn is what the catalog knows of the files on a volume: parts of dumps, and catalog records.
func (n *Night) filesOn(ctx context.Context, label catalog.Label) ([]catalog.Part, error) {
	parts, err := n.Store.PartsOn(ctx, label)
	if err != nil {
		return nil, err
	}
	records, err := n.Store.Records(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if r.Label == label {
			parts = append(parts, r)
		}
	}
	return parts, nil
}

// toRepair finds the members to write anew.
func toRepair(ctx context.Context, set *rait.Device, o RepairOptions, v catalog.Volume, parts []catalog.Part) ([]string, error) {
	if len(o.Members) > 0 {
		return o.Members, nil
	}
	members := merged(v.Degraded, faulty(set.Degraded()))
	if len(members) > 0 {
		return members, nil
	}
	unknown := false
	for _, p := range parts {
		faults, err := set.CheckPart(ctx, p)
		if err != nil {
			return nil, err
		}
		for _, f := range faults {
			unknown = unknown || f.Member == ""
		}
		members = merged(members, faulty(faults))
	}
	switch {
	case len(members) > 0:
		return members, nil
	case unknown:
		return nil, errors.New("bytes are wrong, but it does not show on which member: name those that are suspect")
	}
	return nil, ErrWhole
}

// faulty gives the names of members at fault.
func faulty(faults []vtape.MemberFault) []string {
	var names []string
	for _, f := range faults {
		if f.Member != "" {
			names = append(names, f.Member)
		}
	}
	return names
}

// merged gives the names of both, each once.
func merged(a, b []string) []string {
	out := slices.Clone(a)
	for _, name := range b {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// DegradedVolumes are the labels of the volumes that the catalog knows to be degraded.
func (n *Night) DegradedVolumes(ctx context.Context) ([]catalog.Label, error) {
	volumes, err := n.Store.Volumes(ctx, "")
	if err != nil {
		return nil, err
	}
	var labels []catalog.Label
	for _, v := range volumes {
		if len(v.Degraded) > 0 && !v.Retired {
			labels = append(labels, v.Label)
		}
	}
	return labels, nil
}
