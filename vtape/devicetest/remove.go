package devicetest

import (
	"context"
	"testing"

	"holdfast/vtape"
)

// testRemove is for devices that can remove single files.
func testRemove(t *testing.T, s suite) {
	dev := s.open(t, 0)
	r, ok := dev.(vtape.Remover)
	if !ok {
		return
	}
	ctx := context.Background()
	format(t, dev, "DEMO-001")
	for n := 1; n <= 3; n++ {
		Write(t, dev, n, Header(n), Data(uint64(n), 1000*n))
	}
	if err := r.Remove(ctx, 3); err != nil {
		t.Fatal(err)
	}
	first, second := s.padded(Data(1, 1000)), s.padded(Data(2, 2000))
	checkFiles(t, dev, vtape.File{Number: 1, Bytes: int64(len(first))}, vtape.File{Number: 2, Bytes: int64(len(second))})
	wantErr(t, "remove it again", r.Remove(ctx, 3), vtape.ErrNoFile)
	wantErr(t, "remove the label", r.Remove(ctx, 0), vtape.ErrNoFile)
	checkLabelFile(t, dev)
	s.check(t, dev, 2, Data(2, 2000))
	Write(t, dev, 3, Header(3), Data(9, 100))
	s.check(t, dev, 3, Data(9, 100))
}
