package configs

import (
	"fmt"
	"strings"
)

// Nearest gives the word of the list that the given one is most likely a slip of: the smallest edit distance, at most
// a third of the word's length. The comparison takes no heed of case. It gives "" when nothing is near.
func Nearest(given string, list []string) string {
	best, limit := "", max(1, len([]rune(given))/3)
	for _, candidate := range list {
		if d := distance(strings.ToLower(given), strings.ToLower(candidate)); d <= limit && candidate != given {
			best, limit = candidate, d-1
		}
	}
	return best
}

func didYouMean(given string, list []string) string {
	if w := Nearest(given, list); w != "" {
		return fmt.Sprintf("did you mean %q?", w)
	}
	return ""
}

// maxNearest bounds the work on a hostile word; longer ones are no slips.
const maxNearest = 200

// distance is the number of letters to insert, delete, replace or swap with their neighbour.
func distance(s, t string) int {
	a, b := []rune(s), []rune(t)
	if len(a) > maxNearest || len(b) > maxNearest {
		return maxNearest
	}
	older, old, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		older, old, row = old, row, older
		row[0] = i + 1
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(old[j+1]+1, row[j]+1, old[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], older[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
