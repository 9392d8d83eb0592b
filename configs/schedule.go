package configs

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"holdfast/internal/cronline"
)

// Schedule says when `holdfast daemon` does what. A job without a time is not done.
type Schedule struct {
	Run    Appointment `yaml:"run,omitempty" doc:"The night: what holdfast run does."`
	Flush  Appointment `yaml:"flush,omitempty" doc:"What holdfast flush does, when something is on the holding disk."`
	Vault  Appointment `yaml:"vault,omitempty" doc:"What holdfast vault does, when something is due to be copied."`
	Verify Inspection  `yaml:"verify,omitempty" doc:"What holdfast verify --sample does."`
}

// Appointment is when a job is done.
type Appointment struct {
	At      CronLine `yaml:"at" jsonschema:"required" doc:"Five fields as in a crontab (minute, hour, day of the month, month, day of the week), by the clock of the zone; or, in quotes, @hourly, @daily, @weekly, @monthly or @yearly."`
	Zone    Zone     `yaml:"zone,omitempty" doc:"Time zone, such as Europe/Warsaw; Local is that of this machine."`
	CatchUp CatchUp  `yaml:"catch-up,omitempty" doc:"What becomes of a time that was missed because the daemon or the machine was down, or the clock leapt over it: run does the job at once, skip waits for the next time."`
	Within  Duration `yaml:"within,omitempty" doc:"With catch-up run: how long after its time a job is still done."`
}

// Inspection is when dumps are verified, and how many of them.
type Inspection struct {
	At      CronLine `yaml:"at" jsonschema:"required" doc:"As under run."`
	Zone    Zone     `yaml:"zone,omitempty" doc:"As under run."`
	CatchUp CatchUp  `yaml:"catch-up,omitempty" doc:"As under run."`
	Within  Duration `yaml:"within,omitempty" doc:"As under run."`
	Sample  Share    `yaml:"sample,omitempty" doc:"Part of what is kept, by its bytes, that is read each time: those dumps that were not for the longest time."`
}

// CatchUp says what becomes of a time that was missed.
type CatchUp string

// The words of catch-up.
const (
	CatchUpRun  CatchUp = "run"
	CatchUpSkip CatchUp = "skip"
)

func (CatchUp) words() []string { return []string{string(CatchUpRun), string(CatchUpSkip)} }

// UnmarshalText takes run or skip.
func (c *CatchUp) UnmarshalText(text []byte) error { return oneOf(c, text) }

// The jobs of a schedule, by the commands that do them.
const (
	JobRun    = "run"
	JobFlush  = "flush"
	JobVault  = "vault"
	JobVerify = "verify"
)

// Job is a job that the schedule has a time for.
type Job struct {
	Name string
	Appointment
}

// Jobs gives the jobs that have a time, in the order in which they are done when they are due together.
func (s Schedule) Jobs() []Job {
	v := s.Verify
	var out []Job
	for _, j := range []Job{
		{JobRun, s.Run}, {JobFlush, s.Flush}, {JobVault, s.Vault}, {JobVerify, Appointment{v.At, v.Zone, v.CatchUp, v.Within}},
	} {
		if j.At != "" {
			out = append(out, j)
		}
	}
	return out
}

// Line is when the appointment comes round; never, for one without a time.
func (a Appointment) Line() cronline.Line {
	zone, err := a.Zone.location()
	if err != nil {
		return cronline.Line{} // not in a sound configuration
	}
	line, _ := cronline.Parse(string(a.At), zone) // the zero Line with an error, which is told when the file is read
	return line
}

// ComingRuns gives the times of the next n runs after now that the schedule has; none without a schedule of runs. Longer than
// five years ahead none is looked for.
func (c *Config) ComingRuns(now time.Time, n int) []time.Time {
	return c.Schedule.Run.Line().Coming(now, n)
}

const (
	localZone      = Zone("Local")
	defaultWithin  = Duration(6 * time.Hour)
	defaultSample  = Share(5)
	maxCatchWithin = Duration(31 * 24 * time.Hour)
)

// fill puts in what an appointment with a time leaves out.
func (s *Schedule) fill() {
	for _, a := range []*Appointment{&s.Run, &s.Flush, &s.Vault} {
		if a.At != "" {
			*a = a.filled()
		}
	}
	if v := &s.Verify; v.At != "" {
		a := Appointment{v.At, v.Zone, v.CatchUp, v.Within}.filled()
		v.Zone, v.CatchUp, v.Within, v.Sample = a.Zone, a.CatchUp, a.Within, cmp.Or(v.Sample, defaultSample)
	}
}

func (a Appointment) filled() Appointment {
	a.Zone, a.CatchUp = cmp.Or(a.Zone, localZone), cmp.Or(a.CatchUp, CatchUpRun)
	if a.CatchUp == CatchUpRun {
		a.Within = cmp.Or(a.Within, defaultWithin)
	}
	return a
}

// schedule checks what each value by itself does not tell.
func (k check) schedule() {
	for _, j := range k.c.Schedule.Jobs() {
		path := "schedule." + j.Name
		k.own(j.Within >= minute && j.Within <= maxCatchWithin, join(path, "within"), "must be 1m to 744h", "catch-up: skip makes up for nothing")
		_, within := k.places[join(path, "within")]
		k.must(!within || j.CatchUp != CatchUpSkip, join(path, "within"), "means nothing beside catch-up: skip", "")
	}
}

// CronLine is a time that comes again, as in a crontab.
type CronLine string

// UnmarshalText reads a line of a crontab without its command.
func (l *CronLine) UnmarshalText(text []byte) error {
	_, err := cronline.Parse(string(text), time.UTC)
	p := problem{Message: fmt.Sprintf("%q: %v", text, err), Hint: `write it like "30 1 * * *": half past one each night`}
	switch {
	case err == nil:
		*l = CronLine(text)
		return nil
	case errors.Is(err, cronline.ErrZone):
		p.Hint = "the zone stands by itself: zone: Europe/Warsaw"
	case errors.Is(err, cronline.ErrEvery):
		p.Hint = `write it like "0 */6 * * *": every six hours`
	case errors.Is(err, cronline.ErrNever):
		p.Hint = ""
	case !errors.Is(err, cronline.ErrForm):
		p.Message = fmt.Sprintf("%q: %v", text, errors.Unwrap(err))
	}
	return p
}

// Zone is a time zone by its name, as Europe/Warsaw; Local is the machine's.
type Zone string

// zoneForm keeps a name from leading out of the folder of zones.
var zoneForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,3}$`)

func (z Zone) location() (*time.Location, error) {
	return time.LoadLocation(string(cmp.Or(z, localZone)))
}

// UnmarshalText takes the name of a zone.
func (z *Zone) UnmarshalText(text []byte) error {
	_, err := Zone(text).location()
	if err != nil || !zoneForm.Match(text) {
		return problem{Message: fmt.Sprintf("there is no time zone %q", text), Hint: "write it like Europe/Warsaw; Local is this machine's"}
	}
	*z = Zone(text)
	return nil
}

// Share is a part of a whole in percent, over 0 and at most 100; in YAML it is `5%`.
type Share float64

var shareForm = regexp.MustCompile(`^([0-9]{1,3}(\.[0-9]{1,4})?) *%$`)

// UnmarshalText reads `5%` or `0.5%`.
func (s *Share) UnmarshalText(text []byte) error {
	m := shareForm.FindSubmatch(text)
	if m == nil {
		return problem{Message: fmt.Sprintf("%q is not a part in percent", text), Hint: "write it like 5%"}
	}
	v, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil || v <= 0 || v > 100 {
		return problem{Message: fmt.Sprintf("%q is not over 0%% and at most 100%%", text)}
	}
	*s = Share(v)
	return nil
}

// MarshalText gives the share as it stands in YAML.
func (s Share) MarshalText() ([]byte, error) {
	if s == 0 {
		return nil, nil
	}
	return []byte(strconv.FormatFloat(float64(s), 'f', -1, 64) + "%"), nil
}
