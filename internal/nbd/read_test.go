package nbd_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"holdfast/internal/nbd"
	"holdfast/internal/nbd/handshake"
)

// TestRead reads the same disk from each server, in each way in which servers answer: simple replies, structured ones,
// holes, blocks that reads must be aligned to, many connections and one.
func TestRead(t *testing.T) {
	disk := noise(1, 3<<20+512)
	clear(disk[1<<20 : 2<<20])
	name := imageOf(t, disk)
	qemu := []string{"qemu-nbd", "-r", "-t", "-e", "8", "-f", "raw", "-x", "d", name}
	nbdkit := func(options []string, more ...string) []string {
		return slices.Concat([]string{"nbdkit", "-f", "-r"}, options, []string{"file", name}, more)
	}
	for _, tt := range []struct {
		name        string
		network     string
		command     []string
		structured  bool
		connections int
	}{
		{"qemu", "unix", qemu, true, 4},
		{"qemu-tcp", "tcp", qemu, true, 4},
		{"qemu-takes-one", "unix", []string{"qemu-nbd", "-r", "-t", "-f", "raw", "-x", "d", name}, true, 1},
		{"qemu-takes-two", "unix", []string{"qemu-nbd", "-r", "-t", "-e", "2", "-f", "raw", "-x", "d", name}, true, 2}, // others wait
		{"nbdkit", "unix", nbdkit(nil), true, 4},
		{"nbdkit-simple", "unix", nbdkit([]string{"--no-sr"}), false, 4},
		{"nbdkit-single", "unix", nbdkit([]string{"--filter=multi-conn"}, "multi-conn-mode=disable"), true, 1},
		{"nbdkit-blocks", "unix", nbdkit([]string{"--filter=blocksize-policy"}, "blocksize-minimum=512", "blocksize-preferred=4096",
			"blocksize-maximum=64k", "blocksize-error-policy=error"), true, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			export := "d"
			if tt.command[0] == "nbdkit" {
				export = ""
			}
			c := serve(t, tt.network, tt.command...).open("nbd", export, nbd.Options{})
			if c.SizeBytes() != int64(len(disk)) || c.Connections() != tt.connections || c.Info().Structured != tt.structured {
				t.Errorf("%d bytes, %d connections, %+v", c.SizeBytes(), c.Connections(), c.Info())
			}
			readEverywhere(t, c, disk)
		})
	}
}

// readEverywhere reads all at once, at odd places, at the end, and from many goroutines.
func readEverywhere(t *testing.T, c *nbd.Client, disk []byte) {
	t.Helper()
	all := noise(7, len(disk)) // what was there before may not shine through
	if n, err := c.ReadAt(all, 0); err != nil || n != len(disk) || !bytes.Equal(all, disk) {
		t.Fatalf("all: %d bytes, %v", n, err)
	}
	p := make([]byte, 1000)
	if n, err := c.ReadAt(p, int64(len(disk)-10)); n != 10 || err != io.EOF || !bytes.Equal(p[:n], disk[len(disk)-10:]) {
		t.Errorf("end: %d bytes, %v", n, err)
	}
	if n, err := c.ReadAt(p, int64(len(disk))); n != 0 || err != io.EOF {
		t.Errorf("behind the end: %d bytes, %v", n, err)
	}
	if err := c.Read(t.Context(), p, int64(len(disk)-10)); !errors.Is(err, nbd.ErrRange) {
		t.Errorf("over the end: %v", err)
	}
	var readers sync.WaitGroup
	for seed := range uint64(8) {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(seed, 0))
			for range 15 {
				off := r.Int64N(int64(len(disk)))
				p := make([]byte, r.Int64N(min(int64(len(disk))-off, 300_000))+1)
				if _, err := c.ReadAt(p, off); err != nil || !bytes.Equal(p, disk[off:off+int64(len(p))]) {
					t.Errorf("%d bytes at %d (seed %d): %v", len(p), off, seed, err)
				}
			}
		})
	}
	readers.Wait()
}

// TestReadLong: a read beyond what servers take at once is cut.
func TestReadLong(t *testing.T) {
	c := serve(t, "unix", "nbdkit", "-f", "-r", "pattern", "80M").open("nbd", "", nbd.Options{})
	p := make([]byte, 70<<20)
	if _, err := c.ReadAt(p, 8); err != nil {
		t.Fatal(err)
	}
	for _, off := range []int{0, 32<<20 - 8, 32 << 20, 64<<20 - 8, 70<<20 - 8} {
		if !bytes.Equal(p[off:off+8], bigEndian(int64(off+8))) {
			t.Errorf("at %d: % x", off, p[off:off+8])
		}
	}
}

func bigEndian(n int64) []byte {
	p := make([]byte, 8)
	for i := range p {
		p[i] = byte(n >> (56 - 8*i))
	}
	return p
}

// TestErrors: what a server refuses comes with its number, its text, and what was asked of whom.
func TestErrors(t *testing.T) {
	s := serve(t, "unix", "nbdkit", "-f", "--filter=error", "memory", "1M", "error-pread=ENOSPC", "error-pread-rate=100%")
	c := s.open("nbd", "", nbd.Options{})
	err := c.Read(t.Context(), make([]byte, 4096), 8192)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "read 4096 bytes at 8192 of "+s.uri("nbd", "")) {
		t.Errorf("nbdkit: %v", err)
	}
	if err := c.Write(t.Context(), make([]byte, 4096), 0, 0); err != nil {
		t.Errorf("after an error: %v", err)
	}

	image := `json:{"driver":"raw","file":{"driver":"blkdebug","inject-error":[{"event":"none","iotype":"read","errno":5,"sector":16}],` +
		`"image":{"driver":"file","filename":"` + imageOf(t, noise(1, 1<<20)) + `"}}}`
	c = serve(t, "unix", "qemu-nbd", "-r", "-t", image).open("nbd", "", mapping(nbd.ContextAllocation))
	err = c.Read(t.Context(), make([]byte, 4096), 8192)
	var said *nbd.ServerError
	if !errors.Is(err, syscall.EIO) || !errors.As(err, &said) || !strings.Contains(said.Message, "reading from file failed") {
		t.Errorf("qemu: %v", err)
	}
	if err := c.Read(t.Context(), make([]byte, 4096), 0); err != nil {
		t.Errorf("after an error: %v", err)
	}
}

// TestInspect asks servers what they export.
func TestInspect(t *testing.T) {
	s := serve(t, "unix", "qemu-nbd", "-r", "-t", "-e", "2", "-A", "-f", "raw", "-x", "disk", "-D", "a disk", imageOf(t, noise(1, 1<<20)))
	list, err := handshake.List(t.Context(), s.uri("nbd", ""), handshake.Options{})
	if err != nil || !slices.Equal(list, []handshake.Export{{Name: "disk", Description: "a disk"}}) {
		t.Errorf("list: %+v, %v", list, err)
	}
	info, err := handshake.Inspect(t.Context(), s.uri("nbd", "disk"), handshake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{nbd.ContextAllocation, nbd.ContextDepth}
	if info.SizeBytes != 1<<20 || !info.ReadOnly || info.BlockMax != 32<<20 || !slices.Equal(info.Contexts, want) {
		t.Errorf("info: %+v", info)
	}
	if info.Export != "disk" || info.Description != "a disk" || info.TLS {
		t.Errorf("info: %+v", info)
	}
	if _, err := handshake.Inspect(t.Context(), s.uri("nbd", "other"), handshake.Options{}); !errors.Is(err, nbd.ErrNoExport) {
		t.Errorf("inspect another: %v", err)
	}
	if _, err := nbd.Open(t.Context(), s.uri("nbd", "other"), nbd.Options{}); !errors.Is(err, nbd.ErrNoExport) {
		t.Errorf("open another: %v", err)
	}
	if _, err := nbd.Open(t.Context(), s.uri("nbd", "other"), mapping(nbd.ContextAllocation)); !errors.Is(err, nbd.ErrNoExport) {
		t.Errorf("open another, with a map: %v", err)
	}
	if _, err := nbd.Open(t.Context(), s.uri("nbd", "disk"), mapping(nbd.ContextBitmap+"b")); !errors.Is(err, nbd.ErrNoContext) {
		t.Errorf("open with a bitmap: %v", err)
	}
	s.kill()
	if _, err := nbd.Open(t.Context(), s.uri("nbd", "disk"), nbd.Options{}); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("open without a server: %v", err)
	}
}

// mapping are the options with meta contexts.
func mapping(contexts ...string) nbd.Options {
	return nbd.Options{Handshake: handshake.Options{Contexts: contexts}}
}
