package recovery_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/scheduler/recovery"
)

// TestSelect: which dump is meant, and what is said when there is none.
func TestSelect(t *testing.T) {
	s := newStore(t)
	add := func(vm, disk string, day int, level catalog.Level, status catalog.Status) {
		d := catalog.Dump{DLE: catalog.DLE{VM: vm, Disk: disk}, Stamp: stampAt(day), Level: level, Status: status}
		d.ID = catalog.NewDumpID(d.DLE, d.Stamp, level)
		s.dumps = append(s.dumps, d)
	}
	add("web01", "disk0", 0, 0, catalog.StatusOK)
	add("web01", "disk0", 1, 1, catalog.StatusStrange)
	add("web01", "disk0", 2, 2, catalog.StatusOK)
	add("web01", "disk0", 2, 0, catalog.StatusOK)
	add("web01", "disk0", 3, 0, catalog.StatusPartial)
	add("db", "sda", 0, 0, catalog.StatusOK)
	add("db", "sdb", 1, 0, catalog.StatusOK)
	s.dumps[4].Messages = []string{"part 2 is missing"}
	at := func(day, hour int) time.Time { return time.Date(2025, 3, 1+day, hour, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		name string
		w    recovery.Wanted
		want string // the dump, or the error
	}{
		{"the latest that can be used", recovery.Wanted{VM: "web01", Level: -1}, "web01/disk0/20250303010000/2"},
		{"with its disk", recovery.Wanted{VM: "web01", Disk: "disk0", Level: -1}, "web01/disk0/20250303010000/2"},
		{"at a time", recovery.Wanted{VM: "web01", At: at(2, 0), Level: -1}, "web01/disk0/20250302010000/1"},
		{"to the second", recovery.Wanted{VM: "web01", At: at(1, 1), Level: -1}, "web01/disk0/20250302010000/1"},
		{"a second before", recovery.Wanted{VM: "web01", At: at(1, 1).Add(-time.Second), Level: -1}, "web01/disk0/20250301010000/0"},
		{"at a level", recovery.Wanted{VM: "web01", Level: 0}, "web01/disk0/20250303010000/0"},
		{"of a run", recovery.Wanted{VM: "web01", Run: stampAt(1), Level: -1}, "web01/disk0/20250302010000/1"},
		{"of a run and a level", recovery.Wanted{VM: "web01", Run: stampAt(2), Level: 0}, "web01/disk0/20250303010000/0"},
		{"one of several disks", recovery.Wanted{VM: "db", Disk: "sdb", Level: -1}, "db/sdb/20250302010000/0"},

		{"before the first", recovery.Wanted{VM: "web01", At: at(0, 0), Level: -1}, "web01:disk0: no such dump from before 2025-03-01 00:00:00"},
		{"another level", recovery.Wanted{VM: "web01", Level: 7}, "web01:disk0: no such dump at level 7"},
		{"another run and level", recovery.Wanted{VM: "web01", Run: stampAt(1), Level: 0}, "web01:disk0: no such dump of run 20250302010000 at level 0"},
		{"only one that cannot be used", recovery.Wanted{VM: "web01", Run: stampAt(3), Level: -1},
			"web01:disk0: no such dump of run 20250304010000; level 0 of 20250304010000 is partial: part 2 is missing"},
		{"several disks", recovery.Wanted{VM: "db", Level: -1}, "db has several disks, name one: [sda sdb]"},
		{"a VM that is near", recovery.Wanted{VM: "web1", Level: -1}, `VM "web1": no such dump (did you mean "web01"?)`},
		{"a VM that is not", recovery.Wanted{VM: "mailserver", Level: -1}, `VM "mailserver": no such dump`},
		{"a disk that is near", recovery.Wanted{VM: "web01", Disk: "disk1", Level: -1}, `disk of web01 "disk1": no such dump (did you mean "disk0"?)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := recovery.Select(context.Background(), s, c.w)
			got := string(d.ID)
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if err != nil && c.name != "several disks" && !errors.Is(err, recovery.ErrNoDump) {
				t.Errorf("%v is no ErrNoDump", err)
			}
		})
	}
}
