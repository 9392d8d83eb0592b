package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/testtools"
	"holdfast/internal/vfs"
	"holdfast/vtape"
)

// amandaDump is a dump on media that Amanda wrote (vtape/testdata/README.md).
type amandaDump struct {
	fixture, disk, stamp string
	level                int
	encrypted            bool
	// sum is the SHA-256 of the stream that was backed up, before compression and encryption.
	sum string
}

var amandaDumps = []amandaDump{
	{"fxbasic", "dir-etc", "20261121195027", 0, false, "2dc2d7ec4ff14bdc9039160e9654915f3cbe731aa4b00b1c2158d255feb580eb"},
	{"fxbasic", "dir-etc", "20261121195034", 1, false, "3b2cc7ce0d85a1a98e15fa351507687dcf658422d2456cd571e3a48f25a6a6ca"},
	{"fxbasic", "img-root", "20261121195027", 0, false, "01c546bf8436888595770509ee9df7d40c5afcc82f1d21636450597ebe1d66d4"},
	{"fxspan", "bigdisk", "20261121195039", 0, false, "edd658b99a14d34b739370fddb07daf0a614c3d43023247506558506e4328b4c"},
	{"fxspan0", "bigdisk", "20261121195044", 0, false, "9d3c62df9eb5a2c107f746100b7e964b266f9562977561fabe618dd6a1ae553a"},
	{"fxspanp", "bigdisk", "20261121195051", 0, false, "b9b70861d10b7fa1ea76bd76b0482c2ab365ad1a486dffdc13cba41f7c041889"},
	{"fxhold", "holdimg", "20261121195115", 0, false, "05e9051e2f5dd7e10a7f27ad8fbef51928ce4d4bb0ff9454aecda5a4a83d1fa7"},
	{"fxhold", "odd name:x", "20261121195115", 0, false, "da7a66b520cce65cc8cc4316fbef30b76b27ac7909fbc02d92def5cc3e2f15e9"},
	{"fxgzip", "cgz", "20261121195121", 0, false, "aced77a6f100a1dc7d0533480f152d9ba1d24f6156c118e20910553a26a23cad"},
	{"fxgzip", "sgz", "20261121195121", 0, false, "3a213086a4c063f362b51a610e9b4aa462b508af5b603297dbe109fdbe2909da"},
	{"fxzstd", "cenc", "20261121195128", 0, true, "b66c7847e6ea0f3872b6eabb769ac7e3bfe648541729318a85eedee0d343cb08"},
	{"fxzstd", "szenc", "20261121195128", 0, true, "a2dc2ffde35f4a06984fe5ddd48b297dc49d8252e7c3c20d286a4ce102d16e5e"},
	{"fxzstd", "szst", "20261121195128", 0, false, "f47ad8045af42731370982e1b743eb68dc0773a3b73fcfde856b051a9a852ef8"},
}

// amandaSets are dumps on parity sets, whose members are d1, d2 and so on.
var amandaSets = []amandaDump{
	{"fxrait2", "conf", "20261121195056", 0, false, "d34145435adb17777ba3def8c8c111330385995756c426d0ae10dc1054fdc44a"},
	{"fxrait2", "disk2", "20261121195056", 0, false, "7f5761311d05bb15158fe3e01d083cf99fc7c4cc76d3e48b69151fb79f717547"},
	{"fxrait3", "conf", "20261121195102", 0, false, "56a3df3fecd3abd67242c11a51ee190571b0015812060c75e1d5d19208895ada"},
	{"fxrait3", "disk3", "20261121195102", 0, false, "1c95c7bbde8bb4c1585fe67f65b8e76354039b5e648723b8fdb2af1bdf9c27a3"},
	{"fxrait5", "conf", "20261121195108", 0, false, "33f07144f569e99151f62aafc4ec54b05c6b162bd7f75672a3c800b448839172"},
	{"fxrait5", "disk5", "20261121195108", 0, false, "f11265ed0800bf6c4fc0a87265f15a24d1f30f66f7fcead2782bb9338d19e702"},
}

// amandaBuckets are dumps in a bucket, whose objects lie in vtape/s3/testdata/amanda. The fixture is their place there.
var amandaBuckets = []amandaDump{
	{"fxs3-{01,02}-", "s3gz", "20261121195137", 0, false, "b01a20993fd4c61b3b3e4b920daf9acc2f7a507ba0830aa7c2d0935c8321836c"},
	{"fxs3-01-", "s3img", "20261121195137", 0, false, "bc63006c868b8d42f7fde1c5e51f0e4ac2cef5e267c9df959f40fcb72e54e97f"},
	{"big/vol{1,2}-", "s3img", "20261121195142", 0, false, "a5b95a97480bd86b01ffba9fc7e852c467b4d4b50d6f54af8805afbafe39a9a2"},
	{"mp1/", "s3img", "20261121195147", 0, false, "3fd0f3c8a673779f7533c6b15831cc9eecf7b2aca6f5c027da880a06dd4fe03d"},
}

// Every dump that Amanda wrote comes out as the stream that was backed up, bit by bit, from the library's directory and,
// where all of it lies there, from a single slot.
func TestRestoresWhatAmandaWrote(t *testing.T) {
	roots := map[string]string{}
	for _, d := range amandaDumps {
		if roots[d.fixture] == "" {
			roots[d.fixture] = unpackAmanda(t, d.fixture)
		}
		media := []string{"vtapes", "vtapes/slot1"}
		switch {
		case d.fixture == "fxhold":
			media = []string{"holding", "holding/" + d.stamp}
		case strings.HasPrefix(d.fixture, "fxspan"):
			media = media[:1]
		}
		for _, m := range media {
			t.Run(fmt.Sprintf("%s-%s-%d-%s", d.fixture, d.disk, d.level, filepath.Base(m)), func(t *testing.T) {
				args := []string{"--run", d.stamp, "--level", fmt.Sprint(d.level)}
				if d.encrypted {
					args = append(args, "--decrypt-with", opensslScript(t))
				}
				to := filepath.Join(t.TempDir(), "stream")
				args = append(args, "--from-media", filepath.Join(roots[d.fixture], m), "--to", to, "localhost", d.disk)
				if code, _, stderr := holdfast(t, append([]string{"restore"}, args...)...); code != 0 {
					t.Fatalf("exit %d: %s", code, stderr)
				}
				if got := fileSum(t, to); got != d.sum {
					t.Errorf("SHA-256 %s, want %s", got, d.sum)
				}
			})
		}
	}
}

// What cannot be restored is said in so many words, with what is missing; no output is left behind.
func TestAmandaMediaThatAreNotWhole(t *testing.T) {
	for _, tc := range []struct {
		name, fixture, media, disk string
		gone                       []string // slots that are not there
		want                       []string
	}{
		{"a volume in the middle", "fxspan", "vtapes", "bigdisk", []string{"slot2"},
			[]string{"localhost:bigdisk", "20261121195039", "parts 3 to 4 are missing", "FXASPAN-01, FXASPAN-03"}},
		{"the last volume", "fxspan", "vtapes", "bigdisk", []string{"slot3"}, []string{"of 255989 bytes are there", "FXASPAN-01, FXASPAN-02"}},
		{"the first volume", "fxspan", "vtapes", "bigdisk", []string{"slot1"}, []string{"parts 1 to 2 are missing"}},
		{"one volume alone", "fxspan", "vtapes/slot3", "bigdisk", nil, []string{"parts 1 to 4 are missing", "FXASPAN-03"}},
		{"the volume that mends a truncated part", "fxspanp", "vtapes", "bigdisk", []string{"slot2"}, []string{"part 4 is missing"}},
		{"another disk", "fxbasic", "vtapes", "img-rot", nil, []string{`"img-rot"`, `did you mean "img-root"?`}},
		{"no media", "fxbasic", "state", "img-root", nil, []string{"neither volumes nor a holding disk"}},
		{"encrypted, and no program named", "fxzstd", "vtapes", "szenc", nil, []string{"/srv/am/enc.sh", "--decrypt-with"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := unpackAmanda(t, tc.fixture)
			for _, slot := range tc.gone {
				if err := os.RemoveAll(filepath.Join(root, "vtapes", slot)); err != nil {
					t.Fatal(err)
				}
			}
			to := filepath.Join(t.TempDir(), "stream")
			code, _, stderr := holdfast(t, "restore", "--from-media", filepath.Join(root, tc.media), "--to", to, "localhost", tc.disk)
			if code == 0 {
				t.Errorf("exit 0: %s", stderr)
			}
			for _, want := range tc.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("does not say %q: %s", want, stderr)
				}
			}
			if _, err := os.Lstat(to); err == nil {
				t.Error("an output file is left behind")
			}
		})
	}
}

// Amanda does not write sizes into the headers of dumps that went straight to a volume. Whether the end of such a dump is
// there cannot be told, and that is said.
func TestAmandaDumpOfUnknownLength(t *testing.T) {
	root := unpackAmanda(t, "fxspan")
	paths, err := filepath.Glob(filepath.Join(root, "vtapes/slot*/*.bigdisk.0"))
	if err != nil || len(paths) != 5 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		h, err := vtape.ParseHeader(data)
		if err != nil {
			t.Fatal(err)
		}
		h.OrigKiB, h.Native, h.Client, h.Server = 0, vtape.CRC{}, vtape.CRC{}, vtape.CRC{}
		block, err := h.Block()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(block, data[vtape.HeaderBytes:]...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	to := filepath.Join(t.TempDir(), "stream")
	code, _, stderr := holdfast(t, "restore", "--from-media", filepath.Join(root, "vtapes"), "--to", to, "localhost", "bigdisk")
	if code != 0 || !strings.Contains(stderr, "nobody can tell") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if got, want := fileSum(t, to), "edd658b99a14d34b739370fddb07daf0a614c3d43023247506558506e4328b4c"; got != want {
		t.Errorf("SHA-256 %s, want %s", got, want)
	}
}

// unpackAmanda unpacks a fixture and gives its directory.
func unpackAmanda(t *testing.T, fixture string) string {
	t.Helper()
	dir := t.TempDir()
	testtools.Untar(t, "../../vtape/testdata/"+fixture+".tar.gz", vfs.OS(), dir)
	return filepath.Join(dir, fixture)
}

// opensslScript makes the program that encrypted the dumps of fxzstd.
func opensslScript(t *testing.T) string {
	t.Helper()
	testtools.Need(t, "openssl")
	path := filepath.Join(t.TempDir(), "enc.sh")
	text := "#!/bin/sh\nexec openssl enc -aes-256-ctr -pbkdf2 -pass pass:fixture \"$@\"\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func fileSum(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// holdfast runs the program with nothing on its standard input.
func holdfast(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), append([]string{"holdfast"}, args...), strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}
