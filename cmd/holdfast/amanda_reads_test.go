package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/internal/testtools"
	"holdfast/vtape"
)

// amandaConf is all that Amanda's commands want to read media of others: paths and the changer. DIR is replaced.
const amandaConf = `org "test"
mailto ""
dumpuser "backup"
infofile "DIR/state/curinfo"
logdir "DIR/state/log"
indexdir "DIR/state/index"
tapelist "DIR/state/tapelist"
define tapetype TEST {
    length 10 mbytes
}
tapetype TEST
define changer vt {
    tpchanger "chg-disk:DIR/vtapes"
}
tpchanger "vt"
labelstr "^HF-[0-9][0-9]*$"
`

// amandaSite is a site whose media belong to Amanda's user, and a configuration of Amanda's beside it.
type amandaSite struct {
	*nights
	as  *syscall.Credential // nil when the test runs as Amanda's user
	env []string
}

// newAmandaSite makes a site of three VMs: plain, zst and enc, named after what is done to their dumps.
func newAmandaSite(t *testing.T) *amandaSite {
	t.Helper()
	testtools.Need(t, "amrestore", "amtape", "amadmin", "amfetchdump", "amcheckdump", "age", "age-keygen", "zstd", "qemu-img")
	s := &amandaSite{as: amandaUser(t)}
	// The directories of tests are their user's alone, and Amanda's is another.
	dir, err := os.MkdirTemp("", "holdfast-amanda-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s.nights = newNights(t, dir, `
org: test
state: catalog
holding: [{dir: holding, use: 100MiB, chunk: 512KiB}]
storage:
  vtapes: {device: dir, path: vtapes, slots: 8, volume-size: 2MiB, part-size: 384KiB, label: "HF-%%%", run-volumes: 6}
dump-types:
  plain: {compress: none}
  secret: {encrypt: {recipients: recipients, program: `+dir+`/amanda-age}}
dles:
  - {vm: plain, image: plain.raw, format: raw, type: plain}
  - {vm: zst, image: zst.raw, format: raw}
  - {vm: enc, image: enc.raw, format: raw, type: secret}
`)
	for _, sub := range []string{"state/log", "out"} {
		if err := os.MkdirAll(s.path(sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.write("amanda.conf", []byte(strings.ReplaceAll(amandaConf, "DIR", dir)))
	s.write("disklist", nil)
	s.makeKeys()
	return s
}

// amandaUser gives the user that Amanda's commands insist on.
func amandaUser(t *testing.T) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup("backup")
	if err != nil {
		t.Fatal(err)
	}
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(errUID, errGID); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == int(uid) {
		return nil
	}
	if os.Getuid() != 0 {
		const why = "Amanda's commands insist on the user backup, and only root can become that"
		if os.Getenv("HOLDFAST_REQUIRE_TOOLS") == "1" {
			t.Fatal(why + ", and HOLDFAST_REQUIRE_TOOLS=1")
		}
		t.Skip(why)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// makeKeys makes the pair of keys, and puts the program that decrypts for Amanda where the dump type says it is.
func (s *amandaSite) makeKeys() {
	s.Helper()
	if code, _, stderr := holdfast(s, "key", "generate", "--identity", s.path("identity"), "--recipients", s.path("recipients")); code != 0 {
		s.Fatal(stderr)
	}
	script, err := os.ReadFile("../../scripts/amanda-age")
	if err != nil {
		s.Fatal(err)
	}
	s.write("amanda-age", script)
	if err := os.Chmod(s.path("amanda-age"), 0o755); err != nil {
		s.Fatal(err)
	}
	s.env = append(os.Environ(), "HOLDFAST_IDENTITY="+s.path("identity"))
}

// handOver gives all of the site to Amanda's user.
func (s *amandaSite) handOver() {
	s.Helper()
	if s.as == nil {
		return
	}
	err := filepath.WalkDir(s.dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, int(s.as.Uid), int(s.as.Gid)))
	})
	if err != nil {
		s.Fatal(err)
	}
}

// try runs a command of Amanda's in a directory of the site, as Amanda's user, with nothing on its standard input and a
// time limit: Amanda's commands wait for ever for a volume that they do not find.
func (s *amandaSite) try(dir, name string, args ...string) (stdout string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	path, err := exec.LookPath(name)
	if err != nil {
		path = "/usr/sbin/" + name
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = s.path(dir), s.env, time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s%s", strings.Join(cmd.Args, " "), err, out.Bytes()[:min(out.Len(), 2000)], errs.String())
	}
	return out.String(), nil
}

// amanda is try for a command that must succeed. A configuration named "." is the directory it is run in.
func (s *amandaSite) amanda(dir, name string, args ...string) string {
	s.Helper()
	out, err := s.try(dir, name, args...)
	if err != nil {
		s.Fatal(err)
	}
	return out
}

// partFile is a file of a dump on a vtape.
type partFile struct {
	slot   string
	number int
	volume vtape.Header // the label
	vtape.Header
	bytes int64
}

func (p partFile) name() string {
	return catalog.StandardName(catalog.DLE{VM: p.Host, Disk: p.Disk}, catalog.Stamp(p.Stamp), p.Level)
}

// parts reads the headers on all vtapes, in the order of slots and file numbers: that of writing.
func (s *amandaSite) parts() []partFile {
	s.Helper()
	paths, err := filepath.Glob(s.path("vtapes/slot*/[0-9]*"))
	if err != nil || len(paths) == 0 {
		s.Fatal("no vtapes", err)
	}
	var list []partFile
	var volume vtape.Header
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			s.Fatal(err)
		}
		h, err := vtape.ParseHeader(data)
		if err != nil {
			s.Fatalf("%s: %v", path, err)
		}
		if h.Type == vtape.TypeTapeStart {
			volume = h
			continue
		}
		number, err := strconv.Atoi(filepath.Base(path)[:5])
		if err != nil {
			s.Fatal(err)
		}
		list = append(list, partFile{filepath.Base(filepath.Dir(path)), number, volume, h, int64(len(data)) - vtape.HeaderBytes})
	}
	return list
}

// byDump groups the parts by the standard names of their dumps.
func byDump(parts []partFile) map[string][]partFile {
	dumps := map[string][]partFile{}
	for _, p := range parts {
		dumps[p.name()] = append(dumps[p.name()], p)
	}
	return dumps
}

// twoNights runs two nights and keeps the images of each as VM.raw.LEVEL.
func (s *amandaSite) twoNights() {
	s.Helper()
	noise := map[string]int{"plain": 5 << 19, "zst": 3 << 19, "enc": 1 << 20}
	for vm, length := range noise {
		s.rawImage(vm+".raw", length)
		s.keep(vm+".raw", vm+".raw.0")
	}
	s.night("2026-03-01 01:00")
	for vm := range noise {
		s.change(vm+".raw", 1<<20+70000, 100_000)
		s.change(vm+".raw", 7<<19, 50_000)
		s.keep(vm+".raw", vm+".raw.1")
	}
	s.night("2026-03-02 01:00")
	s.handOver()
}

// Amanda's own commands list, check and restore what two nights of holdfast have written: levels 0 and 1, in one part and
// in several over several volumes, plain, compressed and encrypted. The chains decode to the images.
func TestAmandaReadsOurMedia(t *testing.T) {
	s := newAmandaSite(t)
	s.twoNights()
	parts := s.parts()
	dumps := byDump(parts)
	t.Run("media", func(t *testing.T) { checkShapes(t, dumps) })
	t.Run("amtape", func(t *testing.T) { checkAmtape(t, s, parts) })
	t.Run("amrestore", func(t *testing.T) { checkChains(t, s, dumps, (*amandaSite).amrestore) })
	s.writeLogs(parts)
	t.Run("find", func(t *testing.T) { checkFind(t, s, parts) })
	t.Run("amcheckdump", func(t *testing.T) { checkAmcheckdump(t, s, parts) })
	t.Run("amfetchdump", func(t *testing.T) { checkChains(t, s, dumps, (*amandaSite).amfetchdump) })
}

// checkShapes makes sure that the nights have made what the test is about.
func checkShapes(t *testing.T, dumps map[string][]partFile) {
	if len(dumps) != 6 {
		t.Fatalf("%d dumps, want 6", len(dumps))
	}
	for name, parts := range dumps {
		volumes := map[string]bool{}
		for _, p := range parts {
			volumes[p.slot] = true
		}
		switch full := parts[0].Level == 0; {
		case full && len(parts) < 3, !full && len(parts) != 1:
			t.Errorf("%s has %d parts", name, len(parts))
		case full && parts[0].Host != "enc" && len(volumes) < 2:
			t.Errorf("%s lies on one volume", name)
		}
	}
}

func checkAmtape(t *testing.T, s *amandaSite, parts []partFile) {
	show := s.amanda(".", "amtape", ".", "show")
	for _, p := range parts {
		want := fmt.Sprintf("slot%4s: date %s label %s\n", strings.TrimPrefix(p.slot, "slot"), p.volume.Stamp, p.volume.Label)
		if !strings.Contains(show, want) {
			t.Errorf("amtape does not say %q: %s", want, show)
		}
	}
}

// checkChains restores every dump by its standard name into one directory, and compares the disk that qemu-img sees in
// each with the image.
func checkChains(t *testing.T, s *amandaSite, dumps map[string][]partFile, restore func(*amandaSite, string, []partFile) []byte) {
	var names []string
	for name, parts := range dumps {
		s.write(name, restore(s, name, parts))
		names = append(names, name)
	}
	for _, name := range names {
		p := dumps[name][0]
		s.sameDisk(fmt.Sprintf("%s.raw.%d", p.Host, p.Level), "raw", name, "qcow2")
	}
	for _, name := range names {
		if err := os.Remove(s.path(name)); err != nil {
			t.Fatal(err)
		}
	}
}

// amrestore gets a dump out of the volumes it lies on. A dump in one part comes out decoded. Of one in several parts the
// stored bytes are joined and decoded: by zstd after amrestore -c, and by hand after amrestore -r when encrypted, for
// amrestore decrypts each part by itself even with -c.
func (s *amandaSite) amrestore(name string, parts []partFile) []byte {
	s.Helper()
	first := parts[0]
	option, skip := "", 0
	if len(parts) > 1 && first.Encrypted {
		option, skip = "-r", vtape.HeaderBytes
	} else if len(parts) > 1 && first.Compress != "N" {
		option = "-c"
	}
	s.restoreParts(option, parts)
	files, err := filepath.Glob(s.path("out/*"))
	if err != nil || len(files) != len(parts) {
		s.Fatalf("%s: amrestore made %d files of %d parts (%v)", name, len(files), len(parts), err)
	}
	var stream bytes.Buffer
	for _, file := range files { // named by the part number, seven digits
		data, err := os.ReadFile(file)
		if err != nil {
			s.Fatal(err)
		}
		stream.Write(data[skip:])
		if err := os.Remove(file); err != nil {
			s.Fatal(err)
		}
	}
	if option == "" {
		return stream.Bytes()
	}
	if first.Encrypted {
		stream = *bytes.NewBuffer(s.filter(&stream, "age", "-d", "-i", s.path("identity")))
	}
	return s.filter(&stream, "zstd", "-d")
}

// restoreParts runs amrestore on each volume that has one of the parts.
func (s *amandaSite) restoreParts(option string, parts []partFile) {
	s.Helper()
	slots := map[string]bool{}
	for _, p := range parts {
		if slots[p.slot] {
			continue
		}
		slots[p.slot] = true
		args := []string{"file:" + s.path("vtapes/"+p.slot), p.Host, p.Disk, p.Stamp}
		if option != "" {
			args = append([]string{option}, args...)
		}
		s.amanda("out", "amrestore", args...)
	}
}

func (s *amandaSite) filter(in *bytes.Buffer, name string, args ...string) []byte {
	s.Helper()
	cmd := exec.Command(name, args...)
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stderr = in, &errs
	out, err := cmd.Output()
	if err != nil {
		s.Fatalf("%s: %v: %s", name, err, errs.String())
	}
	return out
}

// amfetchdump gets a dump by Amanda's catalog, joined and decoded.
func (s *amandaSite) amfetchdump(_ string, parts []partFile) []byte {
	s.Helper()
	p := parts[0]
	return []byte(s.amanda(".", "amfetchdump", "-p", ".", p.Host, p.Disk, p.Stamp, strconv.Itoa(int(p.Level))))
}

// writeLogs writes the smallest tapelist and logs from which Amanda's find, fetch and check work.
func (s *amandaSite) writeLogs(parts []partFile) {
	s.Helper()
	logs := map[string]string{}
	var tapes []string
	for i, p := range parts {
		run := p.volume.Stamp
		tape := fmt.Sprintf("%s %s reuse BLOCKSIZE:32\n", run, p.volume.Label)
		if !slices.Contains(tapes, tape) {
			tapes = append(tapes, tape)
			logs[run] += fmt.Sprintf("START taper datestamp %s label %s tape %d\n", run, p.volume.Label, len(tapes))
		}
		total := len(byDump(parts)[p.name()])
		logs[run] += fmt.Sprintf("PART taper %s %d %s %s %s %d/%d %d [sec 0.1 bytes %d kps 1000.0]\n",
			p.volume.Label, p.number, p.Host, p.Disk, p.Stamp, p.Part, total, p.Level, p.bytes)
		if last := i+1 == len(parts) || parts[i+1].name() != p.name(); last {
			logs[run] += fmt.Sprintf("DONE taper %s %s %s %d %d %s %s %s [sec 0.1 bytes %d kps 1000.0]\n",
				p.Host, p.Disk, p.Stamp, total, p.Level, crcWord(p.Native), crcWord(p.Client), crcWord(p.Server), p.Server.Bytes)
		}
	}
	slices.Sort(tapes)
	slices.Reverse(tapes) // the newest first
	s.write("state/tapelist", []byte(strings.Join(tapes, "")))
	for run, text := range logs {
		s.write("state/log/log."+run+".0", []byte(text))
	}
	s.handOver()
}

func crcWord(c vtape.CRC) string { return fmt.Sprintf("%08x:%d", c.Sum, c.Bytes) }

var blanks = regexp.MustCompile(` +`)

func checkFind(t *testing.T, s *amandaSite, parts []partFile) {
	find := blanks.ReplaceAllString(s.amanda(".", "amadmin", ".", "find"), " ")
	for _, p := range parts {
		want := fmt.Sprintf(" %s %d %d/%d OK", p.volume.Label, p.number, p.Part, len(byDump(parts)[p.name()]))
		if !strings.Contains(find, want) {
			t.Errorf("amadmin find does not say %q: %s", want, find)
		}
	}
	if got := strings.Count(find, " OK"); got != len(parts) {
		t.Errorf("amadmin find shows %d parts, want %d: %s", got, len(parts), find)
	}
}

// Amanda reads every dump whole, decodes it, and compares with the checksums that our headers give.
func checkAmcheckdump(t *testing.T, s *amandaSite, parts []partFile) {
	for _, run := range []string{parts[0].volume.Stamp, parts[len(parts)-1].volume.Stamp} {
		if out := s.amanda(".", "amcheckdump", "-t", run, "."); !strings.Contains(out, "All images (3) successfully validated") {
			t.Errorf("amcheckdump of run %s: %s", run, out)
		}
	}
}

// Amanda reads what a run without volumes has left on the holding disk, chunk after chunk.
func TestAmandaReadsOurHoldingDisk(t *testing.T) {
	s := newAmandaSite(t)
	for _, vm := range []string{"plain", "zst", "enc"} {
		s.rawImage(vm+".raw", 5<<18)
	}
	s.night("2026-03-01 01:00", "--no-taper")
	s.handOver()
	for _, vm := range []string{"plain", "zst", "enc"} {
		name := vm + ".disk0.20260301010000.0"
		if chunks, _ := filepath.Glob(s.path("holding/20260301010000/" + vm + ".disk0.0*")); len(chunks) < 3 {
			t.Errorf("%s: chunks %v, want several", vm, chunks)
		}
		s.amanda("out", "amrestore", s.path("holding/20260301010000/"+vm+".disk0.0"))
		s.sameDisk(vm+".raw", "raw", "out/"+name+".0000001", "qcow2")
	}
}
