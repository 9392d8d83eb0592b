package recovery_test

import (
	"context"
	"fmt"
	"testing"

	"holdfast/internal/vfs"
	"holdfast/scheduler/recovery"
	"holdfast/vtape"
	"holdfast/vtape/dir"
	"holdfast/vtape/rait"
)

// Members of a set of our own layout say what set it is: nobody needs to know how many of them may be missing.
func TestSetPlaceOfOurs(t *testing.T) {
	ctx, mem := context.Background(), vfs.NewMem()
	var media []rait.Member
	for i := range 6 {
		slot := fmt.Sprintf("/m%d/slot1", i)
		if err := vfs.MkdirAll(mem, slot, 0o700); err != nil {
			t.Fatal(err)
		}
		media = append(media, rait.Member{Name: slot, Device: dir.New(mem, slot, dir.Options{})})
	}
	set, err := rait.New(media, rait.Options{Parity: 2, ShardBytes: 64 << 10})
	if err == nil {
		err = set.Format(ctx, vtape.Header{Type: vtape.TypeTapeStart, Label: "SET-1", Stamp: "20250301010000"})
	}
	if err != nil {
		t.Fatal(err)
	}
	members := make([]*recovery.Place, 6)
	for _, i := range []int{0, 2, 3, 5} {
		p, err := recovery.DirPlace(ctx, mem, fmt.Sprintf("/m%d", i))
		if err != nil {
			t.Fatal(err)
		}
		members[i] = &p
	}
	p, err := recovery.SetPlace(ctx, "set", members, rait.Options{})
	if err != nil {
		t.Fatal(err)
	}
	inv, err := p.Shelf.Inventory(ctx)
	if err != nil || len(inv) != 1 || inv[0].Err != nil || inv[0].Label != "SET-1" {
		t.Errorf("%+v, %v", inv, err)
	}
}
