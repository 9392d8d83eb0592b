package nbd_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"holdfast/internal/nbd"
)

const cluster = 64 << 10

// extents maps a range of an export.
func extents(t *testing.T, c *nbd.Client, start, length int64) (all []nbd.Extent) {
	t.Helper()
	err := c.Extents(t.Context(), start, length, func(e nbd.Extent) error {
		all = append(all, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// expect makes extents of the states of clusters.
func expect(states [][nbd.ContextsMax]uint32) (all []nbd.Extent) {
	for i, s := range states {
		if n := len(all); n > 0 && all[n-1].States == s {
			all[n-1].Length += cluster
		} else {
			all = append(all, nbd.Extent{Start: int64(i) * cluster, Length: cluster, States: s})
		}
	}
	return all
}

// bitmapImage is a qcow2 image of 4 MiB over a base, with clusters written before and after each of two bitmaps were
// made; and what its contexts should say: allocation, first bitmap, second bitmap, depth.
func bitmapImage(t *testing.T) (name string, states [][nbd.ContextsMax]uint32) {
	dir := t.TempDir()
	base, name := filepath.Join(dir, "base.qcow2"), filepath.Join(dir, "disk.qcow2")
	states = make([][nbd.ContextsMax]uint32, 64)
	for i := range states {
		states[i][0] = nbd.StateHole | nbd.StateZero
	}
	write := func(image string, depth uint32, command string, clusters []int, bitmaps int) {
		for _, n := range clusters {
			run(t, "qemu-io", "-f", "qcow2", "-c", fmt.Sprintf("%s %d %d", command, n*cluster, cluster), image)
			s := &states[n]
			s[0], s[3] = 0, depth
			if command == "write -z" {
				s[0] = nbd.StateHole | nbd.StateZero // allocated as zeros
			}
			for b := range bitmaps {
				s[1+b] = nbd.StateDirty
			}
		}
	}
	run(t, "qemu-img", "create", "-q", "-f", "qcow2", base, "4M")
	write(base, 2, "write -P 1", []int{1, 2, 3, 40}, 0)
	run(t, "qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", name)
	write(name, 1, "write -P 2", []int{3, 4, 63}, 0)
	run(t, "qemu-img", "bitmap", "--add", name, "first")
	write(name, 1, "write -P 3", []int{4, 5}, 1)
	write(name, 1, "write -z", []int{20, 40}, 1)
	run(t, "qemu-img", "bitmap", "--add", name, "second")
	write(name, 1, "write -P 4", []int{5, 30}, 2)
	for _, bitmap := range []string{"first", "second"} {
		run(t, "qemu-img", "bitmap", "--disable", name, bitmap)
	}
	return name, states
}

// TestMap reads four contexts at once, whole and in parts, from qemu-storage-daemon.
func TestMap(t *testing.T) {
	name, states := bitmapImage(t)
	s := serve(t, "unix", "qemu-storage-daemon",
		"--blockdev", "driver=file,node-name=f,read-only=on,filename="+name,
		"--blockdev", "driver=qcow2,node-name=q,read-only=on,file=f",
		"--nbd-server", "addr.type=fd,addr.str=3",
		"--export", "type=nbd,id=e,node-name=q,name=d,bitmaps.0=first,bitmaps.1=second,allocation-depth=on")
	contexts := []string{nbd.ContextAllocation, nbd.ContextBitmap + "first", nbd.ContextBitmap + "second", nbd.ContextDepth}
	c := s.open("nbd", "d", mapping(contexts...))
	if got, want := extents(t, c, 0, c.SizeBytes()), expect(states); !slices.Equal(got, want) {
		t.Errorf("all:\n%+v\nnot\n%+v", got, want)
	}
	// A part in the middle of clusters.
	start, length := int64(3*cluster+100), int64(2*cluster)
	want := []nbd.Extent{
		{Start: start, Length: cluster - 100, States: states[3]},
		{Start: 4 * cluster, Length: cluster, States: states[4]},
		{Start: 5 * cluster, Length: 100, States: states[5]},
	}
	if got := extents(t, c, start, length); !slices.Equal(got, want) {
		t.Errorf("part:\n%+v\nnot\n%+v", got, want)
	}
	// In the other order, and fewer.
	c = s.open("nbd", "d", mapping(nbd.ContextBitmap+"second", nbd.ContextAllocation))
	for i, s := range states {
		states[i] = [nbd.ContextsMax]uint32{s[2], s[0]}
	}
	if got, want := extents(t, c, 0, c.SizeBytes()), expect(states); !slices.Equal(got, want) {
		t.Errorf("two:\n%+v\nnot\n%+v", got, want)
	}
	full := errors.New("that is enough")
	if err := c.Extents(t.Context(), 0, c.SizeBytes(), func(nbd.Extent) error { return full }); err != full {
		t.Errorf("the error of yield came back as %v", err)
	}
}

// TestMapBitmap reads a bitmap from qemu-nbd, too.
func TestMapBitmap(t *testing.T) {
	name, states := bitmapImage(t)
	c := serve(t, "unix", "qemu-nbd", "-r", "-t", "-f", "qcow2", "-B", "first", "-x", "d", name).
		open("nbd", "d", mapping(nbd.ContextBitmap+"first"))
	for i, s := range states {
		states[i] = [nbd.ContextsMax]uint32{s[1]}
	}
	if got, want := extents(t, c, 0, c.SizeBytes()), expect(states); !slices.Equal(got, want) {
		t.Errorf("got\n%+v\nnot\n%+v", got, want)
	}
}

// TestMapMany: a disk in more pieces than are kept of one reply, and longer than one request can ask for, comes as
// qemu-img sees it.
func TestMapMany(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk.raw")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range int64(9000) {
		if _, err := f.WriteAt(noise(1, 4096), i*8192); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(9 << 30); err != nil {
		t.Fatal(err)
	}
	var want []struct {
		Start, Length int64
		Data          bool
	}
	if err := json.Unmarshal([]byte(run(t, "qemu-img", "map", "-f", "raw", "--output=json", name)), &want); err != nil {
		t.Fatal(err)
	}
	if len(want) < 18000 {
		t.Fatalf("the image has %d extents: the file system is too coarse for this test", len(want))
	}
	for _, command := range [][]string{{"qemu-nbd", "-r", "-t", "-f", "raw", name}, {"nbdkit", "-f", "-r", "file", name}} {
		c := serve(t, "unix", command...).open("nbd", "", mapping(nbd.ContextAllocation))
		got := extents(t, c, 0, c.SizeBytes())
		if len(got) != len(want) {
			t.Fatalf("%s: %d extents, not %d", command[0], len(got), len(want))
		}
		for i, e := range got {
			if w := want[i]; e.Start != w.Start || e.Length != w.Length || (e.States[0]&nbd.StateHole == 0) != w.Data {
				t.Fatalf("%s: extent %d is %+v, not %+v", command[0], i, e, w)
			}
		}
	}
}

// TestMapWithout: without contexts, or without structured replies, there is no map.
func TestMapWithout(t *testing.T) {
	s := serve(t, "unix", "nbdkit", "-f", "-r", "--no-sr", "memory", "1M")
	err := s.open("nbd", "", nbd.Options{}).Extents(t.Context(), 0, 4096, nil)
	if !errors.Is(err, nbd.ErrUnsupported) {
		t.Errorf("without contexts: %v", err)
	}
	if _, err := nbd.Open(t.Context(), s.uri("nbd", ""), mapping(nbd.ContextAllocation)); !errors.Is(err, nbd.ErrNoContext) {
		t.Errorf("without structured replies: %v", err)
	}
}

// TestMapWithinABlock: a range that begins and ends within blocks is mapped to the byte.
func TestMapWithinABlock(t *testing.T) {
	name := imageOf(t, noise(1, 1<<20))
	c := serve(t, "unix", "nbdkit", "-f", "--filter=blocksize-policy", "file", name, "blocksize-minimum=4096", "blocksize-preferred=4096",
		"blocksize-maximum=1M", "blocksize-error-policy=error").open("nbd", "", mapping(nbd.ContextAllocation))
	for _, want := range []nbd.Extent{{Start: 100, Length: 1000}, {Start: 4000, Length: 200}, {Start: 1<<20 - 1, Length: 1}} {
		if got := extents(t, c, want.Start, want.Length); !slices.Equal(got, []nbd.Extent{want}) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}
