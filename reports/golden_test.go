package reports_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/reports"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file below testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", path, diff)
	}
}

// zones are where the reader is; the server is elsewhere.
var zones = []struct {
	name string
	loc  *time.Location
}{
	{"utc", time.UTC},
	{"auckland", time.FixedZone("NZDT", 13*60*60)},
}

// TestReports holds the whole report of each scenario, as text for readers in two time zones, and as JSON.
func TestReports(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			n := s.night()
			r := n.report()
			for _, z := range zones {
				var b bytes.Buffer
				fmt.Fprintf(&b, "Subject: %s\nExit status: %d\n\n", r.Subject(), reports.ExitStatus(r))
				if err := reports.Text(&b, r, reports.TextOptions{Unit: s.unit, Location: z.loc}); err != nil {
					t.Fatal(err)
				}
				golden(t, filepath.Join(z.name, s.name+".txt"), b.Bytes())
				b.Reset()
				status := reports.Status(n.run, n.events, n.now, false)
				if err := reports.StatusText(&b, status, reports.TextOptions{Unit: s.unit, Location: z.loc}); err != nil {
					t.Fatal(err)
				}
				golden(t, filepath.Join(z.name, s.name+".status.txt"), b.Bytes())
			}
			var b bytes.Buffer
			if err := reports.JSON(&b, r); err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("json", s.name+".json"), b.Bytes())
			var back reports.Report
			if err := json.Unmarshal(b.Bytes(), &back); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(r, back); diff != "" {
				t.Errorf("JSON does not read back the same:\n%s", diff)
			}
			if got := reports.ExitStatus(r); got != s.exit {
				t.Errorf("exit status %d, want %d", got, s.exit)
			}
			want := strings.Join(strings.Fields("Example "+s.tag+" HOLDFAST"), " ")
			if !strings.HasPrefix(r.Subject(), want) {
				t.Errorf("subject %q, want %q", r.Subject(), want)
			}
		})
	}
}
