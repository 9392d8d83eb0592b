package record_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"holdfast/catalog"
	"holdfast/catalog/record"
	"holdfast/internal/frames"
	"holdfast/internal/testtools"
)

// sample is a record with every kind of line in it.
func sample() record.Record {
	at := time.Date(2026, 11, 21, 1, 2, 3, 4, time.UTC)
	web := catalog.DLE{VM: "web01", Disk: "disk0"}
	full := catalog.NewDumpID(web, "20261120010000", 0)
	one := catalog.NewDumpID(web, "20261121010000", 1)
	part := catalog.Part{
		Dump: one, Storage: "vtapes", WriteStamp: "20261121010000", Number: 1, Label: "V-002", File: 1, Bytes: 1 << 40, CRC: 1, HeaderCRC: 2,
	}
	second := part
	second.Number, second.File, second.Offset, second.Bytes = 2, 2, 1<<40, 7
	return record.Record{
		Storage: "vtapes", Run: "20261121010000", Made: at,
		Runs: []catalog.Run{{Stamp: "20261121010000", Command: "run", Started: at, Ended: at, ExitStatus: 2, PID: 7}},
		Volumes: []catalog.Volume{
			{Label: "V-001", Storage: "vtapes", Slot: "1", WriteStamp: "20261120010000", Bytes: 5, Files: 1, HeaderCRC: 9, NoReuse: true, Seen: at},
			{Label: "V-002", Storage: "vtapes", Retired: true, Degraded: []string{"a", "b"}, LockedUntil: at, Seen: at},
		},
		Dumps: []catalog.Dump{
			{ID: full, DLE: web, Stamp: "20261120010000", Status: catalog.StatusOK, Hold: "case <7> & more"},
			{
				ID: one, DLE: web, Stamp: "20261121010000", Level: 1, Base: full, Status: catalog.StatusStrange, ImageBytes: 3, OrigBytes: 4,
				NativeCRC: 5, StoredBytes: 1<<40 + 7, StoredCRC: 0xffffffff, ChangedBytes: 8, Program: catalog.ProgramImage, Compress: "zstd",
				Encrypt: "age", MapDigest: "ab", Identity: "inode 1", Started: at, Ended: at, Messages: []string{"it moved"},
			},
		},
		Documents: []record.Document{
			{Dump: one, Name: "domain.xml", Data: []byte("<domain type='kvm'>\n  <name>web\u00e4</name>\n</domain>\n")},
			{Dump: one, Name: "nvram", Data: []byte{0xff, 0, 1, 2}},
			{Dump: one, Name: "empty", Data: []byte{}},
		},
		Copies: []catalog.Copy{{Dump: one, Storage: "vtapes", WriteStamp: "20261121010000", Status: catalog.StatusStrange, Parts: []catalog.Part{part, second}}},
		Held: []catalog.Holding{{Dump: full, Chunks: []catalog.HoldingChunk{
			{Path: "/holding/20261120010000/web01.disk0.0", Bytes: 4, CRC: 5, HeaderCRC: 6}, {Path: "/holding/20261120010000/web01.disk0.0.1", Bytes: 1},
		}}},
		Wanted: []catalog.Wanted{{Dump: one, Storage: "s3", Due: at}},
	}
}

func encode(t testing.TB, r record.Record) []byte {
	t.Helper()
	var out bytes.Buffer
	totals, err := record.Encode(context.Background(), &out, r)
	if err != nil {
		t.Fatal(err)
	}
	if totals.StoredBytes != int64(out.Len()) || out.Len()%frames.PadBytes != 0 {
		t.Errorf("%d bytes written, %d told; want a multiple of %d", out.Len(), totals.StoredBytes, frames.PadBytes)
	}
	return out.Bytes()
}

// text is a record as a user sees it.
func text(t testing.TB, data []byte) string {
	t.Helper()
	r, err := zstd.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func packed(t testing.TB, text string) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll([]byte(text), nil)
}

func TestRoundTrip(t *testing.T) {
	for name, want := range map[string]record.Record{
		"everything":   sample(),
		"nothing":      {Run: "20261121010000"},
		"no time left": {Run: "20261121010000", Storage: "a b", Made: time.Unix(0, 0).UTC()},
	} {
		got, err := record.Decode(bytes.NewReader(encode(t, want)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

// A name that is not UTF-8 comes back from the id.
func TestNameThatIsNotText(t *testing.T) {
	odd := catalog.DLE{VM: "a\xffb", Disk: "d"}
	want := catalog.Dump{ID: catalog.NewDumpID(odd, "20261121010000", 0), DLE: odd, Stamp: "20261121010000"}
	got, err := record.Decode(bytes.NewReader(encode(t, record.Record{Run: "20261121010000", Dumps: []catalog.Dump{want}})))
	if err != nil || len(got.Dumps) != 1 || got.Dumps[0].DLE != odd {
		t.Errorf("%+v, %v", got.Dumps, err)
	}
}

// The tools of every machine show a record: each line is JSON, the first says what it is.
func TestReadByHand(t *testing.T) {
	testtools.Need(t, "zstd")
	cmd := exec.Command("zstd", "-d")
	cmd.Stdin = bytes.NewReader(encode(t, sample()))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	for _, l := range lines {
		if !json.Valid([]byte(l)) {
			t.Errorf("not JSON: %s", l)
		}
	}
	const first = `{"format":"holdfast-catalog","version":1,"storage":"vtapes","run":"20261121010000",`
	if !strings.HasPrefix(lines[0], first) {
		t.Errorf("first line %s", lines[0])
	}
	for _, want := range []string{`"text":"<domain type='kvm'>\n`, `"base64":"/wABAg=="`, `"hold":"case <7> & more"`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s is missing in\n%s", want, out)
		}
	}
}

// What is not a whole record is refused, wherever it is cut and whichever line is gone.
func TestDamaged(t *testing.T) {
	data := encode(t, sample())
	whole := text(t, data)
	frame := packed(t, whole)
	for cut := 0; cut < len(frame); cut += 7 {
		if _, err := record.Decode(bytes.NewReader(frame[:cut])); !errors.Is(err, record.ErrDamaged) {
			t.Fatalf("cut at byte %d of %d: %v", cut, len(frame), err)
		}
	}
	for at := 0; at < len(frame); at += 5 {
		bad := bytes.Clone(frame)
		bad[at] ^= 0x10
		if got, err := record.Decode(bytes.NewReader(bad)); err == nil && !cmp.Equal(got, sample()) {
			t.Fatalf("byte %d of %d changed: taken for another record", at, len(frame))
		}
	}
	lines := strings.SplitAfter(whole, "\n")
	for i := range lines[:len(lines)-1] {
		less := strings.Join(lines[:i], "") + strings.Join(lines[i+1:], "")
		if _, err := record.Decode(bytes.NewReader(packed(t, less))); !errors.Is(err, record.ErrDamaged) {
			t.Errorf("without line %d: %v", i+1, err)
		}
	}
}

func TestRefused(t *testing.T) {
	const first = `{"format":"holdfast-catalog","version":1,"storage":"s","run":"20261121010000"}` + "\n"
	for _, c := range []struct {
		name, text string
		is         error
		says       string
	}{
		{"empty", "", record.ErrDamaged, "after 0 lines"},
		{"something else", "hello\n", record.ErrDamaged, "line 1"},
		{"another format", `{"format":"tar","version":1,"run":"20261121010000"}`, record.ErrDamaged, "line 1"},
		{"newer", strings.Replace(first, `"version":1`, `"version":2`, 1) + "whatever\n", record.ErrNewer, "version 2, this one knows up to 1"},
		{"no run", strings.Replace(first, "20261121010000", "", 1), record.ErrDamaged, `run ""`},
		{"two ends", first + `{"end":{"lines":2}}` + "\n" + `{"end":{"lines":3}}`, record.ErrDamaged, "line 3"},
		{"wrong count", first + `{"end":{"lines":3}}`, record.ErrDamaged, "there should be 3"},
		{"part without its copy", first + `{"part":{"dump":"a","number":1,"file":1}}`, record.ErrDamaged, "not the part of a copy"},
		{"wrong id", first + `{"dump":{"id":"a/b/20261121010000/0","dle":{"vm":"a","disk":"c"},"stamp":"20261121010000","level":1}}`, record.ErrDamaged, "dump"},
		{"file name with a path", first + `{"document":{"dump":"a","name":"../../etc/passwd","text":""}}`, record.ErrDamaged, "not a plain file name"},
		{"long line", first + `{"x":"` + strings.Repeat("y", 2<<20) + `"}`, record.ErrDamaged, "too long"},
	} {
		_, err := record.Decode(bytes.NewReader(packed(t, c.text)))
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v with %q", c.name, err, c.is, c.says)
		}
	}
}

// Lines and fields of a later holdfast that did not raise the version are passed over.
func TestUnknownFields(t *testing.T) {
	whole := text(t, encode(t, sample()))
	more := strings.Replace(whole, `"storage":"vtapes"`, `"colour":"red","storage":"vtapes"`, 1)
	more = strings.Replace(more, `{"run":{`, `{"moon":{"phase":3}}`+"\n"+`{"run":{"mood":[1,2],`, 1)
	before := strings.Count(whole, "\n")
	more = strings.Replace(more, `{"end":{"lines":`+itoa(before), `{"end":{"lines":`+itoa(before+1), 1)
	got, err := record.Decode(bytes.NewReader(packed(t, more)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

// The reader's own error is not taken for damage.
func TestReadError(t *testing.T) {
	data := encode(t, sample())
	gone := errors.New("the medium is gone")
	r := io.MultiReader(bytes.NewReader(data[:20]), broken{gone})
	if _, err := record.Decode(r); !errors.Is(err, gone) || errors.Is(err, record.ErrDamaged) {
		t.Errorf("%v", err)
	}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// What could not be read back is not written, but for messages, which are cut.
func TestLimits(t *testing.T) {
	r := sample()
	r.Documents[0].Data = bytes.Repeat([]byte("x"), record.MaxDocumentBytes+1)
	if _, err := record.Encode(context.Background(), io.Discard, r); err == nil || !strings.Contains(err.Error(), "domain.xml") {
		t.Errorf("a document too long: %v", err)
	}
	r.Documents[0].Data = bytes.Repeat([]byte{1}, record.MaxDocumentBytes) // six bytes each as text
	r.Dumps[1].Messages = []string{strings.Repeat("a", 60<<10), strings.Repeat("b", 60<<10), "c"}
	got, err := record.Decode(bytes.NewReader(encode(t, r)))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Documents[0].Data, r.Documents[0].Data) {
		t.Error("the longest document came back as another one")
	}
	if m := got.Dumps[1].Messages; len(m) != 2 || m[0] != r.Dumps[1].Messages[0] || len(r.Dumps[1].Messages) != 3 {
		t.Errorf("%d messages", len(m))
	}
}

// FuzzDecode: nothing is taken that does not come back the same, and nothing panics.
func FuzzDecode(f *testing.F) {
	f.Add(text(f, encode(f, sample())))
	f.Add(`{"format":"holdfast-catalog","version":1,"run":"20261121010000"}` + "\n" + `{"end":{"lines":2}}`)
	f.Fuzz(func(t *testing.T, in string) {
		got, err := record.Decode(bytes.NewReader(packed(t, in)))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if _, err := record.Encode(context.Background(), &out, got); err != nil {
			return // cut at another limit: a time that JSON cannot write, a longer line
		}
		again, err := record.Decode(&out)
		if err != nil {
			t.Fatalf("what was decoded and encoded is refused: %v", err)
		}
		if diff := cmp.Diff(got, again); diff != "" {
			t.Fatalf("-first +again:\n%s", diff)
		}
	})
}
