package devicetest

import (
	"context"
	"testing"

	"holdfast/vtape"
)

// testRemove is for devices that can remove single files.
func testRemove(t *testing.T, s suite) {
	dev := s.open(t, 0)
	r, ok := dev.(vtape.Mender)
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
	size := func(n int) int64 { return int64(len(s.padded(make([]byte, n)))) }
	checkFiles(t, dev, vtape.File{Number: 1, Bytes: size(1000)}, vtape.File{Number: 2, Bytes: size(2000)})
	wantErr(t, "remove it again", r.Remove(ctx, 3), vtape.ErrNoFile)
	wantErr(t, "remove the label", r.Remove(ctx, 0), vtape.ErrNoFile)
	checkLabelFile(t, dev)
	s.check(t, dev, 2, Data(2, 2000))
	Write(t, dev, 3, Header(4), Data(9, 100))
	Check(t, dev, 3, Header(4), s.padded(Data(9, 100)))
}
