package frames

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"testing"

	"filippo.io/age"
	"holdfast/internal/testtools"
)

func readStream(stored []byte, compress string, ids []age.Identity) ([]byte, error) {
	r, err := NewStreamReader(bytes.NewReader(stored), compress, ids)
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(r)
	return out, errors.Join(err, r.Close())
}

// TestStreamReadsOurs reads every form front to back.
func TestStreamReadsOurs(t *testing.T) {
	raw := mixedData(3_000_001, 1)
	for _, f := range allForms() {
		stored, totals := f.store(t, raw)
		compress := "zstd"
		if f.level == None {
			compress = ""
		}
		got, err := readStream(stored, compress, f.readOptions(0).Identities)
		if err != nil || int64(len(got)) != totals.RawBytes || !bytes.Equal(got[:len(raw)], raw) {
			t.Errorf("%v: %v, or other bytes", f, err)
		}
		if compress == "" && !f.encrypt {
			continue
		}
		stored[len(stored)/2] ^= 4
		if got, err := readStream(stored, compress, f.readOptions(0).Identities); err == nil && !bytes.Equal(got[:len(raw)], raw) {
			t.Errorf("%v: damage gives other bytes", f)
		}
	}
}

// TestStreamReadsZstd reads what the program zstd makes at its limits.
func TestStreamReadsZstd(t *testing.T) {
	testtools.Need(t, "zstd")
	raw := mixedData(1_000_000, 2)
	for _, args := range [][]string{{"-3"}, {"--long=27"}, {"--no-check"}} {
		stored := run(t, raw, "zstd", append(args, "-c")...)
		stored = append(appendSkippableHeader(stored, magicSkippable+3, 4), 1, 2, 3, 4)
		if got, err := readStream(stored, "zstd", nil); err != nil || !bytes.Equal(got, raw) {
			t.Errorf("zstd %v: %v, or other bytes", args, err)
		}
		if _, err := readStream(stored[:len(stored)/2], "zstd", nil); err == nil {
			t.Errorf("zstd %v: half a stream is read without an error", args)
		}
	}
	stored := run(t, raw, "zstd", "--long=28", "-c", "--ultra")
	if _, err := readStream(stored, "zstd", nil); err == nil {
		t.Error("a stream that needs 256 MiB of memory is read")
	}
}

func gzipped(t *testing.T, raw []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestStreamReadsGzip reads members one after the other, and a medium's padding after them.
func TestStreamReadsGzip(t *testing.T) {
	raw := mixedData(500_000, 3)
	one := gzipped(t, raw)
	zeros := make([]byte, 70_000)
	cases := []struct {
		name   string
		stored []byte
		want   []byte
		words  string
	}{
		{"one", one, raw, ""},
		{"padded", append(bytes.Clone(one), zeros...), raw, ""},
		{"two", append(bytes.Clone(one), one...), append(bytes.Clone(raw), raw...), ""},
		{"empty", gzipped(t, nil), nil, ""},
		{"cut", one[:len(one)-9], nil, "gzip: unexpected EOF"},
		{"garbage", append(bytes.Clone(one), "rubbish"...), nil, "after the end of a member"},
		{"garbage after zeros", append(append(bytes.Clone(one), zeros...), 1), nil, "garbage"},
		{"no gzip", []byte("rubbish and more"), nil, "open stream: gzip"},
		{"nothing", nil, nil, "open stream: gzip"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := readStream(c.stored, "gzip", nil)
			if c.words != "" {
				checkError(t, err, nil, c.words)
			} else if err != nil || !bytes.Equal(got, c.want) {
				t.Errorf("%v, or other bytes", err)
			}
		})
	}
}

// TestStreamRefuses: an unknown compression and a wrong key are named.
func TestStreamRefuses(t *testing.T) {
	_, err := readStream(nil, "lzma", nil)
	checkError(t, err, nil, `compression "lzma"`)
	stored, _ := form{level: Fast, encrypt: true}.store(t, []byte("x"))
	_, err = readStream(stored, "zstd", otherIdentity(t))
	checkError(t, err, ErrNoIdentity, "no identity matched")
	_, err = readStream(stored[:len(stored)-1], "zstd", form{encrypt: true}.readOptions(0).Identities)
	checkError(t, err, nil, "")
}
