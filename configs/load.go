package configs

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Load reads the configuration at path with read (os.ReadFile in the program). Relative paths in it count from the
// directory it lies in. Faults of its content are Errors; those of reading wrap what read returned.
func Load(path string, read func(string) ([]byte, error)) (*Config, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %s: %w", path, err)
	}
	data, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return parse(path, abs, data)
}

// Parse reads a configuration's text. The name stands in errors, and its directory is where relative paths count from.
func Parse(name string, data []byte) (*Config, error) { return parse(name, name, data) }

func parse(name, path string, data []byte) (*Config, error) {
	text := strings.TrimPrefix(string(data), "\ufeff")
	root, bad := readYAML(text)
	if bad != nil {
		return nil, report(name, text, []fault{*bad})
	}
	c := defaultConfig()
	c.Path = path
	d := &decoder{places: map[string]place{}, later: map[string]ast.Node{typesPath: nil}, listed: map[string]bool{}}
	if root == nil {
		root = ast.Mapping(nil, false) // an empty file lacks what every configuration needs
	}
	d.decode("", root, reflect.ValueOf(&c).Elem())
	d.resolveTypes(&c)
	if len(d.faults) == 0 { // a value that could not be read would only lead to more faults
		validate(&c, d)
	}
	if len(d.faults) > 0 {
		return nil, report(name, text, d.faults)
	}
	for _, w := range d.warnings {
		c.Warnings = append(c.Warnings, fmt.Sprintf("%s:%d:%d: %s", name, w.line, w.column, w.Message))
	}
	c.derive(filepath.Dir(path))
	return &c, nil
}

// report turns faults into Errors in the order of the file.
func report(name, text string, faults []fault) Errors {
	slices.SortStableFunc(faults, func(a, b fault) int {
		if a.line != b.line {
			return a.line - b.line
		}
		return a.column - b.column
	})
	var errs Errors
	for _, f := range faults[:min(len(faults), maxFaults)] {
		errs = append(errs, &Error{
			File: name, Line: f.line, Column: f.column, Message: oneLine(f.Message), Hint: oneLine(f.Hint),
			Excerpt: excerpt(text, f.line, f.column),
		})
	}
	return errs
}
