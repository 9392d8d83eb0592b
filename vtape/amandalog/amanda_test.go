package amandalog_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/catalog"
	"holdfast/internal/testtools"
	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/amandalog"
)

var fixtures = []string{
	"fxbasic", "fxspan", "fxspan0", "fxspanp", "fxgzip", "fxzstd", "fxhold", "fxrait2", "fxrait3", "fxrait5", "fxs3", "fxs3big", "fxs3mp",
}

// files gives the text of a fixture's files that match the pattern, by their names.
func files(t testing.TB, fixture, pattern string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	testtools.Untar(t, filepath.Join("../testdata", fixture+".tar.gz"), vfs.OS(), dir)
	paths, err := filepath.Glob(filepath.Join(dir, fixture, "state", pattern))
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(path)] = string(data)
	}
	return texts
}

// Every tapelist that Amanda wrote is read, and written again to the same bytes, except that ours sorts volumes of one
// stamp by their labels.
func TestAmandaTapelists(t *testing.T) {
	total := 0
	for _, fixture := range fixtures {
		for _, text := range files(t, fixture, "tapelist") {
			tapes, err := amandalog.ParseTapelist(text)
			if err != nil {
				t.Errorf("%s: %v", fixture, err)
				continue
			}
			total += len(tapes)
			got, err := amandalog.FormatTapelist(tapes)
			if err != nil {
				t.Errorf("%s: %v", fixture, err)
			}
			if diff := cmp.Diff(sortedLines(text), sortedLines(got)); diff != "" {
				t.Errorf("%s: -amanda +ours:\n%s", fixture, diff)
			}
		}
	}
	if total != 19 {
		t.Errorf("%d volumes in the fixtures", total)
	}
}

func sortedLines(text string) map[string]int {
	lines := map[string]int{}
	for line := range strings.Lines(text) {
		lines[line]++
	}
	return lines
}

// Every line about volumes and parts that Amanda wrote is read; what is written of it reads the same.
func TestAmandaLogs(t *testing.T) {
	total := map[amandalog.Kind]int{}
	for _, fixture := range fixtures {
		for name, text := range files(t, fixture, "log/log.*") {
			records, odd := amandalog.Parse(text)
			if len(odd) > 0 {
				t.Errorf("%s: %s: %v", fixture, name, odd)
			}
			for _, r := range records {
				total[r.Kind]++
			}
			stamp := catalog.Stamp(strings.Split(name, ".")[1])
			ours, err := amandalog.Format(amandalog.Run{Stamp: stamp, Host: "vm"}, records)
			if err != nil {
				t.Errorf("%s: %s: %v", fixture, name, err)
			}
			again, odd := amandalog.Parse(ours)
			if diff := cmp.Diff(records, again); diff != "" || len(odd) > 0 {
				t.Errorf("%s: %s: %v, -amanda +ours:\n%s", fixture, name, odd, diff)
			}
		}
	}
	want := map[amandalog.Kind]int{amandalog.Start: 19, amandalog.Part: 42, amandalog.PartCut: 2, amandalog.Done: 21}
	if diff := cmp.Diff(want, total); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// The fields of each kind of line, as Amanda wrote them.
func TestAmandaLogFields(t *testing.T) {
	records, _ := amandalog.Parse(files(t, "fxspanp", "log/log.*")["log.20261121195051.0"])
	crc := vtape.CRC{Sum: 0x24d95850, Bytes: 307213}
	of := amandalog.Record{
		Storage: "fxspanp", Pool: "fxspanp", Stamp: "20261121195051", DLE: catalog.DLE{VM: "localhost", Disk: "bigdisk"}, OrigKiB: 300,
	}
	part, done := of, of
	part.Kind, part.Label, part.File, part.Number, part.Total = amandalog.PartCut, "FXASPANP-01", 3, 3, -1
	part.Bytes, part.Seconds, part.Message = 32768, 0.000553, "No space left on device"
	done.Kind, done.Total, done.Native, done.Client, done.Server, done.Bytes, done.Seconds = amandalog.Done, 5, crc, crc, crc, 307213, 0.1
	for i, want := range map[int]amandalog.Record{
		0: {Kind: amandalog.Start, Storage: "fxspanp", Pool: "fxspanp", Stamp: "20261121195051", Label: "FXASPANP-01", Tape: 1},
		3: part, 10: done,
	} {
		if diff := cmp.Diff(want, records[i]); diff != "" {
			t.Errorf("record %d: -want +got:\n%s", i, diff)
		}
	}
}
