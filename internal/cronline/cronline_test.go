package cronline_test

import (
	"errors"
	"testing"
	"time"

	"holdfast/internal/cronline"
)

func load(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func parse(t testing.TB, text, zone string) cronline.Line {
	t.Helper()
	l, err := cronline.Parse(text, load(t, zone))
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return l
}

// The nights of the clock changes, to the second, against what a calendar of the zone says.
func TestClockChanges(t *testing.T) {
	for _, c := range []struct{ line, zone, from, want string }{
		{"30 2 * * *", "Europe/Warsaw", "2026-03-28T12:00:00Z", "2026-03-29T03:00:00+02:00"},           // 02:30 is not there
		{"30 2 * * *", "Europe/Warsaw", "2026-03-29T01:00:00Z", "2026-03-30T02:30:00+02:00"},           // and it came
		{"*/15 2 * * *", "Europe/Warsaw", "2026-03-28T12:00:00Z", "2026-03-29T03:00:00+02:00"},         // four that are not there: once
		{"*/15 2 * * *", "Europe/Warsaw", "2026-03-29T01:00:00Z", "2026-03-30T02:00:00+02:00"},         //
		{"0 3 * * *", "Europe/Warsaw", "2026-03-29T00:59:59Z", "2026-03-29T03:00:00+02:00"},            // the moment of the change
		{"30 2 * * *", "Europe/Warsaw", "2026-10-24T12:00:00Z", "2026-10-25T02:30:00+02:00"},           // the first of two
		{"30 2 * * *", "Europe/Warsaw", "2026-10-25T00:30:00Z", "2026-10-26T02:30:00+01:00"},           // not the second
		{"30 2 * * *", "Europe/Warsaw", "2026-10-25T01:10:00Z", "2026-10-26T02:30:00+01:00"},           // nor when asked between
		{"30 2 * * *", "Europe/Warsaw", "2026-10-25T00:29:59.5Z", "2026-10-25T02:30:00+02:00"},         //
		{"0 3 * * *", "Europe/Warsaw", "2026-10-25T00:30:00Z", "2026-10-25T03:00:00+01:00"},            //
		{"30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", "2026-11-01T01:30:00-04:00"},        // the first of two
		{"30 1 * * *", "America/New_York", "2026-11-01T05:30:00Z", "2026-11-02T01:30:00-05:00"},        //
		{"30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", "2026-03-08T03:00:00-04:00"},        //
		{"15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", "2026-10-04T02:30:00+11:00"},     // a leap of half an hour
		{"45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z", "2026-04-05T01:45:00+11:00"},     // and back
		{"0 1 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", "2011-12-31T00:00:00+14:00"},             // a day that was not
		{"0 1 * * *", "UTC", "2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z"},                           //
		{"0 1 29 2 *", "UTC", "2026-03-29T01:00:00Z", "2028-02-29T01:00:00Z"},                          //
		{"@weekly", "Europe/Warsaw", "2026-03-24T00:00:00Z", "2026-03-29T00:00:00+01:00"},              //
		{"0 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z", "2026-09-06T01:00:00-03:00"},         // a leap over midnight
		{"0 23 * * 1-5", "America/New_York", "2026-11-06T12:00:00-05:00", "2026-11-06T23:00:00-05:00"}, //
		{"0 23 * * 1-5", "America/New_York", "2026-11-06T23:00:00-05:00", "2026-11-09T23:00:00-05:00"}, //
	} {
		from, err := time.Parse(time.RFC3339Nano, c.from)
		if err != nil {
			t.Fatal(err)
		}
		if got := parse(t, c.line, c.zone).Next(from).Format(time.RFC3339); got != c.want {
			t.Errorf("%s in %s after %s: %s, want %s", c.line, c.zone, c.from, got, c.want)
		}
	}
}

// Through eleven years each day of a zone's calendar has its one night, for every time of day that clock changes touch.
func TestEveryDayOnce(t *testing.T) {
	for _, zone := range []string{"Europe/Warsaw", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "America/Havana"} {
		for _, line := range []string{"0 0 * * *", "30 0 * * *", "30 1 * * *", "0 2 * * *", "30 2 * * *", "59 2 * * *", "0 3 * * *"} {
			l, day := parse(t, line, zone), time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
			for at := l.Next(time.Date(2019, 12, 31, 20, 0, 0, 0, load(t, zone))); day.Year() < 2031; at = l.Next(at) {
				if at.Format(time.DateOnly) != day.Format(time.DateOnly) {
					t.Fatalf("%s in %s: came at %v, want the night of %s", line, zone, at, day.Format(time.DateOnly))
				}
				day = day.AddDate(0, 0, 1)
			}
		}
	}
}

// What was missed is the latest only.
func TestLast(t *testing.T) {
	l := parse(t, "0 1 * * *", "Europe/Warsaw")
	at := func(text string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04", text, load(t, "Europe/Warsaw"))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct{ after, now, want string }{
		{"2026-11-20 01:00", "2026-11-23 09:00", "2026-11-23 01:00"},
		{"2026-11-20 01:00", "2026-11-21 01:00", "2026-11-21 01:00"},
		{"2026-11-20 01:00", "2026-11-21 00:59", ""},
		{"2026-11-20 01:00", "2026-11-19 01:00", ""},
	} {
		got := ""
		if last := l.Last(at(c.after), at(c.now)); !last.IsZero() {
			got = last.Format("2006-01-02 15:04")
		}
		if got != c.want {
			t.Errorf("from %s to %s: last %q, want %q", c.after, c.now, got, c.want)
		}
	}
	if got := l.Coming(at("2026-11-20 01:00"), 2); len(got) != 2 || !got[1].Equal(at("2026-11-22 01:00")) {
		t.Errorf("the coming two: %v", got)
	}
	if at := (cronline.Line{}).Next(at("2026-11-20 01:00")); !at.IsZero() {
		t.Errorf("no line comes at %v", at)
	}
}

func TestRefused(t *testing.T) {
	for text, want := range map[string]error{
		"TZ=": cronline.ErrZone, "CRON_TZ=UTC 0 1 * * *": cronline.ErrZone, "@every 6h": cronline.ErrEvery, "": cronline.ErrForm,
		"0 1 * *": cronline.ErrForm, "0 0 1 * * *": cronline.ErrForm, "0 1 30 2 *": cronline.ErrNever, "0 25 * * *": nil, "x 1 * * *": nil, "@noon": nil,
	} {
		if _, err := cronline.Parse(text, time.UTC); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

// Whatever is read comes later than asked, and is found again by who looks back.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"0 1 * * *", "*/7 2-4 1,15 * 0", "@weekly", "TZ=", "0 0 31 2 *", "? ? ? ? ?", "5/0 * * * *", "30 2 29 3 *"} {
		f.Add(seed, int64(1_774_746_000))
	}
	zone := load(f, "Europe/Warsaw")
	f.Fuzz(func(t *testing.T, text string, unix int64) {
		l, err := cronline.Parse(text, zone)
		if err != nil {
			return
		}
		from := time.Unix(unix%4_000_000_000, 0)
		at := l.Next(from)
		if at.IsZero() { // a leap day about a year like 2100
			return
		}
		if !at.After(from) || !l.Last(from, at).Equal(at) {
			t.Errorf("%q after %v: %v, and looking back %v", text, from, at, l.Last(from, at))
		}
	})
}
