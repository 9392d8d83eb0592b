package file_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/dumpers"
	"holdfast/dumpers/file"
)

// What is an image is found, in order of names, with a reason where it cannot be read; the rest is left alone.
func TestDiscover(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	write(t, in("base.raw"), noise(1, 4*block))
	for _, name := range []string{"web.qcow2", "cloud.img", "strange.disk", "header.raw", ".hidden.qcow2"} {
		runTool(t, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "base.raw", in(name), "1M")
	}
	qemuIO(t, in("web.qcow2"), "write 0 64k")
	write(t, in("plain.IMG"), noise(2, block))
	write(t, in("plain.raw"), noise(2, block))
	write(t, in(" two: words.raw"), noise(2, block))
	write(t, in("lies.qcow2"), noise(2, block))
	write(t, in("empty.raw"), nil)
	write(t, in("notes.txt"), []byte("QFI"))
	if err := errors.Join(os.Mkdir(in("folder.raw"), 0o700), os.Symlink("nowhere", in("broken.raw"))); err != nil {
		t.Fatal(err)
	}
	opened(t, "-f", "qcow2", in("web.qcow2"))

	found, err := file.Discover(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		line := fmt.Sprintf("%s %s %s", f.VM, filepath.Base(f.Path), f.Format)
		if f.Err == nil {
			line += fmt.Sprintf(" %d/%d", f.AllocatedBytes/block, f.SizeBytes/block)
		}
		if f.Backing == in("base.raw") {
			line += " on base"
		}
		if f.InUse {
			line += " in use"
		}
		got = append(got, line)
	}
	want := []string{
		"two-words  two: words.raw raw 1/1",
		"base base.raw raw 4/4",
		"broken broken.raw raw",
		"cloud cloud.img qcow2 0/16 on base",
		"empty empty.raw raw",
		"header header.raw raw 3/3",
		"lies lies.qcow2 qcow2",
		"plain.IMG plain.IMG raw 1/1",
		"plain.raw plain.raw raw 1/1",
		"strange strange.disk qcow2 0/16 on base",
		"web web.qcow2 qcow2 1/16 on base in use",
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("found\n%s\nwant\n%s", g, w)
	}
	for i, is := range map[int]error{2: os.ErrNotExist, 4: dumpers.ErrDamaged, 6: dumpers.ErrUnsupported} {
		if !errors.Is(found[i].Err, is) {
			t.Errorf("%s: %v, want %v", found[i].Path, found[i].Err, is)
		}
	}
	if _, err := file.Discover(t.Context(), in("nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := file.Discover(ctx, dir); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
}

// Copies of a golden image that have drifted are told from images of their own, across formats, and from those that are
// too small to tell; an overlay names its backing file.
func TestRelations(t *testing.T) {
	dir := t.TempDir()
	born := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	image := func(name string, p []byte) {
		path := write(t, filepath.Join(dir, name), p)
		born = born.Add(time.Hour)
		if err := os.Chtimes(path, born, born); err != nil {
			t.Fatal(err)
		}
	}
	golden := noise(1, 400*block)
	clear(golden[100*block : 200*block])
	drifted := func(seed uint64, from, blocks int) []byte {
		p := append([]byte(nil), golden...)
		copy(p[from*block:], noise(seed, blocks*block))
		return p
	}
	image("zz-golden.raw", golden)
	image("clone1.raw", drifted(2, 0, 60))
	image("clone2.raw", drifted(3, 0, 60))
	image("grown.raw", append(drifted(4, 210, 20), noise(5, 50*block)...))
	image("far.raw", drifted(6, 0, 320))
	image("other.raw", noise(7, 300*block))
	image("small1.raw", noise(8, 7*block))
	image("small2.raw", noise(8, 7*block))
	image("blank1.raw", make([]byte, 20*block))
	image("blank2.raw", make([]byte, 20*block))
	runTool(t, "qemu-img", "convert", "-c", "-O", "qcow2", filepath.Join(dir, "clone2.raw"), filepath.Join(dir, "packed.qcow2"))
	runTool(t, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "zz-golden.raw", filepath.Join(dir, "linked.qcow2"))
	write(t, filepath.Join(dir, "broken.qcow2"), golden)

	found, err := file.Discover(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	relations, err := file.Relations(t.Context(), found)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		image, base, kind string
		share             float64
	}{
		{"clone1.raw", "zz-golden.raw", file.KindCopy, 0.8},
		{"clone2.raw", "zz-golden.raw", file.KindCopy, 0.8},
		{"grown.raw", "zz-golden.raw", file.KindCopy, 280. / 350},
		{"linked.qcow2", "zz-golden.raw", file.KindBacking, 1},
		{"packed.qcow2", "clone2.raw", file.KindCopy, 1},
	}
	if len(relations) != len(want) {
		t.Fatalf("relations are %+v, want %d", relations, len(want))
	}
	for i, w := range want {
		r := relations[i]
		if r.Image != filepath.Join(dir, w.image) || r.Base != filepath.Join(dir, w.base) || r.Kind != w.kind {
			t.Errorf("relation is %+v, want %+v", r, w)
		}
		if r.Share < w.share-0.09 || r.Share > w.share+0.09 {
			t.Errorf("%s: share is %.2f, want about %.2f", w.image, r.Share, w.share)
		}
	}
	if err := os.Remove(filepath.Join(dir, "clone1.raw")); err != nil {
		t.Fatal(err)
	}
	relations, err = file.Relations(t.Context(), found)
	if !errors.Is(err, os.ErrNotExist) || len(relations) != len(want)-1 {
		t.Errorf("with an image gone: %+v, %v", relations, err)
	}
}
