package rait_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/dir"
	"holdfast/vtape/rait"
)

// The members of our own layout are byte for byte what version 1 of it is. These sums never change.
func TestLayoutIsStable(t *testing.T) {
	for s, want := range map[shape]string{
		{6, 2}: "d4f736a5570dc6a2e5ada1f97a359a47b77e34bddb1e3cc1c66038848292f042",
		{7, 1}: "6db76d01d2d5d010e4577a3fe31dda53b44b1c5c9b510177719409e9c7a823bf",
	} {
		x := newSet(t, s)
		x.fill()
		all := sha256.New()
		tree := x.tree()
		for _, name := range slices.Sorted(maps.Keys(tree)) {
			fmt.Fprintln(all, name, tree[name])
		}
		if got := hex.EncodeToString(all.Sum(nil)); got != want {
			t.Errorf("%s: SHA-256 of all files' sums %s, want %s", s, got, want)
		}
	}
}

// With one member of parity, parity is the plain XOR, in any form; and data lie on the members as they are.
func TestParityIsPlainXOR(t *testing.T) {
	for _, s := range []shape{{3, 1}, {4, 1}, {5, 1}, {6, 1}, {8, 1}, {11, 1}} {
		x := newSet(t, s)
		parts := x.fill()
		for n := range parts {
			var sum []byte
			for i := range s.members {
				data, err := vfs.ReadFile(x.fsys, fmt.Sprintf("%s/%05d.web01.sys tem_0.1", member(i), n))
				must(t, err)
				if data = data[vtape.HeaderBytes:]; sum == nil {
					sum = make([]byte, len(data))
				}
				for k := range data {
					sum[k] ^= data[k]
				}
				if i == 0 && string(data[:1000]) != string(parts[n][:1000]) {
					t.Errorf("%s: file %d: the first member does not begin as the part does", s, n)
				}
			}
			if strings.Trim(string(sum), "\x00") != "" {
				t.Errorf("%s: file %d: parity is not the XOR", s, n)
			}
		}
	}
}

// The headers of our own layout tell what the set is, and how long the part; in Amanda's form all headers are the same.
func TestMemberLines(t *testing.T) {
	x := newSet(t, shape{6, 2})
	parts := x.fill()
	for i := range 6 {
		for n := 0; n <= len(parts); n++ {
			r, err := x.on(i).Open(ctx, n)
			must(t, err)
			got, err := rait.ParseInfo(r.Header().MemberLine)
			must(t, err)
			want := rait.Info{Version: 1, Data: 4, Parity: 2, Member: i + 1, ShardBytes: 256 << 10, Matrix: "vandermonde"}
			if (n > 0) != (got.Bytes != nil) || n > 0 && *got.Bytes != int64(len(parts[n])) {
				t.Errorf("%s file %d: length in %s", member(i), n, r.Header().MemberLine)
			}
			if got.Bytes = nil; got != want {
				t.Errorf("%s file %d: %+v, want %+v", member(i), n, got, want)
			}
			must(t, r.Close())
		}
	}
	x = newSet(t, shape{5, 1})
	parts = x.fill()
	for n := 0; n <= len(parts); n++ {
		var first []byte
		for i := range 5 {
			r, err := x.on(i).Open(ctx, n)
			must(t, err)
			if i == 0 {
				first = r.RawHeader()
			}
			if string(r.RawHeader()) != string(first) || r.Header().MemberLine != "" {
				t.Errorf("%s file %d: other header", member(i), n)
			}
			must(t, r.Close())
		}
	}
}

// Members in another order, or of a set of another form, are not read.
func TestOtherSets(t *testing.T) {
	x := newSet(t, shape{6, 2})
	x.fill()
	list := x.memberList()
	list[0].Device, list[1].Device, list[2].Device = list[1].Device, list[2].Device, list[0].Device
	d, err := rait.New(list, rait.Options{Parity: 2})
	must(t, err)
	if _, err := d.ReadLabel(ctx); err == nil || !strings.Contains(err.Error(), "it is member 2, not 1") {
		t.Errorf("other order: %v", err)
	}
	d, err = rait.New(x.memberList()[:5], rait.Options{})
	must(t, err)
	if _, err := d.ReadLabel(ctx); err == nil || !strings.Contains(err.Error(), "of 4+2 members") {
		t.Errorf("other form: %v", err)
	}
}

// When one member's volume ends, the part ends on all, whole and of one length, and no member is left out.
func TestSmallestMemberEndsThePart(t *testing.T) {
	for _, s := range []shape{{2, 1}, {3, 1}, {5, 1}, {6, 2}} {
		x := newSet(t, s)
		list := x.memberList()
		list[1].Device = dir.New(x.fsys, member(1), dir.Options{CapacityBytes: 2*vtape.HeaderBytes + 5*vtape.PartAlign + 777})
		d, err := rait.New(list, rait.Options{Parity: s.parity})
		must(t, err)
		must(t, d.Format(ctx, devicetest.Label("DEMO-001")))
		w, err := d.Create(ctx, 1, devicetest.Header(1))
		must(t, err)
		data := devicetest.Data(1, 8<<20)
		n, err := w.Write(data)
		if want := 5 * vtape.PartAlign * (s.members - s.parity); !errors.Is(err, vtape.ErrEndOfMedium) || n != want {
			t.Errorf("%s: %d bytes taken, want %d, %v", s, n, want, err)
		}
		_, err = w.Close()
		must(t, err)
		if len(d.Faults()) > 0 {
			t.Errorf("%s: left out: %v", s, d.Faults())
		}
		for i := range s.members {
			if files, err := x.on(i).Files(ctx); err != nil || len(files) != 1 || files[0].Bytes != 5*vtape.PartAlign {
				t.Errorf("%s: %s: %v, %v", s, member(i), files, err)
			}
		}
		x.check(s.String(), written{1: data[:n]})
	}
}

// Each variant leaves out a choice of members, single ones first.
func TestVariants(t *testing.T) {
	x := newSet(t, shape{4, 2})
	x.shard = 4096
	parts := x.fill()
	var got []string
	for without, v := range x.open().Variants() {
		got = append(got, without)
		if _, err := readOnce(v, parts.part(1)); err != nil {
			t.Errorf("without %s: %v", without, err)
		}
	}
	want := []string{"d1", "d2", "d3", "d4", "d1, d2", "d1, d3", "d1, d4", "d2, d3", "d2, d4", "d3, d4"}
	if !slices.Equal(got, want) || len(x.notes) > 0 {
		t.Errorf("variants %q, want %q; noted: %q", got, want, x.notes)
	}
	if _, err := x.open(1).ReadLabel(ctx); err != nil {
		t.Fatal(err)
	}
	d := x.open(1)
	if _, err := d.ReadLabel(ctx); err != nil {
		t.Fatal(err)
	}
	got = nil
	for without := range d.Variants() {
		got = append(got, without)
	}
	if want := []string{"d1", "d3", "d4"}; !slices.Equal(got, want) {
		t.Errorf("variants without d2 %q, want %q", got, want)
	}
}
