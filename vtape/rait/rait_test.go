package rait_test

import (
	"context"
	"fmt"
	"testing"

	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/dir"
	"holdfast/vtape/rait"
)

var ctx = context.Background()

// shape is a form of sets that tests go through.
type shape struct {
	members, parity int
}

func (s shape) String() string { return fmt.Sprintf("%d+%d", s.members-s.parity, s.parity) }

// set is a set of directories d1, d2, ... in a tree of its own.
type set struct {
	testing.TB
	shape
	fsys  vfs.FS
	opts  dir.Options
	notes []string
	shard int64
}

func newSet(t testing.TB, s shape) *set {
	t.Helper()
	x := &set{TB: t, shape: s, fsys: vfs.NewMem()}
	for i := range s.members {
		must(t, x.fsys.Mkdir(member(i), 0o755))
	}
	must(t, x.fsys.SyncDir("/"))
	return x
}

func member(i int) string { return fmt.Sprintf("/d%d", i+1) }

// members gives devices for the directories, without those that are left out.
func (x *set) memberList(without ...int) []rait.Member {
	list := make([]rait.Member, x.members)
	for i := range list {
		list[i] = rait.Member{Name: member(i)[1:], Device: dir.New(x.fsys, member(i), x.opts)}
	}
	for _, i := range without {
		list[i].Device = nil
	}
	return list
}

// open gives a device for the set as it is after a restart.
func (x *set) open(without ...int) *rait.Device {
	x.Helper()
	d, err := rait.New(x.memberList(without...), rait.Options{
		Parity: x.parity, ShardBytes: x.shard,
		Note: func(member string, err error) { x.notes = append(x.notes, member+": "+err.Error()) },
	})
	must(x, err)
	return d
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var conformShapes = []struct {
	shape
	stripe int64
	padded bool
}{
	{shape{2, 1}, 32 << 10, true},
	{shape{3, 1}, 64 << 10, true},
	{shape{4, 1}, 96 << 10, true},
	{shape{5, 1}, 128 << 10, true},
	{shape{6, 2}, 4, false},
	{shape{7, 1}, 6, false},
	{shape{3, 2}, 1, false},
}

// A set is a device as others are.
func TestConformance(t *testing.T) {
	for _, tc := range conformShapes {
		t.Run(tc.String(), func(t *testing.T) {
			data := int64(tc.members - tc.parity)
			devicetest.RunShape(t, devicetest.Shape{Members: data, StripeBytes: tc.stripe, Padded: tc.padded},
				func(t testing.TB, capacityBytes int64) vtape.Device {
					x := newSet(t, tc.shape)
					if capacityBytes > 0 {
						x.opts.CapacityBytes = 2*vtape.HeaderBytes + (capacityBytes-2*vtape.HeaderBytes)/data
					}
					return x.open()
				})
		})
	}
}
