package main

import (
	"strings"
)

// maxAlternates bounds how many places one word may name.
const maxAlternates = 10_000

// alternates gives what Amanda's notation names: `a{b,c}d` is abd and acd, a backslash takes a letter as it stands. What it
// gives has no backslashes left.
func alternates(text string) ([]string, error) {
	list, rest, err := alternatesUntil(text, false)
	if err == nil && rest != "" {
		err = usagef("%q: a } without {", text)
	}
	return list, err
}

// alternatesUntil reads up to the end or, inside braces, up to the comma or brace that ends the choice; rest begins there.
func alternatesUntil(text string, inside bool) (list []string, rest string, err error) {
	list = []string{""}
	for text != "" {
		switch c := text[0]; {
		case c == '\\' && len(text) > 1:
			list, text = appendEach(list, []string{text[1:2]}), text[2:]
		case c == '{':
			var choices []string
			choices, text, err = choice(text[1:])
			if err == nil && len(list)*len(choices) > maxAlternates {
				err = usagef("more than %d places", maxAlternates)
			}
			if err != nil {
				return nil, "", err
			}
			list = appendEach(list, choices)
		case inside && (c == ',' || c == '}') || c == '}':
			return list, text, nil
		default:
			n := strings.IndexAny(text[1:], `\{},`) + 1
			if n == 0 {
				n = len(text)
			}
			list, text = appendEach(list, []string{text[:n]}), text[n:]
		}
	}
	return list, "", nil
}

// choice reads what stands between braces.
func choice(text string) (list []string, rest string, err error) {
	for {
		one, rest, err := alternatesUntil(text, true)
		if err != nil {
			return nil, "", err
		}
		if list = append(list, one...); len(list) > maxAlternates {
			return nil, "", usagef("more than %d places", maxAlternates)
		}
		switch {
		case rest == "":
			return nil, "", usagef("a { without }")
		case rest[0] == '}':
			return list, rest[1:], nil
		}
		text = rest[1:]
	}
}

func appendEach(list, ends []string) []string {
	var out []string
	for _, a := range list {
		for _, b := range ends {
			out = append(out, a+b)
		}
	}
	return out
}
