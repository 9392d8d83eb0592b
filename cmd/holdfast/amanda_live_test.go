package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/testtools"
	"holdfast/scheduler/amanda"
)

// liveConf is a configuration of Amanda's for a run of its own: vtapes so small that a dump spans two of them.
const liveConf = `org "live"
mailto ""
dumpuser "backup"
infofile "DIR/state/curinfo"
logdir "DIR/state/log"
indexdir "DIR/state/index"
tapelist "DIR/state/tapelist"
dumpcycle 7 days
runspercycle 1
tapecycle 4 tapes
inparallel 1
reserve 0
runtapes 4
labelstr "^LIVE-[0-9][0-9]*$"
autolabel "LIVE-%%" any
define tapetype T {
    length 1200 kbytes
    part_size 256 kbytes
}
tapetype T
define changer ch {
    tpchanger "chg-disk:DIR/vtapes"
}
tpchanger "ch"
define holdingdisk hd {
    directory "DIR/holding"
    chunksize 512 kbytes
    use 100 mbytes
}
holdingdisk hd
define application amraw {
    plugin "amraw"
}
define dumptype raw {
    program "APPLICATION"
    application "amraw"
    auth "local"
    compress none
    estimate server
}
define dumptype zip {
    raw
    compress server fast
}
`

// newLiveAmanda makes a site of Amanda's in a directory of its own, with two images. Name is its configuration's:
// a link among Amanda's own, for the programs that amdump starts look for it there.
func newLiveAmanda(t *testing.T) (s *amandaSite, name string) {
	t.Helper()
	testtools.Need(t, "amdump")
	s = &amandaSite{as: amandaUser(t), env: os.Environ()}
	dir, err := os.MkdirTemp("", "holdfast-live-")
	if err != nil {
		t.Fatal(err)
	}
	s.nights = &nights{TB: t, dir: dir}
	name = filepath.Base(dir)
	link := "/etc/amanda/" + name
	t.Cleanup(func() {
		_ = os.Remove(link)
		_ = os.RemoveAll(dir)
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, link); err != nil {
		testtools.Lacking(t, fmt.Sprintf("amdump looks for its configuration below /etc/amanda: %v", err))
	}
	for _, sub := range []string{"state/log", "state/index", "state/curinfo", "vtapes/slot1", "vtapes/slot2", "vtapes/slot3", "vtapes/slot4", "holding"} {
		if err := os.MkdirAll(s.path(sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.write("amanda.conf", []byte(strings.ReplaceAll(liveConf, "DIR", dir)))
	s.write("disklist", fmt.Appendf(nil, "localhost plain %s/plain.img raw\nlocalhost zipped %s/zipped.img zip\n", dir, dir))
	s.write("state/tapelist", nil)
	for _, image := range []string{"plain.img", "zipped.img"} {
		s.write(image, nil)
		s.change(image, 70_001, 900_000)
		s.change(image, 1_500_000, 3_333)
	}
	s.handOver()
	return s, name
}

// A run of Amanda's own, adopted with its lists: the dumps, one of them on two volumes and one compressed, come back as the
// images they were made of.
func TestAdoptARunOfAmandas(t *testing.T) {
	theirs, name := newLiveAmanda(t)
	if out, errs, err := theirs.tryFor(3*time.Minute, ".", "amdump", name); err != nil {
		logs, _ := filepath.Glob(theirs.path("state/log/log.2*"))
		for _, path := range logs {
			text, _ := os.ReadFile(path)
			errs += string(text)
		}
		t.Fatalf("%v: %s%s", err, out, errs)
	}
	vtapes := theirs.path("vtapes")
	s := makeAdopting(t, theirs.dir, vtapes, "device: dir, path: "+vtapes, 4)
	code, out, stderr := holdfast(t, "--config", s.config, "volume", "adopt", "--json", "--storage", "theirs", "--amanda", theirs.dir, vtapes)
	var got amanda.Result
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || stderr != "" {
		t.Fatalf("adopt: exit %d: %v: %s%s", code, err, out, stderr)
	}
	if got.Volumes < 2 || got.Dumps != 2 || got.Copies != 2 || len(got.Partial)+len(got.LeftOut)+len(got.Notes) > 0 {
		t.Errorf("adopted %+v", got)
	}
	for _, disk := range []string{"plain", "zipped"} {
		to := s.path(disk)
		if code, _, stderr := holdfast(t, "--config", s.config, "restore", "localhost", disk, "--to", to); code != 0 {
			t.Errorf("%s: exit %d: %s", disk, code, stderr)
			continue
		}
		if fileSum(t, to) != fileSum(t, theirs.path(disk+".img")) {
			t.Errorf("%s is not the image", disk)
		}
	}
	if out := s.answer("verify"); strings.Count(out, "\nok ")+1 < 2 || strings.Contains(out, "DAMAGED") {
		t.Errorf("verify: %s", out)
	}
}
