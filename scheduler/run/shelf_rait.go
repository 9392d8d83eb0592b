package run

import (
	"context"
	"fmt"

	"holdfast/configs"
	"holdfast/vtape"
	"holdfast/vtape/rait"
)

// setShelf gives the shelf of a parity set: slot N of it is slot N of each member.
func (o Opener) setShelf(ctx context.Context, st configs.Storage) (vtape.Shelf, error) {
	var members []rait.ShelfMember
	for i, m := range st.Members {
		shelf, err := o.memberShelf(ctx, st, m)
		if err != nil {
			return nil, fmt.Errorf("member %d: %w", i+1, err)
		}
		members = append(members, rait.ShelfMember{Name: memberName(m), Shelf: shelf})
	}
	note := func(_ string, err error) { // which names the member
		if o.Note != nil {
			o.Note(fmt.Sprintf("storage %s: %v", st.Name, err))
		}
	}
	shelf, err := rait.NewShelf(members, rait.Options{Parity: st.Parity, Note: note})
	if err != nil {
		return nil, fmt.Errorf("storage %s: %w", st.Name, err)
	}
	return shelf, nil
}

// memberShelf gives the shelf of one member, which holds its share of each volume.
func (o Opener) memberShelf(ctx context.Context, st configs.Storage, m configs.Member) (vtape.Shelf, error) {
	st.VolumeSize = memberBytes(st)
	if m.Device == configs.DeviceS3 {
		return o.bucketShelf(ctx, st, m.S3)
	}
	return o.dirShelf(st, m.Path), nil
}

// fillMembers makes the slots that members lack, on members whose shelf is there. One that is not, for its file system may not
// be mounted, is left: Create makes it.
func (o Opener) fillMembers(ctx context.Context, st configs.Storage) error {
	for _, m := range st.Members {
		shelf, err := o.memberShelf(ctx, st, m)
		if err != nil {
			return err
		}
		if shelf.Check(ctx) != nil {
			continue // it shows when the set is opened
		}
		if err := shelf.Create(ctx); err != nil {
			return fmt.Errorf("member %s: %w", memberName(m), err)
		}
	}
	return nil
}

// memberBytes is how much of a volume lies on one member: the data are spread over those that hold no parity. Headers are
// on each of them, so the share is of the whole, and not less than a header and a stripe.
func memberBytes(st configs.Storage) configs.Size {
	data := max(1, len(st.Members)-st.Parity)
	if len(st.Members) == 2 {
		data = 1
	}
	return (st.VolumeSize + configs.Size(data) - 1) / configs.Size(data)
}

// memberName is how notes and errors call a member.
func memberName(m configs.Member) string {
	if m.Device == configs.DeviceS3 {
		return "s3:" + m.S3.Bucket + "/" + m.S3.Prefix
	}
	return m.Path
}
