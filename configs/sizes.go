package configs

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
)

// Size is a number of bytes. In YAML it is a whole number, or a number with a unit: KiB, MiB, GiB, TiB, PiB (powers of
// 1024) or kB, MB, GB, TB, PB (powers of 1000). A bare K, M, G or T is refused: Amanda means 1024 by it, others 1000.
type Size int64

// Units of a Size, in bytes.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
	PiB Size = 1 << 50
)

var (
	sizeForm   = regexp.MustCompile(`^(-?)([0-9]+(?:\.[0-9]+)?) *([a-zA-Z]*)$`)
	sizeUnits  = regexp.MustCompile(`^(?i:[kmgtp]i?b)$`)
	binaryUnit = []struct {
		size Size
		name string
	}{{PiB, "PiB"}, {TiB, "TiB"}, {GiB, "GiB"}, {MiB, "MiB"}, {KiB, "KiB"}}
)

func parseSize(text string) (Size, error) {
	m := sizeForm.FindStringSubmatch(text)
	if m == nil {
		return 0, problem{Message: fmt.Sprintf("%q is not a size", text), Hint: "write a size like 10GiB, 500MB or a whole number of bytes"}
	}
	sign, number, unit := m[1], m[2], m[3]
	switch {
	case unit == "" || unit == "B":
		n, err := strconv.ParseInt(sign+number, 10, 64)
		if err != nil {
			return 0, problem{Message: fmt.Sprintf("%q is not a whole number of bytes", text)}
		}
		return Size(n), nil
	case len(unit) == 1 && strings.ContainsAny(unit, "kKmMgGtTpP"):
		u := strings.ToUpper(unit)
		return 0, problem{
			Message: fmt.Sprintf("%q: %s alone may mean 1000 or 1024", text, unit),
			Hint:    fmt.Sprintf("write %siB for powers of 1024 or %sB for powers of 1000", u, strings.Replace(u, "K", "k", 1)),
		}
	case !sizeUnits.MatchString(unit):
		return 0, problem{
			Message: fmt.Sprintf("%q: %q is not a unit", text, unit),
			Hint:    "units are KiB, MiB, GiB, TiB, PiB and kB, MB, GB, TB, PB",
		}
	}
	n, err := humanize.ParseBytes(number + unit)
	if err != nil || n > math.MaxInt64 {
		return 0, problem{Message: fmt.Sprintf("%q is too large", text)}
	}
	if sign != "" {
		return -Size(n), nil
	}
	return Size(n), nil
}

// String gives the size exactly, in the largest binary unit that divides it: 10GiB, 1536MiB, 1000.
func (s Size) String() string {
	for _, u := range binaryUnit {
		if s != 0 && s%u.size == 0 {
			return strconv.FormatInt(int64(s/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// UnmarshalText reads a size as it stands in YAML; a negative one has a leading minus.
func (s *Size) UnmarshalText(text []byte) (err error) {
	*s, err = parseSize(string(text))
	return err
}

// MarshalText gives String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Days is a number of calendar days, never of 24 hours: across a clock change a cycle still ends in the same night.
// In YAML it is `7d` or `2w`.
type Days int

// maxDays is far beyond any dump cycle, and keeps sums of dates in range.
const maxDays = 100 * 366

var daysForm = regexp.MustCompile(`^([0-9]+) *(d|w)$`)

func parseDays(text string) (Days, error) {
	m := daysForm.FindStringSubmatch(text)
	if m == nil {
		return 0, problem{Message: fmt.Sprintf("%q is not a number of days", text), Hint: "write days like 7d or weeks like 2w"}
	}
	unit := 1
	if m[2] == "w" {
		unit = 7
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n > maxDays/unit {
		return 0, problem{Message: fmt.Sprintf("%q is too long: 100 years at most", text)}
	}
	return Days(n * unit), nil
}

// String gives the days as they stand in YAML.
func (d Days) String() string { return strconv.Itoa(int(d)) + "d" }

// UnmarshalText reads `7d` or `2w`.
func (d *Days) UnmarshalText(text []byte) (err error) {
	*d, err = parseDays(string(text))
	return err
}

// MarshalText gives String.
func (d Days) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
