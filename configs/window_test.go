package configs_test

import (
	"testing"
	"time"

	"holdfast/configs"
)

// TestWindow: times of day, over midnight, too; what is left of it counts from a run that begins inside.
func TestWindow(t *testing.T) {
	for _, c := range []struct {
		text, shown, now string
		length, left     time.Duration
	}{
		{"01:00-06:00", "01:00-06:00", "02:30", 5 * time.Hour, 210 * time.Minute},
		{"1:00 - 6:00", "01:00-06:00", "00:30", 5 * time.Hour, 5 * time.Hour},
		{"22:00-04:30", "22:00-04:30", "01:30", 390 * time.Minute, 3 * time.Hour},
	} {
		var w configs.Window
		if err := w.UnmarshalText([]byte(c.text)); err != nil {
			t.Fatal(err)
		}
		now, _ := time.Parse("15:04", c.now)
		if string(w) != c.shown || w.Length() != c.length || w.Left(now) != c.left {
			t.Errorf("%s: %s, %v long, %v left at %s", c.text, w, w.Length(), w.Left(now), c.now)
		}
	}
	for _, text := range []string{"", "1-6", "24:00-06:00", "01:60-02:00", "03:00-03:00"} {
		if w := new(configs.Window); w.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q was taken as %s", text, *w)
		}
	}
}
