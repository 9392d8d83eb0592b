// Package testtools says which outside programs a test needs. Its one invariant: where tools are required
// (HOLDFAST_REQUIRE_TOOLS=1, as in CI), a missing tool fails the test instead of skipping it.
package testtools

import (
	"os"
	"os/exec"
	"testing"
)

// Need skips the test when one of the tools is not in PATH (or in /usr/sbin), and fails it when tools are required.
func Need(t testing.TB, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		if _, err := os.Stat("/usr/sbin/" + tool); err == nil {
			continue
		}
		Lacking(t, tool+" is not installed (scripts/tools installs it)")
	}
}

// Lacking ends a test that this machine has not what it takes to run: it is skipped, and fails where tools are required.
func Lacking(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("HOLDFAST_REQUIRE_TOOLS") == "1" {
		t.Fatalf("%s, and HOLDFAST_REQUIRE_TOOLS=1", why)
	}
	t.Skip(why)
}

// Live skips a test that runs virtual machines, containers or daemons for real unless HOLDFAST_LIVE=1, as `make test-live`
// sets it. Such tests are called TestLive and something.
func Live(t testing.TB) {
	t.Helper()
	if os.Getenv("HOLDFAST_LIVE") != "1" {
		t.Skip("a live test (make test-live)")
	}
}
