package main

import (
	"strings"
	"testing"
)

// A member of a set that is not there is told of once, however many slots it is missing from.
func TestMissingMemberIsToldOnce(t *testing.T) {
	n := newNights(t, t.TempDir(), `
org: test
state: state
holding: [{dir: holding, use: 100MiB, chunk: 1MiB}]
storage:
  set: {device: rait, parity: 1, members: [{device: dir, path: m1}, {device: dir, path: m2}, {device: dir, path: m3}], slots: 6, volume-size: 1MiB, part-size: 256KiB, label: "S-%%%", run-volumes: 4}
dles:
  - {vm: web01, image: web01.raw, format: raw}
`)
	n.rawImage("web01.raw", 5<<18)
	n.night("2026-11-20 01:00")
	place := "rait:{" + n.path("m1") + "," + missingMember + "," + n.path("m3") + "}"
	code, out, stderr := holdfast(t, "restore", "web01", "--to", n.path("out.raw"), "--from-media", place)
	if code != 0 || strings.Count(stderr, "member 2") != 1 {
		t.Errorf("exit %d: %s%s", code, out, stderr)
	}
	n.sameDisk("web01.raw", "raw", "out.raw", "raw")
}
