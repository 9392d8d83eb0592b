package nbd

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// TestCoverage compares with a table of bytes: a range is refused when it is empty or touches what was covered, and all
// is covered when each byte is.
func TestCoverage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const length = 4
		var c coverage
		var bytes [length]bool
		for range rapid.IntRange(0, 20).Draw(t, "pieces") {
			from := rapid.IntRange(0, length).Draw(t, "from")
			to := rapid.IntRange(from, length).Draw(t, "to")
			free := from < to
			for _, b := range bytes[from:to] {
				free = free && !b
			}
			err := c.add(int64(from), int64(to))
			if free != (err == nil) || err != nil && !errors.Is(err, ErrProtocol) {
				t.Fatalf("%d to %d: %v, with %v", from, to, err, bytes)
			}
			for i := from; free && i < to; i++ {
				bytes[i] = true
			}
			if all := bytes == [length]bool{true, true, true, true}; c.is(length) != all {
				t.Fatalf("all is covered: %v, with %v", c.is(length), bytes)
			}
		}
	})
}

// TestCoverageBounded: pieces far apart are kept up to a number.
func TestCoverageBounded(t *testing.T) {
	var c coverage
	for i := range int64(fragmentsMax) {
		if err := c.add(2*i, 2*i+1); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.add(2*fragmentsMax, 2*fragmentsMax+1); !errors.Is(err, ErrProtocol) {
		t.Errorf("%v", err)
	}
}
