package rait_test

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

	"holdfast/internal/testtools"
	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/dir"
	"holdfast/vtape/rait"
)

// amandaConf is all that Amanda's commands want to read media of others. DIR is replaced.
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
tpchanger "chg-disk:DIR/none"
labelstr "^DEMO-[0-9][0-9]*$"
`

// amandaSite is a directory that belongs to Amanda's user.
type amandaSite struct {
	testing.TB
	dir string
	as  *syscall.Credential // nil when the test runs as Amanda's user
}

func newAmandaSite(t *testing.T) *amandaSite {
	t.Helper()
	testtools.Need(t, "amrestore", "amfetchdump")
	u, err := user.Lookup("backup")
	must(t, err)
	uid, err := strconv.Atoi(u.Uid)
	must(t, err)
	gid, err := strconv.Atoi(u.Gid)
	must(t, err)
	s := &amandaSite{TB: t}
	if os.Getuid() != uid {
		if os.Getuid() != 0 {
			testtools.Lacking(t, "Amanda's commands insist on the user backup, and only root can become that")
		}
		s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	// The directories of tests are their user's alone, and Amanda's is another.
	s.dir, err = os.MkdirTemp("", "holdfast-rait-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(s.dir) })
	must(t, os.Chmod(s.dir, 0o755))
	return s
}

// handOver gives all of the site to Amanda's user.
func (s *amandaSite) handOver() {
	s.Helper()
	if s.as == nil {
		return
	}
	must(s, filepath.WalkDir(s.dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, int(s.as.Uid), int(s.as.Gid)))
	}))
}

// amanda runs a command of Amanda's in a directory, with nothing on its standard input and a time limit.
func (s *amandaSite) amanda(dir, name string, args ...string) (stdout []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/usr/sbin/"+name, args...)
	cmd.Dir, cmd.WaitDelay = dir, time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, errs.String())
	}
	return out.Bytes(), err
}

// deviceName is Amanda's name for the set, without some members.
func (s *amandaSite) deviceName(members, without int) string {
	var list []string
	for i := range members {
		if i == without {
			list = append(list, "MISSING")
		} else {
			list = append(list, "file:"+filepath.Join(s.dir, member(i), "slot1"))
		}
	}
	return "rait:{" + strings.Join(list, ",") + "}"
}

// writeDump writes a dump in two parts, the second with an odd end, and all that Amanda wants to know of it.
func (s *amandaSite) writeDump(members int) (data []byte) {
	s.Helper()
	var list []rait.Member
	for i := range members {
		slot := filepath.Join(s.dir, member(i), "slot1")
		must(s, os.MkdirAll(slot, 0o755))
		list = append(list, rait.Member{Name: member(i)[1:], Device: dir.New(vfs.OS(), slot, dir.Options{})})
	}
	d, err := rait.New(list, rait.Options{})
	must(s, err)
	must(s, d.Format(ctx, devicetest.Label("DEMO-001")))
	first := 2 * int(d.AlignBytes())
	data = devicetest.Data(5, first+150_001)
	const line = "START taper datestamp 20250102030405 label DEMO-001 tape 1\n"
	log := line
	for n, part := range [][]byte{data[:first], data[first:]} {
		h := devicetest.Header(n + 1)
		h.Disk, h.Compress, h.ServerCompress, h.Level = "disk0", "N", "", 0
		devicetest.Write(s, d, n+1, h, part)
		log += fmt.Sprintf("PART taper DEMO-001 %d web01 disk0 20250102030405 %d/2 0 [sec 0.1 bytes %d kps 1000.0]\n", n+1, n+1, len(part))
	}
	crc := fmt.Sprintf("%08x:%d", vtape.Checksum(data), len(data))
	log += fmt.Sprintf("DONE taper web01 disk0 20250102030405 2 0 %s %s %s [sec 0.1 bytes %d kps 1000.0]\n", crc, crc, crc, len(data))
	must(s, os.MkdirAll(filepath.Join(s.dir, "state/log"), 0o755))
	must(s, os.MkdirAll(filepath.Join(s.dir, "none/slot1"), 0o755))
	for name, text := range map[string]string{
		"amanda.conf": strings.ReplaceAll(amandaConf, "DIR", s.dir), "disklist": "",
		"state/tapelist": "20250102030405 DEMO-001 reuse\n", "state/log/log.20250102030405.0": log,
	} {
		must(s, os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644))
	}
	return data
}

// Amanda's own commands restore what we wrote to sets of 2, 3, 4 and 5, with all members and with each one missing. They
// give back the padding of the last part.
func TestAmandaReadsOurSets(t *testing.T) {
	for _, members := range []int{2, 3, 4, 5} {
		t.Run(fmt.Sprint(members), func(t *testing.T) {
			s := newAmandaSite(t)
			want := s.writeDump(members)
			for without := -1; without < members; without++ {
				name := s.deviceName(members, without)
				out := filepath.Join(s.dir, fmt.Sprintf("out%d", without+1))
				must(t, os.Mkdir(out, 0o755))
				s.handOver()
				// At the end of a set amrestore sometimes says that seeking failed, after all has been restored.
				_, runErr := s.amanda(out, "amrestore", name)
				files, err := filepath.Glob(filepath.Join(out, "web01.disk0.*"))
				must(t, err)
				var got []byte
				for _, f := range files {
					data, err := os.ReadFile(f)
					must(t, err)
					got = append(got, data...)
				}
				same(t, "amrestore "+name, got, want, runErr)
				got, runErr = s.amanda(s.dir, "amfetchdump", "-p", "-d", name, ".", "web01", "disk0")
				same(t, "amfetchdump "+name, got, want, runErr)
			}
		})
	}
}

func same(t *testing.T, what string, got, want []byte, err error) {
	t.Helper()
	if len(got) < len(want) || !bytes.Equal(got[:len(want)], want) || len(bytes.Trim(got[len(want):], "\x00")) > 0 {
		t.Errorf("%s: %d bytes, want %d: %v", what, len(got), len(want), err)
	}
}
