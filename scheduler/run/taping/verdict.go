package taping

import (
	"errors"
	"slices"

	"holdfast/catalog"
	"holdfast/scheduler/retention"
	"holdfast/vtape/library"
)

// VolumesOf are the volumes of a storage.
func VolumesOf(storage string, volumes []catalog.Volume) []catalog.Volume {
	return slices.DeleteFunc(slices.Clone(volumes), func(v catalog.Volume) bool { return v.Storage != storage })
}

// PickVolume picks the volume of a storage to write next. One that copies are still to be made from is taken only when there
// is no other: then the reasons say which copies are given up with it. volumes may be those of all storages. The error is
// a *library.NoVolume.
func PickVolume(inv []library.SlotInfo, volumes []catalog.Volume, v retention.Verdicts, storage string) (library.Choice, []retention.Reason, error) {
	volumes = VolumesOf(storage, volumes)
	choice, err := library.Pick(inv, volumes, v.Keep(storage))
	var none *library.NoVolume
	if !errors.As(err, &none) {
		return choice, nil, err
	}
	choice, again := library.Pick(inv, volumes, v.Firm(storage))
	if again != nil {
		return choice, nil, err // which has all the reasons
	}
	verdict, _ := v.Of(choice.Label)
	return choice, verdict.Reasons, nil
}
