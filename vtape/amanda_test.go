package vtape_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/internal/testtools"
	"holdfast/internal/vfs"
	"holdfast/vtape"
)

// amandaFiles unpacks the media files of a fixture: path in the archive -> bytes.
func amandaFiles(t testing.TB, fixture string) map[string][]byte {
	t.Helper()
	dir := t.TempDir()
	testtools.Untar(t, filepath.Join("testdata", fixture+".tar.gz"), vfs.OS(), dir)
	files := make(map[string][]byte)
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(name)
		if bytes.HasPrefix(data, []byte("AMANDA: ")) {
			files[strings.TrimPrefix(name, dir+"/")] = data
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

var amandaFixtures = []string{"fxbasic", "fxspan", "fxspan0", "fxspanp", "fxgzip", "fxzstd", "fxhold"}

// Every header block that Amanda wrote is read, and encoded again to the same bytes.
func TestAmandaHeadersEncodeToTheSameBytes(t *testing.T) {
	total := 0
	for _, fixture := range amandaFixtures {
		for name, data := range amandaFiles(t, fixture) {
			total++
			h, err := vtape.ParseHeader(data)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			got, err := h.Block()
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if want := data[:vtape.HeaderBytes]; !bytes.Equal(got, want) {
				t.Errorf("%s: header differs (-amanda +ours):\n%s", name, cmp.Diff(lines(want), lines(got)))
			}
		}
	}
	if total != 48 {
		t.Errorf("found %d files in the fixtures", total)
	}
}

func lines(block []byte) []string {
	var list []string
	for _, l := range bytes.Split(bytes.TrimRight(block, "\x00"), []byte("\n")) {
		list = append(list, string(l))
	}
	return list
}

func TestAmandaHeaderFields(t *testing.T) {
	basic := amandaFiles(t, "fxbasic")
	zstd := amandaFiles(t, "fxzstd")
	hold := amandaFiles(t, "fxhold")
	dle := func(disk, device, level, plugin, compress string) string {
		return "<dle>\n  <program>APPLICATION</program>\n  <disk>" + disk + "</disk>\n  <diskdevice>" + device +
			"</diskdevice>\n  <level>" + level + "</level>\n  <auth>local</auth>\n" + compress +
			"  <record>YES</record>\n  <index>YES</index>\n  <datapath>AMANDA</datapath>\n  <backup-program>\n    <plugin>" +
			plugin + "</plugin>\n  </backup-program>\n</dle>"
	}
	for _, tc := range []struct {
		data []byte
		want vtape.Header
	}{
		{basic["fxbasic/vtapes/slot1/00000.FXABASIC-01"], vtape.Header{
			Type: vtape.TypeTapeStart, Stamp: "20261121195038", Label: "FXABASIC-01",
		}},
		{basic["fxbasic/vtapes/slot1/00004.localhost.dir-etc.1"], vtape.Header{
			Type: vtape.TypeSplitFile, Stamp: "20261121195034", Host: "localhost", Disk: "dir-etc", Part: 1, TotalParts: -1,
			Level: 1, Compress: "N", Program: "APPLICATION", Application: "amgtar", OrigKiB: 10,
			Native: vtape.CRC{Sum: 0xf2e07ded, Bytes: 10240}, Client: vtape.CRC{Sum: 0xf2e07ded, Bytes: 10240},
			Server:         vtape.CRC{Sum: 0xf2e07ded, Bytes: 10240},
			DLEText:        dle("dir-etc", "/srv/am/data-fx/etc", "1", "amgtar", ""),
			RestoreCommand: "dd if=<tape> bs=32k skip=1 | /usr/lib/amanda/application/amgtar restore [./file-to-restore]+ ",
		}},
		{zstd["fxzstd/vtapes/slot1/00004.localhost.szenc.0"], vtape.Header{
			Type: vtape.TypeSplitFile, Stamp: "20261121195128", Host: "localhost", Disk: "szenc", Part: 1, TotalParts: -1,
			Compress: "cust", Program: "APPLICATION", Application: "amraw", Encrypted: true,
			ServerCompress: "/usr/bin/zstd", ServerEncrypt: "/srv/am/enc.sh", ServerDecryptOpt: "-d",
		}},
		{hold["fxhold/holding/20261121195115/localhost.odd name_x.0"], vtape.Header{
			Type: vtape.TypeFile, Stamp: "20261121195115", Host: "localhost", Disk: "odd name:x", Compress: "N",
			Program: "APPLICATION", Application: "amgtar",
		}},
		{hold["fxhold/holding/20261121195115/localhost.holdimg.0.1"], vtape.Header{
			Type: vtape.TypeContFile, Stamp: "20261121195115", Host: "localhost", Disk: "holdimg", Compress: "N",
			Program: "APPLICATION", Application: "amraw",
			ContFilename: "/srv/am/fxhold/holding/20261121195115/localhost.holdimg.0.2",
		}},
	} {
		got, err := vtape.ParseHeader(tc.data)
		if err != nil {
			t.Fatal(err)
		}
		if tc.want.RestoreCommand == "" { // only the first line matters
			got.DLEText, got.RestoreCommand, got.OrigKiB = "", "", 0
			got.Native, got.Client, got.Server = vtape.CRC{}, vtape.CRC{}, vtape.CRC{}
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}
