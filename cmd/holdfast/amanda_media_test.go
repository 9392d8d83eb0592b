package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The program needs no catalog and no configuration for its own media: a chain comes out of a library's directory, and
// of a holding disk when all of it lies there. What is missing is named.
func TestRestoresOurMediaWithoutCatalog(t *testing.T) {
	s := newWithoutSite(t)
	restore := func(media string, args ...string) (code int, stderr string) {
		t.Helper()
		_ = os.Remove(s.path("disk.raw")) // of the restore before
		args = append([]string{"restore", "--from-media", s.path(media), "--to", s.path("disk.raw")}, args...)
		code, _, stderr = holdfast(t, args...)
		return code, stderr
	}
	for _, tc := range []struct {
		args          []string
		image, format string
	}{
		{[]string{"web01", "--identity", s.path("identity")}, "web01.kept", "raw"},
		{[]string{"web02", "disk0", "--run", "20261121010000", "--level", "1"}, "web02.qcow2", "qcow2"},
		{[]string{"golden"}, "golden.qcow2", "qcow2"},
	} {
		if code, stderr := restore("vtapes", tc.args...); code != 0 {
			t.Errorf("restore %v: exit %d: %s", tc.args, code, stderr)
			continue
		}
		s.sameDisk(tc.image, tc.format, "disk.raw", "raw")
	}
	for _, tc := range []struct {
		name, media string
		gone        string // pattern of files that are not there
		most        int    // how many of them
		args, want  []string
	}{
		{"no key", "vtapes", "", 0, []string{"web01"}, []string{"web01", "encrypted", "--identity"}},
		{"base on other media", "holding", "", 0, []string{"db01"}, []string{"db01/disk0/20261122010000/1", "base db01/disk0/20261120010000/0 is not"}},
		{"part of the golden image missing", "vtapes", "slot*/*.golden.disk0.0", 1, []string{"web02"},
			[]string{"golden/disk0/20261120010000/0", "partial", "part 1 is missing"}},
		{"golden image missing", "vtapes", "slot*/*.golden.*", 100, []string{"web02"}, []string{"base golden/disk0/20261120010000/0 is not"}},
	} {
		if tc.gone != "" {
			paths, err := filepath.Glob(s.path("vtapes/" + tc.gone))
			if err != nil || len(paths) == 0 {
				t.Fatalf("%s: no files %s (%v)", tc.name, tc.gone, err)
			}
			for _, path := range paths[:min(tc.most, len(paths))] {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
		}
		code, stderr := restore(tc.media, tc.args...)
		if code == 0 {
			t.Errorf("%s: exit 0: %s", tc.name, stderr)
		}
		for _, want := range tc.want {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s: does not say %q: %s", tc.name, want, stderr)
			}
		}
		if _, err := os.Lstat(s.path("disk.raw")); err == nil {
			t.Errorf("%s: an output file is left behind", tc.name)
		}
	}
}
