package nbd_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"holdfast/internal/nbd"
)

// TestWrite writes through each server, and reads what it has written.
func TestWrite(t *testing.T) {
	for _, tt := range []struct {
		name    string
		command []string
		has     func(nbd.Info) bool // what this server is here for
	}{
		{"qemu", []string{"qemu-nbd", "-t", "-e", "8", "-f", "raw", "--discard=unmap"}, func(i nbd.Info) bool { return i.FUA && i.Zeroes && i.Trim }},
		{"nbdkit", []string{"nbdkit", "-f", "file"}, func(i nbd.Info) bool { return i.MultiConn && i.Cache }},
		{"nbdkit-simple", []string{"nbdkit", "-f", "--no-sr", "file"}, func(i nbd.Info) bool { return !i.Structured }},
		{"nbdkit-without-zeroes", []string{"nbdkit", "-f", "--filter=nozero", "file"}, func(i nbd.Info) bool { return !i.Zeroes }},
		{"nbdkit-without-fua", []string{"nbdkit", "-f", "--filter=fua", "file"}, func(i nbd.Info) bool { return !i.FUA && i.Flush }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			disk := noise(1, 3<<20)
			name := imageOf(t, disk)
			c := serve(t, "unix", append(tt.command, name)...).open("nbd", "", nbd.Options{})
			if !tt.has(c.Info()) {
				t.Fatalf("the server is not what it is to be: %+v", c.Info())
			}
			writeAll(t, c, disk)
			readEverywhere(t, c, disk)
			if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, disk) {
				t.Errorf("the image is not what was written: %v", err)
			}
		})
	}
}

// writeAll uses every command, from several goroutines, and does the same to disk.
func writeAll(t *testing.T, c *nbd.Client, disk []byte) {
	t.Helper()
	must := func(what string, err error) {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := range 4 {
				off := (w*4 + i) * cluster
				copy(disk[off:], noise(uint64(100+off), cluster))
				must("write", c.Write(t.Context(), disk[off:off+cluster], int64(off), nbd.Flags(i%2)*nbd.FUA))
			}
		})
	}
	writers.Wait()
	must("zero", c.Zero(t.Context(), 5*cluster, 3*cluster, nbd.FUA))
	clear(disk[5*cluster : 8*cluster])
	must("zero", c.Zero(t.Context(), 40*cluster, 2*cluster, nbd.NoHole))
	clear(disk[40*cluster : 42*cluster])
	if c.Info().Trim {
		// What a trimmed range reads as is not defined: it is written again.
		must("trim", c.Trim(t.Context(), 10*cluster, cluster, nbd.FUA))
		must("write", c.Write(t.Context(), disk[10*cluster:11*cluster], 10*cluster, 0))
	}
	if c.Info().Cache {
		must("cache", c.Cache(t.Context(), 100, 5*cluster))
	}
	must("flush", c.Flush(t.Context()))
}

// TestWriteRefused: what cannot be written is refused before it is sent.
func TestWriteRefused(t *testing.T) {
	name := imageOf(t, noise(1, 1<<20))
	c := serve(t, "unix", "qemu-nbd", "-r", "-t", "-f", "raw", name).open("nbd", "", nbd.Options{})
	if err := c.Write(t.Context(), make([]byte, 512), 0, 0); !errors.Is(err, nbd.ErrReadOnly) {
		t.Errorf("read-only: %v", err)
	}
	if err := c.Zero(t.Context(), 0, 512, nbd.FastZero); !errors.Is(err, nbd.ErrUnsupported) {
		t.Errorf("fast zero: %v", err)
	}
	if err := c.Trim(t.Context(), 0, 512, 0); !errors.Is(err, nbd.ErrUnsupported) {
		t.Errorf("trim: %v", err)
	}
	c = serve(t, "unix", "nbdkit", "-f", "--filter=blocksize-policy", "file", name, "blocksize-minimum=4096", "blocksize-preferred=4096",
		"blocksize-maximum=1M", "blocksize-error-policy=error").open("nbd", "", nbd.Options{})
	if err := c.Write(t.Context(), make([]byte, 512), 0, 0); !errors.Is(err, nbd.ErrUnaligned) {
		t.Errorf("unaligned: %v", err)
	}
	if err := c.Write(t.Context(), make([]byte, 4096), 1<<20, 0); !errors.Is(err, nbd.ErrRange) {
		t.Errorf("behind the end: %v", err)
	}
}

// TestFlushForFUA: where a server has no FUA, a flush is behind each write that wants it, and behind no other.
func TestFlushForFUA(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	c := serve(t, "unix", "nbdkit", "-f", "--filter=log", "--filter=fua", "memory", "1M", "logfile="+log).open("nbd", "", nbd.Options{})
	for i, want := range []int{0, 1, 1, 2} {
		var flags nbd.Flags
		if i%2 == 1 {
			flags = nbd.FUA
		}
		if err := c.Write(t.Context(), make([]byte, 4096), 0, flags); err != nil {
			t.Fatal(err)
		}
		said, err := os.ReadFile(log)
		if got := bytes.Count(said, []byte(" Flush id=")); err != nil || got != want {
			t.Errorf("write %d: %d flushes, want %d, %v\n%s", i, got, want, err, said)
		}
	}
}

// TestUnalignedEnd: an export that ends in the middle of a block is written to its end.
func TestUnalignedEnd(t *testing.T) {
	disk := noise(1, 1<<20+512)
	name := imageOf(t, disk)
	c := serve(t, "unix", "nbdkit", "-f", "--filter=blocksize-policy", "file", name, "blocksize-minimum=4096", "blocksize-preferred=4096",
		"blocksize-maximum=1M", "blocksize-error-policy=allow").open("nbd", "", nbd.Options{})
	copy(disk[1<<20:], noise(2, 512))
	if err := c.Write(t.Context(), disk[1<<20:], 1<<20, 0); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, disk) {
		t.Errorf("the image is not what was written: %v", err)
	}
}

// TestZeroFast: a server may say that zeroing is slow, and then nothing was done.
func TestZeroFast(t *testing.T) {
	c := serve(t, "unix", "nbdkit", "-f", "--filter=nozero", "memory", "1M", "zeromode=plugin", "fastzeromode=slow").open("nbd", "", nbd.Options{})
	err := c.Zero(t.Context(), 0, 4096, nbd.FastZero)
	if !nbd.IsSlowZero(err) {
		t.Errorf("fast zero: %v", err)
	}
	if err := c.Zero(t.Context(), 0, 4096, 0); err != nil {
		t.Errorf("slow zero: %v", err)
	}
}
