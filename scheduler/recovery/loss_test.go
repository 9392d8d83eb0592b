package recovery_test

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"holdfast/catalog"
	"holdfast/internal/frames"
	"holdfast/vtape"
)

// harm is what is done to some members, and undone when it is done again.
type harm struct {
	name string
	// removed: the members are gone, or there again.
	removed bool
	// hits tells whether a part is hit on the n-th of the members that are harmed; nil: all are.
	hits func(p catalog.Part, n int) bool
}

var harms = []harm{
	{name: "removed", removed: true},
	{name: "wrong"},
	{name: "wrong in some parts", hits: func(p catalog.Part, n int) bool { return p.Number%2 == n%2 }},
	{name: "wrong on one volume", hits: func(p catalog.Part, n int) bool { return p.Number <= 2 }},
}

// members lists the members in a choice.
func members(choice, of int) []int {
	var list []int
	for i := range of {
		if choice>>i&1 == 1 {
			list = append(list, i)
		}
	}
	return list
}

// harmAll does the harm to these members of all volumes.
func (s *store) harmAll(h harm, which []int) {
	s.t.Helper()
	for _, copies := range s.copies {
		for _, p := range copies[0].Parts {
			for n, i := range which {
				dir := s.member(p.Label, i)
				switch {
				case h.removed && p.Number%2 == 1: // the first part of a volume
					s.swap(dir)
				case !h.removed && (h.hits == nil || h.hits(p, n)):
					s.flipAll(dir, p)
				}
			}
		}
	}
}

// swap takes a directory away, or brings it back.
func (s *store) swap(dir string) {
	s.t.Helper()
	if _, err := s.fs.Stat(dir); err == nil {
		s.must(s.fs.Rename(dir, dir+".away"))
		return
	}
	s.must(s.fs.Rename(dir+".away", dir))
}

// flipAll flips a bit in every 4 KiB of a part's data on a member, other ones on each.
func (s *store) flipAll(dir string, p catalog.Part) {
	s.t.Helper()
	names, err := s.fs.ReadDir(dir)
	s.must(err)
	at := slices.IndexFunc(names, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), fmt.Sprintf("%05d.", p.File)) })
	f, err := s.fs.OpenFile(path.Join(dir, names[at].Name()), os.O_RDWR, 0)
	s.must(err)
	info, err := f.Stat()
	s.must(err)
	b := []byte{0}
	for off := int64(vtape.HeaderBytes) + int64(dir[len(dir)-1]); off < info.Size(); off += 4096 {
		_, err := f.ReadAt(b, off)
		s.must(err)
		b[0] ^= 1 << (dir[len(dir)-1] % 8)
		_, err = f.WriteAt(b, off)
		s.must(err)
	}
	s.must(f.Close())
}

// restored restores a dump; the error is why it cannot be.
func (s *store) restored(d catalog.Dump, size int) ([]byte, error) {
	ctx := context.Background()
	c, err := s.site().OpenChain(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	disk := &target{data: make([]byte, size)}
	return disk.data, c.WriteTo(ctx, disk, true)
}

// A chain of dumps on parity sets of each form, over several volumes, outlives the loss of every choice of as many members
// as there is parity: they may be gone or wrong, everywhere or in some parts. When one more is, nothing is handed out, and
// the error says which members or bytes they are.
func TestLossOfMembers(t *testing.T) {
	for _, set := range []struct{ members, parity int }{{2, 1}, {3, 1}, {5, 1}, {6, 2}} {
		for _, h := range []how{{vm: "fast"}, {vm: "plain", plain: true}, {vm: "secret", encrypt: true}, {vm: "plain-secret", plain: true, encrypt: true}} {
			t.Run(fmt.Sprintf("%d+%d/%s", set.members-set.parity, set.parity, h.vm), func(t *testing.T) {
				s := newStore(t)
				s.set = set
				first := disk(1, 14*cluster+777)
				full := s.dump(first, h)
				want := changed(2, first)
				h.base, h.level = &full, 1
				last := s.dump(want, h)
				if n := len(s.copies[full.ID][0].Parts); n < 3 {
					t.Fatalf("%d parts on one volume", n)
				}
				for choice := 1; choice < 1<<set.members; choice++ {
					if bits.OnesCount(uint(choice)) <= set.parity+1 {
						s.checkLoss(last, want, members(choice, set.members))
					}
				}
			})
		}
	}
}

func (s *store) checkLoss(d catalog.Dump, want []byte, which []int) {
	s.t.Helper()
	for _, h := range harms {
		few := len(which) > s.set.parity
		if few && h.hits != nil {
			continue // it may be little enough in each place
		}
		s.harmAll(h, which)
		got, err := s.restored(d, len(want))
		s.harmAll(h, which)
		what := fmt.Sprintf("%s: %v", h.name, which)
		if !few {
			if err != nil {
				s.t.Errorf("%s: %v", what, err)
				continue
			}
			same(s.t, what, got, want)
			continue
		}
		if err == nil {
			s.t.Errorf("%s: restored", what)
			continue
		}
		for _, i := range which {
			if h.removed && !strings.Contains(err.Error(), fmt.Sprintf("member d%d: missing", i+1)) {
				s.t.Errorf("%s: the error does not name member %d: %v", what, i+1, err)
			}
		}
		var damage *vtape.Damage
		sealed := errors.Is(err, frames.ErrNoIdentity) && strings.Contains(err.Error(), "volumes V001") // the keys are wrong, too
		if !h.removed && !sealed && !errors.As(err, &damage) {
			s.t.Errorf("%s: the error does not say where: %v", what, err)
		}
	}
}
