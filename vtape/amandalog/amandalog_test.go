package amandalog_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/catalog"
	"holdfast/vtape"
	"holdfast/vtape/amandalog"
)

const stamp catalog.Stamp = "20250102030405"

func TestFormatTapelist(t *testing.T) {
	got, err := amandalog.FormatTapelist([]amandalog.Tape{
		{Stamp: amandalog.NeverWritten, Label: "V-3"},
		{Stamp: "20250102", Label: "OLD-1", NoReuse: true, Comment: " kept by hand"},
		{Stamp: stamp, Label: "V-2", BlockKiB: 32, Pool: "p", Storage: "s", Config: "c", Barcode: "b", Meta: "m"},
		{Stamp: stamp, Label: "V-1"},
	})
	const want = `20250102030405 V-1 reuse
20250102030405 V-2 reuse BARCODE:b META:m BLOCKSIZE:32 POOL:p STORAGE:s CONFIG:c
20250102 OLD-1 no-reuse # kept by hand
0 V-3 reuse
`
	if err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
}

func TestTapelistFaults(t *testing.T) {
	for _, tc := range []struct {
		tape amandalog.Tape
		want string
	}{
		{amandalog.Tape{Stamp: "X", Label: "A"}, `label "A": stamp "X"`},
		{amandalog.Tape{Stamp: stamp}, `label "": is empty`},
		{amandalog.Tape{Stamp: stamp, Label: "A B"}, `label "A B": "A B": blank`},
		{amandalog.Tape{Stamp: stamp, Label: "#A"}, `# before it`},
		{amandalog.Tape{Stamp: stamp, Label: "A", Pool: "a b"}, `"POOL:a b": blank`},
		{amandalog.Tape{Stamp: stamp, Label: "A", Comment: "x\n0 B"}, "more than one line"},
	} {
		if _, err := amandalog.FormatTapelist([]amandalog.Tape{tc.tape}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v, want %q", tc.tape, err, tc.want)
		}
	}
	twice := []amandalog.Tape{{Stamp: stamp, Label: "A"}, {Stamp: stamp, Label: "A"}}
	if _, err := amandalog.FormatTapelist(twice); err == nil || !strings.Contains(err.Error(), "there twice") {
		t.Errorf("a label twice: %v", err)
	}
	for text, want := range map[string]string{
		"X A reuse\n":                            `line 1: label "A": stamp "X"`,
		"0 A reuse\n\n20250102\n":                "line 3",
		"0 A no-reuse POOL:p BLOCKSIZE:32\n":     `"BLOCKSIZE:32": unknown, or out of order`,
		"0 A reuse BLOCKSIZE:x\n":                `block size "x"`,
		"0 A\n0 A\n":                             `line 2: label "A": is there twice`,
		"0 A reuse #" + strings.Repeat("x", 1e5): "longer than",
	} {
		if _, err := amandalog.ParseTapelist(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

var dle = catalog.DLE{VM: "web01", Disk: `odd "name": x`}

// The whole of a log, as Amanda's find, fetch and report want it.
func TestFormatLog(t *testing.T) {
	crc := vtape.CRC{Sum: 0xd99dc5d6, Bytes: 204877}
	got, err := amandalog.Format(amandalog.Run{
		Stamp: stamp, Host: "srv", Seconds: 12.5,
		Dumps: []amandalog.Dumped{{DLE: dle, Native: crc, Client: crc, Server: crc, Seconds: 2}},
	}, []amandalog.Record{
		{Kind: amandalog.Start, Storage: "s", Pool: "p", Stamp: stamp, Label: "V-1", Tape: 1},
		{Kind: amandalog.Part, Storage: "s", Pool: "p", Stamp: stamp, Label: "V-1", File: 1, DLE: dle, Number: 1, Total: 2, Bytes: 131072, Seconds: 0.5},
		{Kind: amandalog.PartCut, Stamp: stamp, Label: "V-1", File: 2, DLE: dle, Number: 2, Total: 2, Bytes: 32768, Message: "no space"},
		{Kind: amandalog.Done, Stamp: stamp, DLE: dle, Total: 2, Native: crc, Client: crc, Server: crc, Bytes: 204877, OrigKiB: 201},
		{Kind: amandalog.Partial, Stamp: "20250101", DLE: dle, Total: 0, Level: 1, Message: "killed"},
	})
	const want = `START planner date 20250102030405
DISK planner web01 "odd \"name\": x"
START driver date 20250102030405
STATS driver hostname srv
SUCCESS chunker web01 "odd \"name\": x" 20250102030405 0 d99dc5d6:204877 [sec 2.000 kb 201 kps 100.0]
SUCCESS dumper web01 "odd \"name\": x" 20250102030405 0 d99dc5d6:204877 d99dc5d6:204877 [sec 2.000 kb 201 kps 100.0 orig-kb 201]
START taper datestamp 20250102030405 "ST:s" "POOL:p" label V-1 tape 1
PART taper "ST:s" "POOL:p" V-1 1 web01 "odd \"name\": x" 20250102030405 1/2 0 [sec 0.500000 bytes 131072 kps 256.000000 orig-kb 0]
PARTPARTIAL taper V-1 2 web01 "odd \"name\": x" 20250102030405 2/2 0 [sec 0.000000 bytes 32768 kps 0.000000 orig-kb 0] "no space"
DONE taper web01 "odd \"name\": x" 20250102030405 2 0 d99dc5d6:204877 d99dc5d6:204877 d99dc5d6:204877 [sec 0.000000 bytes 204877 kps 0.000000 orig-kb 201]
PARTIAL taper web01 "odd \"name\": x" 20250101 0 1 00000000:0 00000000:0 00000000:0 [sec 0.000000 bytes 0 kps 0.000000 orig-kb 0] killed
FINISH driver date 20250102030405 time 12.500
`
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestLogFaults(t *testing.T) {
	good := amandalog.Record{Kind: amandalog.Part, Stamp: stamp, Label: "V", File: 1, DLE: dle, Number: 1, Total: -1}
	for want, change := range map[string]func(*amandalog.Record){
		"want numbers from 1":   func(r *amandalog.Record) { r.File = 0 },
		"part 0/-1":             func(r *amandalog.Record) { r.Number = 0 },
		`host "a b"`:            func(r *amandalog.Record) { r.DLE.VM = "a b" },
		"NUL in it":             func(r *amandalog.Record) { r.DLE.Disk = "\x00" },
		`stamp "x"`:             func(r *amandalog.Record) { r.Stamp = "x" },
		"negative number":       func(r *amandalog.Record) { r.Bytes = -1 },
		"not a line of a log":   func(r *amandalog.Record) { r.Kind = "INFO" },
		`volume "", tape 1`:     func(r *amandalog.Record) { *r = amandalog.Record{Kind: amandalog.Start, Stamp: stamp, Tape: 1} },
		"-1 parts":              func(r *amandalog.Record) { r.Kind, r.Total = amandalog.Done, -1 },
		"line is longer than":   func(r *amandalog.Record) { r.DLE.Disk = strings.Repeat("x", 20000) },
		"write log of 20250102": func(r *amandalog.Record) { r.Level = -1 },
	} {
		r := good
		change(&r)
		if _, err := amandalog.Format(amandalog.Run{Stamp: stamp}, []amandalog.Record{r}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := amandalog.Format(amandalog.Run{Stamp: "x y"}, nil); err == nil {
		t.Error("a run without stamp is written")
	}
}

// Forms that other versions of Amanda and hand-written logs have.
func TestParseOtherForms(t *testing.T) {
	records, odd := amandalog.Parse(strings.Join([]string{
		"INFO taper tape V kb 1 fm 2 [OK]",
		"DISK planner a b",
		"START taper datestamp 20250102030405 label V tape 1",
		"START taper datestamp 20250102030405 ST:a POOL:b label W tape 2",
		"PART taper V 1 web01 disk0 20250102030405 1/2 0 [sec 0.1 kb 128 kps 1000.0]",
		"DONE taper web01 disk0 20250102030405 2 0 [sec 0.1 kb 200 kps 1000.0]",
		"  continued",
		"PARTIAL taper web01 disk0 20250102030405 1 0 [sec 0.1 bytes 5 kps 1] \"it said \\\"no\\\"\"",
		"PART taper V x web01 disk0 20250102030405 1/2 0",
		"PART taper V 1 web01 \"disk",
		"DONE taper web01 disk0 20250102030405 2 0 zz:1 0:0 0:0 [sec 0.1]",
		"START taper datestamp",
	}, "\n"))
	var got []string
	for _, r := range records {
		got = append(got, fmt.Sprintf("%s %s %s %s %s %d %s", r.Kind, r.Storage, r.Pool, r.Label, r.DLE, r.Bytes, r.Message))
	}
	want := []string{
		"START   V : 0 ", "START a b W : 0 ", "PART   V web01:disk0 131072 ", "DONE    web01:disk0 204800 ", `PARTIAL    web01:disk0 5 it said "no"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	got = nil
	for _, err := range odd {
		got = append(got, err.Error())
	}
	want = []string{
		`line 9: file "x": want a number from 1`, "line 10: disk: quotation mark without end",
		`line 11: checksum "zz:1": want CRC:BYTES`, `line 12: stamp "": want digits`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults: -want +got:\n%s", diff)
	}
}

// What is read is written to a text that reads the same.
func FuzzTapelist(f *testing.F) {
	f.Add("20250102030405 V-1 reuse BLOCKSIZE:32 POOL:p STORAGE:s CONFIG:c #x\n0 V-2\n")
	f.Fuzz(func(t *testing.T, text string) {
		tapes, err := amandalog.ParseTapelist(text)
		if err != nil {
			return
		}
		ours, err := amandalog.FormatTapelist(tapes)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		again, err := amandalog.ParseTapelist(ours)
		if err != nil || len(again) != len(tapes) {
			t.Fatalf("%q: %v", ours, err)
		}
		if twice, err := amandalog.FormatTapelist(again); err != nil || twice != ours {
			t.Fatalf("%q, then %q: %v", ours, twice, err)
		}
	})
}

func FuzzLog(f *testing.F) {
	for _, text := range files(f, "fxspanp", "log/log.*") {
		f.Add(text)
	}
	f.Add("START taper datestamp 1 label V tape 1\nPARTIAL taper web01 \"a b\" 20250102030405 1 0 [sec 0.1 bytes 5 kps 1] \"no\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		records, _ := amandalog.Parse(text)
		ours, err := amandalog.Format(amandalog.Run{Stamp: stamp}, records)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		again, odd := amandalog.Parse(ours)
		if len(odd) > 0 {
			t.Fatalf("%q: %v", ours, odd)
		}
		if twice, err := amandalog.Format(amandalog.Run{Stamp: stamp}, again); err != nil || twice != ours {
			t.Fatalf("%q, then %q: %v", ours, twice, err)
		}
	})
}
