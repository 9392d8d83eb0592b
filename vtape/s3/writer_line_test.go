package s3

import (
	"bytes"
	"strings"
	"testing"

	"holdfast/vtape"
)

// A writer's line comes and goes, and nothing else of a label with it: a parity set's member has a line of its own there.
func TestWriterLine(t *testing.T) {
	h := vtape.Header{Type: vtape.TypeTapeStart, Stamp: "20250102030405", Label: "SET-1", MemberLine: `{"v":1,"data":4,"parity":2,"member":3}`}
	raw, err := h.Block()
	if err != nil {
		t.Fatal(err)
	}
	plain := trimHeader(raw)
	first, second := withWriter(plain), withWriter(withWriter(plain))
	if bytes.Equal(first, second) || strings.Count(string(second), writerLine) != 1 {
		t.Errorf("two writers: %q, %q", first, second)
	}
	for _, text := range [][]byte{first, second, plain} {
		if got := withoutWriter(text); !bytes.Equal(got, plain) {
			t.Errorf("%q without its writer: %q", text, got)
		}
		if got, err := vtape.ParseHeader(padHeader(text)); err != nil || got.MemberLine != h.MemberLine || got.Label != h.Label {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	// What is no label at all gets a line all the same, so that only one writer replaces it.
	for _, text := range []string{"", "rubbish", "rubbish\n", "WRITER=", "a\nWRITER=b"} {
		if got := withWriter([]byte(text)); strings.Count(string(got), "\n"+writerLine) != 1 || !strings.HasSuffix(string(got), "\f\n") {
			t.Errorf("%q: %q", text, got)
		}
	}
}
