package devicetest

import (
	"context"
	"testing"

	"holdfast/vtape"
)

// testRemove is for devices that can remove single files.
func testRemove(t *testing.T, open Open) {
	dev := open(t, 0)
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
	checkFiles(t, dev, vtape.File{Number: 1, Bytes: 1000}, vtape.File{Number: 2, Bytes: 2000})
	wantErr(t, "remove it again", r.Remove(ctx, 3), vtape.ErrNoFile)
	wantErr(t, "remove the label", r.Remove(ctx, 0), vtape.ErrNoFile)
	checkLabelFile(t, dev)
	Check(t, dev, 2, Header(2), Data(2, 2000))
	Write(t, dev, 3, Header(4), Data(9, 100))
	Check(t, dev, 3, Header(4), Data(9, 100))
}
