package braces_test

import (
	"errors"
	"strings"
	"testing"

	"holdfast/internal/braces"
)

func TestExpand(t *testing.T) {
	for word, want := range map[string]string{
		"":                "",
		"plain":           "plain",
		"a,b":             "a,b",
		"a{b,c}d":         "abd acd",
		"{a,b}{1,2}":      "a1 a2 b1 b2",
		"a{b{1,2},c}":     "ab1 ab2 ac",
		"a{b,}":           "ab a",
		`{a\,b,c\}}\{`:    "a,b{ c}{",
		`end\`:            `end\`,
		"rait:{/a,{b,c}}": "rait:/a rait:b rait:c",
	} {
		got, err := braces.Expand(word)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %q, %v, want %q", word, got, err, want)
		}
	}
	for _, word := range []string{"{", "}", "a{b", "a}b", "{a,{b}", strings.Repeat("{0,1,2,3,4,5,6,7,8,9}", 5), "{" + strings.Repeat(",", 20_000) + "}", strings.Repeat("x", 1e5)} {
		if got, err := braces.Expand(word); !errors.Is(err, braces.ErrNotation) || got != nil {
			t.Errorf("%.40q: %.40q, %v", word, got, err)
		}
	}
}

// A word without braces, commas and backslashes is itself; what is quoted letter by letter is, too.
func FuzzExpand(f *testing.F) {
	for _, word := range []string{"a{b,c}d", `a\,{b\}}`, "{{a,b}{c,d},{e,f}}"} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		if got, err := braces.Expand(word); err == nil && (len(got) == 0 || len(got) > 10_000) {
			t.Errorf("%q: %d names", word, len(got))
		}
		if len(word) > 1000 {
			return
		}
		var quoted strings.Builder
		for i := range len(word) {
			quoted.WriteString(`\` + word[i:i+1])
		}
		if got, err := braces.Expand(quoted.String()); err != nil || len(got) != 1 || got[0] != word {
			t.Errorf("%q quoted: %q, %v", word, got, err)
		}
	})
}
