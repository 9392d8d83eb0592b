package s3_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"holdfast/internal/s3test"
	"holdfast/internal/testtools"
	"holdfast/vtape/devicetest"
)

// amandaAddress is where the server also listens for Amanda, which can use no port but its scheme's.
const amandaAddress = "127.0.0.80"

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
define changer ch {
    tpchanger "chg-multi:s3:<bucket>/tapes-slot{1,2}-"
    changerfile "DIR/state/changer"
    device-property "S3_ACCESS_KEY" "<key>"
    device-property "S3_SECRET_KEY" "<secret>"
    device-property "S3_HOST" "<host>"
    device-property "S3_SSL" "off"
    device-property "S3_SUBDOMAIN" "off"
    device-property "STORAGE_API" "AWS4"
}
tpchanger "ch"
labelstr "^DEMO-[0-9][0-9]*$"
`

// Amanda's own command finds our volume in a bucket, and restores what is on it.
func TestAmandaReadsOurBucket(t *testing.T) {
	testtools.Need(t, "amrestore")
	as := amandaUser(t)
	server := s3test.Start(t, "--port", amandaAddress+":80")
	server.Bucket(t, bucket, false)
	o := options(server.URL)
	o.Prefix = "tapes-"
	dev := open(t, o).Shelf("offsite", 2).Device("1")
	data := devicetest.Data(1, 6*mib)
	must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
	h := devicetest.Header(1)
	h.Compress, h.ServerCompress, h.Disk = "N", "", "plain"
	devicetest.Write(t, dev, 1, h, data[:mib])
	h.Part = 2
	devicetest.Write(t, dev, 2, h, data)

	dir, err := os.MkdirTemp("", "holdfast-s3-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.MkdirAll(filepath.Join(dir, "state", "log"), 0o755))
	conf := strings.NewReplacer("DIR", dir, "<bucket>", bucket, "<key>", s3test.AccessKey, "<secret>", s3test.SecretKey, "<host>", amandaAddress)
	must(t, os.WriteFile(filepath.Join(dir, "amanda.conf"), []byte(conf.Replace(amandaConf)), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "disklist"), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "state", "tapelist"), nil, 0o600))
	must(t, filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chown(name, int(as.Uid), int(as.Gid)))
	}))
	cmd := exec.Command("/usr/sbin/amrestore", "--config", ".", "ch")
	cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: as}
	says, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, says)
	}
	for name, want := range map[string][]byte{
		"web01.plain.20250102030405.1.0000001": data[:mib],
		"web01.plain.20250102030405.1.0000002": data,
	} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d, %v\n%s", name, len(got), len(want), err, says)
		}
	}
}

// amandaUser gives the user that Amanda's commands insist on; only root can become that, and listen on port 80.
func amandaUser(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		testtools.Lacking(t, "Amanda reads S3 on port 80 alone and as the user backup, and only root can do both")
	}
	u, err := user.Lookup("backup")
	must(t, err)
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	must(t, err)
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	must(t, err)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
