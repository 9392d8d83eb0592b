package run

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/vtape"
	"holdfast/vtape/library"
)

// SlotState is what a look into a slot came to.
type SlotState string

// The states of slots.
const (
	// SlotKnown: a volume that the catalog knows and that is this storage's.
	SlotKnown SlotState = "known"
	// SlotBlank: there is room for a new volume.
	SlotBlank SlotState = "blank"
	// SlotUnknown: a volume that the catalog does not know, or knows to be another storage's.
	SlotUnknown SlotState = "unknown"
	// SlotForeign: something that is no volume.
	SlotForeign SlotState = "foreign"
	// SlotDuplicate: its label is in another slot, too.
	SlotDuplicate SlotState = "duplicate"
	// SlotAbsent: the slot is not there.
	SlotAbsent SlotState = "absent"
	// SlotBad: it could not be read.
	SlotBad SlotState = "unreadable"
)

// SlotLook is a slot as it was found.
type SlotLook struct {
	Storage string        `json:"storage"`
	Slot    string        `json:"slot,omitempty"`
	State   SlotState     `json:"state"`
	Label   catalog.Label `json:"label,omitempty"`
	Stamp   catalog.Stamp `json:"write_stamp,omitempty"`
	Bytes   int64         `json:"bytes,omitempty"`
	Files   int           `json:"files,omitempty"`
	// Text says what is the matter; empty when nothing is.
	Text string `json:"text,omitempty"`
}

// Look looks into every slot of a storage, and records where its volumes are now, and which members of parity sets lack them. Volumes in no slot are given too, as
// absent, after the slots. When the library is away the error is vtape.ErrAbsent, and the catalog stays as it is: the
// volumes are not lost, and are in their slots when it comes back.
func (n *Night) Look(ctx context.Context, st configs.Storage) ([]SlotLook, error) {
	_, inv, err := n.inventory(ctx, st)
	if err != nil {
		return nil, err
	}
	volumes, err := n.Store.Volumes(ctx, "")
	if err != nil {
		return nil, err
	}
	known := map[catalog.Label]catalog.Volume{}
	for _, v := range volumes {
		known[v.Label] = v
	}
	var looks []SlotLook
	at, twice := map[catalog.Label]string{}, map[catalog.Label]bool{}
	lacking := map[catalog.Label][]vtape.MemberFault{}
	for _, info := range inv {
		look := judge(st, info, known)
		lacking[info.Label] = info.Degraded
		if look.State == SlotKnown {
			at[look.Label] = look.Slot
		}
		twice[look.Label] = twice[look.Label] || look.State == SlotDuplicate
		looks = append(looks, look)
	}
	for _, v := range volumes {
		if v.Storage != st.Name || v.Retired || twice[v.Label] {
			continue
		}
		if at[v.Label] == "" {
			looks = append(looks, SlotLook{
				Storage: st.Name, State: SlotAbsent, Label: v.Label, Stamp: v.WriteStamp, Bytes: v.Bytes, Files: v.Files,
				Text: "the volume is in no slot" + lastSlot(v),
			})
		}
		v.Degraded = merged(v.Degraded, faulty(lacking[v.Label]))
		if err := n.seen(ctx, v, at[v.Label]); err != nil {
			return nil, err
		}
	}
	return looks, nil
}

func lastSlot(v catalog.Volume) string {
	if v.Slot == "" {
		return ""
	}
	return "; it was in " + v.Slot
}

// seen records the slot that a volume is in now, empty for none.
func (n *Night) seen(ctx context.Context, v catalog.Volume, slot string) error {
	if slot == "" && v.Slot == "" || slot == "" && v.Files == 0 {
		return nil // nothing is on it; the label of one that is yet to be written is known by its slot
	}
	v.Slot = slot
	if slot != "" {
		v.Seen = n.Now()
	}
	return n.Store.PutVolume(ctx, v)
}

// judge says what was found in a slot.
func judge(st configs.Storage, info library.SlotInfo, known map[catalog.Label]catalog.Volume) SlotLook {
	look := SlotLook{Storage: st.Name, Slot: info.Slot, State: SlotKnown, Label: info.Label, Stamp: info.Stamp, Bytes: info.Bytes, Files: info.Files}
	v, isKnown := known[info.Label]
	switch {
	case info.Blank:
		look.State = SlotBlank
	case errors.Is(info.Err, vtape.ErrAbsent):
		look.State, look.Text = SlotAbsent, info.Err.Error()
	case errors.Is(info.Err, vtape.ErrForeign):
		look.State, look.Text = SlotForeign, info.Err.Error()
	case errors.Is(info.Err, library.ErrDuplicate):
		look.State, look.Text = SlotDuplicate, info.Err.Error()
	case info.Err != nil:
		look.State, look.Text = SlotBad, info.Err.Error()
	case !isKnown:
		look.State, look.Text = SlotUnknown, "the catalog does not know the volume"
	case v.Storage != st.Name:
		look.State, look.Text = SlotUnknown, fmt.Sprintf("the catalog knows the volume as one of storage %s", v.Storage)
	case len(info.Degraded) > 0:
		look.Text = "degraded: " + strings.Join(faulty(info.Degraded), ", ")
	}
	return look
}

// Away tells which storages in directories have their library away, and why. Nothing is mounted for it.
func (n *Night) Away(ctx context.Context) map[string]error {
	away := map[string]error{}
	o := n.Opener()
	o.Mounts = nil
	for _, st := range n.Config.Storages() {
		if st.Device != configs.DeviceDir {
			continue // that would take a network, and long
		}
		if _, err := o.Open(ctx, st); errors.Is(err, vtape.ErrAbsent) {
			away[st.Name] = err
		}
	}
	return away
}

// LoadVolume finds a volume in whichever library it is, and makes it the current one there. It gives vtape.ErrAbsent when
// it is in none that is there.
func (n *Night) LoadVolume(ctx context.Context, label catalog.Label) (storage, slot string, err error) {
	var away error
	for _, st := range n.Config.Storages() {
		lib, err := n.Opener().Open(ctx, st)
		if err == nil {
			slot, _, err = lib.Load(ctx, label)
		}
		switch {
		case errors.Is(err, vtape.ErrAbsent):
			away = errors.Join(away, err)
			continue
		case err != nil:
			return "", "", err
		}
		_, err = lib.LoadForWriting(ctx, slot)
		return st.Name, slot, err
	}
	return "", "", away
}
