package configs_test

import (
	"slices"
	"testing"
	"time"

	"holdfast/configs"
)

const scheduled = `state: /s
storage: {v: {path: /v, slots: 3, volume-size: 10MiB, label: "V%%"}}
dles: [{vm: a, image: /i, format: raw}]
schedule:
  verify: {at: "@weekly", zone: UTC}
  run: {at: "30 2 * * *", zone: Europe/Warsaw}
  flush: {at: 0 13 * * *, zone: UTC, catch-up: skip}
`

// What an appointment leaves out is filled in, and jobs come in the order in which they are done.
func TestSchedule(t *testing.T) {
	c, err := configs.Parse("hf.yaml", []byte(scheduled))
	if err != nil {
		t.Fatal(err)
	}
	want := []configs.Job{
		{Name: "run", Appointment: configs.Appointment{At: "30 2 * * *", Zone: "Europe/Warsaw", CatchUp: "run", Within: configs.Duration(6 * time.Hour)}},
		{Name: "flush", Appointment: configs.Appointment{At: "0 13 * * *", Zone: "UTC", CatchUp: "skip"}},
		{Name: "verify", Appointment: configs.Appointment{At: "@weekly", Zone: "UTC", CatchUp: "run", Within: configs.Duration(6 * time.Hour)}},
	}
	if got := c.Schedule.Jobs(); !slices.Equal(got, want) {
		t.Errorf("jobs %v, want %v", got, want)
	}
	if c.Schedule.Verify.Sample != 5 {
		t.Errorf("a sample of %v", c.Schedule.Verify.Sample)
	}
}

// The coming runs have the night of a clock change once.
func TestComingRuns(t *testing.T) {
	c, err := configs.Parse("hf.yaml", []byte(scheduled))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, at := range c.ComingRuns(time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC), 3) {
		got = append(got, at.Format(time.RFC3339))
	}
	want := []string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00", "2026-03-31T02:30:00+02:00"}
	if !slices.Equal(got, want) {
		t.Errorf("runs at %v, want %v", got, want)
	}
	if got := (&configs.Config{}).ComingRuns(time.Now(), 3); len(got) > 0 {
		t.Errorf("runs without a schedule: %v", got)
	}
}
