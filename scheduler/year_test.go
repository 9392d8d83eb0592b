package scheduler_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"holdfast/catalog"
	"holdfast/scheduler"
)

// TestNeverLater: more room of any kind never takes a full from an image that is due, as long as each full fits beside the
// incrementals and no image waits for its first dump.
func TestNeverLater(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := scheduler.Input{Now: night(12), Capacity: volumes(1, rapid.Int64Range(1200, 4000).Draw(t, "MiB"))}
		in.Window = scheduler.Window{Length: time.Duration(rapid.IntRange(20, 60).Draw(t, "minutes")) * time.Minute}
		for i := range rapid.IntRange(2, 10).Draw(t, "images") {
			n := rapid.Int64Range(50, 400).Draw(t, "size")
			img := sized(n, image(fmt.Sprintf("vm%d", i), fmt.Sprintf("%d:0:%d", rapid.IntRange(1, 8).Draw(t, "full"), n), fmt.Sprintf("9:1:%d", n/20)))
			img.Policy.Priority = rapid.IntRange(0, 2).Draw(t, "priority")
			in.Images = append(in.Images, timed(1, img))
		}
		less := scheduler.Make(in)
		in.Capacity.VolumeBytes += rapid.Int64Range(0, 2000).Draw(t, "more MiB") * mib
		in.Window.Length += time.Duration(rapid.IntRange(0, 60).Draw(t, "more minutes")) * time.Minute
		more := scheduler.Make(in)
		for _, e := range less.Entries {
			full := slices.ContainsFunc(more.Entries, func(m scheduler.Entry) bool { return m.DLE == e.DLE && m.Level == 0 })
			if e.Level == 0 && !full {
				t.Errorf("%s had its full with less room\n%s\n%s", e.DLE, text(less), text(more))
			}
		}
	})
}

// TestWithin: no plan exceeds the window, a second storage or the holding disk, whatever is due.
func TestWithin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := site(t)
		for i := range in.Images {
			in.Images[i] = timed(rapid.Int64Range(1, 3).Draw(t, "rate"), free(in.Images[i]))
		}
		in.Window = scheduler.Window{Length: time.Duration(rapid.IntRange(1, 40).Draw(t, "minutes")) * time.Minute, Parallel: rapid.IntRange(0, 3).Draw(t, "parallel")}
		in.Storages = []scheduler.Capacity{volumes(1, rapid.Int64Range(50, 2000).Draw(t, "second"))}
		in.Holding = scheduler.Holding{Bytes: rapid.Int64Range(0, 3000).Draw(t, "holding") * mib, Alone: rapid.Bool().Draw(t, "alone")}
		plan := scheduler.Make(in)
		var seconds float64
		var stored, second int64
		for _, e := range plan.Entries {
			seconds += e.Seconds
			stored += e.StoredBytes
			second += e.StoredBytes + 32*kib
		}
		limit := in.Window.Length.Seconds() * float64(max(1, in.Window.Parallel))
		if seconds > limit+0.1 || second > in.Storages[0].VolumeBytes || in.Holding.Alone && in.Holding.Bytes > 0 && stored > in.Holding.Bytes {
			t.Errorf("%.0f s of %.0f, %d bytes\n%s", seconds, limit, stored, text(plan))
		}
	})
}

// yearly is a site of images with cycles of all lengths, of which some nights are missed and some images are not there.
type yearly struct {
	images []scheduler.Image
	added  []int // the night each image is first on the list
	last   []int // the night of its latest dump
	full   []int
}

// TestYear: in a simulated year of runs, some of them missed, with room for one and a half times what the site makes in the
// mean, every full comes within its cycle unless a run was missed or the image was new in a crowd, and no image is
// without a dump for a week; with too little room for everything nobody is forgotten, either.
func TestYear(t *testing.T) {
	for _, c := range []struct {
		name                  string
		mib                   int64
		lateNights, withoutMx int
	}{{"room enough", 2400, 0, 1}, {"too little for everything", 500, -1, 3}} {
		t.Run(c.name, func(t *testing.T) {
			y := newYearly(16)
			late, without := 0, 0
			r := rand.New(rand.NewPCG(1, 2))
			missed := -99
			for n := range 365 {
				if r.IntN(60) == 0 {
					missed = n
					continue
				}
				y.night(n, volumes(1, c.mib))
				for i := range y.images {
					cycle := int(y.images[i].Policy.CycleDays)
					if n >= 30 && n-y.full[i] >= cycle && n-missed > 1 {
						late++
					}
					if y.added[i] <= n {
						without = max(without, n-max(y.last[i], y.added[i]-1)-1)
					}
				}
			}
			if c.lateNights >= 0 && late > c.lateNights {
				t.Errorf("%d nights by which fulls are late", late)
			}
			if without > c.withoutMx {
				t.Errorf("an image was without a dump for %d nights", without)
			}
			t.Logf("late %d, longest without a dump %d", late, without)
		})
	}
}

func newYearly(n int) *yearly {
	y := &yearly{}
	for i := range n {
		img := free(sized(int64(20+i*37%300), image(fmt.Sprintf("vm%02d", i))))
		img.Policy.CycleDays = []float64{3, 7, 7, 14}[i%4]
		img.Policy.Priority = 1
		y.images = append(y.images, img)
		y.added, y.last, y.full = append(y.added, i%3*5), append(y.last, -1), append(y.full, -1)
	}
	return y
}

// night runs one night over the images that are on the list.
func (y *yearly) night(n int, c scheduler.Capacity) {
	at := night(n + 1)
	in := scheduler.Input{Now: at, Capacity: c}
	for i, img := range y.images {
		if y.added[i] <= n {
			img.Dumps = img.Dumps[max(0, len(img.Dumps)-40):]
			img.Waited = n - 1 - max(y.last[i], y.added[i]-1)
			in.Images = append(in.Images, img)
		}
	}
	for _, e := range scheduler.Make(in).Entries {
		i := slices.IndexFunc(y.images, func(img scheduler.Image) bool { return img.DLE == e.DLE })
		size := y.images[i].AllocatedBytes
		if e.Level > 0 {
			_, stamp, _, _ := catalog.ParseDumpID(e.Base)
			size = drifting(size/2, int(at.Sub(stamp.Time(at.Location())).Hours()/24+0.5))
		} else {
			y.full[i] = n
		}
		add(&y.images[i], at, e.Level, size)
		y.last[i] = n
	}
}
