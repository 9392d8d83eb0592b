package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/catalog/sqlstore"
	"holdfast/internal/s3test"
)

// killTimeStorages bounds the tests of storages that are slower than a directory.
const killTimeStorages = 6 * time.Second

// siteFor writes the configuration of a site with this storage.
func (k *killed) siteFor(storage string) {
	k.t.Helper()
	if err := os.Mkdir(k.path("holding"), 0o700); err != nil {
		k.t.Fatal(err)
	}
	text := fmt.Sprintf("state: %s\ndump-cycle: 3d\nholding: [{dir: %s}]\nstorage:\n  main: {%s, slots: 40, volume-size: 64MiB, label: K-%%%%%%}\ndles:\n",
		k.path("state"), k.path("holding"), storage)
	for _, name := range slices.Sorted(maps.Keys(k.disks)) {
		text += fmt.Sprintf("  - {vm: %s, image: %s, format: raw}\n", name, k.path("images/"+name+".raw"))
	}
	if err := os.WriteFile(k.path("holdfast.yaml"), []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
	k.call("volume", "create").must()
}

// known gives the files behind the labels that the catalog knows, as SLOT/FILE.
func (k *killed) known() []string {
	k.t.Helper()
	ctx := context.Background()
	store, err := sqlstore.Open(ctx, filepath.Join(k.path("state"), catalogFile), sqlstore.Options{ReadOnly: true})
	if err != nil {
		k.t.Fatal(err)
	}
	defer store.Close()
	records, err := store.Records(ctx, "")
	if err != nil {
		k.t.Fatal(err)
	}
	volumes, err := store.Volumes(ctx, "")
	if err != nil {
		k.t.Fatal(err)
	}
	var list []string
	for _, v := range volumes {
		parts, err := store.PartsOn(ctx, v.Label)
		if err != nil {
			k.t.Fatal(err)
		}
		for _, p := range append(parts, records...) {
			if p.Label == v.Label {
				list = append(list, fmt.Sprintf("%s/%d", v.Slot, p.File))
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// A run that writes to a bucket leaves, killed at any moment, nothing there that the next run and cleanup do not remove.
func TestKilledOnS3(t *testing.T) {
	server := s3test.Start(t)
	server.Bucket(t, "vtapes", false)
	s3test.Login(t)
	k := newKilled(t)
	k.siteFor(fmt.Sprintf("device: s3, s3: {bucket: vtapes, prefix: h/, endpoint: %q, path-style: true, region: %s}", server.URL, s3test.Region))
	file := regexp.MustCompile(`^h/slot(\d+)-f([0-9a-f]{8})-(filestart|mp\.data|b[0-9a-f]{16}\.data)$`)
	k.killNights(killTimeStorages, func() {
		k.call("cleanup").must()
		headers, data := []string{}, []string{}
		for _, key := range server.Keys(t, "vtapes") {
			m := file.FindStringSubmatch(key)
			if m == nil {
				if strings.HasPrefix(key, "upload ") {
					t.Errorf("left: %s", key)
				}
				continue
			}
			number, err := strconv.ParseInt(m[2], 16, 64)
			if err != nil {
				t.Error(err)
			}
			name := fmt.Sprintf("%s/%d", m[1], number)
			if m[3] == "filestart" {
				headers = append(headers, name)
			} else {
				data = append(data, name)
			}
		}
		for what, list := range map[string][]string{"headers": headers, "data": data} {
			slices.Sort(list)
			if diff := cmp.Diff(k.known(), slices.Compact(list)); diff != "" {
				t.Errorf("%s in the bucket (-catalog +bucket):\n%s", what, diff)
			}
		}
	})
}

// A run that writes to a set of three directories leaves, killed at any moment, no file on any of them that the next run and
// cleanup do not remove, and no member lacks one.
func TestKilledOnSet(t *testing.T) {
	k := newKilled(t)
	members := []string{k.path("m1"), k.path("m2"), k.path("m3")}
	k.siteFor(fmt.Sprintf("device: rait, parity: 1, members: [{path: %s}, {path: %s}, {path: %s}]", members[0], members[1], members[2]))
	k.killNights(killTimeStorages, func() {
		k.call("cleanup").must()
		for _, m := range members {
			if diff := cmp.Diff(k.known(), filesIn(t, m)); diff != "" {
				t.Errorf("%s (-catalog +member):\n%s", m, diff)
			}
		}
	})
}

// filesIn lists the files behind the labels in a library's directory, as SLOT/FILE.
func filesIn(t *testing.T, library string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(library, "slot*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	list := []string{}
	for _, name := range names {
		digits, _, _ := strings.Cut(filepath.Base(name), ".")
		number, err := strconv.Atoi(digits)
		switch {
		case err != nil && !strings.HasSuffix(name, "-lock"):
			t.Errorf("left: %s", name)
		case number > 0:
			list = append(list, fmt.Sprintf("%s/%d", strings.TrimPrefix(filepath.Base(filepath.Dir(name)), "slot"), number))
		}
	}
	slices.Sort(list)
	return list
}
