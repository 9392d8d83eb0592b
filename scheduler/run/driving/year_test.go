package driving_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/catalog"
	"holdfast/scheduler/run/driving"
)

// A year of nights, each with other images, limits and failures: every limit is held at every moment, every wait has a true
// reason, every job ends, every reservation comes back, and no night stands still.
func TestYear(t *testing.T) {
	seen := map[driving.Reason]int{}
	var outcomes [4]int
	for night := range uint64(365) {
		synctest.Test(t, func(t *testing.T) {
			w := randomNight(t, night)
			w.watched(seen)
			for _, e := range w.ends {
				switch {
				case e.Err == nil:
					outcomes[0]++
				case !e.Begun:
					outcomes[1]++
				default:
					outcomes[2]++
				}
				if e.Attempts > 1 {
					outcomes[3]++
				}
			}
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d done, %d not begun, %d failed, %d tried again; reasons %v", outcomes[0], outcomes[1], outcomes[2], outcomes[3], seen)
	for _, r := range []driving.Reason{driving.NoDumpers, driving.StartWait, driving.ClientConstrained, driving.NoBandwidth,
		driving.NoDiskspace, driving.NoHold, driving.BaseWait, driving.RetryWait, driving.Paused} {
		if seen[r] == 0 {
			t.Errorf("in the whole year nothing waited for %s", r)
		}
	}
	for i, n := range outcomes {
		if n == 0 {
			t.Errorf("in the whole year no outcome of kind %d", i)
		}
	}
}

const gib = 1 << 30

// randomNight is made of its number alone.
func randomNight(t *testing.T, night uint64) *world {
	r := rand.New(rand.NewPCG(night, 7))
	limits := driving.Limits{
		Parallel: 1 + r.IntN(10), Direct: 1 + r.IntN(2), Interfaces: map[string]int64{"lan": 100 << 20, "wan": 10 << 20},
	}
	for range r.IntN(5) {
		limits.Order += string(driving.Letters[r.IntN(len(driving.Letters))])
	}
	if r.IntN(3) == 0 {
		limits.End = time.Now().Add(time.Duration(1+r.IntN(6)) * time.Hour)
	}
	var jobs []*job
	for i := range 1 + r.IntN(40) {
		jobs = append(jobs, randomJob(r, i, jobs))
	}
	w := newWorld(t, fmt.Sprintf("night %d", night), limits, jobs...)
	if r.IntN(8) > 0 {
		w.disk = &disk{total: int64(10+r.IntN(200)) * gib}
		if r.IntN(5) > 0 {
			w.disk.rate = int64(1+r.IntN(200)) << 20
		}
	}
	if r.IntN(6) == 0 {
		from := time.Now().Add(time.Duration(r.IntN(90)) * time.Minute)
		to := from.Add(time.Duration(r.IntN(60)) * time.Minute)
		w.pause = func(now time.Time) bool { return !now.Before(from) && now.Before(to) }
	}
	return w
}

func randomJob(r *rand.Rand, i int, earlier []*job) *job {
	host := fmt.Sprintf("host%d", r.IntN(8))
	j := &job{required: r.IntN(8) == 0}
	j.Job = driving.Job{
		DLE: catalog.DLE{VM: fmt.Sprintf("vm%d", i), Disk: "disk0"}, Host: host, Priority: r.IntN(3), Bytes: 1 + r.Int64N(30*gib),
		Seconds: float64(r.IntN(3000)), Interface: []string{"", "lan", "wan"}[r.IntN(3)], Direct: !j.required && r.IntN(10) == 0,
		Timeout: 30 * time.Minute, Retries: r.IntN(3), RetryDelay: time.Duration(r.IntN(10)) * time.Minute,
		Shares: []driving.Share{
			{Kind: "host", Name: host, Max: 1 + i%3}, {Kind: "datastore", Name: fmt.Sprint(r.IntN(3)), Max: 3},
		},
	}
	if r.IntN(4) == 0 {
		j.Shares = append(j.Shares, driving.Share{Kind: "spindle", Name: fmt.Sprint(r.IntN(4))})
	}
	if r.IntN(6) == 0 {
		j.StartAfter = time.Now().Add(time.Duration(r.IntN(180)) * time.Minute)
	}
	if len(earlier) > 0 && r.IntN(5) == 0 {
		j.After = &earlier[r.IntN(len(earlier))].DLE
	}
	for range 1 + r.IntN(3) {
		j.acts = append(j.acts, randomAct(r, j.Job))
	}
	return j
}

// randomAct: most dumps are good, and of about the size that was expected; some become much larger.
func randomAct(r *rand.Rand, j driving.Job) act {
	a := act{bytes: int64(float64(j.Bytes) * (0.5 + r.Float64())), takes: time.Duration(60+r.IntN(3000)) * time.Second}
	switch r.IntN(24) {
	case 0, 1:
		a.bytes = j.Bytes * 4
	case 2:
		a.fail, a.again = errDown, true
	case 3:
		a.fail = errNoRoom
	case 4:
		a.hang = true
	case 5, 6:
		a.down = true
	}
	return a
}

// watched runs the night, and looks at it all the time.
func (w *world) watched(seen map[driving.Reason]int) {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	over := make(chan error)
	go func() { over <- w.run(ctx) }()
	const long = 4 * 24 * time.Hour
	for time.Since(w.begun) < long {
		select {
		case err := <-over:
			if err != nil {
				w.fail("%v", err)
			}
			return
		case <-time.After(time.Minute):
			synctest.Wait()
			w.look(seen)
		}
	}
	w.mu.Lock()
	w.fail("stands still; running %d, reasons %v", len(w.running), w.waits)
	w.mu.Unlock()
	cancel()
	<-over
}

// look checks the reasons while nothing moves.
func (w *world) look(seen map[driving.Reason]int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.check()
	for dle := range w.open {
		if w.running[dle] != nil {
			continue
		}
		wait := w.waits[dle]
		seen[wait.Reason]++
		if why := w.untrue(w.jobs[dle], wait); why != "" {
			w.fail("%s waits, for %q %s: %s", dle, wait.Reason, wait.Text, why)
		}
	}
}

// untrue tells why a reason cannot be right.
func (w *world) untrue(j *job, wait driving.Wait) string {
	now := time.Now()
	switch wait.Reason {
	case driving.NoDumpers:
		return unless(len(w.running) == max(1, w.limits.Parallel), "dumpers are idle")
	case driving.StartWait:
		return unless(now.Before(j.StartAfter), "its time has come")
	case driving.RetryWait:
		return unless(now.Before(w.ends[j.DLE].RetryAt), "its time has come")
	case driving.BaseWait:
		return unless(w.open[*j.After], "the base has ended")
	case driving.ClientConstrained:
		full := w.hostDown(j.Host)
		for _, s := range j.Shares {
			full = full || w.sharing(s) >= max(1, w.least(s))
		}
		return unless(full, "there is a place")
	case driving.NoBandwidth:
		dumps, sum := w.line(j.Interface)
		return unless(dumps > 0 && sum+rateOf(j.Job) > w.limits.Interfaces[j.Interface], "there is enough")
	case driving.NoHold:
		return unless(len(w.direct) >= w.limits.Direct, "a volume is free")
	case driving.NoDiskspace:
		return unless(w.disk != nil && w.disk.room() < j.Bytes, "there is room")
	case driving.Paused:
		return unless(w.pause(now) || w.pause(now.Add(-driving.PausePoll)), "there is no pause")
	}
	return "no such reason"
}

// hostDown tells whether a job of the host has found it down and is to try again.
func (w *world) hostDown(host string) bool {
	for dle := range w.open {
		if e, ok := w.ends[dle]; ok && e.Retry && w.jobs[dle].Host == host {
			return true
		}
	}
	return false
}

// least is the smallest number that the job itself and those that run allow of a share.
func (w *world) least(s driving.Share) int {
	least := s.Max
	for _, t := range w.running {
		for _, other := range t.Job.Shares {
			if other.Kind == s.Kind && other.Name == s.Name {
				least = min(least, other.Max)
			}
		}
	}
	return least
}

func unless(ok bool, why string) string {
	if ok {
		return ""
	}
	return why
}
