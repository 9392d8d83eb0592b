package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/testtools"
)

// withoutPage is the page that tells how to restore without this program.
const withoutPage = "../../docs/restore-without-holdfast.md"

// withoutTools is all that the page's commands may call.
var withoutTools = []string{
	"age", "dd", "qemu-img", "zstd", // and of coreutils:
	"cat", "cut", "head", "mkdir", "sort", "tail", "tr", "wc",
}

// withoutSite is a site that is like the one on the page, and a way to run the page's commands on it.
type withoutSite struct {
	*nights
	blocks []string
}

// newWithoutSite runs three nights: web01 is encrypted, web02 a linked clone of golden, db01 as it is, and the last
// night's dump of it is left on the holding disk.
func newWithoutSite(t *testing.T) *withoutSite {
	t.Helper()
	testtools.Need(t, append([]string{"qemu-io"}, withoutTools...)...)
	s := &withoutSite{nights: newNights(t, t.TempDir(), `
org: test
state: state
holding: [{dir: holding, use: 100MiB, chunk: 256KiB}]
storage:
  vtapes: {device: dir, path: vtapes, slots: 12, volume-size: 2MiB, part-size: 512KiB, label: "V-%%%", run-volumes: 6}
dump-types:
  default: {max-promote: 0d} # the levels are fixed
  plain: {compress: none}
  secret: {encrypt: {recipients: recipients}}
dles:
  - {vm: golden, image: golden.qcow2, format: qcow2}
  - {vm: web02, image: web02.qcow2, format: qcow2, base: golden}
  - {vm: web01, image: web01.raw, format: raw, type: secret}
  - {vm: db01, image: db01.raw, format: raw, type: plain}
`)}
	s.blocks = shellBlocks(t)
	if code, _, stderr := holdfast(s, "key", "generate", "--identity", s.path("identity"), "--recipients", s.path("recipients")); code != 0 {
		t.Fatal(stderr)
	}
	s.rawImage("web01.raw", 5<<18)
	s.rawImage("db01.raw", 5<<18)
	s.rawImage("golden.raw", 5<<18)
	s.tool("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "golden.raw", "golden.qcow2")
	s.tool("qemu-img", "create", "-f", "qcow2", "-F", "qcow2", "-b", "golden.qcow2", "web02.qcow2")
	s.tool("qemu-io", "-f", "qcow2", "-c", "write -P 0x5a 1200k 100k", "-c", "write -z 1536k 64k", "web02.qcow2")
	s.night("2026-11-20 01:00")
	s.change("web01.raw", 2<<20, 100_000)
	s.change("db01.raw", 2<<20, 100_000)
	s.tool("qemu-io", "-f", "qcow2", "-c", "write -P 0x5b 1m 10k", "-c", "write -P 0x5c 4095k 1k", "web02.qcow2")
	s.night("2026-11-21 01:00")
	s.keep("web01.raw", "web01.kept")
	s.change("db01.raw", 7<<19, 300_000)
	s.night("2026-11-22 01:00", "--no-taper", "db01")
	return s
}

func (s *withoutSite) tool(name string, args ...string) {
	s.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		s.Fatalf("%v: %v: %s", cmd.Args, err, out)
	}
}

// shellBlocks gives the commands of the page: what stands between ```sh and ```.
func shellBlocks(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile(withoutPage)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, piece := range strings.Split(string(page), "\n```sh\n")[1:] {
		block, _, ok := strings.Cut(piece, "\n```\n")
		if !ok {
			t.Fatalf("a block does not end: %.60q", piece)
		}
		blocks = append(blocks, block+"\n")
	}
	return blocks
}

// sh runs commands of the page in a shell that ends at the first failure, and finds nothing but the page's tools.
func (s *withoutSite) sh(commands ...string) (output string, err error) {
	s.Helper()
	bin := s.TempDir()
	for _, tool := range withoutTools {
		path, err := exec.LookPath(tool)
		if err != nil {
			s.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, tool)); err != nil {
			s.Fatal(err)
		}
	}
	script := strings.NewReplacer(
		"/backup/vtapes", s.path("vtapes"), "/backup/holding", s.path("holding"),
		"/safe/holdfast-identity.txt", s.path("identity"), "/var/tmp/restore", s.path("restore"),
	).Replace(strings.Join(commands, "\n"))
	cmd := exec.Command("/bin/sh", "-eu")
	cmd.Stdin, cmd.Env = strings.NewReader(script), []string{"PATH=" + bin, "LC_ALL=C.UTF-8"}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

// The page's commands, from the first to the last, restore an encrypted image, a linked clone with its golden image, and
// a dump from the holding disk.
func TestRestoreWithoutHoldfast(t *testing.T) {
	s := newWithoutSite(t)
	out, err := s.sh(s.blocks...)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{
		"Now: get web01 disk0 20261120010000 0\n", "Now: get web02 disk0 20261120010000 0\n",
		"Now: get golden disk0 20261120010000 0\n", "Now: get db01 disk0 20261120010000 0\n",
		"golden.disk0.20261120010000.0.qcow2 is right, and the last one\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the commands do not say %q: %s", want, out)
		}
	}
	s.sameDisk("web01.kept", "raw", "restore/web01.raw", "raw")
	s.sameDisk("web01.kept", "raw", "restore/web01-now.qcow2", "qcow2")
	s.sameDisk("web02.qcow2", "qcow2", "restore/web02.qcow2", "qcow2")
	s.sameDisk("db01.raw", "raw", "restore/db01.raw", "raw")
}

// What is not right with the media is said, and a part that was cut off and written again does no harm.
func TestRestoreWithoutHoldfastFromBadMedia(t *testing.T) {
	s := newWithoutSite(t)
	const get = "get web01 disk0 20261120010000 0\n"
	prepare := s.blocks[0] + s.blocks[1] + s.blocks[3] // all but the look at one header
	parts, err := filepath.Glob(s.path("vtapes/slot*/*.web01.disk0.0"))
	if err != nil || len(parts) < 3 {
		t.Fatalf("parts %v: want at least 3 (%v)", parts, err)
	}
	again := func(part, as string, length int) {
		t.Helper()
		data, err := os.ReadFile(part)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(as, data[:length], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again(parts[1], s.path("vtapes/slot12/00001.web01.disk0.0"), 100_000)
	out, err := s.sh(prepare, get)
	if err != nil || !strings.Contains(out, "is right") {
		t.Errorf("a part that is there twice: %v: %s", err, out)
	}
	for _, tc := range []struct {
		name string
		harm func()
		want string
	}{
		{"damaged", func() { flipByte(t, parts[1], 200_000) }, "failed to decrypt"},
		{"cut off", func() { again(parts[2], parts[2], 100_000) }, "one is missing or cut off"},
		{"missing", func() { _ = os.Remove(parts[2]) }, "one is missing or cut off"},
		{"all missing", func() {
			for _, p := range append(parts, s.path("vtapes/slot12/00001.web01.disk0.0")) {
				_ = os.Remove(p)
			}
		}, "no such dump"},
	} {
		tc.harm()
		if out, err := s.sh(prepare, get); err == nil || !strings.Contains(out, tc.want) {
			t.Errorf("%s: %v: does not say %q: %s", tc.name, err, tc.want, out)
		}
	}
}

// flipByte changes a byte of a file.
func flipByte(t *testing.T, path string, at int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[at] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
