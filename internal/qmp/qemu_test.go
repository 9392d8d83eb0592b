package qmp_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/qmp"
	"holdfast/internal/testguest"
	"holdfast/internal/testtools"
)

const imageSize = 16 << 20

// bare is a QEMU without a guest, with one qcow2 image as node "disk".
func bare(t *testing.T) (*qmp.Client, *testguest.Guest) {
	t.Helper()
	testtools.Need(t, "qemu-img")
	g := testguest.StartBare(t)
	c, err := qmp.Dial(t.Context(), g.QMP[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	addImage(t, c, "qcow2", filepath.Join(g.Dir, "disk"))
	return c, g
}

// addImage makes an image, and a node of its file's name.
func addImage(t *testing.T, c *qmp.Client, format, path string) {
	t.Helper()
	if out, err := exec.Command("qemu-img", "create", "-q", "-f", format, path, "16M").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	must(t, c.AddNode(t.Context(), map[string]any{
		"node-name": filepath.Base(path), "driver": format, "file": map[string]any{"driver": "file", "filename": path},
	}))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantRefusal(t *testing.T, err error, texts ...string) {
	t.Helper()
	if !qmp.Refused(err, "") {
		t.Errorf("not refused: %v", err)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("refusal %q lacks %q", err, text)
		}
	}
}

// QEMU greets one client; the next one hears nothing until the first has gone.
func TestSecondClient(t *testing.T) {
	c, g := bare(t)
	if !c.Version.AtLeast(5, 0) || c.Version.AtLeast(1000, 0) {
		t.Errorf("version %+v", c.Version)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := qmp.Dial(ctx, g.QMP[0]); !errors.Is(err, qmp.ErrNoGreeting) || !strings.Contains(err.Error(), g.QMP[0]) {
		t.Errorf("a second client: %v", err)
	}
	must(t, c.Close())
	next, err := qmp.Dial(t.Context(), g.QMP[0])
	must(t, err)
	must(t, next.Close())
	if _, err := qmp.Dial(t.Context(), filepath.Join(g.Dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no socket: %v", err)
	}
}

// What QEMU can do is asked of QEMU.
func TestAbilities(t *testing.T) {
	c, _ := bare(t)
	drivers, err := c.BlockDrivers(t.Context())
	must(t, err)
	for _, name := range []string{"qcow2", "raw", "file", "nbd"} {
		if !slices.Contains(drivers, name) {
			t.Errorf("no driver %s in %v", name, drivers)
		}
	}
	can, err := c.CanSnapshotAccess(t.Context())
	must(t, err)
	if can != slices.Contains(drivers, "snapshot-access") && c.Version.AtLeast(7, 1) {
		t.Errorf("snapshot access %v, drivers %v", can, drivers)
	}
	commands, err := c.Commands(t.Context())
	must(t, err)
	if !slices.Contains(commands, "block-dirty-bitmap-merge") {
		t.Errorf("commands %v", commands)
	}
	err = c.Execute(t.Context(), "no-such-command", nil, nil)
	if !qmp.Refused(err, qmp.ClassCommandNotFound) {
		t.Errorf("an unknown command: %v", err)
	}
	status, err := c.Status(t.Context())
	must(t, err)
	if status.Running {
		t.Errorf("status %+v of a machine that was not started", status)
	}
}

// Bitmaps are added, merged and counted; a transaction with one bad member does nothing at all.
func TestBitmaps(t *testing.T) {
	c, g := bare(t)
	ref := func(name string) qmp.BitmapRef { return qmp.BitmapRef{Node: "disk", Name: name} }
	must(t, c.Transaction(t.Context(),
		qmp.AddBitmap(qmp.Bitmap{BitmapRef: ref("old"), Persistent: true}),
		qmp.AddBitmap(qmp.Bitmap{BitmapRef: ref("sum"), GranularityBytes: 32 << 10, Disabled: true})))
	err := c.Transaction(t.Context(), qmp.AddBitmap(qmp.Bitmap{BitmapRef: ref("new")}), qmp.DisableBitmap(ref("old")), qmp.ClearBitmap(ref("none")))
	wantRefusal(t, err, "transaction", "none")
	write(t, c, g, "disk")
	must(t, c.Do(t.Context(), qmp.MergeBitmaps(ref("sum"), ref("old"))))
	got := bitmaps(t, c, "disk")
	slices.SortFunc(got, func(a, b qmp.DirtyBitmap) int { return strings.Compare(a.Name, b.Name) })
	want := []qmp.DirtyBitmap{
		{Name: "old", GranularityBytes: 64 << 10, DirtyBytes: 128 << 10, Recording: true, Persistent: true},
		{Name: "sum", GranularityBytes: 32 << 10, DirtyBytes: 128 << 10},
	}
	if !slices.Equal(got, want) {
		t.Errorf("bitmaps %+v, want %+v", got, want)
	}
	must(t, c.Transaction(t.Context(), qmp.DisableBitmap(ref("sum")), qmp.EnableBitmap(ref("sum")), qmp.RemoveBitmap(ref("old"))))
	if got := bitmaps(t, c, "disk"); len(got) != 1 || !got[0].Recording {
		t.Errorf("bitmaps %+v", got)
	}
	addImage(t, c, "raw", filepath.Join(g.Dir, "plain"))
	wantRefusal(t, c.Do(t.Context(), qmp.AddBitmap(qmp.Bitmap{BitmapRef: qmp.BitmapRef{Node: "plain", Name: "b"}, Persistent: true})), "persistent")
}

func bitmaps(t *testing.T, c *qmp.Client, node string) []qmp.DirtyBitmap {
	t.Helper()
	nodes, err := c.BlockNodes(t.Context())
	must(t, err)
	for _, n := range nodes {
		if n.NodeName == node {
			if n.Image.VirtualBytes != imageSize || n.Driver != n.Image.Format {
				t.Errorf("node %+v", n)
			}
			return n.Bitmaps
		}
	}
	t.Fatalf("no node %s", node)
	return nil
}

// write changes 128 KiB of a node, through an export as a client would.
func write(t *testing.T, c *qmp.Client, g *testguest.Guest, node string) {
	t.Helper()
	testtools.Need(t, "qemu-io")
	socket := filepath.Join(g.Dir, "nbd")
	must(t, c.StartNBD(t.Context(), socket, 2))
	must(t, c.AddExport(t.Context(), qmp.Export{ID: "x", Node: node, Writable: true}))
	wantRefusal(t, c.RemoveNode(t.Context(), node), "blockdev-del", node)
	out, err := exec.Command("qemu-io", "-f", "raw", "-c", "write -P 7 1M 128K", "nbd+unix:///"+node+"?socket="+socket).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	must(t, c.RemoveExport(t.Context(), "x"))
	must(t, c.RemoveExport(t.Context(), "x"))
	must(t, c.StopNBD(t.Context()))
}

// A backup job that keeps old content never ends by itself; cancelled it has concluded, and its nodes are free again.
func TestJobs(t *testing.T) {
	c, g := bare(t)
	addImage(t, c, "qcow2", filepath.Join(g.Dir, "scratch"))
	must(t, c.Transaction(t.Context(), qmp.StartBackup(qmp.Backup{JobID: "j", Device: "disk", Target: "scratch", Sync: "none"})))
	j, err := c.Job(t.Context(), "j")
	if err != nil || j.Type != "backup" || j.Status == qmp.JobConcluded {
		t.Errorf("job %+v, %v", j, err)
	}
	wantRefusal(t, c.RemoveNode(t.Context(), "scratch"), "scratch")
	must(t, c.CancelJob(t.Context(), "j"))
	if j, err = c.AwaitJob(t.Context(), "j"); err != nil {
		t.Errorf("cancelled job %+v, %v", j, err)
	}
	must(t, c.DismissJob(t.Context(), "j"))
	if _, err := c.AwaitJob(t.Context(), "j"); !errors.Is(err, qmp.ErrNoJob) {
		t.Errorf("a dismissed job: %v", err)
	}
	must(t, c.RemoveNode(t.Context(), "scratch"))
	must(t, c.Do(t.Context(), qmp.AddBitmap(qmp.Bitmap{BitmapRef: qmp.BitmapRef{Node: "disk", Name: "b"}})))
	addImage(t, c, "raw", filepath.Join(g.Dir, "pushed"))
	must(t, c.Do(t.Context(), qmp.StartBackup(qmp.Backup{
		JobID: "push", Device: "disk", Target: "pushed", Sync: "bitmap", Bitmap: "b", BitmapMode: "on-success"})))
	j, err = c.AwaitJob(t.Context(), "push")
	if err != nil || j.Failure() != nil || j.Status != qmp.JobConcluded {
		t.Errorf("job %+v, %v", j, err)
	}
}

// When QEMU ends, so do the commands that wait, with an error that says so.
func TestQEMUKilled(t *testing.T) {
	c, g := bare(t)
	events := c.Subscribe()
	g.Kill()
	if _, err := events.Next(t.Context()); !errors.Is(err, qmp.ErrClosed) {
		t.Errorf("the subscriber: %v", err)
	}
	if err := c.Stop(t.Context()); !errors.Is(err, qmp.ErrClosed) {
		t.Errorf("a command: %v", err)
	}
}
