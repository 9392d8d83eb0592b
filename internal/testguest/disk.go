package testguest

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

const diskSize = 256 << 20

// makeDisk fills in what the options leave open, and makes the image where there is none.
func (g *Guest) makeDisk(t testing.TB, d Disk, i int) Disk {
	t.Helper()
	d.Node = cmp.Or(d.Node, "disk"+strconv.Itoa(i))
	d.Format = cmp.Or(d.Format, "qcow2")
	d.SizeBytes = cmp.Or(d.SizeBytes, diskSize)
	if d.Path != "" {
		return d
	}
	d.Path = filepath.Join(g.Dir, d.Node+"."+d.Format)
	raw := d.Path + ".new"
	if err := os.WriteFile(raw, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(raw, d.SizeBytes); err != nil {
		t.Fatal(err)
	}
	if !d.Empty {
		tool(t, "mke2fs", "-q", "-F", "-t", "ext4", raw)
	}
	if d.Format == "raw" {
		if err := os.Rename(raw, d.Path); err != nil {
			t.Fatal(err)
		}
		return d
	}
	tool(t, "qemu-img", "convert", "-f", "raw", "-O", d.Format, raw, d.Path)
	if err := os.Remove(raw); err != nil {
		t.Fatal(err)
	}
	return d
}

func tool(t testing.TB, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if path, err := exec.LookPath("/usr/sbin/" + name); err == nil {
		cmd.Path, cmd.Err = path, nil
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// Written tells how often the writer of a disk (by its place, from 0) has synced a block.
func (g *Guest) Written(t testing.TB, disk int) int {
	t.Helper()
	n, err := strconv.Atoi(g.Run(t, fmt.Sprintf("cat /run/written.vd%c || echo 0", 'a'+disk)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// AwaitWrites returns when the writer of a disk has synced another block, which shows that the file system is not frozen.
func (g *Guest) AwaitWrites(t testing.TB, disk int) {
	t.Helper()
	from := g.Written(t, disk)
	g.Await(t, "no writes: the file system is frozen", func() bool { return g.Written(t, disk) > from+1 })
}

// AwaitThawed returns when the agent's state file says that nothing is frozen.
func (g *Guest) AwaitThawed(t testing.TB) {
	t.Helper()
	g.Await(t, "still frozen", func() bool { return !g.Frozen(t) })
}

// Frozen tells whether the agent's state file says that file systems are frozen. The agent itself is not needed for that.
func (g *Guest) Frozen(t testing.TB) bool {
	t.Helper()
	return g.Run(t, "test -e /run/qga.state.isfrozen && echo yes || echo no") == "yes"
}

// Await returns when something is reached, and fails the test when that takes too long.
func (g *Guest) Await(t testing.TB, otherwise string, reached func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bootMax)
	defer cancel()
	for !reached() {
		if ctx.Err() != nil {
			t.Fatalf("after %v: %s", bootMax, otherwise)
		}
	}
}
