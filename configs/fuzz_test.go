package configs_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"

	"holdfast/configs"
)

// No text makes Parse panic or hang. What it refuses has a place and a line of its own; what it takes can be written
// out and reads the same again.
func FuzzParse(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/errors.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		if strings.HasSuffix(file.Name, ".yaml") {
			f.Add(completed(file.Name, file.Data))
		}
	}
	text, err := os.ReadFile(example)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := configs.Parse("/c/hf.yaml", text)
		if err != nil {
			checkFaults(t, err)
			return
		}
		effective, err := c.Effective()
		if err != nil {
			t.Fatal(err)
		}
		again, err := configs.Parse("/c/hf.yaml", effective)
		if err != nil {
			t.Fatalf("%v\n%s", err, effective)
		}
		c.Warnings, again.Warnings = nil, nil // the lines differ
		if diff := cmp.Diff(c, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-read +again):\n%s\n%s", diff, effective)
		}
	})
}

func checkFaults(t *testing.T, err error) {
	t.Helper()
	var faults configs.Errors
	if !errors.As(err, &faults) || len(faults) == 0 {
		t.Fatalf("not Errors: %v", err)
	}
	for _, e := range faults {
		if e.Line < 1 || e.Column < 1 {
			t.Errorf("no place: %v", e)
		}
		for _, line := range []string{e.Message, e.Hint} {
			if strings.ContainsFunc(line, unicode.IsControl) || !utf8.ValidString(line) {
				t.Errorf("not one line of text: %q", line)
			}
		}
	}
}

func FuzzSize(f *testing.F) {
	for _, s := range []string{"10GiB", "-1.5 kB", "0", "9223372036854775807", "8191PiB", "1e3", "10G"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var size, again configs.Size
		if size.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := again.UnmarshalText([]byte(size.String())); err != nil || again != size {
			t.Errorf("%q is %d, written %s, read again %d, %v", text, size, size, again, err)
		}
	})
}
