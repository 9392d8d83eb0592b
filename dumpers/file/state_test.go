package file_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/dumpers"
	"holdfast/internal/testtools"
)

// While somebody has an image, or one below it, open for writing, it is in use; a reader is in nobody's way.
func TestInUse(t *testing.T) {
	for _, test := range []struct {
		name    string
		command func(dir string) []string
		want    error
	}{
		{"raw written", func(d string) []string { return []string{"-f", "raw", d + "/base.raw"} }, dumpers.ErrInUse},
		{"raw read", func(d string) []string { return []string{"-r", "-f", "raw", d + "/base.raw"} }, nil},
		{"overlay written", func(d string) []string { return []string{"-f", "qcow2", d + "/top.qcow2"} }, dumpers.ErrInUse},
		{"overlay read", func(d string) []string { return []string{"-r", "-f", "qcow2", d + "/top.qcow2"} }, nil},
		{"other overlay of the base written", func(d string) []string { return []string{"-f", "qcow2", d + "/other.qcow2"} }, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := overlays(t)
			end := opened(t, test.command(dir)...)
			s := source(t, dir+"/top.qcow2", "qcow2")
			_, err := s.Describe(t.Context())
			if !errors.Is(err, test.want) {
				t.Errorf("describe: %v, want %v", err, test.want)
			}
			p, err := s.Pin(t.Context(), nil)
			if !errors.Is(err, test.want) {
				t.Errorf("pin: %v, want %v", err, test.want)
			}
			if err == nil {
				p.Abort(t.Context())
			}
			end()
			if p, err = s.Pin(t.Context(), nil); err != nil {
				t.Fatalf("pin after the other has closed it: %v", err)
			}
			p.Commit(t.Context())
		})
	}
}

// overlays makes a directory with base.raw, and top.qcow2 and other.qcow2 upon it.
func overlays(t *testing.T) string {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "base.raw"), noise(1, 4*block))
	for _, name := range []string{"top.qcow2", "other.qcow2"} {
		runTool(t, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "base.raw", filepath.Join(dir, name))
	}
	return dir
}

// While an image is pinned QEMU does not open it, or what it rests on, for writing. Others may read; what is beside it
// is not touched; and when the point has ended all is as before.
func TestPinnedKeepsWritersOut(t *testing.T) {
	testtools.Need(t, "qemu-io")
	dir := overlays(t)
	try := func(args ...string) string {
		out, _ := exec.Command("qemu-io", append(args, "-c", "read 0 512")...).CombinedOutput()
		return string(out)
	}
	for range 2 {
		_, end := pin(t, dir+"/top.qcow2", "qcow2")
		_, end2 := pin(t, dir+"/top.qcow2", "qcow2") // two readers at once
		end2()
		for _, args := range [][]string{{"-f", "qcow2", dir + "/top.qcow2"}, {"-f", "raw", dir + "/base.raw"}} {
			if out := try(args...); !strings.Contains(out, `Failed to get "write" lock`) {
				t.Errorf("qemu-io %q: %s, want a refusal", args, out)
			}
		}
		for _, args := range [][]string{{"-r", "-f", "qcow2", dir + "/top.qcow2"}, {"-f", "qcow2", dir + "/other.qcow2"}} {
			if out := try(args...); !strings.Contains(out, "read 512/512") {
				t.Errorf("qemu-io %q: %s, want success", args, out)
			}
		}
		end()
		if out := try("-f", "qcow2", dir+"/top.qcow2"); !strings.Contains(out, "read 512/512") {
			t.Errorf("after the point: %s", out)
		}
	}
}

// What happens to any file of the chain while it is read is told, with the file's name.
func TestChanged(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(t *testing.T, dir string) error
		want   string
	}{
		{"nothing", func(*testing.T, string) error { return nil }, ""},
		{"read by others", func(t *testing.T, dir string) error { _, err := os.ReadFile(dir + "/base.raw"); return err }, ""},
		{"base written", func(t *testing.T, dir string) error {
			overwrite(t, dir+"/base.raw", 0, []byte("x"))
			return nil
		}, "base.raw: was written to"},
		{"base grown", func(t *testing.T, dir string) error { return os.Truncate(dir+"/base.raw", 5*block) },
			"base.raw: changed its length from 262144 to 327680 bytes"},
		{"mode", func(t *testing.T, dir string) error { return os.Chmod(dir+"/top.qcow2", 0o640) }, "top.qcow2: changed its owner"},
		{"removed", func(t *testing.T, dir string) error {
			return errors.Join(os.Link(dir+"/base.raw", dir+"/kept"), os.Remove(dir+"/base.raw"))
		}, "base.raw: "},
		{"replaced", func(t *testing.T, dir string) error {
			return os.Rename(write(t, dir+"/new", noise(3, block)), dir+"/base.raw")
		}, "base.raw: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := overlays(t)
			v, _ := pin(t, dir+"/top.qcow2", "qcow2")
			if err := test.change(t, dir); err != nil {
				t.Fatal(err)
			}
			why, err := v.Changed()
			if err != nil || !strings.Contains(why, test.want) || (test.want == "") != (why == "") {
				t.Errorf("%q, %v; want %q", why, err, test.want)
			}
		})
	}
}

// Of a device that is mostly empty not all is taken for data: it has no map, but samples tell.
func TestDeviceMostlyEmpty(t *testing.T) {
	testtools.Need(t, "losetup")
	path := inDir(t, "image")
	if err := os.WriteFile(path, noise(1, 256*block), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1024*block); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "-f", "--show", path).CombinedOutput()
	if err != nil {
		testtools.Lacking(t, "no loop device can be had here: "+string(out))
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() { runTool(t, "losetup", "-d", device) })
	d, err := source(t, device, "raw").Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Disks[0].AllocatedBytes; got < 256*block || got > 280*block {
		t.Errorf("%d bytes are taken for data, want about %d", got, 256*block)
	}
}

// A block device is read in full, is found to be mounted, and its writes are counted by the kernel.
func TestDevice(t *testing.T) {
	testtools.Need(t, "losetup", "mkfs.ext4")
	path := inDir(t, "image")
	if err := os.WriteFile(path, noise(1, 64*block), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "-f", "--show", path).CombinedOutput()
	if err != nil {
		testtools.Lacking(t, "no loop device can be had here: "+string(out))
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() { runTool(t, "losetup", "-d", device) })

	d, err := source(t, device, "raw").Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	info := d.Disks[0]
	if info.Format != "device" || info.SizeBytes != 64*block || info.AllocatedBytes != 64*block || info.Identity != "raw device "+device {
		t.Errorf("description: %+v", info)
	}
	v, end := pin(t, device, "raw")
	if got := mapOf(t, v); got != "data 0+64" {
		t.Errorf("map is %s", got)
	}
	if why, err := v.Changed(); why != "" || err != nil {
		t.Errorf("unchanged: %q, %v", why, err)
	}
	runTool(t, "mkfs.ext4", "-q", "-F", device)
	if why, err := v.Changed(); why != device+": was written to while it was read" || err != nil {
		t.Errorf("written to: %q, %v", why, err)
	}
	end()

	mount := t.TempDir()
	if out, err := exec.Command("mount", device, mount).CombinedOutput(); err != nil {
		testtools.Lacking(t, "nothing can be mounted here: "+string(out))
	}
	t.Cleanup(func() { runTool(t, "umount", mount) })
	p, err := source(t, device, "raw").Pin(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Abort(t.Context())
	if c, why := p.Consistency("root"); c != dumpers.ConsistentUnknown || why != device+": is mounted for writing on "+mount {
		t.Errorf("consistency %s: %s", c, why)
	}
}
