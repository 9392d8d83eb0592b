package configs_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/configs"
)

// found are images as `init` finds them, with everything that may be wrong with them.
func found() []configs.Image {
	gib := int64(configs.GiB)
	return []configs.Image{
		{VM: "golden", Disk: "disk0", Path: "/images/golden.qcow2", Format: configs.FormatQcow2, SizeBytes: 40 * gib, UsedBytes: 6 * gib},
		{VM: "web01", Disk: "disk0", Path: "/images/web01.qcow2", Format: configs.FormatQcow2, SizeBytes: 40 * gib, UsedBytes: gib, Base: "golden:disk0"},
		{VM: "web02", Disk: "disk0", Path: "/images/web02.qcow2", Format: configs.FormatQcow2, SizeBytes: 40 * gib, UsedBytes: gib, Base: "web01"},
		{VM: "ring1", Disk: "disk0", Path: "/images/ring1.raw", Format: configs.FormatRaw, SizeBytes: gib, Base: "ring2"},
		{VM: "ring2", Disk: "disk0", Path: "/images/ring2.raw", Format: configs.FormatRaw, SizeBytes: gib, Base: "ring1"},
		{VM: "db01", Disk: "disk0", Path: "/images/my images/db, 01.img", Format: configs.FormatRaw, SizeBytes: 20 * gib},
		{VM: "secret", Disk: "disk0", Path: "/images/secret.qcow2", Format: configs.FormatQcow2, Err: errors.New("encrypted qcow2\nis not supported")},
		{VM: "orphan", Disk: "disk0", Path: "/images/orphan.qcow2", Format: configs.FormatQcow2, SizeBytes: gib, UsedBytes: gib, Base: "secret:disk0"},
		{VM: "web01", Disk: "disk0", Path: "/images/web01.raw", Format: configs.FormatRaw, SizeBytes: gib},
		{VM: "two words", Disk: "disk0", Path: "/images/two words.raw", Format: configs.FormatRaw, SizeBytes: gib},
		{VM: "bytes", Disk: "disk0", Path: "/images/\xff.raw", Format: configs.FormatRaw, SizeBytes: gib},
		{VM: "null", Disk: "~", Path: "relative/#1: é.raw", Format: configs.FormatRaw, SizeBytes: gib, UsedBytes: gib},
	}
}

func options() configs.GenerateOptions {
	return configs.GenerateOptions{
		Org: "Demo, Inc.", State: "./state", Vtapes: "./vtapes", Holding: "./holding",
		Images: found(), FreeBytes: 800 * int64(configs.GiB),
	}
}

// What `init` writes, as a whole.
func TestGenerateGolden(t *testing.T) {
	const golden = "testdata/generated.yaml"
	got := configs.Generate(options())
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c, err := configs.Parse("/c/hf.yaml", got)
	if err != nil {
		t.Fatalf("%v\n%s", err, got)
	}
	var names []string
	for _, d := range c.DLEs {
		name := d.Name().String() + " " + d.Image
		if d.Base != nil {
			name += " on " + d.Base.String()
		}
		names = append(names, name)
	}
	if diff := cmp.Diff([]string{
		"golden:disk0 /images/golden.qcow2", "web01:disk0 /images/web01.qcow2 on golden:disk0",
		"web02:disk0 /images/web02.qcow2 on web01:disk0", "ring1:disk0 /images/ring1.raw on ring2:disk0", "ring2:disk0 /images/ring2.raw",
		"db01:disk0 /images/my images/db, 01.img",
		"orphan:disk0 /images/orphan.qcow2", "null:~ /c/relative/#1: é.raw",
	}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// From no room to plenty, with and without images and holding disk: what is written is sound without a warning, leaves
// a tenth of the file system free, and holds all images in one run where there is room for them at all.
func TestGenerateFits(t *testing.T) {
	const mib = int64(configs.MiB)
	for _, freeBytes := range []int64{0, 1, 20 * mib, 100 * mib, 3_000 * mib, 77_777 * mib, 10_000_000 * mib, 1 << 60} {
		for _, usedBytes := range []int64{0, 1, 5 * mib, 1_000 * mib, 123_456 * mib, 50_000_000 * mib} {
			for _, holding := range []string{"", "./holding"} {
				for _, holdingFree := range []int64{0, 10 * mib, 5_000 * mib} {
					o := options()
					o.Holding, o.FreeBytes, o.HoldingFreeBytes = holding, freeBytes, holdingFree
					o.Images = []configs.Image{{VM: "a", Disk: "d", Path: "i", Format: configs.FormatRaw, SizeBytes: usedBytes}}
					if usedBytes == 0 {
						o.Images = nil
					}
					t.Run(fmt.Sprintf("%d/%d/%s/%d", freeBytes, usedBytes, holding, holdingFree), func(t *testing.T) { checkFits(t, o, usedBytes) })
				}
			}
		}
	}
}

func checkFits(t *testing.T, o configs.GenerateOptions, usedBytes int64) {
	text := configs.Generate(o)
	c, err := configs.Parse("/c/hf.yaml", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(c.Warnings) > 0 && usedBytes > 0 {
		t.Errorf("warnings: %q", c.Warnings)
	}
	s := c.MainStorage()
	vtapeBytes, holdingBytes := int64(s.Slots)*int64(s.VolumeSize), int64(0)
	if len(c.Holding) > 0 {
		holdingBytes = int64(c.Holding[0].Use)
	}
	if o.HoldingFreeBytes > 0 {
		if holdingBytes > o.HoldingFreeBytes/10*9 {
			t.Errorf("holding disk of %d, of %d free", holdingBytes, o.HoldingFreeBytes)
		}
		holdingBytes = 0
	}
	if roomBytes := o.FreeBytes / 10 * 9; vtapeBytes+holdingBytes > roomBytes && roomBytes >= 32*int64(configs.MiB) {
		t.Errorf("%d and %d, of %d", vtapeBytes, holdingBytes, roomBytes)
	}
	if run := int64(s.RunVolumes) * int64(s.VolumeSize); run < usedBytes && o.FreeBytes > 4*usedBytes && o.FreeBytes > 100*int64(configs.MiB) {
		t.Errorf("a run of %d for images of %d, with %d free", run, usedBytes, o.FreeBytes)
	}
}
