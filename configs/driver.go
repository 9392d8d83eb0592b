package configs

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Datastore is what several images lie on, and suffer from each other's dumps.
type Datastore struct {
	// Name is the datastore's key in the configuration.
	Name string `yaml:"-" json:"-"`

	MaxDumps int `yaml:"max-dumps" doc:"Images of it dumped at the same time."`
}

// Interface is a line that several images are read over.
type Interface struct {
	// Name is the interface's key in the configuration.
	Name string `yaml:"-" json:"-"`

	Bandwidth Size `yaml:"bandwidth" jsonschema:"required" doc:"Bytes a second for all dumps together. No dump is begun that needs more than the others leave, and those that run are held to it."`
}

// DumpOrder has a letter for each image dumped at the same time.
type DumpOrder string

// dumpOrderForm: Amanda's letters.
var dumpOrderForm = regexp.MustCompile(`^[sStTbB]*$`)

// UnmarshalText reads the letters.
func (o *DumpOrder) UnmarshalText(text []byte) error {
	if !dumpOrderForm.Match(text) {
		return problem{Message: fmt.Sprintf("%q is not an order", text), Hint: "the letters are s S t T b B, as in sssT"}
	}
	*o = DumpOrder(text)
	return nil
}

// Clock is a time of day, as `03:30`; empty: none.
type Clock string

var clockForm = regexp.MustCompile(`^([01]?[0-9]|2[0-3]):([0-5][0-9])$`)

// UnmarshalText reads `03:30`.
func (c *Clock) UnmarshalText(text []byte) error {
	m := clockForm.FindStringSubmatch(string(text))
	if m == nil {
		return problem{Message: fmt.Sprintf("%q is not a time of day", text), Hint: "write it like 03:30"}
	}
	*c = Clock(fmt.Sprintf("%05s", string(text)))
	return nil
}

// Near gives the time of day nearest to now: by Amanda's rule one more than 12 hours in the past is tomorrow's, and so one more
// than 12 hours ahead was yesterday's. It is the zero time for an empty Clock.
func (c Clock) Near(now time.Time) time.Time {
	m := clockForm.FindStringSubmatch(string(c))
	if m == nil {
		return time.Time{}
	}
	hour, _ := strconv.Atoi(m[1]) // the form allows digits only
	minute, _ := strconv.Atoi(m[2])
	at := time.Date(now.Year(), now.Month(), now.Day(), hour, minute, 0, 0, now.Location())
	switch {
	case now.Sub(at) > 12*time.Hour:
		return at.AddDate(0, 0, 1)
	case at.Sub(now) > 12*time.Hour:
		return at.AddDate(0, 0, -1)
	}
	return at
}

const (
	maxRetries  = 20
	maxMaxDumps = 64
	// minBandwidth is what a block of an image takes a second for.
	minBandwidth = 64 * KiB
)

// driver looks at what limits the dumps of a run.
func (k check) driver() {
	for _, name := range slices.Sorted(maps.Keys(k.c.Datastores)) {
		k.must(inRange(k.c.Datastores[name].MaxDumps, 1, maxMaxDumps), "datastores."+name+".max-dumps", fmt.Sprintf("must be 1 to %d", maxMaxDumps), "")
	}
	for _, name := range slices.Sorted(maps.Keys(k.c.Interfaces)) {
		k.must(k.c.Interfaces[name].Bandwidth >= minBandwidth, "interfaces."+name+".bandwidth", "must be at least 64KiB", "without a limit the interface need not be named")
	}
	for _, name := range slices.Sorted(maps.Keys(k.c.DumpTypes)) {
		path, t := join(typesPath, name), k.c.DumpTypes[name]
		k.own(inRange(t.MaxDumps, 1, maxMaxDumps), join(path, "max-dumps"), fmt.Sprintf("must be 1 to %d", maxMaxDumps), "")
		k.own(inRange(t.Retries, 0, maxRetries), join(path, "retries"), fmt.Sprintf("must be 0 to %d", maxRetries), "0: every failure is final")
	}
	for i, d := range k.c.DLEs {
		path := join("dles", strconv.Itoa(i))
		if _, ok := k.c.Datastores[d.Datastore]; d.Datastore != "" && !ok {
			k.unknown(join(path, "datastore"), d.Datastore, slices.Sorted(maps.Keys(k.c.Datastores)))
		}
		if _, ok := k.c.Interfaces[d.Interface]; d.Interface != "" && !ok {
			k.unknown(join(path, "interface"), d.Interface, slices.Sorted(maps.Keys(k.c.Interfaces)))
		}
	}
}

func (k check) unknown(path, name string, known []string) {
	k.fail(path, problem{
		Message: fmt.Sprintf("there is no %s %q", path[strings.LastIndexByte(path, '.')+1:], name), Hint: didYouMean(name, known),
	})
}

func inRange(n, least, most int) bool { return n >= least && n <= most }
