package main

import (
	"strings"
	"testing"

	"holdfast/internal/s3test"
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

// A library of ours in a bucket is read without a catalog, and looked through by one listing, not slot by slot.
func TestBucketPlace(t *testing.T) {
	server := s3test.Start(t)
	server.Bucket(t, "tapes", false)
	s3test.Login(t)
	n := newNights(t, t.TempDir(), `
org: test
state: state
holding: [{dir: holding, use: 100MiB, chunk: 1MiB}]
storage:
  bucket: {device: s3, s3: {bucket: tapes, prefix: lib/, endpoint: "`+server.URL+`", path-style: true}, slots: 9, volume-size: 1MiB, part-size: 256KiB, label: "S-%%%", run-volumes: 6}
dles:
  - {vm: web01, image: web01.raw, format: raw}
`)
	n.rawImage("web01.raw", 5<<19)
	n.night("2026-11-20 01:00")
	proxy := s3test.NewProxy(t, server)
	t.Setenv("AWS_ENDPOINT_URL", proxy.URL)
	t.Setenv("AWS_REGION", s3test.Region)
	proxy.Plan(nil)
	code, out, stderr := holdfast(t, "restore", "web01", "--to", n.path("out.raw"), "--from-media", "s3:tapes/lib/")
	if code != 0 {
		t.Fatalf("exit %d: %s%s", code, out, stderr)
	}
	n.sameDisk("web01.raw", "raw", "out.raw", "raw")
	listings, volumes := 0, 0
	for _, r := range proxy.Requests() {
		if r.Query.Get("prefix") == "lib/slot" {
			listings++
		} else if strings.HasPrefix(r.Query.Get("prefix"), "lib/slot") && strings.Count(r.Query.Get("prefix"), "-") == 1 {
			volumes++
		}
	}
	if listings != 2 || volumes != 4 { // one looks for slots alone; and each volume that is written is listed when its files are read
		t.Errorf("%d listings of the library, %d of single volumes", listings, volumes)
	}
}
