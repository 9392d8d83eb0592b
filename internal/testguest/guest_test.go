package testguest_test

import (
	"testing"
	"time"

	"holdfast/internal/testguest"
	"holdfast/internal/testtools"
)

// A guest comes up, its writer writes, its agent runs, and commands come back with their output.
func TestLiveGuest(t *testing.T) {
	testtools.Live(t)
	begun := time.Now()
	g := testguest.Start(t, testguest.Options{Disks: []testguest.Disk{{}, {Format: "raw", SizeBytes: 64 << 20}, {Empty: true}}})
	t.Logf("up after %v", time.Since(begun))
	g.AwaitWrites(t, 0)
	g.AwaitWrites(t, 1)
	if got := g.Run(t, "grep -c ext4 /proc/mounts; cat /sys/block/vdb/size"); got != "2\n131072" {
		t.Errorf("the guest says %q", got)
	}
	g.Run(t, "kill -0 $(cat /run/qga.pid)")
	if g.Frozen(t) {
		t.Error("frozen by nobody")
	}
	g.Kill()
}
