package s3_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"holdfast/internal/s3test"
	"holdfast/vtape"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/s3"
)

// sweepParts are the sizes of the parts of the sweep: none, one request, two pieces.
var sweepParts = []int{0, 1000, 5<<20 + 1}

// outcome is what a writer called good, and what a reader got in spite of the fault.
type outcome struct {
	formatted bool
	parts     map[int][]byte
	read      int
}

// scenario formats a volume, writes parts to it, giving up one that fails and going on, and reads them.
func scenario(t *testing.T, dev *s3.Device) outcome {
	if err := dev.Format(ctx, devicetest.Label("NEW")); err != nil {
		return outcome{}
	}
	done := outcome{formatted: true, parts: make(map[int][]byte)}
	for i, size := range sweepParts {
		data := devicetest.Data(uint64(i), size)
		if writePart(dev, i+1, data) == nil {
			done.parts[i+1] = data
		}
	}
	for n, want := range done.parts {
		r, err := dev.Open(ctx, n)
		if err != nil {
			continue
		}
		got, err := io.ReadAll(io.NewSectionReader(r, 0, r.SizeBytes()))
		if !bytes.HasPrefix(want, got) || err == nil && len(got) != len(want) {
			t.Errorf("file %d: wrong bytes", n)
		}
		if err == nil {
			done.read++
		}
		must(t, r.Close())
	}
	return done
}

func writePart(dev vtape.Device, n int, data []byte) error {
	w, err := dev.Create(ctx, n, devicetest.Header(1))
	if err != nil {
		return err
	}
	if _, err = w.Write(data); err == nil {
		if err = w.SetHeader(devicetest.Header(n)); err == nil {
			_, err = w.Close()
		}
	}
	if err != nil {
		_ = w.Abort() // may fail as well: then something stays for the clean-up, and nobody has called it good
	}
	return err
}

// Whatever request fails, in whatever manner, alone or with all after it: what Format and Close called good is there,
// the volume shows its old label or the new one, nobody reads a wrong byte, and after a clean-up there is nothing but
// whole files. One fault alone is not even noticed.
func TestFaults(t *testing.T) {
	server := start(t)
	proxy := s3test.NewProxy(t, server)
	for _, lasting := range []bool{false, true} {
		for _, fault := range s3test.Faults {
			t.Run(fmt.Sprintf("%s/lasting=%v", fault, lasting), func(t *testing.T) {
				step := sweepStep(fault, lasting)
				for n := 1; sweepPoint(t, server, proxy, point{fault, lasting, n}); n += step {
				}
			})
		}
	}
}

// sweepStep is every how many points are tried; with HOLDFAST_SWEEP=full all are.
func sweepStep(fault s3test.Fault, lasting bool) int {
	switch {
	case os.Getenv("HOLDFAST_SWEEP") == "full":
		return 1
	case fault == s3test.Hang && lasting:
		return 19
	case fault == s3test.Hang:
		return 7
	}
	return 4
}

type point struct {
	fault   s3test.Fault
	lasting bool
	n       int
}

// sweepPoint runs the scenario with one fault and tells whether it was reached.
func sweepPoint(t *testing.T, server *s3test.Server, proxy *s3test.Proxy, p point) (reached bool) {
	prefix := fmt.Sprintf("%s-%v-%d/", p.fault, p.lasting, p.n)
	direct := open(t, options(server.URL)).Device(prefix)
	must(t, direct.Format(ctx, devicetest.Label("OLD")))
	devicetest.Write(t, direct, 1, devicetest.Header(1), []byte("old"))
	devicetest.Write(t, direct, 2, devicetest.Header(2), []byte("old"))

	o := options(proxy.URL)
	o.Stall = time.Minute
	if p.fault == s3test.Hang {
		o.Stall = time.Second
	}
	if p.lasting {
		o.Attempts = 1
	}
	dev := open(t, o).Device(prefix)
	proxy.Plan(func(r s3test.Request) s3test.Fault {
		if r.N == p.n || p.lasting && r.N > p.n {
			reached = true
			return p.fault
		}
		return s3test.Pass
	})
	done := scenario(t, dev)
	requests := proxy.Requests()
	proxy.Plan(nil)
	if whole := done.formatted && len(done.parts) == len(sweepParts) && done.read == len(sweepParts); !whole && (!p.lasting || !reached) {
		t.Errorf("%+v", done.read)
	}
	checkPoint(t, direct, done)
	checkClean(t, server, direct, prefix)
	if t.Failed() {
		var seen []string
		for _, r := range requests {
			seen = append(seen, fmt.Sprintf("%d %s %s?%s", r.N, r.Method, r.Path, r.Query.Encode()))
		}
		t.Fatalf("%s at request %d (lasting: %v):\n%s", p.fault, p.n, p.lasting, strings.Join(seen, "\n"))
	}
	return reached
}

func checkPoint(t *testing.T, dev *s3.Device, done outcome) {
	t.Helper()
	label, err := dev.ReadLabel(ctx)
	if err != nil || label.Label != "NEW" && (done.formatted || label.Label != "OLD") {
		t.Errorf("label %q, %v", label.Label, err)
	}
	for n, data := range done.parts {
		devicetest.Check(t, dev, n, devicetest.Header(n), data)
	}
}

// checkClean cleans up and looks whether there is nothing but the label and whole files.
func checkClean(t *testing.T, server *s3test.Server, dev *s3.Device, prefix string) {
	t.Helper()
	if _, err := dev.CleanUp(ctx); err != nil {
		t.Error(err)
	}
	files, err := dev.Files(ctx)
	must(t, err)
	objects := 0
	for _, key := range server.Keys(t, bucket) {
		if strings.HasPrefix(strings.TrimPrefix(key, "upload "), prefix) {
			objects++
		}
	}
	if objects != 1+2*len(files) {
		t.Errorf("%d objects and uploads, but %d files", objects, len(files))
	}
	if again, err := dev.CleanUp(ctx); again != 0 || err != nil {
		t.Errorf("a second clean-up removes %d, %v", again, err)
	}
}
