package qmp_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"holdfast/internal/qmp"
	"holdfast/internal/testguest"
	"holdfast/internal/testtools"
)

// pinned is a running guest whose disk is to be read at one point of time while it is written to.
type pinned struct {
	*testing.T
	*testguest.Guest
	c      *qmp.Client
	events *qmp.Subscription
}

func newPinned(t *testing.T) *pinned {
	t.Helper()
	testtools.Live(t)
	testtools.Need(t, "qemu-img")
	g := testguest.Start(t, testguest.Options{})
	c, err := qmp.Dial(t.Context(), g.QMP[0])
	must(t, err)
	t.Cleanup(func() { c.Close() })
	g.AwaitWrites(t, 0)
	p := &pinned{t, g, c, c.Subscribe()}
	must(t, c.Do(t.Context(), qmp.AddBitmap(qmp.Bitmap{BitmapRef: ref("night1"), Persistent: true})))
	p.AwaitWrites(t, 0)
	return p
}

func ref(name string) qmp.BitmapRef { return qmp.BitmapRef{Node: "disk0", Name: name} }

// addScratch adds an empty qcow2 image of the disk's size; backing is a node, or nothing.
func (p *pinned) addScratch(backing any) {
	p.Helper()
	path := filepath.Join(p.Dir, "scratch")
	if out, err := exec.Command("qemu-img", "create", "-q", "-f", "qcow2", path, "256M").CombinedOutput(); err != nil {
		p.Fatalf("%v: %s", err, out)
	}
	must(p.T, p.c.AddNode(p.Context(), map[string]any{
		"node-name": "scratch", "driver": "qcow2", "backing": backing, "file": map[string]any{"driver": "file", "filename": path},
	}))
}

// wantStable reads a node twice while the guest writes: both times it holds the same.
func (p *pinned) wantStable(node string, bitmaps ...any) {
	p.Helper()
	ctx := p.Context()
	socket := filepath.Join(p.Dir, "nbd")
	must(p.T, p.c.StartNBD(ctx, socket, 4))
	must(p.T, p.c.AddExport(ctx, qmp.Export{ID: "night", Node: node, Bitmaps: bitmaps}))
	var content [2][]byte
	for i := range content {
		p.AwaitWrites(p, 0)
		copied := filepath.Join(p.Dir, "copy")
		out, err := exec.Command("qemu-img", "convert", "-O", "raw", "nbd+unix:///"+node+"?socket="+socket, copied).CombinedOutput()
		if err != nil {
			p.Fatalf("%v: %s", err, out)
		}
		content[i], err = os.ReadFile(copied)
		must(p.T, err)
	}
	if len(content[0]) != 256<<20 || !bytes.Equal(content[0], content[1]) {
		p.Error("the point of time does not stand still")
	}
	must(p.T, p.c.RemoveExport(ctx, "night"))
	must(p.T, p.c.StopNBD(ctx))
}

// wantRunning shows that the guest has taken no harm, and that the old bitmap is gone and the new one records.
func (p *pinned) wantRunning() {
	p.Helper()
	must(p.T, p.c.Do(p.Context(), qmp.RemoveBitmap(ref("night1"))))
	p.AwaitWrites(p, 0)
	status, err := p.c.Status(p.Context())
	must(p.T, err)
	if !status.Running || status.State != qmp.StateRunning {
		p.Errorf("status %+v", status)
	}
	devices, err := p.c.BlockDevices(p.Context())
	must(p.T, err)
	top := devices[0].Inserted
	if len(devices) != 1 || top == nil || top.NodeName != "disk0" || len(top.Bitmaps) != 1 {
		p.Fatalf("devices %+v", devices)
	}
	if b := top.Bitmaps[0]; b.Name != "night2" || !b.Recording || b.Busy || b.DirtyBytes == 0 {
		p.Errorf("bitmap %+v", b)
	}
}

// A point of time by a job that copies to a scratch image what the guest is about to overwrite.
func TestLiveBackupJob(t *testing.T) {
	p := newPinned(t)
	ctx := t.Context()
	p.addScratch("disk0")
	delta := qmp.BitmapRef{Node: "scratch", Name: "delta"}
	must(t, p.c.Transaction(ctx,
		qmp.AddBitmap(qmp.Bitmap{BitmapRef: ref("night2"), Persistent: true}),
		qmp.DisableBitmap(ref("night1")),
		qmp.AddBitmap(qmp.Bitmap{BitmapRef: delta, Disabled: true}),
		qmp.MergeBitmaps(delta, ref("night1")),
		qmp.StartBackup(qmp.Backup{JobID: "night", Device: "disk0", Target: "scratch", Sync: "none"})))
	must(t, p.c.WatchWrites(ctx, "disk0-file", 1<<40))
	p.wantStable("scratch", "delta")
	must(t, p.c.CancelJob(ctx, "night"))
	_, err := p.c.AwaitJob(ctx, "night")
	must(t, err)
	must(t, p.c.DismissJob(ctx, "night"))
	must(t, p.c.RemoveNode(ctx, "scratch"))
	p.wantRunning()
}

// A point of time by a filter above the disk: the guest does not depend on the scratch image.
func TestLiveSnapshotAccess(t *testing.T) {
	p := newPinned(t)
	ctx := t.Context()
	can, err := p.c.CanSnapshotAccess(ctx)
	must(t, err)
	if !can {
		testtools.Lacking(t, "this QEMU has no snapshot-access")
	}
	const drive = "/machine/peripheral/disk0-dev/virtio-backend"
	p.addScratch(nil)
	must(t, p.c.AddNode(ctx, map[string]any{
		"node-name": "filter", "driver": "copy-before-write", "file": "disk0", "target": "scratch",
		"on-cbw-error": "break-snapshot", "cbw-timeout": 45,
	}))
	must(t, p.c.Stop(ctx))
	must(t, p.c.SetProperty(ctx, drive, "drive", "filter"))
	must(t, p.c.Transaction(ctx,
		qmp.AddBitmap(qmp.Bitmap{BitmapRef: ref("night2"), Persistent: true}), qmp.DisableBitmap(ref("night1"))))
	must(t, p.c.Cont(ctx))
	must(t, p.c.AddNode(ctx, map[string]any{"node-name": "point", "driver": "snapshot-access", "file": "filter"}))
	p.wantStable("point", ref("night1"))
	must(t, p.c.RemoveNode(ctx, "point"))
	must(t, p.c.SetProperty(ctx, drive, "drive", "disk0"))
	must(t, p.c.RemoveNode(ctx, "filter"))
	must(t, p.c.RemoveNode(ctx, "scratch"))
	p.wantRunning()
	for _, want := range []string{"STOP", "RESUME"} {
		for {
			e, err := p.events.Next(ctx)
			must(t, err)
			if e.Name == want {
				break
			}
		}
	}
}
