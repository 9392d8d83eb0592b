package holding_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"holdfast/internal/testtools"
	"holdfast/internal/vfs"
	"holdfast/vtape/holding"
)

// Amanda's own command restores a dump of several chunks from our holding disk.
func TestAmrestoreReadsOurs(t *testing.T) {
	testtools.Need(t, "amrestore")
	disk, out := t.TempDir(), t.TempDir()
	h := holding.New(vfs.OS(), holding.Options{Dirs: []holding.Dir{{Path: disk}}, ChunkBytes: chunk})
	content := random(3*data + 4711)
	head := header("web01", "disk:0", 1)
	head.Compress = "N"
	held := mustHold(t, h, head, content)
	checkHeld(t, vfs.OS(), held, content)

	cmd := exec.Command("/usr/sbin/amrestore", held.Chunks[0].Path)
	cmd.Dir = out
	if os.Geteuid() == 0 {
		asBackup(t, cmd, disk, out)
	}
	if says, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, says)
	}
	written, err := filepath.Glob(out + "/*")
	if err != nil || len(written) != 1 {
		t.Fatalf("amrestore wrote %v, error %v", written, err)
	}
	if got, err := os.ReadFile(written[0]); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%s: other bytes than were written (%d, want %d), error %v", written[0], len(got), len(content), err)
	}
	if err := h.Release(held); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(disk); err != nil || len(left) > 0 {
		t.Errorf("left: %v, error %v", left, err)
	}
}

// asBackup makes the command run as Amanda's user, who gets the directories: Amanda's commands refuse root.
func asBackup(t *testing.T, cmd *exec.Cmd, dirs ...string) {
	t.Helper()
	u, err := user.Lookup("backup")
	if err != nil {
		t.Fatal(err)
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	if uidErr != nil || gidErr != nil {
		t.Fatal(u)
	}
	for _, dir := range dirs {
		// The directory of all of a test's directories lets nobody else in.
		if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
			t.Fatal(err)
		}
		err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Chown(name, uid, gid)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}
