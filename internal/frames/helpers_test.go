package frames

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"filippo.io/age"
)

// testCodecs are all the codecs of this build, by name; the build's own (what Open and NewWriter use) is one of them.
func testCodecs() map[string]newCodecFunc {
	all := map[string]newCodecFunc{"go": newGoCodec}
	addCCodec(all)
	return all
}

// testKey is one identity for all tests that need just any.
var testKey = sync.OnceValue(func() *age.X25519Identity {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		panic(err)
	}
	return id
})

// mixedData looks like a disk: text-like, random and zero blocks of 4 KiB.
func mixedData(n int, seed uint64) []byte {
	rnd := rand.New(rand.NewPCG(seed, 1))
	words := make([][]byte, 256)
	for i := range words {
		words[i] = fmt.Appendf(nil, "%x", rnd.Uint64()>>(rnd.IntN(14)*4))
	}
	out := make([]byte, 0, n+4096)
	for len(out) < n {
		end := len(out) + 4096
		switch rnd.IntN(4) {
		case 0:
			out = append(out, make([]byte, 4096)...)
		case 1:
			for len(out) < end {
				out = append(out, byte(rnd.Uint32()))
			}
		default:
			for len(out) < end {
				out = append(out, words[int(rnd.ExpFloat64()*20)%256]...)
			}
			out = out[:end]
		}
	}
	return out[:n]
}

// form is one way to store a stream.
type form struct {
	level   Level
	encrypt bool
	codec   newCodecFunc // nil: the build's
}

func (f form) String() string { return fmt.Sprintf("%v,encrypt=%v", f.level, f.encrypt) }

func (f form) options() Options {
	o := Options{Level: f.level, Workers: 3}
	if f.encrypt {
		o.Recipients = []age.Recipient{testKey().Recipient()}
	}
	return o
}

func (f form) readOptions(rawBytes int64) ReadOptions {
	o := ReadOptions{Compress: f.level != None, RawBytes: rawBytes}
	if f.encrypt {
		o.Identities = []age.Identity{testKey()}
	}
	return o
}

func allForms() (forms []form) {
	for _, l := range []Level{None, Fast, Default, Best} {
		forms = append(forms, form{level: l}, form{level: l, encrypt: true})
	}
	return forms
}

// frameOf promises raw.
func frameOf(raw []byte) Frame {
	return Frame{Bytes: len(raw), Fill: func(_ context.Context, p []byte) error {
		copy(p, raw)
		return nil
	}}
}

// pieces cuts raw into frames of n bytes.
func pieces(raw []byte, n int) (out [][]byte) {
	for ; len(raw) > n; raw = raw[n:] {
		out = append(out, raw[:n])
	}
	if len(raw) > 0 {
		out = append(out, raw)
	}
	return out
}

// storeTo writes raw in frames of frameBytes.
func (f form) storeTo(t testing.TB, w io.Writer, raw []byte, frameBytes int) Totals {
	t.Helper()
	c := f.codec
	if c == nil {
		c = newCodec
	}
	fw, err := newWriter(t.Context(), w, f.options(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pieces(raw, frameBytes) {
		if err := fw.Add(frameOf(p)); err != nil {
			t.Fatal(err)
		}
	}
	totals, err := fw.Close()
	if err != nil {
		t.Fatal(err)
	}
	return totals
}

func (f form) store(t testing.TB, raw []byte) ([]byte, Totals) {
	t.Helper()
	var out bytes.Buffer
	totals := f.storeTo(t, &out, raw, FrameBytes)
	return out.Bytes(), totals
}

func (f form) open(t testing.TB, stored []byte, rawBytes int64) *Reader {
	t.Helper()
	r, err := Open(bytes.NewReader(stored), int64(len(stored)), f.readOptions(rawBytes))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// readAll reads all raw bytes; an error ends the test.
func readAll(t testing.TB, r *Reader) []byte {
	t.Helper()
	got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func writeFile(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
