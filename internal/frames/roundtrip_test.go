package frames

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"holdfast/internal/testtools"
)

// sizes around the edges of a frame.
var sizes = []int{0, 1, FrameBytes - 1, FrameBytes, FrameBytes + 1, 5*FrameBytes + 77}

// TestRoundTrip stores and reads streams of every form, length and codec, by every way to read, and checks the totals.
func TestRoundTrip(t *testing.T) {
	data := mixedData(sizes[len(sizes)-1], 1)
	for name, newCodec := range testCodecs() {
		for _, f := range allForms() {
			f.codec = newCodec
			for _, n := range sizes {
				t.Run(fmt.Sprintf("%s,%v,%d", name, f, n), func(t *testing.T) {
					stored, totals := f.store(t, data[:n])
					want := data[:n]
					if f.level == None {
						want = append(bytes.Clone(want), make([]byte, int(totals.RawBytes)-n)...)
					}
					checkTotals(t, totals, want, stored)
					for _, rawBytes := range []int64{0, int64(len(want))} {
						checkReader(t, f.open(t, stored, rawBytes), want)
					}
				})
			}
		}
	}
}

func checkTotals(t *testing.T, got Totals, raw, stored []byte) {
	t.Helper()
	want := Totals{
		RawBytes: int64(len(raw)), RawCRC: crc32.Checksum(raw, castagnoli),
		StoredBytes: int64(len(stored)), StoredCRC: crc32.Checksum(stored, castagnoli),
	}
	if got != want {
		t.Errorf("totals %+v, want %+v", got, want)
	}
	if len(stored)%PadBytes != 0 {
		t.Errorf("%d bytes stored: not a multiple of %d", len(stored), PadBytes)
	}
}

// checkReader reads everything as one range, frame by frame, and in odd pieces.
func checkReader(t *testing.T, r *Reader, want []byte) {
	t.Helper()
	if r.Rebuilt() != nil || r.Size() != int64(len(want)) {
		t.Fatalf("size %d, rebuilt %v; want %d, nil", r.Size(), r.Rebuilt(), len(want))
	}
	if got := readAll(t, r); !bytes.Equal(got, want) {
		t.Fatal("ReadAt gives other bytes")
	}
	var joined, buf []byte
	for i := range r.Frames() {
		off, n, _, _ := r.FrameInfo(i)
		if off != int64(len(joined)) || r.FrameAt(off) != i || r.FrameAt(off+n-1) != i {
			t.Fatalf("frame %d: offset %d, %d bytes; FrameAt %d, %d", i, off, n, r.FrameAt(off), r.FrameAt(off+n-1))
		}
		var err error
		if buf, err = r.ReadFrame(t.Context(), i, buf); err != nil {
			t.Fatal(err)
		}
		joined = append(joined, buf...)
	}
	if !bytes.Equal(joined, want) {
		t.Fatal("ReadFrame gives other bytes")
	}
	if r.FrameAt(-1) != -1 || r.FrameAt(r.Size()) != -1 {
		t.Error("FrameAt outside of the stream finds a frame")
	}
	p := make([]byte, 100)
	for off := 0; off < len(want); off += 299_993 {
		n, err := r.ReadAt(p, int64(off))
		if !bytes.Equal(p[:n], want[off:min(off+100, len(want))]) || (n < 100) != errors.Is(err, io.EOF) {
			t.Fatalf("ReadAt %d: %d bytes, %v", off, n, err)
		}
	}
}

// TestSmallFrames stores frames of odd lengths and several to an encrypted chunk.
func TestSmallFrames(t *testing.T) {
	data := mixedData(300_000, 2)
	for _, f := range allForms() {
		t.Run(f.String(), func(t *testing.T) {
			var out bytes.Buffer
			totals := f.storeTo(t, &out, data, 1777)
			r := f.open(t, out.Bytes(), totals.RawBytes)
			if got := readAll(t, r)[:len(data)]; !bytes.Equal(got, data) {
				t.Fatal("other bytes")
			}
			if f.level != None && r.Frames() != (len(data)+1776)/1777 {
				t.Errorf("%d frames", r.Frames())
			}
		})
	}
}

// TestConcurrentReads reads the same and different frames from several goroutines through the cache.
func TestConcurrentReads(t *testing.T) {
	data := mixedData(40*64<<10, 3)
	f := form{level: Fast, encrypt: true}
	var out bytes.Buffer
	f.storeTo(t, &out, data, 64<<10)
	r := f.open(t, out.Bytes(), int64(len(data)))
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			p := make([]byte, 70_001)
			for i := range 60 {
				off := int64((g/2*31 + i*17) * 51_001 % (len(data) - len(p)))
				if _, err := r.ReadAt(p, off); err != nil || !bytes.Equal(p, data[off:][:len(p)]) {
					t.Errorf("ReadAt %d: %v, or other bytes", off, err)
					return
				}
			}
		})
	}
	group.Wait()
	if n := len(r.cache.frames); n > cachedFrames {
		t.Errorf("%d frames kept", n)
	}
}

// TestDistributionTools undoes every form with the programs of the distribution.
func TestDistributionTools(t *testing.T) {
	testtools.Need(t, "zstd", "age")
	data := mixedData(sizes[len(sizes)-1], 4)
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	writeFile(t, key, []byte(testKey().String()+"\n"))
	for name, newCodec := range testCodecs() {
		for _, f := range allForms() {
			f.codec = newCodec
			for _, n := range []int{0, 1, len(data)} {
				t.Run(fmt.Sprintf("%s,%v,%d", name, f, n), func(t *testing.T) {
					stored, totals := f.store(t, data[:n])
					if f.encrypt {
						stored = run(t, stored, "age", "-d", "-i", key)
					}
					if f.level != None {
						run(t, stored, "zstd", "-t")
						stored = run(t, stored, "zstd", "-dc")
					}
					if int64(len(stored)) != totals.RawBytes || !bytes.Equal(stored[:n], data[:n]) {
						t.Fatal("other bytes")
					}
				})
			}
		}
	}
}

// TestZstdList lets zstd itself list the frames, which it does by hopping from one to the next.
func TestZstdList(t *testing.T) {
	testtools.Need(t, "zstd")
	stored, _ := form{level: Default}.store(t, mixedData(3*FrameBytes+1, 5))
	name := filepath.Join(t.TempDir(), "s.zst")
	writeFile(t, name, stored)
	list := string(run(t, nil, "zstd", "-lv", name))
	for _, want := range []string{"# Zstandard Frames: 4\n", "# Skippable Frames: 2\n", "(3145729 B)", "XXH64"} {
		if !strings.Contains(list, want) {
			t.Errorf("zstd -lv does not say %q:\n%s", want, list)
		}
	}
}

func run(t *testing.T, in []byte, name string, args ...string) []byte {
	t.Helper()
	var out, messages bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &messages
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, &messages)
	}
	return out.Bytes()
}

// TestCodecsAlike decodes each codec's frames with each codec, and refuses the same wrong ones.
func TestCodecsAlike(t *testing.T) {
	inputs := map[string][]byte{
		"one": {7}, "small": []byte("hello hello hello"), "255": mixedData(255, 1), "256": mixedData(256, 1),
		"mixed": mixedData(FrameBytes, 6), "zero": make([]byte, FrameBytes), "short": mixedData(300_001, 7),
	}
	codecs := testCodecs()
	for encName, newEnc := range codecs {
		for _, l := range []Level{Fast, Default, Best} {
			enc, err := newEnc(l)
			if err != nil {
				t.Fatal(err)
			}
			for what, raw := range inputs {
				frame, err := enc.encode(nil, raw)
				if err != nil || checkFrame(frame, len(raw)) != nil {
					t.Fatalf("%s %v %s: %v, %v", encName, l, what, err, checkFrame(frame, len(raw)))
				}
				if int64(len(frame)) > maxStoredFrame(int64(len(raw))) {
					t.Errorf("%s %v %s: %d bytes stored of %d", encName, l, what, len(frame), len(raw))
				}
				for decName, newDec := range codecs {
					t.Run(fmt.Sprintf("%s,%v,%s,%s", encName, l, decName, what), func(t *testing.T) {
						dec, err := newDec(Default)
						if err != nil {
							t.Fatal(err)
						}
						checkDecode(t, dec, frame, raw)
					})
				}
			}
		}
	}
}

func checkDecode(t *testing.T, c codec, frame, raw []byte) {
	t.Helper()
	memory := bytes.Repeat([]byte{0xA5}, len(raw)+8)
	if err := c.decode(memory[:len(raw)], frame); err != nil || !bytes.Equal(memory[:len(raw)], raw) {
		t.Fatalf("decode: %v, or other bytes", err)
	}
	if c.decode(make([]byte, len(raw)+1), frame) == nil {
		t.Error("a frame too short for its place is accepted")
	}
	if len(raw) > 1 && c.decode(memory[:len(raw)-1], frame) == nil {
		t.Error("a frame too long for its place is accepted")
	}
	if !bytes.Equal(memory[len(raw):], bytes.Repeat([]byte{0xA5}, 8)) {
		t.Error("decode wrote past its place")
	}
	bad := bytes.Clone(frame)
	bad[len(bad)-1] ^= 1
	if c.decode(memory[:len(raw)], bad) == nil {
		t.Error("a wrong checksum is accepted")
	}
	if c.decode(memory[:len(raw)], frame[:len(frame)-1]) == nil {
		t.Error("a frame cut short is accepted")
	}
	if c.decode(memory[:len(raw)], append(bytes.Clone(frame), 0)) == nil {
		t.Error("a byte after the frame is accepted")
	}
}
