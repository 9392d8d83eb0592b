package taper_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/dir"
	"holdfast/vtape/rait"
	"holdfast/vtape/taper"
)

// sets is a shelf whose volumes are parity sets.
type sets struct {
	*shelf
	members, parity int
}

func newSets(members, parity, volumes int, capacity int64) *sets {
	return &sets{shelf: newShelf(vfs.NewMem(), volumes, capacity), members: members, parity: parity}
}

// Next gives a set of the directories /slotN/d1, d2, ...
func (s *sets) Next(ctx context.Context) (taper.Mounted, error) {
	m, err := s.shelf.Next(ctx)
	if err != nil {
		return m, err
	}
	list := make([]rait.Member, s.members)
	for i := range list {
		name := fmt.Sprintf("d%d", i+1)
		path := "/slot" + m.Slot + "/" + name
		if err := vfs.MkdirAll(s.fs, path, 0o755); err != nil {
			return m, err
		}
		list[i] = rait.Member{Name: name, Device: dir.New(s.fs, path, dir.Options{CapacityBytes: s.capacity})}
	}
	set, err := rait.New(list, rait.Options{Parity: s.parity})
	if err != nil {
		return m, err
	}
	m.Device = set
	s.devices[m.Label] = set
	return m, set.Format(ctx, vtape.Header{Type: vtape.TypeTapeStart, Stamp: string(stamp), Label: m.Label})
}

func (s *sets) taper(partBytes int64) *taper.Taper {
	var now time.Time
	return taper.New(taper.Options{
		Scan: s, Feedback: s, PartBytes: partBytes, Storage: "main", WriteStamp: stamp,
		Clock: func() time.Time { now = now.Add(time.Second); return now },
	})
}

// A dump goes to sets of each form, over several volumes, and is the same by the catalog and by the headers alone, though
// Amanda's forms fill up the end of its last part.
func TestParitySets(t *testing.T) {
	for _, form := range []struct{ members, parity int }{{2, 1}, {3, 1}, {4, 1}, {5, 1}, {6, 2}} {
		content := random(26*align + 54321)
		for name, dump := range map[string]taper.Dump{
			"held": held("web01", content), "stream": stream("web01", bytes.NewReader(content)),
		} {
			s := newSets(form.members, form.parity, 9, 5*align)
			res, err := s.taper(2*align).Write(t.Context(), dump)
			if err != nil {
				t.Fatalf("%v, %s: %v", form, name, err)
			}
			if len(res.Volumes) < 2 || len(res.Parts) < 4 {
				t.Errorf("%v, %s: %d volumes, %d parts", form, name, len(res.Volumes), len(res.Parts))
			}
			s.check(t, res, content)
		}
	}
}

// A member of a mirror is a volume by itself, whose last part is longer than the dump.
func TestMirrorMemberAlone(t *testing.T) {
	content := random(3*align + 54321)
	s := newSets(2, 1, 1, 0)
	res, err := s.taper(2*align).Write(t.Context(), held("web01", content))
	if err != nil {
		t.Fatal(err)
	}
	s.devices["Night-01"] = dir.New(s.fs, "/slot1/d2", dir.Options{})
	s.check(t, res, content)
}

// Verify names the member that is wrong, and the pair when two are.
func TestVerifyNamesWrongMembers(t *testing.T) {
	for _, tc := range []struct {
		members, parity int
		wrong           []int
		want            string
	}{{2, 1, []int{1}, "without d1, which"}, {3, 1, []int{2}, "without d2, which"}, {6, 2, []int{1, 3}, "without d1, d3, which"}} {
		s := newSets(tc.members, tc.parity, 1, 0)
		res, err := s.taper(0).Write(t.Context(), held("web01", random(20*align)))
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range tc.wrong {
			f, err := s.fs.OpenFile(fmt.Sprintf("/slot1/d%d/00001.web01.disk0.0", i), os.O_RDWR, 0)
			if err == nil {
				_, err = f.WriteAt([]byte("wrong"), vtape.HeaderBytes+1000)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		err = taper.VerifyPart(t.Context(), s.devices["Night-01"], res.Parts[0])
		var damage *vtape.Damage
		if !errors.As(err, &damage) || damage.File != 1 || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%d members, %v wrong: %v", tc.members, tc.wrong, err)
		}
	}
}

// A size that no padding explains is damage still.
func TestOnlyPaddingIsAccepted(t *testing.T) {
	s := newShelf(vfs.NewMem(), 1, 0)
	res, err := s.taper(0).Write(t.Context(), held("web01", random(2*align)))
	if err != nil {
		t.Fatal(err)
	}
	for size, good := range map[int64]bool{
		2*align - 1: true, 2*align - 32<<10: true, align + 1: true, align: false, 0: false, 2*align + 1: false,
	} {
		p := res.Parts[0]
		p.Bytes, p.CRC = size, 0
		if err := taper.VerifyPart(t.Context(), s.devices["Night-01"], p); (err == nil) != good {
			t.Errorf("%d bytes in a file of %d: %v", size, 2*align, err)
		}
	}
}
