package driving

import (
	"cmp"
	"math"
)

const (
	// Letters are those that an order may have.
	Letters = "sStTbB"
	// restLetter is that of the dumpers that an order does not name.
	restLetter = 'T'
)

// letter is the one that the dumper of this number, from 0, takes jobs by.
func (l Limits) letter(dumper int) byte {
	if dumper < len(l.Order) {
		return l.Order[dumper]
	}
	return restLetter
}

// before compares two jobs for a dumper with this letter: negative when a goes first. Jobs that are alike keep the order in
// which they were given.
func before(letter byte, a, b Job) int {
	if c := cmp.Compare(b.Priority, a.Priority); c != 0 {
		return c
	}
	switch letter {
	case 's':
		return cmp.Compare(a.Bytes, b.Bytes)
	case 'S':
		return cmp.Compare(b.Bytes, a.Bytes)
	case 't':
		return cmp.Compare(a.Seconds, b.Seconds)
	case 'T':
		return cmp.Compare(b.Seconds, a.Seconds)
	case 'b':
		return cmp.Compare(a.rate(), b.rate())
	case 'B':
		return cmp.Compare(b.rate(), a.rate())
	}
	return 0
}

// rate is the expected bytes a second; 0 when nothing is known.
func (j Job) rate() int64 {
	if j.Seconds <= 0 {
		return 0
	}
	return int64(math.Min(float64(j.Bytes)/j.Seconds, math.MaxInt64/2))
}
