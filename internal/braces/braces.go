// Package braces reads Amanda's notation for several names in one word: `a{b,c}d` is abd and acd, and a backslash takes the
// letter after it as it stands. Braces may stand within braces.
//
// Its one invariant: what a word can make it allocate is bounded.
package braces

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNotation: the word has braces without their other half, or names too much.
var ErrNotation = errors.New("not Amanda's notation for several names")

// maxNames bounds how many names one word may stand for.
const maxNames = 10_000

// maxWord bounds the word, and with it the names.
const maxWord = 64 << 10

// Expand gives the names that a word stands for, in order. There are no backslashes left in them. The error wraps
// ErrNotation.
func Expand(word string) ([]string, error) {
	if len(word) > maxWord {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrNotation, maxWord)
	}
	list, rest, err := until(word, false)
	if err == nil && rest != "" {
		err = fmt.Errorf("%w: a } without {", ErrNotation)
	}
	if err != nil {
		return nil, err
	}
	return list, nil
}

// until reads up to the end or, inside braces, up to the comma or brace that ends the choice; rest begins there.
func until(text string, inside bool) (list []string, rest string, err error) {
	list = []string{""}
	for text != "" {
		switch c := text[0]; {
		case c == '\\' && len(text) > 1:
			list, text = appendEach(list, []string{text[1:2]}), text[2:]
		case c == '{':
			var choices []string
			choices, text, err = choice(text[1:])
			if err == nil && len(list)*len(choices) > maxNames {
				err = fmt.Errorf("%w: more than %d names", ErrNotation, maxNames)
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
		one, rest, err := until(text, true)
		if err != nil {
			return nil, "", err
		}
		if list = append(list, one...); len(list) > maxNames {
			return nil, "", fmt.Errorf("%w: more than %d names", ErrNotation, maxNames)
		}
		switch {
		case rest == "":
			return nil, "", fmt.Errorf("%w: a { without }", ErrNotation)
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
