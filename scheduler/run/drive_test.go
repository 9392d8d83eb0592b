package run_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/dumpers"
	"holdfast/internal/vfs"
	"holdfast/reports"
	"holdfast/scheduler/run"
)

// troubled is a source whose reads go wrong: in so many attempts they fail, or all of them hang until the end of the test.
type troubled struct {
	dumpers.Source
	fail    *atomic.Int32
	err     error
	hang    chan struct{}
	aborted *atomic.Int32
}

func (s troubled) Pin(ctx context.Context, j dumpers.Journal, disks ...string) (dumpers.Point, error) {
	p, err := s.Source.Pin(ctx, j, disks...)
	return troubledPoint{p, s}, err
}

type troubledPoint struct {
	dumpers.Point
	s troubled
}

func (p troubledPoint) Abort(ctx context.Context) error {
	p.s.aborted.Add(1)
	return p.Point.Abort(ctx)
}

func (p troubledPoint) Disk(ctx context.Context, disk string) (dumpers.BlockView, error) {
	v, err := p.Point.Disk(ctx, disk)
	return troubledView{v, p.s, p.s.fail.Add(-1) >= 0}, err
}

type troubledView struct {
	dumpers.BlockView
	s     troubled
	fails bool
}

func (v troubledView) ReadAt(p []byte, off int64) (int, error) {
	if v.s.hang != nil {
		<-v.s.hang
	}
	if v.fails {
		return 0, v.s.err
	}
	return v.BlockView.ReadAt(p, off)
}

// trouble gives a DLE of the site such a source.
func (s *site) trouble(vm string, times int32, err error) troubled {
	tr := troubled{fail: &atomic.Int32{}, err: err, aborted: &atomic.Int32{}}
	tr.fail.Store(times)
	s.source[vm] = func() (dumpers.Source, error) {
		tr.Source = named{s.im.nights[s.night][vm], "image of " + vm}
		return tr, nil
	}
	return tr
}

// driverYAML is the small site with words for the driver.
func driverYAML(words string) string {
	return strings.Replace(siteYAML, "default: {compress: fast,", "default: {compress: fast, "+words+",", 1)
}

// failures are the failed attempts at a VM's dump in the latest run, as the events tell.
func (s *site) failures(vm string) []catalog.DumpFailed {
	s.t.Helper()
	stamp, err := s.store.LastStamp(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	events, err := s.store.Events(s.t.Context(), stamp, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	var failed []catalog.DumpFailed
	for _, e := range events {
		if f, ok := e.Body.(catalog.DumpFailed); ok && f.DLE.VM == vm {
			failed = append(failed, f)
		}
	}
	return failed
}

// A failure that may pass is tried again, as often as is asked for; another is final. Each failed attempt gives its point of time
// back.
func TestRetry(t *testing.T) {
	for _, c := range []struct {
		name     string
		fails    int32
		err      error
		attempts int // that failed
		good     bool
	}{
		{"passes", 2, syscall.EIO, 2, true},
		{"does not pass", 9, syscall.ECONNRESET, 3, false},
		{"a host that is down", 9, fmt.Errorf("read: %w", syscall.ECONNREFUSED), 3, false},
		{"of another kind", 1, dumpers.ErrDamaged, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, newImages(t, 1), driverYAML("retries: 2, retry-delay: 0s"))
			defer s.close()
			tr := s.trouble("web", c.fails, c.err)
			var r reports.Report
			var err error
			watched(c.name, func() { r, err = s.run(t.Context(), 0, run.Options{}) })
			if err != nil || (r.Head.ExitStatus&4 == 0) != c.good {
				t.Errorf("exit status %d, error %v\n%s", r.Head.ExitStatus, err, reportText(r))
			}
			failed := s.failures("web")
			if len(failed) != c.attempts || int(tr.aborted.Load()) != c.attempts {
				t.Fatalf("%d attempts failed, %d were taken back, want %d", len(failed), tr.aborted.Load(), c.attempts)
			}
			for i, f := range failed {
				if want := c.good || i < c.attempts-1; f.Retry != want {
					t.Errorf("attempt %d: retry %v", i+1, f.Retry)
				}
			}
			s.checkTidy(c.name)
		})
	}
}

// A source that does not answer is given up after its time, and the others are dumped; the image is given back.
func TestHungSource(t *testing.T) {
	s := newSite(t, newImages(t, 1), driverYAML("retries: 0, dump-timeout: 1s"))
	defer s.close()
	hang := make(chan struct{})
	defer close(hang)
	tr := s.trouble("web", 0, nil)
	tr.hang = hang
	s.source["web"] = func() (dumpers.Source, error) {
		tr.Source = named{s.im.nights[s.night]["web"], "image of web"}
		return tr, nil
	}
	s.begin(0)
	n := s.Night()
	n.Now = time.Now // the time of the wait is a true one
	var r reports.Report
	var err error
	watched("hung", func() { r, err = n.Run(t.Context(), run.Options{Command: run.CommandRun}) })
	if err != nil || r.Head.ExitStatus != 4 {
		t.Errorf("exit status %d, error %v\n%s", r.Head.ExitStatus, err, reportText(r))
	}
	failed := s.failures("web")
	if len(failed) != 1 || !strings.HasPrefix(failed[0].Error, "no progress for 1s: ") || tr.aborted.Load() != 1 {
		t.Errorf("failures %+v, %d taken back", failed, tr.aborted.Load())
	}
	s.checkTidy("hung")
}

// A run that is cancelled in the midst of a dump gives the image back, leaves nothing on the holding disk, and reports.
func TestCancelledDump(t *testing.T) {
	s := newSite(t, newImages(t, 1), siteYAML)
	defer s.close()
	hang := make(chan struct{})
	defer close(hang)
	tr := s.trouble("web", 0, nil)
	tr.hang = hang
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var once sync.Once
	s.source["web"] = func() (dumpers.Source, error) {
		tr.Source = named{s.im.nights[s.night]["web"], "image of web"}
		return pinned{tr, func() { once.Do(cancel) }}, nil
	}
	mailed := ""
	s.begin(0)
	n := s.Night()
	n.Mail = func(_ context.Context, _, body string) error { mailed = body; return nil }
	var r reports.Report
	var err error
	watched("cancelled", func() { r, err = n.Run(ctx, run.Options{Command: run.CommandRun}) })
	if err != nil || !r.Head.Cancelled || !strings.Contains(mailed, "THE RUN WAS CANCELLED") {
		t.Errorf("error %v\n%s\nmailed: %s", err, reportText(r), mailed)
	}
	if failed := s.failures("web"); len(failed) != 1 || failed[0].Retry || tr.aborted.Load() != 1 {
		t.Errorf("failures %+v, %d taken back", failed, tr.aborted.Load())
	}
	s.source["web"] = nil
	s.goodNight(0)
	s.checkTidy("after it")
}

// pinned calls then once the point of time is taken.
type pinned struct {
	dumpers.Source
	then func()
}

func (p pinned) Pin(ctx context.Context, j dumpers.Journal, disks ...string) (dumpers.Point, error) {
	point, err := p.Source.Pin(ctx, j, disks...)
	p.then()
	return point, err
}

// The pause file holds everything up until it goes; its words are in the reason. A file that cannot be looked for holds up nothing.
func TestPaused(t *testing.T) {
	s := newSite(t, newImages(t, 1), siteYAML)
	defer s.close()
	s.fs = vfs.Wrap(s.mem, func(op vfs.Op) error {
		if strings.HasSuffix(op.Path, "/"+run.PauseFile) {
			return errors.New("injected")
		}
		return nil
	})
	s.goodNight(0)
}
