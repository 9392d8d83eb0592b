package scheduler_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/scheduler"
)

// drifting is how much of sizeBytes has changed after nights of 15 % of random blocks each.
func drifting(sizeBytes int64, nights int) int64 {
	return int64(float64(sizeBytes) * (1 - math.Pow(0.85, float64(nights))))
}

// run plans a night and adds what it makes to the histories: full size for a full, else what has drifted since the base.
func run(images []scheduler.Image, at time.Time, c scheduler.Capacity) scheduler.Plan {
	plan := scheduler.Make(scheduler.Input{Now: at, Images: images, Capacity: c})
	for _, e := range plan.Entries {
		i := slices.IndexFunc(images, func(img scheduler.Image) bool { return img.DLE == e.DLE })
		size := images[i].AllocatedBytes
		if e.Level > 0 {
			_, stamp, _, err := catalog.ParseDumpID(e.Base)
			if err != nil {
				panic(err)
			}
			size = drifting(size, int(math.Round(at.Sub(stamp.Time(at.Location())).Hours()/24)))
		}
		add(&images[i], at, e.Level, size)
	}
	return plan
}

// TestBumping is the example of Amanda's own documents, which Amanda was watched to do: 10060 KiB, 15 % change a night,
// dump cycle 9, bumpsize 1000 KiB, bumpdays 2, bumpmult 1.5.
func TestBumping(t *testing.T) {
	img := scheduler.Image{DLE: dle("a"), Policy: amanda(), AllocatedBytes: 10060 * kib}
	img.Policy.CycleDays, img.Policy.BumpSizeBytes = 9, 1000*kib
	images := []scheduler.Image{img}
	var levels []catalog.Level
	for n := 1; n <= 10; n++ {
		levels = append(levels, run(images, night(n), scheduler.Capacity{}).Entries[0].Level)
	}
	if want := []catalog.Level{0, 1, 1, 2, 2, 3, 3, 4, 4, 0}; !slices.Equal(levels, want) {
		t.Errorf("levels %v, want %v", levels, want)
	}
}

// TestStaggered adds one image a night, as in Amanda's example with a cycle of 4: no night has more than one full, and
// from the fourth on all nights carry the same.
func TestStaggered(t *testing.T) {
	var images []scheduler.Image
	var totals []string
	for n := 1; n <= 10; n++ {
		if n <= 4 {
			img := sized(100*1024, image(fmt.Sprintf("fs%d", n)))
			img.Policy.CycleDays, img.Policy.BumpSizeBytes = 4, 1<<60
			images = append(images, img)
		}
		plan := run(images, night(n), scheduler.Capacity{})
		var total int64
		for i := range images {
			total += images[i].Dumps[len(images[i].Dumps)-1].OrigBytes
		}
		if fulls := countLevel(plan, 0); fulls != 1 {
			t.Errorf("night %d: %d fulls\n%s", n, fulls, text(plan))
		}
		totals = append(totals, fmt.Sprintf("%.2f", float64(total)/gib))
	}
	want := []string{"100.00", "115.00", "142.75", "181.34", "181.34", "181.34", "181.34", "181.34", "181.34", "181.34"}
	if !slices.Equal(totals, want) {
		t.Errorf("GiB a night %v, want %v", totals, want)
	}
}

func countLevel(p scheduler.Plan, level catalog.Level) int {
	n := 0
	for _, e := range p.Entries {
		if e.Level == level {
			n++
		}
	}
	return n
}

// TestCycle: sixty nights of images with cycles of all lengths, with room enough, and runs that begin some hours early or
// late and go through both changes of the clock: no full ever comes later than its cycle.
func TestCycle(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, begin := range []time.Time{time.Date(2025, 3, 1, 1, 30, 0, 0, berlin), time.Date(2025, 9, 20, 2, 30, 0, 0, berlin)} {
		var images []scheduler.Image
		for cycle := 1; cycle <= 14; cycle++ {
			img := image(fmt.Sprintf("cycle-%d", cycle))
			img.Policy.CycleDays, img.Policy.BumpSizeBytes = float64(cycle), mib
			images = append(images, img)
		}
		last := map[catalog.DLE]int{}
		for n := range 60 {
			at := begin.AddDate(0, 0, n).Add(time.Duration(n*7%11-5) * time.Hour / 2)
			for _, e := range run(images, at, scheduler.Capacity{}).Entries {
				i := slices.IndexFunc(images, func(img scheduler.Image) bool { return img.DLE == e.DLE })
				cycle := int(images[i].Policy.CycleDays)
				if e.Level == 0 {
					if since, ok := last[e.DLE]; ok && n-since != cycle {
						t.Errorf("%s: full in night %d, the one before in night %d", e.DLE, n, since)
					}
					last[e.DLE] = n
				} else if n-last[e.DLE] >= cycle {
					t.Errorf("%s: no full in night %d, the last one in night %d", e.DLE, n, last[e.DLE])
				}
			}
		}
	}
}

// TestDue: days are counted to the nearest one, in local time, over changes of the clock, too.
func TestDue(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		full, now string
		cycle     float64
		want      string
	}{
		{"a second before half a day early", "20250110010000", "20250116125959", 7, "level 1 after a full"},
		{"half a day early", "20250110010000", "20250116130000", 7, "full due today (dump cycle 7 days)"},
		{"on the hour", "20250110010000", "20250117010000", 7, "full due today (dump cycle 7 days)"},
		{"half a day late", "20250110010000", "20250117130000", 7, "full overdue by 12 hours (dump cycle 7 days)"},
		{"days and hours late", "20250110010000", "20250119060000", 7, "full overdue by 2 days 5 hours (dump cycle 7 days)"},
		{"late", "20250110010000", "20250119010000", 7, "full overdue by 2 days (dump cycle 7 days)"},
		{"each night", "20250110010000", "20250111003000", 1, "full due today (dump cycle 1 day)"},
		{"spring: a day of 23 hours", "20250327013000", "20250403013000", 7, "full due today (dump cycle 7 days)"},
		{"spring, each night", "20250330013000", "20250331013000", 1, "full due today (dump cycle 1 day)"},
		{"autumn: a day of 25 hours", "20251023023000", "20251030023000", 7, "full due today (dump cycle 7 days)"},
		{"autumn, the day before", "20251023023000", "20251029023000", 7, "level 1 after a full"},
		{"the hour that does not exist", "20250330023000", "20250331023000", 1, "full due today (dump cycle 1 day)"},
		{"every six hours", "20250110000000", "20250110060000", 0.25, "full due today (dump cycle 0.25 days)"},
		{"an hour after a full of six", "20250110000000", "20250110010000", 0.25, "level 1 after a full"},
		{"a full of the future, from a clock that was wrong", "20260110000000", "20250110010000", 7, "level 1 after a full"},
	} {
		t.Run(c.name, func(t *testing.T) {
			img := image("a")
			img.Policy.CycleDays = c.cycle
			add(&img, catalog.Stamp(c.full).Time(berlin), 0, gib)
			plan := scheduler.Make(scheduler.Input{Now: catalog.Stamp(c.now).Time(berlin), Images: []scheduler.Image{img}})
			if got := plan.Entries[0].Reason; got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestNewcomers: where a run holds only a part of the new images, each gets its full within some nights, and those that
// were dumped go on being dumped.
func TestNewcomers(t *testing.T) {
	var images []scheduler.Image
	for i := range 40 {
		img := sized(int64(100+i*17%400), image(fmt.Sprintf("vm%02d", i)))
		img.Policy.BumpSizeBytes = mib
		images = append(images, img)
	}
	capacity := volumes(3, 2000)
	for n := 1; n <= 60; n++ {
		dumped := map[catalog.DLE]bool{}
		for _, img := range images {
			dumped[img.DLE] = len(img.Dumps) > 0
		}
		plan := run(images, night(n), capacity)
		for _, s := range plan.Skipped {
			if dumped[s.DLE] || n > 8 {
				t.Errorf("night %d: %s gets nothing: %s", n, s.DLE, s.Reason)
			}
		}
		for _, e := range plan.Entries {
			if e.Late && n > 20 {
				t.Errorf("night %d: %s is late", n, e.DLE)
			}
		}
	}
}
