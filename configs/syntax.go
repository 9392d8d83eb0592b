package configs

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	// maxFileBytes is room for some 40,000 DLEs. Beyond it, it is not a configuration that was named.
	maxFileBytes = 4 << 20
	// maxNesting is twice what any configuration needs; the parser's time grows with the square of the nesting.
	maxNesting = 8
)

// place is a position in the file, from 1.
type place struct{ line, column int }

func placeOf(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{1, 1}
	}
	return place{t.Position.Line, t.Position.Column}
}

// fault is a problem with its place.
type fault struct {
	place
	problem
}

// readYAML gives the root of the one document in text; nil for an empty one.
func readYAML(text string) (ast.Node, *fault) {
	if len(text) > maxFileBytes {
		return nil, &fault{place{1, 1}, problem{Message: fmt.Sprintf("the file is longer than %s: not a configuration?", Size(maxFileBytes))}}
	}
	if !utf8.ValidString(text) {
		valid := strings.ToValidUTF8(text, "\x00") // the first odd byte is the first difference
		n := 0
		for n < len(text) && text[n] == valid[n] {
			n++
		}
		line := text[strings.LastIndexByte(text[:n], '\n')+1 : n]
		return nil, &fault{
			place{strings.Count(text[:n], "\n") + 1, utf8.RuneCountInString(line) + 1},
			problem{Message: "the file is not UTF-8 text"},
		}
	}
	tokens := lexer.Tokenize(text)
	if f := checkTokens(tokens); f != nil {
		return nil, f
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, syntaxFault(err)
	}
	var root ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case root != nil:
			return nil, &fault{placeOf(doc.Start), problem{Message: "a second document: a configuration is one"}}
		default:
			root = doc.Body
		}
	}
	return root, nil
}

// checkTokens refuses the parts of YAML that a configuration does without, before they can cost time or memory:
// anchors and aliases (which can grow without bound), merge keys, tags, directives, composed keys, deep nesting.
func checkTokens(tokens token.Tokens) *fault {
	depth, dashes, dashLine := 0, 0, 0
	for _, t := range tokens {
		var p problem
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			p.Message = fmt.Sprintf("%q: anchors, aliases and merge keys are not used here", t.Value)
			p.Hint = "text that begins with & or * stands in quotes; dump types take each other's settings with inherit:"
		case token.TagType:
			p.Message = fmt.Sprintf("%q: tags are not used here", t.Value)
			p.Hint = "text that begins with ! stands in quotes"
		case token.DirectiveType:
			p.Message = "directives are not used here"
			p.Hint = "text that begins with % stands in quotes"
		case token.MappingKeyType:
			p.Message = "keys with ? are not used here"
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType:
			if dashLine != t.Position.Line {
				dashes, dashLine = 0, t.Position.Line
			}
			dashes++
		}
		if depth > maxNesting || dashes > maxNesting {
			p.Message = "nested too deeply"
		}
		if p.Message != "" {
			return &fault{placeOf(t), p}
		}
	}
	return nil
}

// syntaxFault turns an error of the YAML parser into words.
func syntaxFault(err error) *fault {
	var at yaml.Error
	if !errors.As(err, &at) {
		return &fault{place{1, 1}, problem{Message: "not YAML: " + oneLine(err.Error())}}
	}
	p := problem{Message: "not YAML: " + oneLine(at.GetMessage())}
	switch m := at.GetMessage(); {
	case strings.Contains(m, "already defined"):
		p.Message = fmt.Sprintf("key %q stands twice", at.GetToken().Value)
		if _, first, ok := strings.Cut(m, "already defined at ["); ok {
			line, _, _ := strings.Cut(first, ":")
			p.Hint = "first in line " + line
		}
	case strings.Contains(m, "found character '\t'"):
		p = problem{Message: "a tab: YAML is indented with blanks"}
	case strings.Contains(m, "mapping value is not allowed"):
		p.Hint = "text with ': ' in it stands in quotes; keys of one block stand below each other"
	case strings.Contains(m, "reserved character"):
		p.Hint = "text that begins with such a character stands in quotes"
	}
	return &fault{placeOf(at.GetToken()), p}
}

// maxMessage is the length in runes to which a message is cut: a value in it may be megabytes long.
const maxMessage = 400

// oneLine keeps a message on one line of bearable length, whatever it quotes: control characters become blanks.
func oneLine(message string) string {
	runes := []rune(message)
	if len(runes) > maxMessage {
		runes = append(runes[:maxMessage], []rune("...")...)
	}
	for i, r := range runes {
		if unicode.IsControl(r) {
			runes[i] = ' '
		}
	}
	return string(runes)
}
