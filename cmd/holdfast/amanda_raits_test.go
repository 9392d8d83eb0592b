package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/dir"
	"holdfast/vtape/rait"
)

// spread copies the volumes of the site to a parity set of n members, m1, m2 and so on, and makes it the storage in the
// configuration. The catalog stays as it is: labels, files and bytes are the same.
func (s *amandaSite) spread(n int) {
	s.Helper()
	slots, err := filepath.Glob(s.path("vtapes/slot*"))
	if err != nil || len(slots) == 0 {
		s.Fatal("no slots", err)
	}
	for _, slot := range slots {
		var members []rait.Member
		for i := 1; i <= n; i++ {
			at := s.path(fmt.Sprintf("m%d/%s", i, filepath.Base(slot)))
			if err := os.MkdirAll(at, 0o755); err != nil {
				s.Fatal(err)
			}
			members = append(members, rait.Member{Name: at, Device: dir.New(vfs.OS(), at, dir.Options{})})
		}
		set, err := rait.New(members, rait.Options{})
		if err == nil {
			err = copyVolume(s, dir.New(vfs.OS(), slot, dir.Options{}), set)
		}
		if err != nil {
			s.Fatal(err)
		}
	}
	var members []string
	for i := 1; i <= n; i++ {
		members = append(members, fmt.Sprintf("{device: dir, path: m%d}", i))
	}
	config, err := os.ReadFile(s.config)
	if err != nil {
		s.Fatal(err)
	}
	s.write("rait.yaml", []byte(strings.Replace(string(config), "device: dir, path: vtapes",
		"device: rait, parity: 1, members: ["+strings.Join(members, ", ")+"]", 1)))
	s.config = s.path("rait.yaml")
}

// copyVolume copies a volume, file by file; one that was never written stays blank.
func copyVolume(s *amandaSite, from, to vtape.Device) error {
	ctx := s.Context()
	label, err := from.ReadLabel(ctx)
	if err != nil {
		return nil
	}
	if err := to.Format(ctx, label); err != nil {
		return err
	}
	files, err := from.Files(ctx)
	if err != nil {
		return err
	}
	for _, f := range files {
		r, err := from.Open(ctx, f.Number)
		if err != nil {
			return err
		}
		w, err := to.Create(ctx, f.Number, r.Header())
		if err != nil {
			return err
		}
		if _, err := io.Copy(w, io.NewSectionReader(r, 0, f.Bytes)); err != nil {
			return err
		}
		if _, err := w.Close(); err != nil {
			return err
		}
		if err := r.Close(); err != nil {
			return err
		}
	}
	return nil
}

// Amanda's commands find, check and restore our dumps on a mirror and on sets of 3 and 5, by the exported catalog: with all
// members, and with each one missing.
func TestAmandaReadsOurSets(t *testing.T) {
	base := newAmandaSite(t)
	base.twoNights()
	parts := base.parts()
	dumps := byDump(parts)
	config := base.config
	for _, n := range []int{2, 3, 5} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			here := *base.nights
			here.TB, here.config = t, config
			s := &amandaSite{nights: &here, as: base.as, env: base.env}
			s.spread(n)
			for missing := range n + 1 {
				member := s.path(fmt.Sprintf("m%d", missing))
				if missing > 0 {
					if err := os.Rename(member, member+".away"); err != nil {
						t.Fatal(err)
					}
				}
				checkSet(t, s, parts, dumps, missing)
				if missing > 0 {
					if err := os.Rename(member+".away", member); err != nil {
						t.Fatal(err)
					}
				}
			}
			for i := 1; i <= n; i++ {
				if err := os.RemoveAll(s.path(fmt.Sprintf("m%d", i))); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// checkSet exports and lets Amanda's commands read all of it: with all members there, each dump by itself, too.
func checkSet(t *testing.T, s *amandaSite, parts []partFile, dumps map[string][]partFile, missing int) {
	t.Helper()
	code, out, stderr := holdfast(t, "--config", s.config, "volume", "export-amanda", s.path("export"))
	if code != 0 || strings.Contains(stderr, "is not there") != (missing > 0) {
		t.Fatalf("member %d missing: exit %d: %s%s", missing, code, out, stderr)
	}
	s.handOver()
	checkAmcheckdump(t, s, parts) // which decodes all of it, and compares with the checksums of the streams
	if missing == 0 {
		checkFind(t, s, parts)
		checkChains(t, s, dumps, (*amandaSite).amfetchdump)
	}
}
