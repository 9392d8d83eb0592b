package file_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/dumpers"
	"holdfast/dumpers/dumpertest"
	"holdfast/dumpers/file"
)

func TestConformance(t *testing.T) {
	for name, factory := range map[string]dumpertest.Factory{
		"raw":     rawFixture,
		"qcow2":   qcow2Fixture,
		"overlay": overlayFixture,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); dumpertest.Run(t, factory) })
	}
}

func rawFixture(t *testing.T, c dumpertest.Content) dumpertest.Fixture {
	path := rawImage(t, inDir(t, "image.raw"), c)
	return dumpertest.Fixture{
		Source: source(t, path, file.FormatRaw), Disk: "root",
		Write: func(t *testing.T, off int64, p []byte) { overwrite(t, path, off, p) },
	}
}

// rawImage writes blocks into a sparse file.
func rawImage(t testing.TB, path string, c dumpertest.Content) string {
	write(t, path, nil)
	if err := os.Truncate(path, c.SizeBytes); err != nil {
		t.Fatal(err)
	}
	for _, b := range c.Blocks {
		overwrite(t, path, b.Offset, b.Data)
	}
	return path
}

func qcow2Fixture(t *testing.T, c dumpertest.Content) dumpertest.Fixture {
	raw := rawImage(t, inDir(t, "image.raw"), c)
	path := filepath.Join(filepath.Dir(raw), "image.qcow2")
	runTool(t, "qemu-img", "convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd", raw, path)
	return qcow2Source(t, path)
}

// overlayFixture puts every other block into the overlay; the base is shorter, and what is not wanted in it is zeroed.
func overlayFixture(t *testing.T, c dumpertest.Content) dumpertest.Fixture {
	path := inDir(t, "top.qcow2")
	base := dumpertest.Content{SizeBytes: c.SizeBytes, Blocks: []dumpertest.Block{{Offset: 0, Data: noise(1, 512)}}}
	commands := []string{"write -z 0 512"}
	for i, b := range c.Blocks {
		if i%2 == 0 && b.Offset > 0 {
			base.Blocks = append(base.Blocks, b)
			base.SizeBytes = b.Offset + int64(len(b.Data))
			continue
		}
		commands = append(commands, writeCommand(t, b.Offset, b.Data))
	}
	rawImage(t, filepath.Join(filepath.Dir(path), "base.raw"), base)
	runTool(t, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "base.raw", path, fmt.Sprint(c.SizeBytes))
	qemuIO(t, path, commands...)
	return qcow2Source(t, path)
}

func qcow2Source(t *testing.T, path string) dumpertest.Fixture {
	return dumpertest.Fixture{
		Source: source(t, path, file.FormatQCOW2), Disk: "root",
		Write: func(t *testing.T, off int64, p []byte) { qemuIO(t, path, writeCommand(t, off, p)) },
	}
}

func writeCommand(t testing.TB, off int64, p []byte) string {
	return fmt.Sprintf("write -s %s %d %d", write(t, inDir(t, "pattern"), p), off, len(p))
}

// The map of an overlay is that of its top image alone; what no image has anything of is zero, so that a sparse disk
// is not read for nothing; what is mixed within 64 KiB is data.
func TestOverlayMap(t *testing.T) {
	dir := t.TempDir()
	base, middle, top := filepath.Join(dir, "base.raw"), filepath.Join(dir, "middle"), filepath.Join(dir, "top")
	rawImage(t, base, dumpertest.Content{SizeBytes: 20 * block, Blocks: []dumpertest.Block{{Offset: 0, Data: noise(1, 4*block)}}})
	runTool(t, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, middle, "1700k")
	qemuIO(t, middle, "write -z 128k 64k", "write 512k 64k", "write 1600k 64k")
	runTool(t, "qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", "-F", "qcow2", "-b", "middle", top, "3200512")
	qemuIO(t, top, "write 0 64k", "write -z 64k 64k", "write 516k 4k", "write -z 700k 4k", "write -z 3200000 512", "write -z 204k 4k")

	// block: 0 top; 1 zeroed by top; 2 zeroed by middle; 3 base with zeros of top in it; 8 middle with top in it; 25 middle;
	// 10 zeros of top among nothing; the rest nobody has.
	want := "data 0+1, zero 1+2, data 3+1, zero 4+4, data 8+1, zero 9+16, inherited 25+1, zero 26+23"
	v, end := pin(t, top, file.FormatQCOW2)
	if got := mapOf(t, v); got != want {
		t.Errorf("map is %s, want %s", got, want)
	}
	end()

	for _, test := range []struct {
		baseDumped bool
		blocks     int64
	}{{false, 4}, {true, 3}} {
		s, err := file.New(file.Options{Disk: "root", Path: top, Format: file.FormatQCOW2, BaseDumped: test.baseDumped})
		if err != nil {
			t.Fatal(err)
		}
		d, err := s.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		info := d.Disks[0]
		if info.AllocatedBytes != test.blocks*block || info.Backing != middle || info.SizeBytes != 3200512 {
			t.Errorf("base dumped %t: %+v, want %d blocks allocated", test.baseDumped, info, test.blocks)
		}
	}
}

func TestRawMap(t *testing.T) {
	path := rawImage(t, inDir(t, "image"), dumpertest.Content{SizeBytes: 100*block + 5, Blocks: []dumpertest.Block{
		{Offset: 3*block - 1, Data: []byte("ab")}, {Offset: 50 * block, Data: noise(1, 2*block)}, {Offset: 100*block + 4, Data: []byte("z")},
	}})
	v, _ := pin(t, path, file.FormatRaw)
	if got, want := mapOf(t, v), "zero 0+2, data 2+2, zero 4+46, data 50+2, zero 52+48, data 100+1"; got != want {
		t.Errorf("map is %s, want %s", got, want)
	}
}

// What cannot be dumped is refused with operation, file and cause, and of a kind that callers know.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	create := func(name string, args ...string) {
		runTool(t, "qemu-img", append(append([]string{"create", "-q", "-f", "qcow2"}, args...), in(name), "1M")...)
	}
	write(t, in("empty"), nil)
	write(t, in("raw"), noise(1, block))
	write(t, in("base"), noise(1, block))
	if err := unix.Mkfifo(in("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	create("whole")
	qemuIO(t, in("whole"), "write 0 512k")
	cut, err := os.ReadFile(in("whole"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, in("cut"), cut[:len(cut)-70000])
	create("orphan", "-u", "-F", "qcow2", "-b", "gone")
	create("grandchild", "-u", "-F", "qcow2", "-b", "orphan")
	create("formatless", "-F", "raw", "-b", in("base"))
	formatless, err := os.ReadFile(in("formatless"))
	if err != nil {
		t.Fatal(err)
	}
	// Another type makes the header extension that holds the format one that nobody knows.
	write(t, in("formatless"), bytes.Replace(formatless, []byte("\xe2\x79\x2a\xca"), []byte("\x12\x34\x56\x78"), 1))
	create("vmdk", "-u", "-F", "vmdk", "-b", "base")
	create("remote", "-u", "-F", "raw", "-b", "nbd://example.org/disk")
	create("json", "-u", "-F", "raw", "-b", `json:{"driver":"null-co"}`)
	create("self", "-u", "-F", "qcow2", "-b", "./self")
	create("one", "-u", "-F", "qcow2", "-b", "two")
	create("two", "-u", "-F", "qcow2", "-b", "link")
	if err := os.Symlink("one", in("link")); err != nil {
		t.Fatal(err)
	}
	create("up", "-u", "-F", "raw", "-b", "nowhere/../base")

	for _, test := range []struct {
		name, format string
		is           error
		want         string
	}{
		{"none", "raw", os.ErrNotExist, "open image: DIR/none: no such file or directory"},
		{".", "raw", dumpers.ErrUnsupported, "open image: DIR: it is a directory"},
		{"pipe", "raw", dumpers.ErrUnsupported, "neither a file nor a block device"},
		{"empty", "raw", dumpers.ErrDamaged, "the file is empty"},
		{"empty", "qcow2", dumpers.ErrDamaged, "the file is empty"},
		{"raw", "qcow2", dumpers.ErrUnsupported, "open image: DIR/raw: read qcow2 header: magic is"},
		{"cut", "qcow2", dumpers.ErrDamaged, "map image: DIR/cut: "},
		{"orphan", "qcow2", os.ErrNotExist, "open image: DIR/gone: no such file or directory (backing file of DIR/orphan)"},
		{"grandchild", "qcow2", os.ErrNotExist, "(backing file of DIR/orphan) (backing file of DIR/grandchild)"},
		{"formatless", "qcow2", dumpers.ErrUnsupported, "does not say the format of its backing file"},
		{"vmdk", "qcow2", dumpers.ErrUnsupported, `backing file "base": format "vmdk"`},
		{"remote", "qcow2", dumpers.ErrUnsupported, `backing file "nbd://example.org/disk" is not a local file`},
		{"json", "qcow2", dumpers.ErrUnsupported, "is not a local file"},
		{"self", "qcow2", dumpers.ErrDamaged, "go round in a circle"},
		{"one", "qcow2", dumpers.ErrDamaged, "go round in a circle"},
		{"up", "qcow2", os.ErrNotExist, `open image: DIR/up: backing file "nowhere/../base": no such file`},
	} {
		t.Run(test.name+" "+test.format, func(t *testing.T) {
			_, err := source(t, in(test.name), test.format).Describe(t.Context())
			want := strings.ReplaceAll(test.want, "DIR", dir)
			if !errors.Is(err, test.is) || !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("error is %v, want %q (%v)", err, want, test.is)
			}
		})
	}
	if err := os.Mkdir(in("nowhere"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := source(t, in("up"), "qcow2").Describe(t.Context()); err != nil {
		t.Errorf("a backing file one up: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for want, o := range map[string]file.Options{
		"the disk has no name": {Path: "p", Format: "raw"},
		"no path":              {Disk: "d", Format: "raw"},
		`format "", want raw`:  {Disk: "d", Path: "p"},
		`format "vmdk"`:        {Disk: "d", Path: "p", Format: "vmdk"},
	} {
		if _, err := file.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
}

// A backing file named by ".." is the one that the file system finds, also from a directory that is a link.
func TestBackingBesideLink(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"real/deep", "links"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	right := write(t, filepath.Join(dir, "real/base"), noise(1, block))
	write(t, filepath.Join(dir, "links/base"), noise(2, block))
	if err := os.Symlink("../real/deep", filepath.Join(dir, "links/deep")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "links/deep/top")
	runTool(t, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "../base", path)
	d, err := source(t, path, "qcow2").Describe(t.Context())
	if err != nil || d.Disks[0].Backing != right {
		t.Errorf("backing file of %+v, %v; want %s", d, err, right)
	}
}

// The identity stays while an image is written to, and changes when another takes its place.
func TestIdentity(t *testing.T) {
	path := write(t, inDir(t, "image"), noise(1, block))
	identity := func() string {
		t.Helper()
		d, err := source(t, path, "raw").Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return d.Disks[0].Identity
	}
	first := identity()
	overwrite(t, path, 0, []byte("other"))
	if now := identity(); now != first {
		t.Errorf("identity was %s, is %s after a write", first, now)
	}
	if err := os.Rename(write(t, path+".new", noise(1, block)), path); err != nil {
		t.Fatal(err)
	}
	if now := identity(); now == first {
		t.Errorf("identity is still %s in another file", now)
	}
}

// The metadata tell what the image was made of.
func TestMetadata(t *testing.T) {
	dir := t.TempDir()
	base := write(t, filepath.Join(dir, "base.raw"), noise(1, block))
	path := filepath.Join(dir, "top.qcow2")
	runTool(t, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, path)
	p, err := source(t, path, "qcow2").Pin(t.Context(), nil, "root")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Abort(t.Context())
	if c, why := p.Consistency("root"); c != dumpers.ConsistentOffline || why != "" {
		t.Errorf("consistency is %s: %s", c, why)
	}
	var document struct {
		Chain []struct {
			Path, Format string
			QCOW2        *struct {
				ClusterBytes int64 `json:"cluster_bytes"`
			}
		}
	}
	if err := json.Unmarshal(p.Metadata()["image.json"], &document); err != nil {
		t.Fatal(err)
	}
	c := document.Chain
	if len(c) != 2 || c[0].Path != path || c[0].QCOW2.ClusterBytes != block || c[1].Path != base || c[1].QCOW2 != nil {
		t.Errorf("metadata: %s", p.Metadata()["image.json"])
	}
}

// A file that becomes shorter while it is read is an error, not zeros and not an end.
func TestReadCutOff(t *testing.T) {
	path := write(t, inDir(t, "image"), noise(1, 2*block))
	v, _ := pin(t, path, "raw")
	if err := os.Truncate(path, block+1); err != nil {
		t.Fatal(err)
	}
	if n, err := v.ReadAt(make([]byte, block), block); n != 1 || !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		t.Errorf("read: %d, %v", n, err)
	}
}
