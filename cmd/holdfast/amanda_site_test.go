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
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/internal/testtools"
	"holdfast/vtape"
)

// amandaSite is a site whose media belong to Amanda's user.
type amandaSite struct {
	*nights
	as  *syscall.Credential // nil when the test runs as Amanda's user
	env []string
}

// newAmandaSite makes a site on a library in a directory.
func newAmandaSite(t *testing.T) *amandaSite {
	t.Helper()
	return makeAmandaSite(t, "device: dir, path: vtapes")
}

// makeAmandaSite makes a site of four VMs, named after what is done to their dumps: plain, zst, enc, and direct, whose
// dumps go straight to a volume. On is the library they go to, in the words of the configuration.
func makeAmandaSite(t *testing.T, on string) *amandaSite {
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
  vtapes: {`+on+`, slots: 9, volume-size: 2MiB, part-size: 512KiB, label: "HF-%%%", run-volumes: 6}
dump-types:
  default: {max-promote: 0d} # the levels are fixed
  plain: {compress: none}
  secret: {encrypt: {recipients: recipients, program: `+dir+`/amanda-age}}
  direct: {holding: never}
dles:
  - {vm: plain, image: plain.raw, format: raw, type: plain}
  - {vm: zst, image: zst.raw, format: raw}
  - {vm: enc, image: enc.raw, format: raw, type: secret}
  - {vm: direct, image: direct.raw, format: raw, type: direct}
`)
	if err := os.Mkdir(s.path("out"), 0o755); err != nil {
		t.Fatal(err)
	}
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
		testtools.Lacking(t, "Amanda's commands insist on the user backup, and only root can become that")
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

// export writes the catalog for Amanda, whose configuration is then in export/STORAGE.
func (s *amandaSite) export() {
	s.Helper()
	if code, _, stderr := holdfast(s, "--config", s.config, "volume", "export-amanda", s.path("export")); code != 0 || stderr != "" {
		s.Fatalf("exit %d: %s", code, stderr)
	}
	s.handOver()
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
func (s *amandaSite) try(dir, name string, args ...string) (stdout, stderr string, err error) {
	return s.tryFor(30*time.Second, dir, name, args...)
}

// tryFor is try with a time limit of its own.
func (s *amandaSite) tryFor(limit time.Duration, dir, name string, args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
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
		err = fmt.Errorf("%s: %w: %s%s", strings.Join(cmd.Args, " "), err, out.Bytes()[:min(out.Len(), 2000)], errs.String())
		return out.String(), errs.String(), err
	}
	return out.String(), errs.String(), nil
}

// amanda is try for a command that must succeed. A configuration named "." is the directory it is run in.
func (s *amandaSite) amanda(dir, name string, args ...string) (stdout, stderr string) {
	s.Helper()
	stdout, stderr, err := s.try(dir, name, args...)
	if err != nil {
		s.Fatal(err)
	}
	return stdout, stderr
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

// parts reads the headers on all vtapes, in the order of slots (fewer than ten) and file numbers: that of writing.
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
		if h.Program == catalog.ProgramRecord {
			continue // our own catalog's: Amanda is not told of it
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
