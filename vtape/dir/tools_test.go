package dir_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"holdfast/internal/testtools"
	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/dir"
)

func command(t *testing.T, stdin []byte, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, stderr.Bytes())
	}
	return stdout.Bytes()
}

// volume writes one volume with a plain dump in two parts and a compressed one, and gives its directory.
func volume(t *testing.T, plain, compressed []byte) string {
	t.Helper()
	slot := t.TempDir()
	dev := dir.New(vfs.OS(), slot, dir.Options{})
	must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
	h := devicetest.Header(1)
	h.Compress, h.ServerCompress, h.Disk = "N", "", "plain"
	devicetest.Write(t, dev, 1, h, plain[:vtape.PartAlign])
	h.Part = 2
	devicetest.Write(t, dev, 2, h, plain[vtape.PartAlign:])
	devicetest.Write(t, dev, 3, devicetest.Header(1), compressed)
	return slot
}

// Amanda's own command restores our volume, names and all.
func TestAmrestoreReadsOurVolume(t *testing.T) {
	testtools.Need(t, "amrestore", "zstd")
	plain, image := devicetest.Data(1, 2*vtape.PartAlign), bytes.Repeat([]byte("image "), 100_000)
	slot, out := volume(t, plain, command(t, image, "zstd", "-c")), t.TempDir()

	cmd := exec.Command("/usr/sbin/amrestore", "file:"+slot)
	cmd.Dir = out
	if os.Geteuid() == 0 { // Amanda's commands refuse root
		u, err := user.Lookup("backup")
		must(t, err)
		uid, err := strconv.Atoi(u.Uid)
		must(t, err)
		gid, err := strconv.Atoi(u.Gid)
		must(t, err)
		must(t, os.Chmod(filepath.Dir(out), 0o755)) // the directory of all of a test's directories
		for _, root := range []string{slot, out} {
			must(t, filepath.WalkDir(root, func(name string, _ fs.DirEntry, err error) error {
				must(t, err)
				return os.Chown(name, uid, gid)
			}))
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	if says, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, says)
	}
	for name, want := range map[string][]byte{
		"web01.plain.20250102030405.1.0000001":     plain[:vtape.PartAlign],
		"web01.plain.20250102030405.1.0000002":     plain[vtape.PartAlign:],
		"web01.sys tem_0.20250102030405.1.0000001": image,
	} {
		if got, err := os.ReadFile(filepath.Join(out, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d, %v", name, len(got), len(want), err)
		}
	}
}

// The command that stands in a header gives the content back, as it stands there.
func TestRestoreLineWorks(t *testing.T) {
	testtools.Need(t, "dd", "zstd", "age", "age-keygen")
	image := bytes.Repeat([]byte("image "), 10_000)
	key := filepath.Join(t.TempDir(), "key")
	command(t, nil, "age-keygen", "-o", key)
	recipient := strings.TrimSpace(string(command(t, nil, "age-keygen", "-y", key)))
	compressed := command(t, image, "zstd", "-c")
	encrypted := command(t, compressed, "age", "-r", recipient)

	plain := devicetest.Header(1)
	plain.Compress, plain.ServerCompress, plain.Disk = "N", "", "it's $HOME; *"
	secret := devicetest.Header(1)
	secret.Encrypted, secret.ServerEncrypt, secret.ServerDecryptOpt = true, "/usr/bin/age-wrapper", "-d"
	for n, tc := range []struct {
		h      vtape.Header
		stored []byte
		name   string
	}{
		{plain, image, "web01.it's $HOME; *.20250102030405.1.qcow2"},
		{devicetest.Header(1), compressed, "web01.sys tem_0.20250102030405.1.qcow2"},
		{secret, encrypted, "web01.sys tem_0.20250102030405.1.qcow2"},
	} {
		slot, out := t.TempDir(), t.TempDir()
		dev := dir.New(vfs.OS(), slot, dir.Options{})
		must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
		devicetest.Write(t, dev, 1, tc.h, tc.stored)
		block, err := os.ReadFile(filepath.Join(slot, vtape.PartName(1, tc.h.Host, tc.h.Disk, tc.h.Level)))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(out, "tape"), block, 0o600))

		_, line, found := strings.Cut(string(block[:vtape.HeaderBytes]), "To restore, position tape at start of file and run:\n\t")
		line, _, _ = strings.Cut(line, "\n")
		if !found {
			t.Fatalf("case %d: no restore line in the header", n)
		}
		line = strings.NewReplacer("<tape>", "tape", "KEY", key).Replace(line)
		command(t, nil, "sh", "-c", "cd "+out+" && "+line)
		if got, err := os.ReadFile(filepath.Join(out, tc.name)); err != nil || !bytes.Equal(got, image) {
			t.Errorf("%s: %d bytes, want %d, %v", line, len(got), len(image), err)
		}
	}
}
