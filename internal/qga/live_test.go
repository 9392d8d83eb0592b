package qga_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"holdfast/internal/qga"
	"holdfast/internal/testguest"
	"holdfast/internal/testtools"
)

// The real agent in a real guest does what the one of the other tests does.
func TestLiveAgent(t *testing.T) {
	testtools.Live(t)
	g := testguest.Start(t, testguest.Options{})
	ctx := t.Context()
	c := qga.New(g.Agent)
	defer c.Close()
	info, err := c.Info(ctx)
	if err != nil || info.Version == "" || len(info.Commands) < 10 {
		t.Fatalf("info %+v, %v", info, err)
	}
	list, err := c.FileSystems(ctx)
	if err != nil || len(list) == 0 || list[0].Mountpoint != "/mnt/vda" || list[0].Type != "ext4" {
		t.Errorf("file systems %+v, %v", list, err)
	}
	g.AwaitWrites(t, 0)
	begun := time.Now()
	wantCount(t, 1, func() (int, error) { return c.Freeze(ctx) })
	frozen := time.Now()
	if s, err := c.Status(ctx); s != qga.Frozen || err != nil {
		t.Errorf("status %s, %v", s, err)
	}
	if _, err := c.Freeze(ctx); !qga.Refused(err) || !strings.Contains(err.Error(), "disabled") {
		t.Errorf("frozen twice: %v", err)
	}
	if _, err := c.FileSystems(ctx); !qga.Refused(err) {
		t.Errorf("file systems while frozen: %v", err)
	}
	if err := c.Ping(ctx); err != nil {
		t.Errorf("ping while frozen: %v", err)
	}
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	if err := qga.New(g.Agent).Ping(short); !errors.Is(err, qga.ErrNoAnswer) {
		t.Errorf("a second client: %v", err)
	}
	cancel()
	thawing := time.Now()
	wantCount(t, 1, func() (int, error) { return c.Thaw(ctx) })
	t.Logf("freeze took %v, thaw %v", frozen.Sub(begun), time.Since(thawing))
	wantCount(t, 0, func() (int, error) { return c.Thaw(ctx) })
	g.AwaitWrites(t, 0)
	if got := g.Run(t, "tr '\\n' ' ' </run/hook-calls"); got != "freeze thaw thaw" {
		t.Errorf("calls of the hook: %s", got)
	}
	wantCount(t, 0, func() (int, error) { return c.Freeze(ctx, "/nowhere") })
	wantCount(t, 0, func() (int, error) { return c.Thaw(ctx) })
}
