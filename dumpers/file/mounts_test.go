package file

import (
	"strings"
	"testing"
)

const mountTable = `22 28 0:21 / /proc rw,nosuid shared:12 - proc proc rw
28 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,errors=remount-ro
40 28 8:17 / /mnt/read\040only ro,relatime shared:5 - ext4 /dev/sdb1 ro
41 28 8:33 / /mnt/a\040b ro,relatime shared:6 - ext4 /dev/sdc1 rw
42 28 0:50 /sub /mnt/btrfs rw,relatime - btrfs /dev/mapper/vg-lv\134x rw,space_cache
`

// A device counts as mounted by its number, or by its name where the file system has a number of its own; and only when
// the file system, whatever this mount of it may do, is writable.
func TestMountedOn(t *testing.T) {
	deviceOf := func(source string) string {
		if source == `/dev/mapper/vg-lv\x` {
			return "253:7"
		}
		return ""
	}
	for number, want := range map[string]string{
		"254:0": "/", "8:17": "", "8:33": "/mnt/a b", "253:7": "/mnt/btrfs", "0:21": "/proc", "9:9": "",
	} {
		got, err := mountedOn(strings.NewReader(mountTable), []string{"1:1", number}, deviceOf)
		if err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", number, got, err, want)
		}
	}
	if _, err := mountedOn(strings.NewReader("nonsense\n"), nil, deviceOf); err == nil {
		t.Error("a table that is not understood was taken for one without mounts")
	}
}
