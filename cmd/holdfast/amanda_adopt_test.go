package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/catalog"
	"holdfast/scheduler/amanda"
)

// adopting is a site of ours with a library of Amanda's, one of the fixtures, as its storage.
type adopting struct {
	*nights
	root string
	// place is the library's, as the command names it.
	place string
}

// newAdopting unpacks a fixture and writes a configuration for its library.
func newAdopting(t *testing.T, fixture string) *adopting {
	t.Helper()
	root := unpackAmanda(t, fixture)
	vtapes := filepath.Join(root, "vtapes")
	return makeAdopting(t, root, vtapes, "device: dir, path: "+vtapes, 4)
}

// makeAdopting writes a configuration for a fixture's library: its place in the words of the command, and on, in those of the
// configuration.
func makeAdopting(t *testing.T, root, place, on string, slots int) *adopting {
	t.Helper()
	s := &adopting{root: root, place: place}
	dir := t.TempDir()
	s.nights = &nights{TB: t, dir: dir, config: filepath.Join(dir, "holdfast.yaml")}
	s.write("holdfast.yaml", fmt.Appendf(nil, `
org: test
state: state
storage:
  theirs: {%s, slots: %d, volume-size: 20MiB, label: "AMANDA-%%%%%%", no-reuse: true}
  ours: {device: dir, path: ours, slots: 9, volume-size: 2MiB, label: "HF-%%%%%%"}
dles:
  - {vm: web01, image: web01.raw, format: raw}
`, on, slots))
	return s
}

// adopt runs the command with Amanda's lists, and gives its answer and what it noted.
func (s *adopting) adopt(args ...string) (amanda.Result, string) {
	s.Helper()
	args = append([]string{
		"--config", s.config, "volume", "adopt", "--json", "--storage", "theirs", "--tapelist", filepath.Join(s.root, "state/tapelist"),
		"--logs", filepath.Join(s.root, "state/log"),
	}, args...)
	code, out, stderr := holdfast(s, append(args, s.place)...)
	if code != 0 {
		s.Fatalf("adopt: exit %d: %s", code, stderr)
	}
	var r amanda.Result
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		s.Fatal(err)
	}
	return r, stderr
}

// answer gives what a command prints.
func (s *adopting) answer(args ...string) string {
	s.Helper()
	code, out, stderr := holdfast(s, append([]string{"--config", s.config}, args...)...)
	if code != 0 {
		s.Fatalf("%v: exit %d: %s%s", args, code, out, stderr)
	}
	return out
}

// media lists all that lies in the library.
func (s *adopting) media() map[string]string {
	s.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(filepath.Join(s.root, "vtapes"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			files[path] = fileSum(s.TB.(*testing.T), path)
		}
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	return files
}

// restored gives the digest of a dump as the catalog brings it back.
func (s *adopting) restored(d amandaDump) string {
	s.Helper()
	to := s.path("stream")
	args := []string{"--config", s.config, "restore", "--force", "--to", to, "--run", d.stamp, "--level", fmt.Sprint(d.level), "localhost", d.disk}
	if d.encrypted {
		args = append(args, "--decrypt-with", opensslScript(s.TB.(*testing.T)))
	}
	if code, _, stderr := holdfast(s, args...); code != 0 || strings.Contains(stderr, "nobody can tell") {
		s.Fatalf("%v: exit %d: %s", args, code, stderr)
	}
	return fileSum(s.TB.(*testing.T), to)
}

// Amanda's libraries come into the catalog: their dumps are listed, verified and restored bit by bit. Nothing but the mark is
// written to the library, no volume may be overwritten, and a second adoption changes nothing.
func TestAdoptWhatAmandaWrote(t *testing.T) {
	want := map[string]amanda.Result{}
	for fixture, counts := range map[string][3]int{
		"fxbasic": {1, 3, 3}, "fxspan": {3, 1, 1}, "fxspan0": {4, 1, 1}, "fxspanp": {3, 1, 1}, "fxgzip": {1, 2, 2}, "fxzstd": {1, 3, 3},
	} {
		r := amanda.Result{Storage: "theirs"}
		r.Volumes, r.Dumps, r.Copies = counts[0], counts[1], counts[2]
		want[fixture] = r
	}
	for fixture, want := range want {
		t.Run(fixture, func(t *testing.T) {
			s := newAdopting(t, fixture)
			before := s.media()
			got, notes := s.adopt()
			if diff := cmp.Diff(want, got); diff != "" || notes != "" {
				t.Errorf("-want +got:\n%s%s", diff, notes)
			}
			after := s.media()
			delete(after, filepath.Join(s.root, "vtapes/.holdfast-library"))
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("the library: -before +after:\n%s", diff)
			}
			for _, d := range amandaDumps {
				if d.fixture == fixture && s.restored(d) != d.sum {
					t.Errorf("%s level %d: not what was backed up", d.disk, d.level)
				}
			}
			if out := s.answer("verify"); strings.Contains(out, "DAMAGED") || strings.Count(out, "\nok ")+1 < want.Dumps {
				t.Errorf("verify: %s", out)
			}
			var volumes []catalog.Volume
			if err := json.Unmarshal([]byte(s.answer("volume", "list", "--json")), &volumes); err != nil {
				t.Fatal(err)
			}
			if slices.ContainsFunc(volumes, func(v catalog.Volume) bool { return !v.NoReuse || v.Storage != "theirs" }) || len(volumes) != want.Volumes {
				t.Errorf("volumes %+v", volumes)
			}
			history := s.answer("dle", "history", "--json") + s.answer("volume", "list", "--json")
			again, _ := s.adopt()
			if diff := cmp.Diff(amanda.Result{Storage: "theirs"}, again); diff != "" {
				t.Errorf("adopted again: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(history, s.answer("dle", "history", "--json")+s.answer("volume", "list", "--json")); diff != "" {
				t.Errorf("adopted again: -before +after:\n%s", diff)
			}
		})
	}
}

// A byte that went bad on an adopted volume is found by the checksum that Amanda took of the whole stream.
func TestVerifyAdopted(t *testing.T) {
	s := newAdopting(t, "fxspan")
	s.adopt()
	paths, err := filepath.Glob(filepath.Join(s.root, "vtapes/slot2/00002.*"))
	if err != nil || len(paths) != 1 {
		t.Fatal(paths, err)
	}
	flipByte(t, paths[0], 40_000)
	code, out, _ := holdfast(t, "--config", s.config, "verify")
	if code != 1 || !strings.Contains(out, "DAMAGED  localhost/bigdisk/20261121195039/0") || !strings.Contains(out, "FXASPAN-02") || !strings.Contains(out, "want b98eddad") {
		t.Errorf("verify: exit %d: %s", code, out)
	}
}

// Where Amanda's lists and the media disagree, it is said; what the lists know to be missing is not called whole.
func TestAdoptComparesWithLists(t *testing.T) {
	rewrite := func(name string, pairs ...string) func(s *adopting) {
		return func(s *adopting) {
			path := filepath.Join(s.root, name)
			data, err := os.ReadFile(path)
			if err != nil {
				s.Fatal(err)
			}
			text := strings.NewReplacer(pairs...).Replace(string(data))
			if text == string(data) {
				s.Fatalf("%s: nothing to replace", name)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				s.Fatal(err)
			}
		}
	}
	remove := func(pattern string) func(s *adopting) {
		return func(s *adopting) {
			paths, err := filepath.Glob(filepath.Join(s.root, pattern))
			if err != nil || len(paths) == 0 {
				s.Fatal(pattern, err)
			}
			for _, path := range paths {
				if err := os.RemoveAll(path); err != nil {
					s.Fatal(err)
				}
			}
		}
	}
	const log, dump = "state/log/log.20261121195039.0", "localhost/bigdisk/20261121195039/0"
	for name, tc := range map[string]struct {
		change  func(s *adopting)
		partial bool
		want    []string
	}{
		"a volume is missing": {remove("vtapes/slot3"), true, []string{
			"volume FXASPAN-03 of the tapelist is not here", dump + ": partial: ",
		}},
		"a volume is not in the tapelist": {rewrite("state/tapelist", "20261121195039 FXASPAN-02", "20261121195039 OTHER-02"), false, []string{
			"volume FXASPAN-02 is not in the tapelist", "volume OTHER-02 of the tapelist is not here",
		}},
		"a volume was written since": {rewrite("state/tapelist", "20261121195039 FXASPAN-02", "20261122195039 FXASPAN-02"), false, []string{
			"volume FXASPAN-02: the tapelist says that it was written at 20261122195039, its label says 20261121195039",
		}},
		"the log is not whole": {rewrite(log, "DONE taper", "INFO taper"), false, []string{dump + ": no log tells that it is whole"}},
		"the log knows it to be partial": {rewrite(log, "DONE taper", "PARTIAL taper", "kps 2500.000000 orig-kb 250]", "kps 1 orig-kb 250] \"out of tape\""), true, []string{
			dump + ": the log says that it is partial",
		}},
		"more parts by the log": {rewrite(log, "20261121195039 5 0", "20261121195039 6 0"), true, []string{
			dump + ": 5 parts with 255989 bytes are there, the log says 6 parts with 255989 bytes",
		}},
		"another checksum": {rewrite(log, "b98eddad:255989 b98eddad:255989 b98eddad:255989", "00000001:255989 00000001:255989 00000001:255989"), false, []string{
			dump + ": the native checksum is b98eddad by its header, 00000001 by the log: the header is believed",
		}},
		"a part in another place": {rewrite(log, "FXASPAN-02 2 localhost", "FXASPAN-02 3 localhost"), false, []string{
			dump + ": part 4 is on volume FXASPAN-02 as file 2, of which the log does not tell",
		}},
		"a line that is none": {rewrite(log, "FXASPAN-02 2 localhost", "FXASPAN-02 x localhost"), false, []string{
			`left out where it cannot be read: log.20261121195039.0: line `, `file "x"`,
		}},
		"a dump is gone": {remove("vtapes/slot*/0000[1-9]*"), true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAdopting(t, "fxspan")
			tc.change(s)
			if tc.want == nil { // no dump at all: nothing to adopt, and the library is left as it was
				code, _, stderr := holdfast(t, "--config", s.config, "volume", "adopt", "--storage", "theirs", filepath.Join(s.root, "vtapes"))
				if _, err := os.Lstat(filepath.Join(s.root, "vtapes/.holdfast-library")); code != 1 || err == nil {
					t.Errorf("exit %d, mark %v: %s", code, err, stderr)
				}
				return
			}
			r, notes := s.adopt()
			for _, want := range tc.want {
				if !strings.Contains(notes, want) {
					t.Errorf("does not say %q: %s", want, notes)
				}
			}
			if (len(r.Partial) > 0) != tc.partial {
				t.Errorf("partial: %q, want %v", r.Partial, tc.partial)
			}
			code, _, stderr := holdfast(t, "--config", s.config, "restore", "localhost", "--to", s.path("out"))
			if (code != 0) != tc.partial {
				t.Errorf("restore: exit %d: %s", code, stderr)
			}
		})
	}
}
