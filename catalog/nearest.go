package catalog

import "strings"

// Nearest finds the name that a mistyped one most likely means, for "did you mean". Letter case does not count. It finds
// nothing when every name differs by more than a third of its letters (by one in short names), or wholly.
func Nearest(name string, names []string) (string, bool) {
	best, bestDistance := "", 0
	for _, n := range names {
		d := distance([]rune(strings.ToLower(name)), []rune(strings.ToLower(n)))
		letters := len([]rune(n))
		if d >= letters || d > max(1, letters/3) || best != "" && d >= bestDistance {
			continue
		}
		best, bestDistance = n, d
	}
	return best, best != ""
}

// distance counts the single letters to insert, delete, replace, or swap with their neighbour to get from a to b.
func distance(a, b []rune) int {
	// Three rows of the table of distances between all beginnings of a and of b.
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(replace, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
