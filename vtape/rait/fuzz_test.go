package rait_test

import (
	"errors"
	"testing"

	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/rait"
)

// What is accepted is encoded again to the same, and describes a set that a reader can allow itself.
func FuzzParseInfo(f *testing.F) {
	f.Add(`{"v":1,"data":4,"parity":2,"member":6,"shard":262144,"matrix":"vandermonde","bytes":12345}`)
	f.Add(`{"v":1,"data":6,"parity":1,"member":1,"shard":262144,"matrix":"xor","repair":true}`)
	f.Add(`{"v":2}`)
	f.Add(`{"v":1,"data":-4,"parity":6,"member":1,"shard":1,"matrix":"vandermonde"}`)
	f.Fuzz(func(t *testing.T, line string) {
		i, err := rait.ParseInfo(line)
		if err != nil {
			return
		}
		if i.Data+i.Parity > 32 || i.Data < 1 || i.Parity < 1 || i.ShardBytes < 1 || i.ShardBytes > 4<<20 || i.Member > i.Data+i.Parity {
			t.Errorf("accepted: %+v", i)
		}
		again, err := rait.ParseInfo(i.Line())
		if err != nil || again.Line() != i.Line() {
			t.Errorf("%+v is encoded as %s, %v", i, i.Line(), err)
		}
	})
}

// Whatever lies on the members, reading gives bytes or an error, never more than the files have room for.
func FuzzMembers(f *testing.F) {
	for _, s := range []shape{{2, 1}, {3, 1}, {6, 2}} {
		x := newSet(f, s)
		x.shard = 0
		x.fill()
		var files [3][]byte
		for i := range 2 {
			data, err := vfs.ReadFile(x.fsys, member(i)+"/00001.web01.sys tem_0.1")
			must(f, err)
			files[i] = append(data[:headBytes:headBytes], data[vtape.HeaderBytes:][:500]...)
		}
		files[2] = files[1][:headBytes/2]
		f.Add(byte(s.members), byte(s.parity), files[0], files[1], files[2])
	}
	f.Fuzz(func(t *testing.T, members, parity byte, a, b, c []byte) {
		s := shape{2 + int(members%6), 1 + int(parity%3)}
		if s.parity >= s.members {
			return
		}
		x := newSet(t, s)
		if s.members > 5 || s.parity > 1 {
			x.shard = 4096
		}
		total := 0
		for i := range s.members {
			h := rait.MemberHeader(devicetest.Label("DEMO-001"), s.members, s.parity, i)
			if x.shard > 0 {
				h = rait.MemberHeaderOf(h, s.members, s.parity, i, x.shard)
			}
			must(t, x.on(i).Format(ctx, h))
			data := memberFile([][]byte{a, b, c}[i%3])
			must(t, vfs.WriteSynced(x.fsys, member(i)+"/00001.x", data, 0o600))
			total += len(data)
		}
		d := x.open()
		if _, err := d.Files(ctx); err != nil {
			t.Errorf("files: %v", err)
		}
		r, err := d.Open(ctx, 1)
		if err != nil {
			return
		}
		defer r.Close()
		buf := make([]byte, 100_000)
		for _, off := range []int64{0, 5000, r.SizeBytes() - 100, r.SizeBytes()} {
			n, err := r.ReadAt(buf, max(0, off))
			var damage *vtape.Damage
			if n > total+int(d.AlignBytes()) || errors.As(err, &damage) && damage.File != 1 {
				t.Errorf("%d bytes of members' %d, %v", n, total, err)
			}
		}
	})
}

// headBytes is more than the text of a header takes.
const headBytes = 1024

// memberFile fills up the first headBytes of an input to a header block. Shorter inputs are files cut short.
func memberFile(in []byte) []byte {
	if len(in) < headBytes {
		return in
	}
	file := make([]byte, vtape.HeaderBytes, vtape.HeaderBytes+len(in))
	copy(file, in[:headBytes])
	return append(file, in[headBytes:]...)
}
