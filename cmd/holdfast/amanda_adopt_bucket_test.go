package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/internal/s3test"
	"holdfast/scheduler/amanda"
)

// Amanda's libraries in a bucket come into the catalog: by the names that Amanda's changer gave the volumes, and where these are
// those of our slots. The server is the one of the configuration, whatever the environment says.
func TestAdoptAmandasBuckets(t *testing.T) {
	server := amandaServer(t)
	s3test.Login(t)
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
	objects, err := filepath.Glob("../../vtape/s3/testdata/amanda/fxs3-01-*")
	if err != nil || len(objects) == 0 {
		t.Fatal(objects, err)
	}
	for _, path := range objects {
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		server.Put(t, "amanda-shared", "ours/slot1-"+strings.TrimPrefix(filepath.Base(path), "fxs3-01-"), body)
	}
	two := []string{"s3gz", "s3img"}
	for _, tc := range []struct {
		fixture, place, keys string
		disks                []string
	}{
		{"fxs3", "fxs3-{01,02}-", `volumes: "fxs3-{01,02}-"`, two},
		{"fxs3", "ours/", "prefix: ours/", two},
		{"fxs3big", "big/vol{1,2}-", `prefix: big/, volumes: "vol{1,2}-"`, two[1:]},
		{"fxs3mp", "mp{1,2}/", `volumes: "mp{1,2}/"`, two[1:]},
	} {
		t.Run(tc.place, func(t *testing.T) {
			on := fmt.Sprintf("device: s3, s3: {bucket: amanda-shared, endpoint: %q, path-style: true, %s}", server.URL, tc.keys)
			s := makeAdopting(t, unpackAmanda(t, tc.fixture), "s3:amanda-shared/"+tc.place, on, 2)
			before := server.Keys(t, "amanda-shared")
			want := amanda.Result{Storage: "theirs"}
			want.Volumes, want.Dumps, want.Copies = 1, len(tc.disks), len(tc.disks)
			got, notes := s.adopt()
			if diff := cmp.Diff(want, got); diff != "" || notes != "" {
				t.Errorf("-want +got:\n%s%s", diff, notes)
			}
			after := slices.DeleteFunc(server.Keys(t, "amanda-shared"), func(key string) bool { return slices.Contains(before, key) })
			if len(after) != 1 || !strings.HasSuffix(after[0], ".holdfast-library") {
				t.Errorf("written to the bucket: %q", after)
			}
			var dumps []amandaDump
			for _, d := range amandaBuckets {
				stamp := strings.HasPrefix(d.fixture, "fxs3-") && tc.fixture == "fxs3" || d.fixture == tc.place || d.fixture == "mp1/" && tc.fixture == "fxs3mp"
				if stamp && slices.Contains(tc.disks, d.disk) {
					dumps = append(dumps, d)
				}
			}
			if len(dumps) != len(tc.disks) {
				t.Fatalf("the test knows of %v", dumps)
			}
			s.checkAdopted(dumps, 0)
			if again, _ := s.adopt(); !cmp.Equal(amanda.Result{Storage: "theirs"}, again) {
				t.Errorf("adopted again: %+v", again)
			}
			removeObject(t, server, after)
		})
	}
	s := makeAdopting(t, unpackAmanda(t, "fxs3"), "s3:amanda-shared/fxs3-{01,03}-",
		fmt.Sprintf(`device: s3, s3: {bucket: amanda-shared, endpoint: %q, path-style: true, volumes: "fxs3-{01,02}-"}`, server.URL), 2)
	code, _, stderr := holdfast(t, "--config", s.config, "volume", "adopt", "--storage", "theirs", s.place)
	if code == 0 || !strings.Contains(stderr, "is not the library") || !strings.Contains(stderr, `volumes: "fxs3-{01,03}-"`) {
		t.Errorf("other volumes: exit %d: %s", code, stderr)
	}
}

// removeObject removes the mark of a library, so that another can be adopted in the same bucket.
func removeObject(t *testing.T, server *s3test.Server, keys []string) {
	t.Helper()
	for _, key := range keys {
		if err := os.Remove(filepath.Join(server.Dir, "amanda-shared", key)); err != nil {
			t.Error(err)
		}
	}
}
