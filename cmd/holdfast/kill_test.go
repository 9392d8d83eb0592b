package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// killTime bounds the test on a slow machine.
const killTime = 12 * time.Second

// killed is a site that the real program works on, and is killed on.
type killed struct {
	t      *testing.T
	dir    string
	rand   *rand.Rand
	disks  map[string][]byte
	nights int
}

// Killed with no warning at any moment of a night, the program run again does the night, leaves nothing lying about,
// and every image comes back as it was.
func TestKilled(t *testing.T) {
	k := newKilled(t)
	k.must("init", "--images", k.path("images"), "--vtapes", k.path("vtapes"), "--holding", k.path("holding"),
		"--state", k.path("state"), "--config", k.path("holdfast.yaml"))
	k.killNights(killTime, func() {})
}

func newKilled(t *testing.T) *killed {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	k := &killed{t: t, dir: t.TempDir(), rand: rand.New(rand.NewPCG(seed, 0)), disks: map[string][]byte{}}
	for i := range 3 {
		name := fmt.Sprintf("vm%d", i)
		k.disks[name] = make([]byte, 6<<20)
		k.change(name, 40)
	}
	return k
}

// killNights does nights for so long, and kills each once before it is done. Then all is checked, and what check knows besides.
func (k *killed) killNights(limit time.Duration, check func()) {
	k.t.Helper()
	begun := time.Now()
	k.night().must()
	whole := time.Since(begun)
	kills, tries := 0, 0
	for begun = time.Now(); tries < 20 && (time.Since(begun) < limit || kills == 0); tries++ {
		for name := range k.disks {
			k.change(name, 8)
		}
		if k.night().killAfter(time.Duration(k.rand.Int64N(int64(whole)))) {
			kills++
		}
		k.night().must()
		k.check()
		check()
		if k.t.Failed() {
			return
		}
	}
	k.t.Logf("killed %d of %d runs within %v", kills, tries, whole)
	if kills == 0 {
		k.t.Error("no run was killed in time")
	}
}

func (k *killed) path(name string) string { return filepath.Join(k.dir, name) }

// change writes into some blocks of an image.
func (k *killed) change(name string, blocks int) {
	k.t.Helper()
	disk := k.disks[name]
	for range blocks {
		at := k.rand.IntN(len(disk)/(64<<10)) * (64 << 10)
		for i := range 32 << 10 {
			disk[at+i] = byte(k.rand.Uint32())
		}
	}
	if err := os.MkdirAll(k.path("images"), 0o700); err != nil {
		k.t.Fatal(err)
	}
	file, err := os.OpenFile(k.path("images/"+name+".raw"), os.O_WRONLY|os.O_CREATE, 0o600)
	if err == nil {
		_, err = file.WriteAt(disk, 0)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		k.t.Fatal(err)
	}
}

// call is the program called with arguments.
type call struct {
	*killed
	cmd *exec.Cmd
	out bytes.Buffer
}

func (k *killed) call(args ...string) *call {
	c := &call{killed: k, cmd: exec.Command("holdfast", append([]string{"--config", k.path("holdfast.yaml")}, args...)...)}
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	return c
}

// night is the call of the next night's run.
func (k *killed) night() *call {
	k.nights++
	at := time.Date(2025, 3, 1, 1, 0, 0, 0, time.UTC).Add(time.Duration(k.nights) * 12 * time.Hour)
	return k.call("run", "--now", at.Format(time.RFC3339))
}

func (k *killed) must(args ...string) {
	k.t.Helper()
	cmd := exec.Command("holdfast", args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		k.t.Fatalf("holdfast %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (c *call) must() {
	c.t.Helper()
	if err := c.cmd.Run(); err != nil {
		c.t.Fatalf("%s: %v\n%s", strings.Join(c.cmd.Args, " "), err, c.out.String())
	}
}

// killAfter kills the program, and tells whether it was still running.
func (c *call) killAfter(d time.Duration) bool {
	c.t.Helper()
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	timer := time.AfterFunc(d, func() { _ = c.cmd.Process.Kill() }) // it may have ended before
	defer timer.Stop()
	return c.cmd.Wait() != nil
}

// check verifies all that is on media, restores every image, and looks for what was left lying about.
func (k *killed) check() {
	k.t.Helper()
	k.call("verify").must()
	for name, want := range k.disks {
		target := k.path("restored")
		k.call("restore", name, "--to", target, "--force").must()
		got, err := os.ReadFile(target)
		if err != nil || !bytes.Equal(got, want) {
			k.t.Errorf("%s came back with other bytes, %v", name, err)
		}
	}
	for _, dir := range []string{"holding", "vtapes", "m1", "m2", "m3", "state"} {
		if _, err := os.Stat(k.path(dir)); err != nil {
			continue // another kind of storage
		}
		err := filepath.WalkDir(k.path(dir), func(name string, e fs.DirEntry, err error) error {
			left := strings.HasSuffix(name, ".tmp") || strings.HasSuffix(name, "new-label") || strings.HasSuffix(name, ".new")
			if err == nil && (left || dir == "holding" && name != k.path(dir)) {
				k.t.Errorf("left: %s", name)
			}
			return err
		})
		if err != nil {
			k.t.Error(err)
		}
	}
}
