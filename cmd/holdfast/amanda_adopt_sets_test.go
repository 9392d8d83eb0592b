package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/scheduler/amanda"
)

// newAdoptingSet unpacks a fixture of a parity set, and writes a configuration for it. The place to adopt lacks a member (from
// 1; 0 for none).
func newAdoptingSet(t *testing.T, fixture string, missing int) (s *adopting, members int) {
	t.Helper()
	root := unpackAmanda(t, fixture)
	members = int(fixture[len(fixture)-1] - '0')
	var list []string
	for i := 1; i <= members; i++ {
		list = append(list, fmt.Sprintf("{device: dir, path: %s}", filepath.Join(root, fmt.Sprintf("d%d", i))))
	}
	return makeAdopting(t, root, setOf(root, members, missing), "device: rait, parity: 1, members: ["+strings.Join(list, ", ")+"]", 4), members
}

// checkAdopted restores all of a fixture, and verifies it: without a member (from 1; 0 for none) the set is told not to be whole,
// and which member it is, once.
func (s *adopting) checkAdopted(dumps []amandaDump, missing int) {
	s.Helper()
	when := fmt.Sprintf("without member %d", missing)
	for _, d := range dumps {
		if got := s.restored(d); got != d.sum {
			s.Errorf("%s: %s: SHA-256 %s, want %s", when, d.disk, got, d.sum)
		}
	}
	code, out, stderr := holdfast(s, "--config", s.config, "verify")
	want := strings.Count(out, "\nok ")+1 >= len(dumps) && code == 0 && stderr == ""
	if missing > 0 {
		member := filepath.Join(s.root, fmt.Sprintf("d%d", missing))
		want = strings.Count(out, "member "+member+": missing: ") == len(dumps) && code == 1
	}
	if !want {
		s.Errorf("%s: verify: exit %d: %s%s", when, code, out, stderr)
	}
	checkSaidOnce(s, stderr)
}

func checkSaidOnce(t testing.TB, notes string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(notes), "\n")
	for i, line := range lines {
		if slices.Contains(lines[:i], line) {
			t.Errorf("said more than once: %s", line)
		}
	}
	if len(lines) > 3 {
		t.Errorf("says too much of one member: %s", notes)
	}
}

func dumpsOf(all []amandaDump, fixture string) []amandaDump {
	var list []amandaDump
	for _, d := range all {
		if d.fixture == fixture {
			list = append(list, d)
		}
	}
	return list
}

// A parity set of Amanda's comes into the catalog: its dumps restore bit by bit, without what the set has filled them up with,
// with all members and without any one of them.
func TestAdoptAmandasSets(t *testing.T) {
	for _, fixture := range []string{"fxrait2", "fxrait3", "fxrait5"} {
		t.Run(fixture, func(t *testing.T) {
			s, members := newAdoptingSet(t, fixture, 0)
			want := amanda.Result{Storage: "theirs"}
			want.Volumes, want.Dumps, want.Copies = 1, 2, 2
			got, notes := s.adopt()
			if diff := cmp.Diff(want, got); diff != "" || notes != "" {
				t.Errorf("-want +got:\n%s%s", diff, notes)
			}
			dumps := dumpsOf(amandaSets, fixture)
			s.checkAdopted(dumps, 0)
			for i := 1; i <= members; i++ {
				member := filepath.Join(s.root, fmt.Sprintf("d%d", i))
				if err := os.Rename(member, member+".away"); err != nil {
					t.Fatal(err)
				}
				s.checkAdopted(dumps, i)
				if err := os.Rename(member+".away", member); err != nil {
					t.Fatal(err)
				}
			}
			if again, _ := s.adopt(); !cmp.Equal(amanda.Result{Storage: "theirs"}, again) {
				t.Errorf("adopted again: %+v", again)
			}
		})
	}
}

// A set that has lost a member already is adopted without it, and it is said once that it is not there. The dumps are whole.
func TestAdoptAmandasSetWithoutAMember(t *testing.T) {
	for _, tc := range []struct {
		fixture string
		missing int
		named   bool // the place says MISSING
	}{
		{"fxrait2", 1, true}, {"fxrait3", 2, true}, {"fxrait3", 3, false}, {"fxrait5", 5, true}, {"fxrait5", 1, false},
	} {
		t.Run(fmt.Sprintf("%s-%d-%v", tc.fixture, tc.missing, tc.named), func(t *testing.T) {
			place := 0
			if tc.named {
				place = tc.missing
			}
			s, _ := newAdoptingSet(t, tc.fixture, place)
			if err := os.RemoveAll(filepath.Join(s.root, fmt.Sprintf("d%d", tc.missing))); err != nil {
				t.Fatal(err)
			}
			got, notes := s.adopt()
			if got.Dumps != 2 || len(got.Partial)+len(got.Notes)+len(got.LeftOut) > 0 {
				t.Errorf("adopted %+v: %s", got, notes)
			}
			if !strings.Contains(notes, fmt.Sprintf("member %d", tc.missing)) {
				t.Errorf("does not name the member: %s", notes)
			}
			checkSaidOnce(t, notes)
			s.checkAdopted(dumpsOf(amandaSets, tc.fixture), tc.missing)
		})
	}
}
