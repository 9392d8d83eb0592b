// Package devicetest is the conformance suite for vtape.Device: what every device must do, whatever it is made of.
//
// Its invariant: a test here uses the contract and nothing else, so that a device which passes can stand in for
// another.
package devicetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/catalog"
	"holdfast/vtape"
)

// Open gives a blank device that holds capacityBytes of files, headers included; 0 means more than any test writes.
type Open func(t testing.TB, capacityBytes int64) vtape.Device

// Shape is what a device that is made of several may do otherwise than one medium. The zero Shape is that of one medium.
type Shape struct {
	// Members is over how many media the data of a part are spread: each needs room for a header and a block of its own.
	Members int64
	// StripeBytes is what a part takes room in multiples of.
	StripeBytes int64
	// Padded: parts come back filled up with zeros to a multiple of StripeBytes.
	Padded bool
}

// suite is what the tests are about.
type suite struct {
	Shape
	open Open
}

// Run runs the suite. Each test opens devices of its own.
func Run(t *testing.T, open Open) { RunShape(t, Shape{}, open) }

// RunShape runs the suite on a device made of several.
func RunShape(t *testing.T, shape Shape, open Open) {
	shape.Members, shape.StripeBytes = max(1, shape.Members), max(1, shape.StripeBytes)
	s := suite{shape, open}
	for _, tc := range []struct {
		name string
		test func(t *testing.T, s suite)
	}{
		{"Blank", testBlank},
		{"Label", testLabel},
		{"CreateAndRead", testCreateAndRead},
		{"HeaderSetLate", testHeaderSetLate},
		{"EmptyPart", testEmptyPart},
		{"EndOfMediumInSmallWrites", testEndInSmallWrites},
		{"EndOfMediumInOneWrite", testEndInOneWrite},
		{"EndOfMediumAfterShortWrite", testEndAfterShortWrite},
		{"Full", testFull},
		{"RelabelErases", testRelabelErases},
		{"Abort", testAbort},
		{"ManyParts", testManyParts},
		{"Room", testRoom},
		{"ConcurrentReads", testConcurrentReads},
		{"Misuse", testMisuse},
		{"Cancelled", testCancelled},
		{"Remove", testRemove},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.test(t, s) })
	}
}

// Label makes a label's header.
func Label(label catalog.Label) vtape.Header {
	return vtape.Header{Type: vtape.TypeTapeStart, Stamp: "20250102030405", Label: label}
}

// Header makes a part's header.
func Header(part int) vtape.Header {
	return vtape.Header{
		Type: vtape.TypeSplitFile, Stamp: "20250102030405", Host: "web01", Disk: "sys tem:0", Part: part, TotalParts: -1,
		Level: 1, Compress: ".zst", Program: catalog.ProgramImage, ServerCompress: "/usr/bin/zstd",
		Image: &vtape.ImageInfo{ImageBytes: 1 << 30},
	}
}

// Data gives n bytes that differ with the seed and do not repeat.
func Data(seed uint64, n int) []byte {
	data := make([]byte, n)
	var key [32]byte
	key[0] = byte(seed)
	_, _ = rand.NewChaCha8(key).Read(data) // never fails
	return data
}

// Write writes a part that fits.
func Write(t testing.TB, dev vtape.Device, number int, h vtape.Header, data []byte) (headerCRC uint32) {
	t.Helper()
	w, err := dev.Create(context.Background(), number, h)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.Write(data); n != len(data) || err != nil {
		t.Fatalf("write %d bytes: %d, %v", len(data), n, err)
	}
	headerCRC, err = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return headerCRC
}

// unit is a block of vtape.PartAlign on each of the media.
func (s suite) unit() int { return int(s.Members * vtape.PartAlign) }

// room is a capacity for the label, one header, and dataBytes.
func (s suite) room(dataBytes int) int64 {
	return 2*vtape.HeaderBytes + s.up(int64(dataBytes))
}

func (s suite) up(n int64) int64 { return (n + s.StripeBytes - 1) / s.StripeBytes * s.StripeBytes }

// padded is what comes back of a part.
func (s suite) padded(data []byte) []byte {
	if !s.Padded {
		return data
	}
	return append(bytes.Clone(data), make([]byte, s.up(int64(len(data)))-int64(len(data)))...)
}

// check is Check, and takes padding.
func (s suite) check(t testing.TB, dev vtape.Device, number int, data []byte) {
	t.Helper()
	Check(t, dev, number, Header(number), s.padded(data))
}

// Check reads a part and compares all that can be said of it.
func Check(t testing.TB, dev vtape.Device, number int, h vtape.Header, data []byte) {
	t.Helper()
	r, err := dev.Open(context.Background(), number)
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	if diff := cmp.Diff(h, r.Header()); diff != "" {
		t.Errorf("file %d: header (-want +got):\n%s", number, diff)
	}
	if r.SizeBytes() != int64(len(data)) {
		t.Errorf("file %d: %d bytes, want %d", number, r.SizeBytes(), len(data))
	}
	got, err := io.ReadAll(io.NewSectionReader(r, 0, 1<<40))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("file %d: other data (%d bytes, want %d), %v", number, len(got), len(data), err)
	}
}

func format(t testing.TB, dev vtape.Device, label catalog.Label) {
	t.Helper()
	if err := dev.Format(context.Background(), Label(label)); err != nil {
		t.Fatal(err)
	}
}

func checkFiles(t testing.TB, dev vtape.Device, want ...vtape.File) {
	t.Helper()
	got, err := dev.Files(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func testBlank(t *testing.T, s suite) {
	dev := s.open(t, 0)
	_, err := dev.ReadLabel(context.Background())
	wantErr(t, "read label", err, vtape.ErrBlank)
	checkFiles(t, dev)
}

func testLabel(t *testing.T, s suite) {
	dev := s.open(t, 0)
	format(t, dev, "DEMO-001")
	got, err := dev.ReadLabel(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Label("DEMO-001"), got); diff != "" {
		t.Errorf("label (-want +got):\n%s", diff)
	}
	checkFiles(t, dev)
}

func testCreateAndRead(t *testing.T, s suite) {
	dev := s.open(t, 0)
	format(t, dev, "DEMO-001")
	data := Data(1, vtape.PartAlign+12345)
	crc := Write(t, dev, 1, Header(1), data)
	data = s.padded(data)
	Check(t, dev, 1, Header(1), data)
	checkFiles(t, dev, vtape.File{Number: 1, Bytes: int64(len(data))})

	r, err := dev.Open(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if raw := r.RawHeader(); len(raw) != vtape.HeaderBytes || vtape.Checksum(raw) != crc {
		t.Errorf("raw header: %d bytes, CRC %08x, written %08x", len(raw), vtape.Checksum(raw), crc)
	}
	buf := make([]byte, 100)
	end := int64(len(data))
	if n, err := r.ReadAt(buf, end-60); n != 60 || err != io.EOF || !bytes.Equal(buf[:n], data[end-60:]) {
		t.Errorf("read over the end: %d, %v", n, err)
	}
	if n, err := r.ReadAt(buf, end); n != 0 || err != io.EOF {
		t.Errorf("read at the end: %d, %v", n, err)
	}
	if n, err := r.ReadAt(buf, -1); n != 0 || err == nil {
		t.Errorf("read before the beginning: %d, %v", n, err)
	}
}

// A header set late is the one that lies on the medium, or, if the device cannot, the first one does. Close tells which.
func testHeaderSetLate(t *testing.T, s suite) {
	dev := s.open(t, 0)
	format(t, dev, "DEMO-001")
	w, err := dev.Create(context.Background(), 1, Header(1))
	if err != nil {
		t.Fatal(err)
	}
	data := Data(1, 1000)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	late := Header(1)
	late.OrigKiB, late.Server = 77, vtape.CRC{Sum: 0x12345678, Bytes: 1000}
	if err := w.SetHeader(late); err != nil {
		t.Fatal(err)
	}
	crc, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	want := Header(1)
	if block, err := late.Block(); err != nil || vtape.Checksum(block) == crc {
		want = late
	}
	Check(t, dev, 1, want, s.padded(data))
}

func testEmptyPart(t *testing.T, s suite) {
	dev := s.open(t, 0)
	format(t, dev, "DEMO-001")
	Write(t, dev, 1, Header(1), nil)
	Write(t, dev, 2, Header(2), []byte("x"))
	Check(t, dev, 1, Header(1), nil)
	checkFiles(t, dev, vtape.File{Number: 1}, vtape.File{Number: 2, Bytes: int64(len(s.padded([]byte("x"))))})
}

// fill writes data in pieces until the end of the medium and gives what was taken.
func fill(t *testing.T, w io.Writer, data []byte, piece int) (taken []byte) {
	t.Helper()
	for at := 0; at < len(data); {
		next := data[at:min(at+piece, len(data))]
		n, err := w.Write(next)
		at += n
		if errors.Is(err, vtape.ErrEndOfMedium) {
			if again, err := w.Write(next); again != 0 || !errors.Is(err, vtape.ErrEndOfMedium) {
				t.Errorf("write after the end: %d, %v", again, err)
			}
			return data[:at]
		}
		if err != nil || n != len(next) {
			t.Fatalf("write: %d of %d, %v", n, len(next), err)
		}
	}
	t.Fatal("the medium does not end")
	return nil
}

// ending is how a volume with room for so many bytes is filled: one write of first bytes, then pieces until it ends.
type ending struct{ room, first, piece int }

// checkEnd fills a volume and looks whether the short part is good and ends at the alignment, or where the last
// unaligned write did.
func (s suite) checkEnd(t *testing.T, e ending) {
	t.Helper()
	dev := s.open(t, s.room(e.room))
	format(t, dev, "DEMO-001")
	w, err := dev.Create(context.Background(), 1, Header(1))
	if err != nil {
		t.Fatal(err)
	}
	data := Data(1, 9*s.unit())
	if _, err := w.Write(data[:e.first]); err != nil {
		t.Fatal(err)
	}
	taken := data[:e.first+len(fill(t, w, data[e.first:], e.piece))]
	room := int(s.up(int64(e.room)))
	whole := e.first + (room-e.first)/e.piece*e.piece // of the writes
	if want := max(whole, room-room%vtape.PartAlign); len(taken) != want {
		t.Errorf("taken: %d bytes, want %d", len(taken), want)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s.check(t, dev, 1, taken)
	if _, err := dev.Create(context.Background(), 2, Header(2)); !errors.Is(err, vtape.ErrEndOfMedium) {
		t.Errorf("create on a full volume: %v", err)
	}
}

func testEndInSmallWrites(t *testing.T, s suite) {
	s.checkEnd(t, ending{5*s.unit() + 100, 0, vtape.PartAlign})
}

func testEndInOneWrite(t *testing.T, s suite) {
	s.checkEnd(t, ending{5*s.unit() + 100, 0, 8 * s.unit()})
}

// What a Write has taken is never taken back, even where it makes the part's length odd.
func testEndAfterShortWrite(t *testing.T, s suite) {
	s.checkEnd(t, ending{2*s.unit() - 50, s.unit() + 100, vtape.PartAlign})
	s.checkEnd(t, ending{3*s.unit() + 50, s.unit() + 100, 8 * s.unit()})
}

// A volume takes data up to its capacity to the byte; then there is no room for a header and a block.
func testFull(t *testing.T, s suite) {
	dev := s.open(t, s.room(2*s.unit()))
	format(t, dev, "DEMO-001")
	data := Data(1, 2*s.unit())
	Write(t, dev, 1, Header(1), data)
	s.check(t, dev, 1, data)
	_, err := dev.Create(context.Background(), 2, Header(2))
	wantErr(t, "create on a full volume", err, vtape.ErrEndOfMedium)
	checkFiles(t, dev, vtape.File{Number: 1, Bytes: int64(len(data))})
}

func testRelabelErases(t *testing.T, s suite) {
	dev := s.open(t, s.room(4*s.unit()))
	for _, label := range []catalog.Label{"DEMO-001", "DEMO-001", "OTHER-7"} {
		format(t, dev, label)
		checkFiles(t, dev)
		_, err := dev.Open(context.Background(), 1)
		wantErr(t, "open an erased file", err, vtape.ErrNoFile)
		got, err := dev.ReadLabel(context.Background())
		if err != nil || got.Label != label {
			t.Errorf("label %s: %+v, %v", label, got, err)
		}
		Write(t, dev, 1, Header(1), Data(1, 3*s.unit()))
	}
}

func testAbort(t *testing.T, s suite) {
	dev := s.open(t, 0)
	format(t, dev, "DEMO-001")
	w, err := dev.Create(context.Background(), 1, Header(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(Data(1, 1000)); err != nil {
		t.Fatal(err)
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("write after abort: no error")
	}
	if _, err := w.Close(); err == nil {
		t.Error("close after abort: no error")
	}
	checkFiles(t, dev)
	_, err = dev.Open(context.Background(), 1)
	wantErr(t, "open an aborted file", err, vtape.ErrNoFile)

	w, err = dev.Create(context.Background(), 1, Header(5))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("good")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
	Check(t, dev, 1, Header(5), s.padded([]byte("good")))
}

func testManyParts(t *testing.T, s suite) {
	dev := s.open(t, 0)
	format(t, dev, "DEMO-001")
	var want []vtape.File
	for n := 1; n <= 25; n++ {
		Write(t, dev, n, Header(n), Data(uint64(n), 100*n))
		want = append(want, vtape.File{Number: n, Bytes: int64(len(s.padded(make([]byte, 100*n))))})
	}
	checkFiles(t, dev, want...)
	for n := 25; n >= 1; n-- {
		s.check(t, dev, n, Data(uint64(n), 100*n))
	}
	_, err := dev.Open(context.Background(), 26)
	wantErr(t, "open", err, vtape.ErrNoFile)
}

func testRoom(t *testing.T, s suite) {
	dev := s.open(t, s.room(2*s.unit()))
	measure := func() int64 {
		n, err := dev.Room(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	format(t, dev, "DEMO-001")
	before := measure()
	if want := s.room(2*s.unit()) - vtape.HeaderBytes; before != want {
		t.Errorf("room after the label: %d, want %d", before, want)
	}
	Write(t, dev, 1, Header(1), Data(1, s.unit()))
	got, want := measure(), before-vtape.HeaderBytes-int64(s.unit())
	if headers := (s.Members - 1) * vtape.HeaderBytes; got > want || got < want-headers {
		t.Errorf("room after a part: %d, want %d, or less by %d", got, want, headers)
	}
}

func testConcurrentReads(t *testing.T, s suite) {
	dev := s.open(t, 0)
	format(t, dev, "DEMO-001")
	data := Data(1, 300_000)
	Write(t, dev, 1, Header(1), data)
	r, err := dev.Open(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			buf := make([]byte, 1000)
			for off := i * 1000; off < len(data); off += 8000 {
				n, err := r.ReadAt(buf, int64(off))
				if err != nil || !bytes.Equal(buf[:n], data[off:off+1000]) {
					t.Errorf("read at %d: %d, %v", off, n, err)
				}
			}
			s.check(t, dev, 1, data)
		})
	}
	wg.Wait()
}

func testMisuse(t *testing.T, s suite) {
	dev := s.open(t, 0)
	ctx := context.Background()
	if err := dev.Format(ctx, Header(1)); err == nil {
		t.Error("format with a part's header: no error")
	}
	format(t, dev, "DEMO-001")
	Write(t, dev, 1, Header(1), []byte("first"))
	for what, create := range map[string]func() (vtape.PartWriter, error){
		"a number that is taken": func() (vtape.PartWriter, error) { return dev.Create(ctx, 1, Header(2)) },
		"the label's number":     func() (vtape.PartWriter, error) { return dev.Create(ctx, 0, Header(1)) },
		"a header without host": func() (vtape.PartWriter, error) {
			h := Header(1)
			h.Host = ""
			return dev.Create(ctx, 2, h)
		},
	} {
		if _, err := create(); err == nil || errors.Is(err, vtape.ErrEndOfMedium) {
			t.Errorf("create with %s: %v", what, err)
		}
	}
	_, err := dev.Open(ctx, -1)
	wantErr(t, "open file -1", err, vtape.ErrNoFile)
	checkLabelFile(t, dev)
	s.check(t, dev, 1, []byte("first"))
	checkFiles(t, dev, vtape.File{Number: 1, Bytes: int64(len(s.padded([]byte("first"))))})
}

// checkLabelFile opens the label as file 0.
func checkLabelFile(t testing.TB, dev vtape.Device) {
	t.Helper()
	want, err := dev.ReadLabel(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	r, err := dev.Open(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if diff := cmp.Diff(want, r.Header()); diff != "" || len(r.RawHeader()) != vtape.HeaderBytes {
		t.Errorf("file 0: %d bytes of header (-label +file 0):\n%s", len(r.RawHeader()), diff)
	}
	// The catalog knows the label by the checksum of its block.
	if block, err := want.Block(); err != nil || !bytes.Equal(block, r.RawHeader()) {
		t.Errorf("file 0: header is not the block of the label, %v", err)
	}
}

func testCancelled(t *testing.T, s suite) {
	dev := s.open(t, 0)
	format(t, dev, "DEMO-001")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := dev.ReadLabel(ctx)
	wantErr(t, "read label", err, context.Canceled)
	_, err = dev.Files(ctx)
	wantErr(t, "files", err, context.Canceled)
	_, err = dev.Room(ctx)
	wantErr(t, "room", err, context.Canceled)
	_, err = dev.Create(ctx, 1, Header(1))
	wantErr(t, "create", err, context.Canceled)
	_, err = dev.Open(ctx, 1)
	wantErr(t, "open", err, context.Canceled)
	wantErr(t, "format", dev.Format(ctx, Label("DEMO-002")), context.Canceled)
	if got, err := dev.ReadLabel(context.Background()); err != nil || got.Label != "DEMO-001" {
		t.Errorf("label after a cancelled format: %+v, %v", got, err)
	}
}
