package taper_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/catalog"
	"holdfast/internal/vfs"
	"holdfast/vtape"
	"holdfast/vtape/taper"
)

var update = flag.Bool("update", false, "write golden files anew")

var errInjected = errors.New("injected")

// The order of all operations, with the moments when the catalog is told.
func TestOperationLog(t *testing.T) {
	var log strings.Builder
	s := newShelf(nil, 2, 4*align)
	s.fs = vfs.Wrap(vfs.NewMem(), func(op vfs.Op) error {
		for ; len(s.events) > 0; s.events = s.events[1:] {
			fmt.Fprintln(&log, "->", s.events[0])
		}
		if op.Kind.Changes() {
			fmt.Fprintln(&log, strings.TrimSpace(fmt.Sprintf("%-8s %s %s", op.Kind, op.Path, op.To)))
		}
		return nil
	})
	tp := s.taper(2 * align)
	if _, err := tp.Write(t.Context(), stream("web01", bytes.NewReader(random(4*align)))); err != nil {
		t.Fatal(err)
	}
	if err := tp.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, e := range s.events {
		fmt.Fprintln(&log, "->", e)
	}
	golden := "testdata/operations.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(log.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), log.String()); diff != "" {
		t.Error(diff)
	}
}

// onVolumes tells whether an operation is one of a volume that has its label.
func onVolumes(op vfs.Op) bool {
	return op.Kind.Changes() && !strings.Contains(op.Path, "label") && strings.HasPrefix(op.Path, "/slot") &&
		strings.Contains(op.Path[1:], "/0000") || op.Kind == vfs.OpSyncDir
}

// Each operation fails once. A dump at rest gets onto the volumes all the same; of a stream, the part may be lost, and then
// the copy fails. What was recorded is there, whatever happens, even if power is lost at the end.
func TestFailEachOperation(t *testing.T) {
	content := random(17*align + 500) // in parts that are more than the buffer holds
	for name, dump := range map[string]func() taper.Dump{
		"held":   func() taper.Dump { return held("web01", content) },
		"stream": func() taper.Dump { return stream("web01", bytes.NewReader(content)) },
	} {
		for n := 1; ; n++ {
			mem := vfs.NewMem()
			s := newShelf(mem, 5, 13*align)
			count, failed := 0, vfs.Op{}
			s.fs = vfs.Wrap(mem, func(op vfs.Op) error {
				if s.given == 0 || len(s.devices) < s.given || !onVolumes(op) {
					return nil // the label is not the taper's
				}
				if count++; count == n {
					failed = op
					return errInjected
				}
				return nil
			})
			res, err := s.taper(10*align).Write(t.Context(), dump())
			at := fmt.Sprintf("%s: %s %s (%d)", name, failed.Kind, failed.Path, n)
			if err != nil && (name == "held" || !errors.Is(err, errInjected)) {
				t.Fatalf("%s: %v", at, err)
			}
			if len(s.parts) != len(res.Parts) {
				t.Fatalf("%s: %d parts recorded, result has %d", at, len(s.parts), len(res.Parts))
			}
			if err == nil {
				s.check(t, res, content)
			}
			checkRecorded(t, at, mem, s.parts)
			checkRecorded(t, at+", then loss of power", mem.CrashClone(), s.parts)
			files := 0
			for _, dev := range s.devices {
				on, err := dev.Files(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				files += len(on)
			}
			if files != len(s.parts) {
				t.Errorf("%s: %d files on volumes, %d recorded", at, files, len(s.parts))
			}
			if count < n {
				break
			}
		}
	}
}

// checkRecorded makes sure that all parts are on the volumes.
func checkRecorded(t *testing.T, at string, mem *vfs.Mem, parts []catalog.Part) {
	t.Helper()
	for _, p := range parts {
		slot := strings.TrimPrefix(string(p.Label), "Night-0")
		if err := taper.VerifyPart(t.Context(), device(mem, "/slot"+slot), p); err != nil {
			t.Fatalf("%s: recorded, but: %v", at, err)
		}
	}
}

// A stream short enough to be in the buffer still is written again.
func TestShortStreamIsNotLost(t *testing.T) {
	content := random(2 * align)
	mem := vfs.NewMem()
	s := newShelf(mem, 2, 0)
	failed := false
	s.fs = vfs.Wrap(mem, func(op vfs.Op) error {
		if op.Kind == vfs.OpSync && strings.Contains(op.Path, "/00001.") && !failed {
			failed = true
			return errInjected
		}
		return nil
	})
	d := stream("web01", bytes.NewReader(content))
	final := d.Final
	asked := 0
	d.Final = func() vtape.Header { asked++; return final() }
	res, err := s.taper(0).Write(t.Context(), d)
	if err != nil || asked != 1 {
		t.Fatalf("the final header was asked for %d times, error %v", asked, err)
	}
	s.check(t, res, content)
	equal(t, s.events, []string{
		"start Night-01 slot 1", "end Night-01: 0 files, 32768 bytes failed",
		"start Night-02 slot 2", "part 1 on Night-02 file 1: 262144 bytes",
	})
}

// The file system may be full from one moment to the next: a part of no bytes is not kept.
func TestFullAtOnce(t *testing.T) {
	content := random(2 * align)
	s := newShelf(nil, 2, 0)
	writes := 0
	s.fs = vfs.Wrap(vfs.NewMem(), func(op vfs.Op) error {
		if op.Kind == vfs.OpWrite && strings.HasPrefix(op.Path, "/slot1/00002.") {
			if writes++; writes == 2 { // the first is the header
				return syscall.ENOSPC
			}
		}
		return nil
	})
	res, err := s.taper(align).Write(t.Context(), held("web01", content))
	if err != nil {
		t.Fatal(err)
	}
	s.check(t, res, content)
	equal(t, s.events, []string{
		"start Night-01 slot 1", "part 1 on Night-01 file 1: 131072 bytes", "end Night-01: 1 files, 196608 bytes",
		"start Night-02 slot 2", "part 2 on Night-02 file 1: 131072 bytes",
	})
}

// What a volume refuses because of a cancelled context is no fault of the volume.
func TestCancelledInDevice(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := newShelf(nil, 2, 0)
	s.fs = vfs.Wrap(vfs.NewMem(), func(op vfs.Op) error {
		if op.Kind == vfs.OpCreate && strings.Contains(op.Path, "/00001.") && ctx.Err() == nil {
			cancel()
			return ctx.Err()
		}
		return nil
	})
	tp := s.taper(0)
	if _, err := tp.Write(ctx, held("web01", random(10))); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := tp.Write(t.Context(), held("web01", random(10))); err != nil {
		t.Fatal(err)
	}
	equal(t, s.events, []string{"start Night-01 slot 1", "part 1 on Night-01 file 1: 10 bytes"})
}

// When not even the partial part can be kept, nothing more is written to the volume.
func TestInterruptedOnBadVolume(t *testing.T) {
	s := newShelf(nil, 2, 0)
	failed := false
	s.fs = vfs.Wrap(vfs.NewMem(), func(op vfs.Op) error {
		if op.Kind == vfs.OpSync && strings.HasPrefix(op.Path, "/slot1/00001.") && !failed {
			failed = true
			return syscall.EIO
		}
		return nil
	})
	tp := s.taper(0)
	_, err := tp.Write(t.Context(), stream("web01", failing{bytes.NewReader(random(9 * align)), errInjected, nil}))
	if !errors.Is(err, errInjected) {
		t.Errorf("error %v", err)
	}
	if _, err := tp.Write(t.Context(), held("web02", random(10))); err != nil {
		t.Fatal(err)
	}
	equal(t, s.events, []string{
		"start Night-01 slot 1", "end Night-01: 0 files, 32768 bytes failed",
		"start Night-02 slot 2", "part 1 on Night-02 file 1: 10 bytes",
	})
}

// When every volume fails, it is not tried for ever.
func TestAllVolumesFail(t *testing.T) {
	mem := vfs.NewMem()
	s := newShelf(mem, 100, 0)
	s.fs = vfs.Wrap(mem, func(op vfs.Op) error {
		if op.Kind == vfs.OpSync && strings.Contains(op.Path, "/00001.") {
			return errInjected
		}
		return nil
	})
	res, err := s.taper(0).Write(t.Context(), held("web01", random(10)))
	if !errors.Is(err, errInjected) || !strings.Contains(err.Error(), "part 1: 3 volumes failed: volume Night-03 file 1:") {
		t.Errorf("error %v", err)
	}
	if s.given != 3 || len(res.Parts) != 0 {
		t.Errorf("%d volumes used, result %+v", s.given, res)
	}
}

// A volume too small for anything is at fault, rather than full.
func TestVolumeTooSmall(t *testing.T) {
	s := newShelf(vfs.NewMem(), 100, 2*head)
	_, err := s.taper(0).Write(t.Context(), held("web01", random(10)))
	if !errors.Is(err, vtape.ErrEndOfMedium) || s.given != 3 {
		t.Errorf("%d volumes used, error %v", s.given, err)
	}
}

func TestNoVolume(t *testing.T) {
	content := random(8 * align)
	for _, c := range []struct {
		runVolumes, have, parts int
		want                    string
	}{
		{1, 9, 1, "write to volume: web01/disk0/20250102030405/0: no volume: 1 volume filled; run-volumes: 1 allows no more"},
		{2, 9, 2, "no volume: 2 volumes filled; run-volumes: 2 allows no more"},
		{0, 2, 2, "no volume: all 2 are used"},
		{5, 0, 0, "no volume: all 0 are used"},
	} {
		s := newShelf(vfs.NewMem(), c.have, 4*align)
		tp := taper.New(taper.Options{Scan: s, Feedback: s, RunVolumes: c.runVolumes, Clock: clock()})
		res, err := tp.Write(t.Context(), held("web01", content))
		if !errors.Is(err, taper.ErrNoVolume) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
		if len(res.Parts) != c.parts || res.Bytes != int64(c.parts)*3*align {
			t.Errorf("result %+v", res)
		}
		if _, err := tp.Write(t.Context(), held("web02", nil)); !errors.Is(err, taper.ErrNoVolume) {
			t.Errorf("the next dump: %v", err)
		}
	}
}

// What cannot be recorded stops the taper.
func TestFeedbackFails(t *testing.T) {
	s := newShelf(vfs.NewMem(), 5, 0)
	s.fail = errInjected
	tp := s.taper(align)
	res, err := tp.Write(t.Context(), held("web01", random(3*align)))
	if !errors.Is(err, errInjected) || len(res.Parts) != 1 {
		t.Errorf("result %+v, error %v", res, err)
	}
	s.fail = nil
	if _, err := tp.Write(t.Context(), held("web02", nil)); !errors.Is(err, errInjected) {
		t.Errorf("the next dump: %v", err)
	}
	if err := tp.Close(t.Context()); !errors.Is(err, errInjected) {
		t.Errorf("close: %v", err)
	}
}

// A header that cannot be written is no fault of any volume.
func TestImpossibleHeader(t *testing.T) {
	s := newShelf(vfs.NewMem(), 5, 0)
	tp := s.taper(0)
	d := held("two words", nil)
	if _, err := tp.Write(t.Context(), d); err == nil || s.given != 0 {
		t.Errorf("%d volumes used, error %v", s.given, err)
	}
	d = stream("web01", bytes.NewReader(random(10)))
	d.Final = func() vtape.Header { return header("two words") }
	if _, err := tp.Write(t.Context(), d); err == nil || s.given != 1 {
		t.Errorf("%d volumes used, error %v", s.given, err)
	}
	if _, err := tp.Write(t.Context(), held("web02", nil)); err != nil {
		t.Errorf("the next dump: %v", err)
	}
}

// failing gives content and then an error, or calls cut.
type failing struct {
	io.Reader
	err error
	cut func()
}

func (f failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err == io.EOF {
		if f.cut != nil {
			f.cut()
		}
		err = f.err
	}
	return n, err
}

// When the dump ends before its time, what is there is marked as partial; the volume is good for the next dump.
func TestInterrupted(t *testing.T) {
	for _, bytesWritten := range []int{0, 100, align, 9*align + 7} {
		for _, name := range []string{"source fails", "source is cut short", "cancelled", "held is too short", "held has other bytes"} {
			t.Run(fmt.Sprintf("%s after %d", name, bytesWritten), func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				content := random(bytesWritten)
				in := bytes.NewReader(content)
				want := io.ErrUnexpectedEOF
				var d taper.Dump
				switch name {
				case "source fails":
					want = errInjected
					d = stream("web01", failing{in, errInjected, nil})
				case "source is cut short":
					d = stream("web01", failing{in, io.ErrUnexpectedEOF, nil})
				case "cancelled":
					want = context.Canceled
					d = stream("web01", failing{in, context.Canceled, cancel})
				case "held is too short":
					d = held("web01", content)
					d.HeldBytes++
				case "held has other bytes":
					want = nil
					d = held("web01", content)
					d.Header.Server.Sum++
					d.Header.Server.Bytes++
				}
				s := newShelf(vfs.NewMem(), 1, 0)
				tp := s.taper(2 * align)
				res, err := tp.Write(ctx, d)
				if err == nil || want != nil && !errors.Is(err, want) {
					t.Fatalf("error %v, want %v", err, want)
				}
				if len(s.parts) != len(res.Parts) {
					t.Errorf("%d parts recorded, result has %d", len(s.parts), len(res.Parts))
				}
				if bytesWritten > 0 {
					s.checkPartial(t, res)
				}
				next, err := tp.Write(t.Context(), held("web02", []byte("next")))
				if err != nil {
					t.Fatal(err)
				}
				s.check(t, next, []byte("next"))
			})
		}
	}
}

func (s *shelf) checkPartial(t *testing.T, res taper.Result) {
	t.Helper()
	if s.given == 0 && len(res.Parts) == 0 {
		return // it ended before a volume was needed
	}
	_, files, damaged, err := taper.ReadVolume(t.Context(), s.devices["Night-01"])
	if err != nil || len(damaged) > 0 {
		t.Fatal(err, damaged)
	}
	found := taper.FromHeaders(files)
	if len(res.Parts) == 0 { // all was read and none written: it is gone without trace
		if len(found) != 0 {
			t.Errorf("found %+v", found)
		}
		return
	}
	if len(found) != 1 || found[0].Copy.Status != catalog.StatusPartial || found[0].Err == nil || len(found[0].Copy.Parts) != len(res.Parts) {
		t.Errorf("found %+v", found)
	}
}

// Cancelled between two buffers, the taper does not go on to read.
func TestCancelledReturns(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	reads := 0
	s := newShelf(vfs.NewMem(), 1, 0)
	_, err := s.taper(0).Write(ctx, taper.Dump{ID: id("web01"), Header: header("web01"), Stream: readFunc(func(p []byte) (int, error) {
		if reads++; reads == 3 {
			cancel()
		}
		return len(p), nil
	})})
	if !errors.Is(err, context.Canceled) || reads != 3 {
		t.Errorf("%d reads, error %v", reads, err)
	}
	s.checkPartial(t, taper.Result{Parts: s.parts})
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
