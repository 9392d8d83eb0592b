package scheduler_test

import (
	"fmt"
	"strings"
	"time"

	"holdfast/catalog"
	"holdfast/scheduler"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// amanda is a policy with Amanda's defaults and a cycle of a week. It promotes nothing: what is seen is due.
func amanda() scheduler.Policy {
	return scheduler.Policy{
		CycleDays: 7, BumpSizeBytes: 10 * mib, BumpMult: 1.5, BumpDays: 2, MaxLevel: 9,
		Strategy: scheduler.StrategyStandard, Priority: 1, MaxPromoteDays: -1,
	}
}

func dle(vm string) catalog.DLE { return catalog.DLE{VM: vm, Disk: "disk0"} }

// firstNight is the time of the first run of a simulation; the others follow a day apart.
var firstNight = time.Date(2025, 3, 1, 1, 0, 0, 0, time.UTC)

// night is the time of the n-th run, from 1.
func night(n int) time.Time { return firstNight.AddDate(0, 0, n-1) }

// image is an image of 1 GiB. Its dumps are written "NIGHT:LEVEL" or "NIGHT:LEVEL:MIB", each on the latest of a lower
// level; those of level 0 hold all of it unless they say otherwise, those of other levels 50 MiB.
func image(vm string, dumps ...string) scheduler.Image {
	img := scheduler.Image{DLE: dle(vm), Policy: amanda(), AllocatedBytes: gib}
	for _, text := range dumps {
		var on, level, size int
		if n, _ := fmt.Sscanf(text, "%d:%d:%d", &on, &level, &size); n < 3 {
			size = 50
			if level == 0 {
				size = gib / mib
			}
		}
		add(&img, night(on), catalog.Level(level), int64(size)*mib)
	}
	return img
}

// add is what a run leaves in the history. Compression halves.
func add(img *scheduler.Image, at time.Time, level catalog.Level, origBytes int64) {
	d := catalog.Dump{
		DLE: img.DLE, Stamp: catalog.NewStamp(at), Level: level, Status: catalog.StatusOK,
		OrigBytes: origBytes, StoredBytes: origBytes,
	}
	if img.Policy.Compressed {
		d.StoredBytes /= 2
	}
	if base, ok := catalog.BaseFor(img.Dumps, level); ok {
		d.Base = base.ID
	}
	d.ID = catalog.NewDumpID(d.DLE, d.Stamp, level)
	img.Dumps = append(img.Dumps, d)
}

// text prints a plan with all that it says.
func text(p scheduler.Plan) string {
	var b strings.Builder
	for _, e := range p.Entries {
		fmt.Fprintf(&b, "%s level %d, priority %d, %d KiB, stored %d KiB", e.DLE, e.Level, e.Priority, e.OrigBytes/kib, e.StoredBytes/kib)
		if e.Base != "" {
			fmt.Fprintf(&b, ", on %s", e.Base)
		}
		if e.CloneOf != nil {
			fmt.Fprintf(&b, ", clone of %s", e.CloneOf)
		}
		if e.Late {
			b.WriteString(", LATE")
		}
		fmt.Fprintf(&b, "\n    %s [%s]\n", e.Reason, e.Why.Kind)
		if d := e.Degraded; d != nil {
			fmt.Fprintf(&b, "    degraded: level %d, %d KiB, %s\n", d.Level, d.StoredBytes/kib, d.Reason)
		}
		if e.Note != "" {
			fmt.Fprintf(&b, "    note: %s\n", e.Note)
		}
	}
	for _, s := range p.Skipped {
		what := "skipped"
		if s.Failure {
			what = "FAILED"
		}
		fmt.Fprintf(&b, "%s %s, level %d\n    %s [%s]\n", s.DLE, what, s.Level, s.Reason, s.Why.Kind)
	}
	fmt.Fprintf(&b, "%d KiB of %d KiB\n", p.TotalBytes/kib, p.CapacityBytes/kib)
	return b.String()
}
