package reports

import (
	"strings"
	"testing"
)

// TestNumbers holds Amanda's ways to write numbers, edges first.
func TestNumbers(t *testing.T) {
	for _, c := range []struct{ name, got, want string }{
		{"ratio by zero", ratio(1, 0), "-- "},
		{"zero by zero", ratio(0, 0), "-- "},
		{"ratio", ratio(890, 10), " 89.0"},
		{"ratio, no digits left", ratio(1999.5, 1), " 2000"},
		{"ratio too large", ratio(1e6, 1), "#####"},
		{"wide by zero", wideRatio(1, 0), "-- "},
		{"wide", wideRatio(7259, 1), " 7259.0"},
		{"wide, no digits left", wideRatio(100600, 1), " 100600"},
		{"wide too large", wideRatio(1e8, 1), "#######"},
		{"rate without time", kiloRate(1<<20, 0), "-- "},
		{"rate", kiloRate(1<<20, 2), "512.0"},
		{"compression", compression(50, 100), "50.0"},
		{"all but no compression", compression(995, 1000), "-- "},
		{"hardly grown", compression(1009, 1000), "-- "},
		{"grown", compression(1020, 1000), "102.0"},
		{"compression of nothing", compression(0, 0), "-- "},
		{"minutes are rounded", hoursMinutes(29.9), "0:00"},
		{"up, too", hoursMinutes(30), "0:01"},
		{"into the next hour", hoursMinutes(3599), "1:00"},
		{"days", hoursMinutes(50 * 3600), "50:00"},
		{"seconds are rounded", minutesSeconds(59.6), "1:00"},
		{"hours as minutes", minutesSeconds(7201), "120:01"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.name, c.got, c.want)
		}
	}
}

func TestUnits(t *testing.T) {
	for _, c := range []struct {
		unit  string
		bytes int64
		want  string
	}{
		{"", 10240, "10K"}, {"k", 1<<20 + 600, "1025K"}, {"m", 3 << 19, "1.5M"}, {"G", 1 << 40, "1024.0G"}, {"t", 1 << 40, "1.00T"},
	} {
		u, err := parseUnit(c.unit)
		if err != nil {
			t.Fatal(err)
		}
		if got := u.sized(c.bytes); got != c.want {
			t.Errorf("%d in %q: %s, want %s", c.bytes, c.unit, got, c.want)
		}
	}
	if _, err := parseUnit("kb"); err == nil || !strings.Contains(err.Error(), "want k, m, g or t") {
		t.Errorf("unit kb: %v", err)
	}
}

// TestOneLine: no text from elsewhere can break a line of the report or forge another.
func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                        "plain",
		"two\nlines\r\n":               "two lines",
		"\x1b[31mred\x00":              "[31mred",
		"a\u2028b":                     "a b",
		"broken \xff bytes":            "broken ? bytes",
		"  padded  ":                   "padded",
		"Subject: x\r\nBcc: y@example": "Subject: x  Bcc: y@example",
	} {
		if got := oneLine(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"disk0": "disk0", "": `""`, "a b": `"a b"`, "a\nb": `"a\nb"`, `q"q`: `"q\"q"`, "größe": "größe"} {
		if got := quoted(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// TestLocalhost: only this machine is spared the proof of who it is.
func TestLocalhost(t *testing.T) {
	for host, local := range map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true, "mx.example": false, "192.0.2.1": false, "localhost.example": false} {
		s := &SMTPOptions{Host: host}
		if got := s.tlsConfig().InsecureSkipVerify; got != local {
			t.Errorf("%s: certificate goes unverified: %t, want %t", host, got, local)
		}
	}
}
