package configs

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Window is a time of day to another, over midnight if the second is the earlier one, as `01:00-06:00`; empty: no limit.
type Window string

const minutesADay = 24 * 60

var windowForm = regexp.MustCompile(`^([01]?[0-9]|2[0-3]):([0-5][0-9]) *- *([01]?[0-9]|2[0-3]):([0-5][0-9])$`)

// On tells whether there is any limit.
func (w Window) On() bool { return w != "" }

// Length is from begin to end; 0 without a limit.
func (w Window) Length() time.Duration {
	if !w.On() {
		return 0
	}
	from, to, _ := w.minutes()
	minutes := (to - from + minutesADay) % minutesADay
	return time.Duration(minutes) * time.Minute
}

// Left is what is left of the window at a time of day: all of it outside, for a run that is planned then begins with it.
func (w Window) Left(now time.Time) time.Duration {
	from, _, _ := w.minutes()
	since := (now.Hour()*60 + now.Minute() - from + minutesADay) % minutesADay
	into := time.Duration(since) * time.Minute
	if into >= w.Length() {
		return w.Length()
	}
	return w.Length() - into
}

// minutes gives begin and end as minutes after midnight.
func (w Window) minutes() (from, to int, ok bool) {
	m := windowForm.FindStringSubmatch(string(w))
	if m == nil {
		return 0, 0, false
	}
	var n [4]int
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1]) // the form allows digits only
	}
	return n[0]*60 + n[1], n[2]*60 + n[3], true
}

// UnmarshalText reads `01:00-06:00`.
func (w *Window) UnmarshalText(text []byte) error {
	from, to, ok := Window(text).minutes()
	switch {
	case !ok:
		return problem{Message: fmt.Sprintf("%q is not a window", text), Hint: "write it like 01:00-06:00"}
	case from == to:
		return problem{Message: fmt.Sprintf("%q is the whole day", text), Hint: "leave the key out"}
	}
	*w = Window(fmt.Sprintf("%02d:%02d-%02d:%02d", from/60, from%60, to/60, to%60))
	return nil
}
