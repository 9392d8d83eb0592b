package frames

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// checked are the forms in which every byte is proved.
func checked() []form {
	return []form{{level: Fast}, {level: Fast, encrypt: true}, {level: None, encrypt: true}}
}

// damageStream makes a stream of several frames, small enough to be read very often.
func damageStream(t testing.TB, f form, raw []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	f.storeTo(t, &out, raw, 20_000)
	return out.Bytes()
}

// neverWrong opens and reads a stream that was tampered with. Errors are welcome, other bytes than want are not.
func neverWrong(t testing.TB, f form, stored, want []byte, rawBytes int64) {
	t.Helper()
	r, err := Open(bytes.NewReader(stored), int64(len(stored)), f.readOptions(rawBytes))
	if err != nil {
		return
	}
	if r.Size() > int64(len(want)) || r.Size() < int64(len(want)) && r.Rebuilt() == nil {
		t.Fatalf("size %d instead of %d, without a word", r.Size(), len(want))
	}
	var buf []byte
	for i := range r.Frames() {
		off, n, _, _ := r.FrameInfo(i)
		p, err := r.ReadFrame(context.Background(), i, buf)
		if err != nil {
			var d *DamageError
			if !errors.As(err, &d) || d.RawOffset != off || d.RawLength != n {
				t.Fatalf("frame %d at %d: %v", i, off, err)
			}
			continue
		}
		if buf = p; !bytes.Equal(p, want[off:][:n]) {
			t.Fatalf("frame %d gives other bytes", i)
		}
	}
}

// TestBitFlips turns single bits all over a stream, and every bit of the first bytes, of the pad frame and of the table.
func TestBitFlips(t *testing.T) {
	raw := mixedData(60_000, 1)
	for _, f := range checked() {
		t.Run(f.String(), func(t *testing.T) {
			stored := damageStream(t, f, raw)
			want := readAll(t, f.open(t, stored, 0))
			rnd := rand.New(rand.NewPCG(1, 2))
			flip := func(bit int) {
				stored[bit/8] ^= 1 << (bit % 8)
				neverWrong(t, f, stored, want, int64(bit%2*len(want)))
				stored[bit/8] ^= 1 << (bit % 8)
			}
			for bit := 0; bit < 8*24; bit++ {
				flip(bit)
			}
			for bit := 8 * (len(stored) - 80); bit < 8*len(stored); bit++ {
				flip(bit)
			}
			for range 200 {
				flip(rnd.IntN(8 * len(stored)))
			}
		})
	}
}

// TestTruncation cuts a stream everywhere interesting: what is left is read, the rest is named.
func TestTruncation(t *testing.T) {
	raw := mixedData(400_000, 2)
	for _, f := range checked() {
		t.Run(f.String(), func(t *testing.T) {
			stored := damageStream(t, f, raw)
			want := readAll(t, f.open(t, stored, 0))
			cuts := []int{0, 1, 8, 100, 215, 216, 217, 232, len(stored) - 1, len(stored) - 9, len(stored) - PadBytes}
			for n := range 2 {
				for d := -17; d <= 280; d += 9 {
					cuts = append(cuts, n*ageChunk+d)
				}
			}
			for _, cut := range cuts {
				if cut < 0 || cut >= len(stored) {
					continue
				}
				neverWrong(t, f, stored[:cut], want, 0)
				neverWrong(t, f, stored[:cut], want, int64(len(want)))
			}
		})
	}
}

// TestTruncatedStreamStillReads loses the last third of a stream, as with a lost last volume: the frames before are all
// there, and the rest is one frame that says what is missing.
func TestTruncatedStreamStillReads(t *testing.T) {
	raw := mixedData(900_000, 3)
	for _, f := range checked() {
		t.Run(f.String(), func(t *testing.T) {
			stored := damageStream(t, f, raw)
			whole := f.open(t, stored, 0)
			cut := len(stored) * 2 / 3
			r := f.open(t, stored[:cut], whole.Size())
			if !errors.Is(r.Rebuilt(), errTruncated) || r.Size() != whole.Size() {
				t.Fatalf("rebuilt %v, size %d", r.Rebuilt(), r.Size())
			}
			last := r.Frames() - 1
			for i := range last {
				if _, err := r.ReadFrame(t.Context(), i, nil); err != nil && i < last-1 {
					t.Errorf("frame %d of %d: %v", i, last, err)
				}
			}
			off, n, _, storedLen := r.FrameInfo(last)
			if off+n != r.Size() || storedLen != 0 || r.FrameAt(off+n-1) != last {
				t.Errorf("missing: %d+%d, %d stored", off, n, storedLen)
			}
			// What was left must be most of what fits into the bytes that were left.
			if lost := whole.FrameAt(off); lost < whole.Frames()/2 && f.level != None {
				t.Errorf("only %d of %d frames found", lost, whole.Frames())
			}
			var d *DamageError
			if _, err := r.ReadAt(make([]byte, 1), r.Size()-1); !errors.As(err, &d) || d.RawOffset != off {
				t.Errorf("reading what is missing: %v", err)
			}
			if got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size())); err == nil || len(got) < int(off)-FrameBytes {
				t.Errorf("%d bytes read before %v", len(got), err)
			}
		})
	}
}

// TestDamageNamesItsRange damages one frame: it alone fails, and the error tells where it lies.
func TestDamageNamesItsRange(t *testing.T) {
	raw := mixedData(900_000, 4)
	for _, f := range checked() {
		t.Run(f.String(), func(t *testing.T) {
			stored := damageStream(t, f, raw)
			r := f.open(t, stored, 0)
			bad := r.Frames() / 2
			_, _, off, n := r.FrameInfo(bad)
			stored[off+n/2] ^= 0x10
			if r.Rebuilt() != nil {
				t.Fatal(r.Rebuilt())
			}
			failed := 0
			for i := range r.Frames() {
				_, err := r.ReadFrame(t.Context(), i, nil)
				rawOff, rawLen, storedOff, storedLen := r.FrameInfo(i)
				_, atErr := r.ReadAt(make([]byte, 2), rawOff)
				if (err == nil) != (atErr == nil) {
					t.Errorf("frame %d: ReadFrame %v, ReadAt %v", i, err, atErr)
				}
				if covers := storedOff <= off+n/2 && off+n/2 < storedOff+storedLen; covers != (err != nil) {
					t.Errorf("frame %d stored at %d+%d: %v", i, storedOff, storedLen, err)
				}
				if err == nil {
					continue
				}
				failed++
				want := DamageError{RawOffset: rawOff, RawLength: rawLen, StoredOffset: storedOff, StoredLength: storedLen}
				var d *DamageError
				if !errors.As(err, &d) || (DamageError{d.RawOffset, d.RawLength, d.StoredOffset, d.StoredLength, nil}) != want {
					t.Errorf("frame %d: %v", i, err)
				}
			}
			if failed == 0 {
				t.Error("nothing failed")
			}
			stored[off+n/2] ^= 0x10 // a second try may succeed: errors are not kept
			if got := readAll(t, r); !bytes.Equal(got[:len(raw)], raw) {
				t.Error("other bytes after the medium got well")
			}
		})
	}
}

// TestRebuild damages the table in every way that matters; all frames are found again.
func TestRebuild(t *testing.T) {
	raw := mixedData(200_000, 5)
	f := form{level: Default}
	stored := damageStream(t, f, raw)
	size := len(stored)
	tableAt := size - (8 + 8*11 + 9) // ten frames and the pad
	cases := []struct {
		name   string
		change func(p []byte)
		silent bool // the frames prove the table right
	}{
		{"footer", func(p []byte) { p[size-1] = 0 }, false},
		{"reserved bit", func(p []byte) { p[size-5] |= 4 }, false},
		{"count", func(p []byte) { p[size-9]++ }, false},
		{"huge count", func(p []byte) { p[size-6] = 0xFF }, false},
		{"magic", func(p []byte) { p[tableAt]++ }, false},
		{"length", func(p []byte) { p[tableAt+4]++ }, false},
		{"stored size", func(p []byte) { p[tableAt+8]++ }, false},
		{"sizes moved", func(p []byte) { p[tableAt+8]++; p[tableAt+16]-- }, false},
		{"raw size", func(p []byte) { p[tableAt+12] ^= 1 }, false},
		{"raw sizes moved", func(p []byte) { p[tableAt+12]++; p[tableAt+20]-- }, false},
		{"huge raw size", func(p []byte) { p[tableAt+15] = 0xFF }, false},
		{"all zero", func(p []byte) { clear(p[tableAt:]) }, false},
		{"checksum in the pad", func(p []byte) { p[padOf(p, tableAt)+8]++ }, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := bytes.Clone(stored)
			c.change(p)
			for _, want := range []int64{0, int64(len(raw))} {
				r := f.open(t, p, want)
				if (r.Rebuilt() == nil) != c.silent {
					t.Errorf("rebuilt: %v", r.Rebuilt())
				}
				if got := readAll(t, r); !bytes.Equal(got, raw) || r.Frames() != 10 {
					t.Errorf("%d frames, or other bytes", r.Frames())
				}
			}
		})
	}
}

// TestConstantFrames stores frames of one byte repeated, which have blocks of their own kind and a short cut for zeros,
// and reads them with the table and without.
func TestConstantFrames(t *testing.T) {
	raw := make([]byte, 4*FrameBytes+1000)
	for i := range raw[:FrameBytes] {
		raw[FrameBytes+i] = 7
	}
	raw[3*FrameBytes-1], raw[3*FrameBytes] = 1, 1
	raw = append(make([]byte, FrameBytes), raw...)
	for name, newCodec := range testCodecs() {
		for _, l := range []Level{Fast, Default, Best} {
			f := form{level: l, codec: newCodec}
			stored, totals := f.store(t, raw)
			if totals.StoredBytes != PadBytes {
				t.Errorf("%s %v: %d bytes stored", name, l, totals.StoredBytes)
			}
			for _, damage := range []byte{0, 1} {
				stored[len(stored)-1] ^= damage
				r := f.open(t, stored, 0)
				if got := readAll(t, r); !bytes.Equal(got, raw) || (r.Rebuilt() == nil) != (damage == 0) {
					t.Errorf("%s %v: rebuilt %v, or other bytes", name, l, r.Rebuilt())
				}
			}
		}
	}
}

// padOf gives the offset of the pad frame from the last entry of the table.
func padOf(stored []byte, tableAt int) int {
	last := len(stored) - tableFooterBytes - tableEntryBytes
	return tableAt - int(binary.LittleEndian.Uint32(stored[last:]))
}

// TestRebuildStopsAtDamage damages the table and a frame: what lies before the frame is found, the rest is missing.
func TestRebuildStopsAtDamage(t *testing.T) {
	raw := mixedData(200_000, 6)
	f := form{level: Default}
	stored := damageStream(t, f, raw)
	_, _, off, _ := f.open(t, stored, 0).FrameInfo(4)
	stored[off] ^= 1
	stored[len(stored)-1] ^= 1
	r := f.open(t, stored, int64(len(raw)))
	if r.Frames() != 5 || !errors.Is(r.Rebuilt(), errNotFrame) || !errors.Is(r.Rebuilt(), errNoTable) {
		t.Fatalf("%d frames, %v", r.Frames(), r.Rebuilt())
	}
	p := make([]byte, len(raw))
	n, err := r.ReadAt(p, 0)
	if n != 80_000 || !bytes.Equal(p[:n], raw[:n]) || !errors.Is(err, errTruncated) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// foreign makes a stream in the published format as other programs do: no pad frame, a table with checksums.
func foreign(t testing.TB, frames [][]byte) []byte {
	t.Helper()
	c, err := newGoCodec(Default)
	if err != nil {
		t.Fatal(err)
	}
	var out, entries []byte
	for _, raw := range frames {
		frame, err := c.encode(nil, raw)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, frame...)
		entries = binary.LittleEndian.AppendUint32(entries, uint32(len(frame)))
		entries = binary.LittleEndian.AppendUint32(entries, uint32(len(raw)))
		entries = append(entries, 1, 2, 3, 4)
	}
	out = appendSkippableHeader(out, magicTable, int64(len(entries)+tableFooterBytes))
	out = append(out, entries...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(frames)))
	out = append(out, tableChecksumFlag|3)
	return binary.LittleEndian.AppendUint32(out, magicFooter)
}

// TestForeignTable reads a seekable stream of another program, and does not believe its table when the frames differ.
func TestForeignTable(t *testing.T) {
	raw := mixedData(500_000, 7)
	f := form{level: Default}
	stored := foreign(t, pieces(raw, 60_000))
	r := f.open(t, stored, 0)
	if got := readAll(t, r); r.Rebuilt() != nil || !bytes.Equal(got, raw) {
		t.Fatalf("rebuilt %v, or other bytes", r.Rebuilt())
	}
	entry := len(stored) - tableFooterBytes - 9*(tableEntryBytes+tableChecksumBytes)
	stored[entry+4]--
	stored[entry+16]++
	r = f.open(t, stored, 0)
	if got := readAll(t, r); r.Rebuilt() == nil || !bytes.Equal(got, raw) {
		t.Fatalf("rebuilt %v, or other bytes", r.Rebuilt())
	}
}

// TestFrameHeaders lists headers of frames that are refused, and reads the content size from each form that is not.
func TestFrameHeaders(t *testing.T) {
	cases := []struct {
		header string // after the magic number
		size   int
		err    error
	}{
		{"\x24\x07", 7, nil},
		{"\x64\x00\x01", 512, nil},
		{"\xA4\x00\x00\x10\x00", FrameBytes, nil},
		{"\xE4\x09\x00\x00\x00\x00\x00\x00\x00", 9, nil},
		{"\x84\x50\x09\x00\x01\x00", 65545, nil}, // with a window
		{"\x04\x50", 0, errNoSize},
		{"\x20\x07", 0, errNoChecksum},
		{"\x25\x01\x07", 0, errDictionary},
		{"\x2C\x07", 0, errReserved},
		{"\xA4\x01\x00\x10\x00", 0, errFrameTooBig},
		{"\xE4\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 0, errFrameTooBig},
		{"\xE4\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 0, errTruncated},
		{"", 0, errTruncated},
	}
	for _, c := range cases {
		p := append(binary.LittleEndian.AppendUint32(nil, magicFrame), c.header...)
		h, err := parseFrameHeader(p)
		if !errors.Is(err, c.err) || h.rawBytes != c.size || err == nil && h.headerBytes != len(p) {
			t.Errorf("header % x: %+v, %v", c.header, h, err)
		}
	}
}

// TestUncheckedFrame: a frame without a checksum is refused even where the table vouches for its place.
func TestUncheckedFrame(t *testing.T) {
	c, err := newGoCodec(Fast)
	if err != nil {
		t.Fatal(err)
	}
	raw := mixedData(50_000, 1)
	frame, err := c.encode(nil, raw)
	if err != nil {
		t.Fatal(err)
	}
	frame[descriptorAt] &^= descriptorChecksum
	frame = frame[:len(frame)-frameChecksumBytes]
	if err := c.decode(make([]byte, len(raw)), frame); err != nil {
		t.Fatalf("the frame is not even a good one: %v", err)
	}
	var table tableWriter
	if err := table.add(int64(len(frame)), int64(len(raw))); err != nil {
		t.Fatal(err)
	}
	pad, tail, err := table.tail(int64(len(frame)), 0)
	if err != nil {
		t.Fatal(err)
	}
	r := form{level: Fast}.open(t, slices.Concat(frame, pad, tail), 0)
	var d *DamageError
	if _, err := r.ReadFrame(t.Context(), 0, nil); r.Rebuilt() != nil || !errors.As(err, &d) || !errors.Is(err, errNoChecksum) {
		t.Errorf("rebuilt %v, read %v", r.Rebuilt(), err)
	}
}

// TestOpenRefuses lists what cannot be opened, with its reason.
func TestOpenRefuses(t *testing.T) {
	raw := mixedData(100_000, 8)
	plain, _ := form{level: Fast}.store(t, raw)
	sealed, _ := form{level: Fast, encrypt: true}.store(t, raw)
	otherKey := ReadOptions{Compress: true, Identities: otherIdentity(t)}
	cases := []struct {
		name   string
		stored []byte
		o      ReadOptions
		is     error
		words  string
	}{
		{"wrong key", sealed, otherKey, ErrNoIdentity, "no identity matched: the stream is encrypted to \"X25519\""},
		{"no key", sealed, ReadOptions{Compress: true}, ErrNoIdentity, "no key was given"},
		{"empty keys", sealed, ReadOptions{Compress: true, Identities: otherKey.Identities[:0]}, ErrNoIdentity, "none was given"},
		{"not encrypted", plain, otherKey, nil, "encryption header"},
		{"header cut", sealed[:150], form{encrypt: true}.readOptions(0), nil, "encryption header"},
		{"nonce cut", sealed[:175], form{encrypt: true}.readOptions(0), errTruncated, "encryption header"},
		{"not compressed", raw, ReadOptions{Compress: true}, errNotFrame, "no seek table"},
		{"empty", nil, ReadOptions{Compress: true}, errTruncated, "no seek table"},
		{"too short", plain, ReadOptions{Compress: true, RawBytes: 99_999}, nil, "holds 100000 raw bytes, not the 99999"},
		{"too long", plain, ReadOptions{Compress: true, RawBytes: 100_001}, nil, "another stream"},
		{"large frames", foreignLarge(t), ReadOptions{Compress: true}, errFrameTooBig, "more than 1048576 bytes"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(bytes.NewReader(c.stored), int64(len(c.stored)), c.o)
			checkError(t, err, c.is, c.words)
		})
	}
}

func checkError(t *testing.T, err, is error, words string) {
	t.Helper()
	if err == nil || is != nil && !errors.Is(err, is) || !bytes.Contains([]byte(err.Error()), []byte(words)) {
		t.Errorf("error %q\nwant words %q, matching %v", fmt.Sprint(err), words, is)
	}
}

// foreignLarge is a seekable stream with one frame above the limit, by header and by table.
func foreignLarge(t *testing.T) []byte {
	stored := foreign(t, [][]byte{mixedData(FrameBytes, 1)})
	binary.LittleEndian.PutUint32(stored[descriptorAt+1:], FrameBytes+1)
	binary.LittleEndian.PutUint32(stored[len(stored)-tableFooterBytes-8:], FrameBytes+1)
	return stored
}

// failingReader gives an error of the medium for a range.
type failingReader struct {
	io.ReaderAt
	from, to int64
	err      error
}

func (f failingReader) ReadAt(p []byte, off int64) (int, error) {
	if off < f.to && off+int64(len(p)) > f.from {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(p, off)
}

// TestMediumErrorsPassThrough: the medium's own error is found below the damage.
func TestMediumErrorsPassThrough(t *testing.T) {
	raw := mixedData(900_000, 9)
	errMedium := errors.New("medium error")
	for _, f := range append(checked(), form{level: None}) {
		t.Run(f.String(), func(t *testing.T) {
			stored := damageStream(t, f, raw)
			medium := failingReader{bytes.NewReader(stored), 100_000, 100_001, errMedium}
			r, err := Open(medium, int64(len(stored)), f.readOptions(0))
			if err != nil || r.Rebuilt() != nil {
				t.Fatal(err, r.Rebuilt())
			}
			_, err = r.ReadAt(make([]byte, r.Size()), 0)
			var d *DamageError
			if !errors.As(err, &d) || !errors.Is(err, errMedium) {
				t.Errorf("ReadAt: %v", err)
			}
		})
	}
}
