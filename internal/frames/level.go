package frames

import "fmt"

// Level is how hard the writer compresses.
type Level int

// The levels. None stores the raw bytes, without frames and without checksums of their own.
const (
	None Level = iota
	Fast
	Default
	Best
)

// levelNames are the words of the configuration, indexed by Level.
var levelNames = [...]string{None: "none", Fast: "fast", Default: "default", Best: "best"}

// ParseLevel reads a level from its word in the configuration: none, fast, default or best.
func ParseLevel(s string) (Level, error) {
	for l, name := range levelNames {
		if s == name {
			return Level(l), nil
		}
	}
	return None, fmt.Errorf("compression level %q: want none, fast, default or best", s)
}

// String gives the word that ParseLevel reads.
func (l Level) String() string {
	if !l.valid() {
		return fmt.Sprintf("Level(%d)", int(l))
	}
	return levelNames[l]
}

func (l Level) valid() bool { return l >= 0 && int(l) < len(levelNames) }
