package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/s3test"
)

// setOf is the place of a fixture's parity set, without one of its members (from 1; 0 for all there).
func setOf(root string, members, missing int) string {
	var words []string
	for i := 1; i <= members; i++ {
		if i == missing {
			words = append(words, missingMember)
			continue
		}
		words = append(words, filepath.Join(root, fmt.Sprintf("d%d", i)))
	}
	return "rait:{" + strings.Join(words, ",") + "}"
}

func restoreFrom(t *testing.T, media string, d amandaDump) (sum, stderr string) {
	t.Helper()
	to := filepath.Join(t.TempDir(), "stream")
	code, _, stderr := holdfast(t, "restore", "--from-media", media, "--to", to, "--run", d.stamp, "--level", fmt.Sprint(d.level), "localhost", d.disk)
	if code != 0 {
		t.Errorf("%s %s: exit %d: %s", media, d.disk, code, stderr)
		return "", stderr
	}
	return fileSum(t, to), stderr
}

// What Amanda wrote to a parity set comes out bit by bit, with all members and without any one of them, and without what
// the set has filled the parts up with.
func TestRestoresAmandasSets(t *testing.T) {
	for _, d := range amandaSets {
		root := unpackAmanda(t, d.fixture)
		members := int(d.fixture[len(d.fixture)-1] - '0')
		for missing := range members + 1 {
			if sum, stderr := restoreFrom(t, setOf(root, members, missing), d); sum != d.sum {
				t.Errorf("%s %s without member %d: SHA-256 %s, want %s: %s", d.fixture, d.disk, missing, sum, d.sum, stderr)
			}
		}
	}
}

// A member whose directory is gone is left out without being asked for; two are too many, and it is said which.
func TestAmandasSetDamaged(t *testing.T) {
	d := amandaSets[3]
	root := unpackAmanda(t, d.fixture)
	if err := os.RemoveAll(filepath.Join(root, "d2")); err != nil {
		t.Fatal(err)
	}
	sum, stderr := restoreFrom(t, setOf(root, 3, 0), d)
	if sum != d.sum || !strings.Contains(stderr, "member 2 is read as MISSING") {
		t.Errorf("SHA-256 %s, want %s: %s", sum, d.sum, stderr)
	}
	to := filepath.Join(t.TempDir(), "stream")
	code, _, stderr := holdfast(t, "restore", "--from-media", setOf(root, 3, 1), "--to", to, "localhost", d.disk)
	if _, err := os.Lstat(to); code == 0 || err == nil || !strings.Contains(stderr, "member 2") {
		t.Errorf("two members gone: exit %d, output %v: %s", code, err, stderr)
	}
}

// amandaBucket runs a server with the bucket that Amanda wrote to, and names it in the environment.
func amandaBucket(t *testing.T) {
	t.Helper()
	server := amandaServer(t)
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", s3test.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3test.SecretKey)
	t.Setenv("AWS_REGION", s3test.Region)
}

// amandaServer runs a server with the bucket that Amanda wrote to.
func amandaServer(t *testing.T) *s3test.Server {
	t.Helper()
	server := s3test.Start(t)
	server.Bucket(t, "amanda-shared", false)
	root := os.DirFS("../../vtape/s3/testdata/amanda")
	err := fs.WalkDir(root, ".", func(key string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		body, err := fs.ReadFile(root, key)
		if err == nil {
			server.Put(t, "amanda-shared", key, body)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// What Amanda wrote to a bucket comes out bit by bit, in blocks of any size and in one object.
func TestRestoresAmandasBuckets(t *testing.T) {
	amandaBucket(t)
	for _, d := range amandaBuckets {
		if sum, stderr := restoreFrom(t, "s3:amanda-shared/"+d.fixture, d); sum != d.sum {
			t.Errorf("%s %s: SHA-256 %s, want %s: %s", d.fixture, d.disk, sum, d.sum, stderr)
		}
	}
	for media, want := range map[string]string{
		"s3:amanda-shared/nothing-": "no such dump",
		"s3:no-such-bucket/x":       "no-such-bucket",
	} {
		code, _, stderr := holdfast(t, "restore", "--from-media", media, "--to", filepath.Join(t.TempDir(), "x"), "localhost")
		if code == 0 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d: %s", media, code, stderr)
		}
	}
}
