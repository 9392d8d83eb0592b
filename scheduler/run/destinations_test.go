package run

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/configs"
)

const selectingYAML = `
org: test
state: /state
storage:
  all: {path: /all, slots: 9, volume-size: 1MiB, label: A-%}
  fulls: {path: /fulls, slots: 9, volume-size: 1MiB, label: F-%, select: [{levels: full}]}
  tagged: {path: /tagged, slots: 9, volume-size: 1MiB, label: T-%, select: [{tags: [gold, silver], levels: incremental}, {types: [secret]}]}
  usb1: {path: /usb1, slots: 9, volume-size: 1MiB, label: U-%, pool: usb, removable: true}
  usb2: {path: /usb2, slots: 9, volume-size: 1MiB, label: V-%, pool: usb, removable: true}
  cloud: {path: /cloud, slots: 9, volume-size: 1MiB, label: C-%, vault: {from: all, after: 2d}}
  latest: {path: /latest, slots: 9, volume-size: 1MiB, label: L-%, vault: {from: fulls, after: 30d, dumps: latest-full}, select: [{types: [secret]}]}
dump-types:
  default: {tags: [silver]}
  secret: {tags: []}
dles:
  - {vm: plain, image: /i/plain, format: raw}
  - {vm: secret, image: /i/secret, format: raw, type: secret}
  - {vm: gold, image: /i/gold, format: raw, type: secret, tags: [gold]}
`

func mustParse(t *testing.T, yaml string) *configs.Config {
	t.Helper()
	c, err := configs.Parse("test.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Where a dump goes: by level, type and tag, with one storage of each pool, and to the vaults when it has their age.
func TestDestinations(t *testing.T) {
	c := mustParse(t, selectingYAML)
	all := []string{"all", "fulls", "tagged", "usb2"}
	for _, test := range []struct {
		vm     string
		level  catalog.Level
		chosen []string
		want   []string
	}{
		{"plain", 0, all, []string{"all", "fulls", "usb2", "cloud+2"}},
		{"plain", 1, all, []string{"all", "tagged", "usb2", "cloud+2"}},
		{"secret", 0, all, []string{"all", "fulls", "tagged", "usb2", "cloud+2", "latest+30"}},
		{"secret", 2, all, []string{"all", "tagged", "usb2", "cloud+2"}},
		{"gold", 1, all, []string{"all", "tagged", "usb2", "cloud+2"}},
		// No storage of the run selects it: the first one takes it.
		{"plain", 1, []string{"fulls"}, []string{"fulls", "cloud+2"}},
		{"plain", 0, []string{"tagged", "fulls"}, []string{"fulls", "cloud+2"}},
		// Not in the configuration: where neither type nor tags are asked for.
		{"gone", 0, all, []string{"all", "fulls", "usb2", "cloud+2"}},
		{"gone", 1, all, []string{"all", "usb2", "cloud+2"}},
		{"gone", 1, []string{"tagged", "fulls"}, []string{"tagged", "cloud+2"}},
	} {
		now := time.Date(2025, 3, 1, 5, 0, 0, 0, time.UTC)
		dle := catalog.DLE{VM: test.vm, Disk: "disk0"}
		d := catalog.Dump{ID: catalog.NewDumpID(dle, "20250301010000", test.level), DLE: dle, Stamp: "20250301010000", Level: test.level}
		var chosen []configs.Storage
		for _, name := range test.chosen {
			chosen = append(chosen, c.Storage[name])
		}
		var got []string
		for _, w := range destinations(c, chosen, d, now) {
			name := w.Storage
			if age := w.Due.Sub(d.Stamp.Time(time.UTC)); w.Due != now {
				name += fmt.Sprintf("+%d", int(age.Hours()/24))
			}
			if w.Dump != d.ID {
				t.Errorf("wanted is a copy of %s", w.Dump)
			}
			got = append(got, name)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s level %d of %v: %v, want %v", test.vm, test.level, test.chosen, got, test.want)
		}
	}
}

// Fulls are held as far as the reserve and the fulls there let them, to the byte; a percentage is not rounded down to none.
func TestKeepsFull(t *testing.T) {
	for _, c := range []struct {
		total   int64
		reserve int
		fulls   int64
		bytes   int64
		want    bool
	}{
		{1000, 0, 0, 1000, true},
		{1000, 0, 0, 1001, false},
		{1000, 30, 0, 700, true},
		{1000, 30, 0, 701, false},
		{1000, 30, 400, 300, true},
		{1000, 30, 400, 301, false},
		{1000, 99, 0, 10, true},
		{1000, 99, 0, 11, false},
		{1000, 100, 0, 1, false},
		{0, 0, 0, 1, false},
		{1 << 50, 33, 1 << 49, 1 << 47, true},
	} {
		if got := keepsFull(c.total, c.reserve, c.fulls, c.bytes); got != c.want {
			t.Errorf("%d bytes, %d %% reserved, %d of fulls: %d kept: %v, want %v", c.total, c.reserve, c.fulls, c.bytes, got, c.want)
		}
	}
}
