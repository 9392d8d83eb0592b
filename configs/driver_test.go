package configs_test

import (
	"testing"
	"time"

	"holdfast/configs"
)

// A start time is the nearest one.
func TestClock(t *testing.T) {
	at := func(clock string) time.Time {
		when, err := time.Parse("2006-01-02 15:04", clock)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for _, c := range []struct {
		now   string
		clock string
		want  string
	}{
		{"2026-03-01 01:00", "3:30", "2026-03-01 03:30"},
		{"2026-03-01 01:00", "00:30", "2026-03-01 00:30"},
		{"2026-03-01 22:00", "3:30", "2026-03-02 03:30"},
		{"2026-03-01 01:00", "22:00", "2026-02-28 22:00"},
	} {
		if got := configs.Clock(c.clock).Near(at(c.now)); !got.Equal(at(c.want)) {
			t.Errorf("%s at %s: %v, want %s", c.clock, c.now, got, c.want)
		}
	}
}
