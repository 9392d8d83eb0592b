package frames

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"filippo.io/age"
	"filippo.io/age/agessh"
)

// seeds are whole streams of few bytes, ours and a foreign one, and pieces of them.
func seeds(t testing.TB) (all [][]byte) {
	ours, _ := form{level: Fast}.store(t, mixedData(9000, 1))
	other := foreign(t, pieces(mixedData(3000, 2), 700))
	return [][]byte{nil, other, other[:len(other)-1], other[len(other)-80:], ours, ours[:2000], ours[len(ours)-60:]}
}

// FuzzReadTable: a table that is accepted covers the stream before it without gap, in frames of legal size.
func FuzzReadTable(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		src := plainSource{r: bytes.NewReader(p), size: int64(len(p))}
		x, _, err := readTable(src, new(scratch))
		if err == nil {
			checkIndex(t, x, len(p))
		}
	})
}

// FuzzWalk: frames that are found lie in the stream, and a second walk finds the same.
func FuzzWalk(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		src := plainSource{r: bytes.NewReader(p), size: int64(len(p))}
		w := walker{src: src, scratch: new(scratch)}
		x, err := w.walk()
		checkIndex(t, x, len(p))
		cut := walker{src: plainSource{r: src.r, size: w.at}, scratch: new(scratch)}
		if again, _ := cut.walk(); err != nil && !slices.Equal(x, again) {
			t.Errorf("%d frames, then %d", len(x), len(again))
		}
	})
}

func checkIndex(t *testing.T, x index, size int) {
	t.Helper()
	var raw, at int64
	for _, e := range x {
		if e.raw != raw || e.at < at || e.rawBytes == 0 || e.rawBytes > FrameBytes || e.at+int64(e.storedBytes) > int64(size) {
			t.Fatalf("impossible frame %+v", e)
		}
		raw, at = e.raw+int64(e.rawBytes), e.at+int64(e.storedBytes)
	}
}

// FuzzOpen opens and reads anything, with all codecs: they agree on what is good.
func FuzzOpen(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s, uint32(0))
		f.Add(s, uint32(9000))
	}
	f.Fuzz(func(t *testing.T, p []byte, rawBytes uint32) {
		results := make(map[string][]byte)
		for name, newCodec := range testCodecs() {
			r, err := open(bytes.NewReader(p), int64(len(p)), ReadOptions{Compress: true, RawBytes: int64(rawBytes)}, newCodec)
			if err != nil {
				return
			}
			var all []byte
			for i := range min(r.Frames(), 100) {
				if raw, err := r.ReadFrame(t.Context(), i, nil); err == nil {
					all = append(all, raw...)
				}
				_, _ = r.ReadAt(make([]byte, 10), int64(i)*FrameBytes/2)
			}
			results[name] = all
		}
		for name, got := range results {
			if !bytes.Equal(got, results["go"]) {
				t.Errorf("codec %s reads %d bytes, codec go %d, or others", name, len(got), len(results["go"]))
			}
		}
	})
}

// FuzzOpenEncrypted changes an encrypted stream: never a byte other than what went in.
func FuzzOpenEncrypted(f *testing.F) {
	base := form{level: Fast, encrypt: true}
	raw := mixedData(100_000, 3)
	stored := damageStream(f, base, raw)
	f.Add(uint32(0), []byte("x"), uint32(0))
	f.Add(uint32(200), []byte{1, 2}, uint32(100))
	f.Add(uint32(70_000), []byte{1, 2}, uint32(70_000))
	f.Fuzz(func(t *testing.T, at uint32, change []byte, cut uint32) {
		p := bytes.Clone(stored[:len(stored)-int(cut)%len(stored)])
		copy(p[int(at)%len(p):], change)
		neverWrong(t, base, p, raw, 0)
	})
}

// FuzzStream reads anything front to back with bounded memory.
func FuzzStream(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s, "zstd")
	}
	f.Add([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "gzip")
	f.Fuzz(func(_ *testing.T, p []byte, compress string) {
		r, err := NewStreamReader(bytes.NewReader(p), compress, nil)
		if err != nil {
			return
		}
		_, _ = io.CopyN(io.Discard, r, 4<<20)
		_ = r.Close()
	})
}

// FuzzRecipients: what is accepted can be encrypted to, and no message repeats the line.
func FuzzRecipients(f *testing.F) {
	f.Add("# comment\n\n" + testKey().Recipient().String())
	f.Add(testKey().String())
	f.Add("ssh-ed25519 AAAA x")
	f.Fuzz(func(t *testing.T, s string) {
		to, err := LoadRecipients(bytes.NewReader([]byte(s)))
		if err != nil {
			return
		}
		for _, r := range to {
			switch r.(type) {
			case *age.X25519Recipient, *age.HybridRecipient, *agessh.Ed25519Recipient, *agessh.RSARecipient:
			default:
				t.Errorf("recipient of type %T", r)
			}
		}
	})
}
