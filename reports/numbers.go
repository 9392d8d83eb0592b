package reports

import (
	"fmt"
	"math"
	"strings"
)

// unit is the unit of sizes in a text, and how many digits follow the point.
type unit struct {
	letter string
	bytes  float64
	digits int
}

func parseUnit(name string) (unit, error) {
	switch strings.ToLower(name) {
	case "", "k":
		return unit{"K", 1 << 10, 0}, nil
	case "m":
		return unit{"M", 1 << 20, 1}, nil
	case "g":
		return unit{"G", 1 << 30, 1}, nil
	case "t":
		return unit{"T", 1 << 40, 2}, nil
	}
	return unit{}, fmt.Errorf("unit %q: want k, m, g or t", name)
}

func (u unit) number(sizeBytes int64) string {
	return fmt.Sprintf("%.*f", u.digits, float64(sizeBytes)/u.bytes)
}

// sized is a number with the unit's letter, as in 18220K.
func (u unit) sized(sizeBytes int64) string { return u.number(sizeBytes) + u.letter }

// unknown is what stands where a number would need a division by zero. The blank is Amanda's.
const unknown = "-- "

// ratio writes a/b in 5 places, Amanda's way.
func ratio(a, b float64) string {
	q := a / b
	switch {
	case b == 0:
		return unknown
	case q > 99999.95:
		return "#####"
	case q > 999.95:
		return fmt.Sprintf("%5.0f", q)
	}
	return fmt.Sprintf("%5.1f", q)
}

// wideRatio is ratio in 7 places.
func wideRatio(a, b float64) string {
	q := a / b
	switch {
	case b == 0:
		return unknown
	case q > 9999999.95:
		return "#######"
	case q > 99999.95:
		return fmt.Sprintf("%7.0f", q)
	}
	return fmt.Sprintf("%7.1f", q)
}

// kiloRate writes a rate in KB/s for a column that grows.
func kiloRate(sizeBytes int64, seconds float64) string {
	if seconds <= 0 {
		return unknown
	}
	return fmt.Sprintf("%.1f", float64(sizeBytes)/1024/seconds)
}

// compression is the percentage that is left, and nothing of interest within 1 % of all of it.
func compression(output, original int64) string {
	if original <= 0 {
		return unknown
	}
	percent := 100 * float64(output) / float64(original)
	if math.Abs(percent-100) < 1 {
		return unknown
	}
	return fmt.Sprintf("%.1f", percent)
}

// hoursMinutes rounds to minutes: h:mm.
func hoursMinutes(seconds float64) string {
	minutes := int64(math.Round(seconds / 60))
	return fmt.Sprintf("%d:%02d", minutes/60, minutes%60)
}

// minutesSeconds rounds to seconds: mmm:ss.
func minutesSeconds(seconds float64) string {
	s := int64(math.Round(seconds))
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
