package configs

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Duration is a length of time; in YAML it is `90s`, `10m` or `1h30m`.
type Duration time.Duration

const minute = Duration(time.Minute)

// maxDurationText keeps what is parsed in range: 99999 hours are eleven years.
const maxDurationText = len("99999h59m59s")

var durationForm = regexp.MustCompile(`^([0-9]+h)?([0-9]+m)?([0-9]+s)?$`)

// String gives the duration as it stands in YAML.
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// UnmarshalText reads `90s`, `10m` or `1h30m`.
func (d *Duration) UnmarshalText(text []byte) error {
	length, err := time.ParseDuration(string(text))
	if err != nil || !durationForm.Match(text) || len(text) > maxDurationText {
		return problem{Message: fmt.Sprintf("%q is not a length of time", text), Hint: "write it like 90s, 10m or 1h30m"}
	}
	*d = Duration(length)
	return nil
}

// MarshalText gives String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
