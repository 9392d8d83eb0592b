package dumpertest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"reflect"
	"sync"
	"testing"

	"holdfast/dumpers"
)

func testDescribe(t *testing.T, b *bench) {
	first, err := b.Source.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var disk dumpers.DiskInfo
	for _, d := range first.Disks {
		if d.Name == b.Disk {
			disk = d
		}
	}
	if disk.SizeBytes != int64(len(b.want)) || disk.Format == "" || disk.Identity == "" {
		t.Errorf("disk %q of %+v, want %d bytes, a format and an identity", b.Disk, first, len(b.want))
	}
	b.pinned(t, func(v dumpers.BlockView) {
		b.checkView(t, v)
		data := int64(0)
		for _, e := range extents(t, v) {
			if e.Kind == dumpers.Data && len(bytes.Trim(b.want[e.Start:e.Start+e.Length], "\x00")) > 0 {
				data++
			}
		}
		if data > 0 && disk.AllocatedBytes <= 0 {
			t.Errorf("%d bytes are allocated, but there is data", disk.AllocatedBytes)
		}
	})
	again, err := b.Source.Describe(t.Context())
	if err != nil || !reflect.DeepEqual(first, again) {
		t.Errorf("described again: %+v %v, want %+v", again, err, first)
	}
}

func testExtents(t *testing.T, b *bench) {
	b.pinned(t, func(v dumpers.BlockView) {
		b.checkView(t, v)
		first := extents(t, v)
		if again := extents(t, v); !reflect.DeepEqual(first, again) {
			t.Errorf("extents, asked again: %v, want %v", again, first)
		}
		for _, e := range first {
			if e.Kind == dumpers.Unchanged {
				t.Errorf("%+v is unchanged, but there was no commit", e)
			}
		}
	})
}

// testExtentsStop: an error of yield ends the walk at once and comes back.
func testExtentsStop(t *testing.T, b *bench) {
	b.pinned(t, func(v dumpers.BlockView) {
		stop, calls := errors.New("stop"), 0
		err := v.Extents(t.Context(), func(dumpers.Extent) error { calls++; return stop })
		if !errors.Is(err, stop) || calls != 1 {
			t.Errorf("%v after %d calls, want the error of yield after one", err, calls)
		}
	})
}

func testRead(t *testing.T, b *bench) {
	size := int64(len(b.want))
	b.pinned(t, func(v dumpers.BlockView) {
		for _, r := range []struct{ off, n int64 }{
			{0, 1}, {1, 511}, {511, 2}, {pageBytes - 1, 2}, {3*pageBytes - 600, 1200}, {9*pageBytes + 7, 7 * pageBytes},
			{size - 1, 1}, {size - 513, 513}, {0, size}, {size, 0}, {5, 0},
			{size - 1, 2}, {size - pageBytes, 3 * pageBytes}, {size, 1}, {size + 512, 512}, {size + 1<<40, 1},
		} {
			p := bytes.Repeat([]byte{0xa5}, int(r.n))
			n, err := v.ReadAt(p, r.off)
			want := b.want[min(r.off, size):min(r.off+r.n, size)]
			if n != len(want) || !bytes.Equal(p[:n], want) {
				t.Errorf("%d bytes at %d: %d read, or wrong ones; want %d", r.n, r.off, n, len(want))
			}
			if short := int64(len(want)) < r.n; short && err != io.EOF || !short && err != nil && err != io.EOF {
				t.Errorf("%d bytes at %d: %v", r.n, r.off, err)
			}
		}
		if n, err := v.ReadAt(make([]byte, 1), -1); n != 0 || err == nil || err == io.EOF {
			t.Errorf("a byte at -1: %d %v", n, err)
		}
	})
}

func testReadAtOnce(t *testing.T, b *bench) {
	b.pinned(t, func(v dumpers.BlockView) {
		var wg sync.WaitGroup
		for g := range int64(4) {
			wg.Go(func() {
				p := make([]byte, 3*pageBytes+512)
				for off := g * 4096; off+int64(len(p)) <= int64(len(b.want)); off += pageBytes {
					if n, err := v.ReadAt(p, off); n != len(p) || err != nil && err != io.EOF || !bytes.Equal(p, b.want[off:off+int64(n)]) {
						t.Errorf("at %d: %d %v, or wrong bytes", off, n, err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

func testUnknownDisk(t *testing.T, b *bench) {
	if p, err := b.Source.Pin(t.Context(), b.journal, b.Disk+"-no"); err == nil {
		t.Error("a point of an unknown disk")
		p.Abort(t.Context())
	}
	p, v := b.pin(t)
	if _, err := p.Disk(t.Context(), b.Disk+"-no"); err == nil {
		t.Error("a view of an unknown disk")
	}
	if c, _ := p.Consistency(b.Disk); c == "" {
		t.Error("no consistency")
	}
	b.end(t, v, p.Abort)
}

// testPoints: points follow one another, each shows what is there, and looking changes nothing.
func testPoints(t *testing.T, b *bench) {
	for i := range int64(4) {
		p, v := b.pin(t)
		b.checkView(t, v)
		end := p.Commit
		if i%2 == 1 {
			end = p.Abort
		}
		b.end(t, v, end)
		b.change(t, (30+i)*pageBytes+512, pageBytes)
	}
	b.pinned(t, func(v dumpers.BlockView) { b.checkView(t, v) })
}

// testUnchanged: what a source calls unchanged is what it was at the last commit; an abort does not count.
func testUnchanged(t *testing.T, b *bench) {
	p, v := b.pin(t)
	b.end(t, v, p.Commit)
	atCommit := bytes.Clone(b.want)
	for i := range int64(3) {
		b.change(t, (11+i)*pageBytes, 512)
		b.pinned(t, func(v dumpers.BlockView) {
			b.checkView(t, v)
			for _, e := range extents(t, v) {
				was, is := atCommit[e.Start:e.Start+e.Length], b.want[e.Start:e.Start+e.Length]
				if e.Kind == dumpers.Unchanged && !bytes.Equal(was, is) {
					t.Errorf("%+v has changed since the last commit", e)
				}
			}
		})
	}
}

func testCancelled(t *testing.T, b *bench) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if p, err := b.Source.Pin(ctx, b.journal, b.Disk); !errors.Is(err, context.Canceled) {
		t.Errorf("pin: %v", err)
		if err == nil {
			p.Abort(t.Context())
		}
	}
	if open, _ := b.journal.Open(t.Context(), ""); len(open) > 0 {
		t.Errorf("journal after a pin that failed: %v", open)
	}
	b.pinned(t, func(v dumpers.BlockView) {
		err := v.Extents(ctx, func(dumpers.Extent) error { return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("extents: %v", err)
		}
	})
}

// testReap: where nothing was left, there is nothing to release, however often one asks.
func testReap(t *testing.T, b *bench) {
	for range 2 {
		if released, err := b.Source.Reap(t.Context(), b.journal); err != nil || len(released) > 0 {
			t.Errorf("reap: %v %v", released, err)
		}
		b.pinned(t, func(v dumpers.BlockView) { b.checkView(t, v) })
	}
}
