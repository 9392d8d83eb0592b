package driving_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/catalog"
	"holdfast/scheduler/run/driving"
)

// vm is a dump of so many GiB that takes so many minutes.
func vm(name string, gibs, minutes int, more ...func(*job)) *job {
	j := &job{}
	j.DLE = catalog.DLE{VM: name, Disk: "disk0"}
	j.Host, j.Bytes, j.Seconds = name, int64(gibs)*gib, float64(minutes*60)
	for _, m := range more {
		m(j)
	}
	return j
}

func shares(kind, name string, most int) func(*job) {
	return func(j *job) { j.Shares = append(j.Shares, driving.Share{Kind: kind, Name: name, Max: most}) }
}

func with(set func(*driving.Job)) func(*job) { return func(j *job) { set(&j.Job) } }

func acts(a ...act) func(*job) { return func(j *job) { j.acts = a } }

func after(base string) func(*job) {
	return with(func(j *driving.Job) { j.After = &catalog.DLE{VM: base, Disk: "disk0"} })
}

var retrying = with(func(j *driving.Job) { j.Retries, j.RetryDelay = 1, 5*time.Minute })

const (
	// inGiB makes a line of 1 GiB in 10 minutes.
	inGiB = gib / 600
	short = 5 * time.Minute
)

// Each limit by itself: when each dump is begun, and why the last of them waited.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits driving.Limits
		jobs   []*job
		disk   *disk
		starts string
		waits  string // all reasons in order of time, of the state
	}{
		{
			name: "in parallel", limits: driving.Limits{Parallel: 2},
			jobs:   []*job{vm("a", 1, 10), vm("b", 1, 20), vm("c", 1, 10)},
			disk:   &disk{total: 100 * gib},
			starts: "0s a, 0s b, 10m0s c", waits: "no-dumpers not-idle",
		},
		{
			name: "one at a time on a host", limits: driving.Limits{Parallel: 4},
			jobs:   []*job{vm("a", 1, 10, shares("host", "h", 1)), vm("b", 1, 10, shares("host", "h", 1)), vm("c", 1, 10)},
			disk:   &disk{total: 100 * gib},
			starts: "0s a, 0s c, 10m0s b", waits: "client-constrained not-idle",
		},
		{
			name: "two at a time on a datastore", limits: driving.Limits{Parallel: 4},
			jobs: []*job{vm("a", 1, 10, shares("datastore", "d", 2)), vm("b", 1, 20, shares("datastore", "d", 2)),
				vm("c", 1, 10, shares("datastore", "d", 2))},
			disk:   &disk{total: 100 * gib},
			starts: "0s a, 0s b, 10m0s c", waits: "client-constrained not-idle",
		},
		{
			name: "bandwidth; an idle line takes any dump", limits: driving.Limits{Parallel: 4, Interfaces: map[string]int64{"": 0, "lan": inGiB}},
			jobs: []*job{vm("a", 6, 25, with(onLan)), vm("b", 1, 20, with(onLan)), vm("c", 1, 20, with(onLan))},
			disk: &disk{total: 100 * gib},
			// b and c take half of the line each.
			starts: "0s a, 25m0s b, 25m0s c", waits: "no-bandwidth not-idle",
		},
		{
			name: "start time", limits: driving.Limits{Parallel: 4},
			jobs:   []*job{vm("a", 1, 10, with(func(j *driving.Job) { j.StartAfter = time.Now().Add(time.Hour) })), vm("b", 1, 10)},
			disk:   &disk{total: 100 * gib},
			starts: "0s b, 1h0m0s a", waits: "start-wait not-idle",
		},
		{
			name: "a base goes first, and a failed one does not hold up", limits: driving.Limits{Parallel: 4},
			jobs:   []*job{vm("clone", 1, 10, after("base")), vm("base", 1, 10, acts(act{fail: errNoRoom, takes: 10 * time.Minute}))},
			disk:   &disk{total: 100 * gib},
			starts: "0s base, 6m0s clone", waits: "base-wait not-idle",
		},
		{
			name: "room on the holding disk; what fits goes by", limits: driving.Limits{Parallel: 4},
			jobs:   []*job{vm("a", 6, 10), vm("b", 5, 10), vm("c", 3, 11)},
			disk:   &disk{total: 10 * gib, rate: 10 * inGiB},
			starts: "0s a, 0s c, 16m0s b", waits: "no-diskspace not-idle",
		},
		{
			name: "larger than the holding disk: straight to a volume", limits: driving.Limits{Parallel: 4},
			jobs:   []*job{vm("a", 11, 10), vm("b", 12, 10), vm("c", 1, 10)},
			disk:   &disk{total: 10 * gib, rate: inGiB},
			starts: "0s a, 0s c, 10m0s b", waits: "no-hold not-idle",
		},
		{
			name: "no room and none to come: straight to a volume", limits: driving.Limits{Parallel: 4},
			jobs:   []*job{vm("a", 6, 30), vm("b", 6, 20), vm("c", 5, 10)},
			disk:   &disk{total: 10 * gib},
			starts: "0s a, 30m0s b, 50m0s c", waits: "no-diskspace not-idle",
		},
		{
			name: "a passing failure is tried again, another is not", limits: driving.Limits{Parallel: 1},
			jobs: []*job{vm("a", 1, 10, retrying, acts(act{fail: errDown, again: true, takes: 10 * time.Minute}, act{})),
				vm("b", 1, 1, retrying, acts(act{fail: errNoRoom, takes: 10 * time.Minute}))},
			disk:   &disk{total: 100 * gib},
			starts: "0s a, 6m0s b, 12m0s a", waits: "no-dumpers retry-wait no-dumpers not-idle",
		},
		{
			name: "a host that is down is tried once for all", limits: driving.Limits{Parallel: 1},
			jobs: []*job{vm("a", 1, 10, onHost, retrying, acts(act{down: true})), vm("b", 1, 10, onHost, retrying), vm("c", 1, 10, onHost),
				vm("d", 1, 10)},
			disk: &disk{total: 100 * gib},
			// d goes on meanwhile; b and c fail with the second try of a.
			starts: "0s a, 30s d, 10m30s a", waits: "no-dumpers client-constrained not-idle",
		},
		{
			name: "a hung source is cut", limits: driving.Limits{Parallel: 1},
			jobs:   []*job{vm("a", 1, 10, with(func(j *driving.Job) { j.Timeout = short }), acts(act{hang: true})), vm("b", 1, 10)},
			disk:   &disk{total: 100 * gib},
			starts: "0s a, 5m0s b", waits: "no-dumpers not-idle",
		},
		{
			name: "a slow source is not", limits: driving.Limits{Parallel: 1},
			jobs:   []*job{vm("a", 1, 49, with(func(j *driving.Job) { j.Timeout = short })), vm("b", 1, 10)},
			disk:   &disk{total: 100 * gib},
			starts: "0s a, 49m0s b", waits: "no-dumpers not-idle",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, j := range c.jobs {
					if !j.StartAfter.IsZero() {
						j.StartAfter = time.Now().Add(time.Hour) // the clock of the bubble
					}
				}
				w := newWorld(t, c.name, c.limits, c.jobs...)
				w.disk = c.disk
				if err := w.run(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := w.begins(); got != c.starts {
					t.Errorf("begun: %s\nwant:  %s", got, c.starts)
				}
				if got := strings.Join(w.reasons(), " "); got != c.waits {
					t.Errorf("states: %s\nwant:   %s", got, c.waits)
				}
			})
		})
	}
}

func onLan(j *driving.Job) { j.Interface = "lan" }

func onHost(j *job) { j.Host = "h" }

// begins tells what was begun when; what begins together is seen in any order.
func (w *world) begins() string {
	slices.SortStableFunc(w.starts, func(a, b start) int { return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.vm, b.vm)) })
	var all []string
	for _, s := range w.starts {
		all = append(all, fmt.Sprintf("%v %s", s.at, s.vm))
	}
	return strings.Join(all, ", ")
}

func (w *world) reasons() []string {
	var all []string
	for _, s := range w.states {
		all = append(all, string(s.Reason))
	}
	return all
}

// The letters, for one dumper after another; priority counts before them.
func TestOrder(t *testing.T) {
	rated := func(name string, gibs, minutes, priority int) *job {
		return vm(name, gibs, minutes, with(func(j *driving.Job) { j.Priority = priority }))
	}
	for order, want := range map[string]string{
		"s": "high small slow long", "S": "high long slow small", "t": "high small slow long", "T": "high long slow small",
		"b": "high slow small long", "B": "high long small slow", "": "high long slow small", "st": "high small slow long",
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, order, driving.Limits{Parallel: 1, Order: order},
				rated("small", 2, 10, 1), rated("long", 50, 60, 1), rated("high", 20, 20, 2), rated("slow", 3, 40, 1))
			w.disk = &disk{total: 1000 * gib}
			if err := w.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range w.starts {
				got = append(got, s.vm)
			}
			if strings.Join(got, " ") != want {
				t.Errorf("order %q: %v, want %s", order, got, want)
			}
		})
	}
}

// Dumpers have letters of their own: the first takes the smallest, the second the largest.
func TestOrderByDumper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var jobs []*job
		for i := range 6 {
			jobs = append(jobs, vm(fmt.Sprint(i), i+1, 10))
		}
		w := newWorld(t, "sS", driving.Limits{Parallel: 2, Order: "sS"}, jobs...)
		w.disk = &disk{total: 1000 * gib}
		if err := w.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := "0s 0, 0s 5, 10m0s 1, 10m0s 4, 20m0s 2, 20m0s 3"
		if got := w.begins(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// Three dumps that outgrow what was expected of them fill the holding disk, and wait for each other: the smallest gives way and
// goes straight to a volume, or fails if it may not, and the others are done.
func TestRoomTie(t *testing.T) {
	for _, required := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			grow := func(name string, gibs int) *job {
				return vm(name, gibs, 10, acts(act{bytes: int64(gibs) * 2 * gib, takes: 10 * time.Minute}), func(j *job) { j.required = required })
			}
			w := newWorld(t, "tie", driving.Limits{Parallel: 3}, grow("a", 4), grow("b", 3), grow("c", 3))
			w.disk = &disk{total: 14 * gib}
			if err := w.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			var failed []string
			for dle, e := range w.ends {
				if e.Err != nil {
					failed = append(failed, dle.VM)
				}
			}
			slices.Sort(failed)
			if want := []string{"b"}; required && !slices.Equal(failed, want) || !required && len(failed) > 0 {
				t.Errorf("required %v: failed: %v", required, failed)
			}
		})
	}
}

// When the window closes nothing more is begun, and what runs goes on; a full that would outlast it gives way to the incremental.
func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lesser := with(func(j *driving.Job) { j.ShortSeconds = 300 })
		w := newWorld(t, "window", driving.Limits{Parallel: 1, Order: "tttt", End: time.Now().Add(time.Hour)},
			vm("a", 1, 20, lesser), vm("b", 1, 35, lesser), vm("c", 1, 45, lesser), vm("d", 1, 50))
		w.disk = &disk{total: 100 * gib}
		if err := w.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, want := w.begins(), "0s a, 20m0s b, 55m0s c"; got != want {
			t.Errorf("begun: %s, want %s", got, want)
		}
		for name, want := range map[string]bool{"a": false, "b": false, "c": true} {
			if got := w.short[catalog.DLE{VM: name, Disk: "disk0"}]; got != want {
				t.Errorf("%s: short %v", name, got)
			}
		}
		if e := w.ends[catalog.DLE{VM: "d", Disk: "disk0"}]; !errors.Is(e.Err, driving.ErrWindow) || e.Begun {
			t.Errorf("d: %+v", e)
		}
	})
}

// In a pause nothing is begun, what runs goes on, and the end of the pause is seen.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "pause", driving.Limits{Parallel: 1}, vm("a", 1, 10), vm("b", 1, 10))
		w.disk = &disk{total: 100 * gib}
		w.pause = func(now time.Time) bool { at := now.Sub(w.begun); return at > 5*time.Minute && at < 62*time.Minute }
		if err := w.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, want := w.begins(), "0s a, 1h2m0s b"; got != want {
			t.Errorf("begun: %s, want %s", got, want)
		}
		if got, want := strings.Join(w.reasons(), " "), "no-dumpers paused not-idle"; got != want {
			t.Errorf("states %s, want %s", got, want)
		}
	})
}

// Stopped in the midst, what runs is cut, nothing more is begun or tried again, and the room is given back.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
		defer cancel()
		w := newWorld(t, "stop", driving.Limits{Parallel: 2, Order: "tt"}, vm("a", 1, 10), vm("b", 1, 40, retrying), vm("c", 1, 40, retrying), vm("d", 1, 40))
		w.disk = &disk{total: 100 * gib}
		if err := w.run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(w.begun); took != 15*time.Minute {
			t.Errorf("ended after %v", took)
		}
		if len(w.starts) != 3 || w.ends[catalog.DLE{VM: "b", Disk: "disk0"}].Retry {
			t.Errorf("begun: %v, ends %v", w.starts, w.ends)
		}
	})
}

// Errors of those who are told end the night, and what runs ends by itself.
func TestTellFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("no catalog")
		var begun, ended int
		d := driving.New(driving.Options{
			Limits: driving.Limits{Parallel: 1}, Now: time.Now,
			Do:    func(context.Context, *driving.Task) driving.Outcome { begun++; return driving.Outcome{} },
			Waits: func(driving.Job, driving.Wait) error { return nil },
			State: func(driving.State) error { return nil },
			Ended: func(driving.Job, driving.End) error { ended++; return broken },
		}, []driving.Job{vm("a", 1, 1).Job, vm("b", 1, 1).Job})
		if err := d.Run(t.Context()); !errors.Is(err, broken) || begun != 1 || ended != 1 {
			t.Errorf("error %v, %d begun, %d ended", err, begun, ended)
		}
	})
}
