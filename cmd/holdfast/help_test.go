package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// Every command has help that says what it does and shows examples, and the examples are calls that make sense.
func TestHelp(t *testing.T) {
	program := (&app{}).command()
	var walk func(path string, commands []*cli.Command)
	walk = func(path string, commands []*cli.Command) {
		for _, c := range commands {
			name := path + " " + c.Name
			if c.Usage == "" {
				t.Errorf("%s: no usage", name)
			}
			_, examples, ok := strings.Cut(c.Description, "EXAMPLES\n")
			if !ok || !strings.Contains(examples, name) {
				t.Errorf("%s: no example of itself", name)
			}
			checkExamples(t, program, examples)
			var out bytes.Buffer
			args := append(strings.Fields(name), "--help")
			if code := run(context.Background(), args, nil, &out, &out); code != 0 || !strings.Contains(out.String(), "EXAMPLES") {
				t.Errorf("%s --help: exit status %d\n%s", name, code, out.String())
			}
			walk(name, c.Subcommands)
		}
	}
	walk("holdfast", program.Commands)
	for _, call := range []string{"holdfast", "holdfast --help", "holdfast -h", "holdfast help"} {
		var out, errs bytes.Buffer
		code := run(context.Background(), strings.Fields(call), nil, &out, &errs)
		if code != 0 || errs.Len() != 0 || !strings.Contains(out.String(), "COMMANDS:") || strings.Contains(out.String(), "Incorrect") {
			t.Errorf("%s: exit status %d\n%s%s", call, code, out.String(), errs.String())
		}
	}
	_, examples, _ := strings.Cut(mainHelp, "EXAMPLES\n")
	checkExamples(t, program, examples)
}

// checkExamples looks for commands and flags that are not there.
func checkExamples(t *testing.T, program *cli.App, examples string) {
	t.Helper()
	quoted := regexp.MustCompile(`'[^']*'`)
	for line := range strings.Lines(examples) {
		call, _, _ := strings.Cut(strings.TrimSpace(line), "   ") // what follows explains it
		call, _, _ = strings.Cut(call, " | ")
		call, _, _ = strings.Cut(call, " > ")
		words := strings.Fields(quoted.ReplaceAllString(call, "quoted"))
		if len(words) < 2 || words[0] != "holdfast" {
			t.Errorf("example %q: not a call of holdfast", call)
			continue
		}
		ordered, err := reorder(program, words)
		if err != nil || ordered[1] == "--" {
			t.Errorf("example %q: %v, %v", call, ordered, err)
		}
	}
}

// The exit codes are documented in one place.
func TestExitCodes(t *testing.T) {
	page, err := os.ReadFile("../../docs/exit-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range exitMeanings {
		if row := fmt.Sprintf("| %d | %s |\n", e.code, e.meaning); !bytes.Contains(page, []byte(row)) {
			t.Errorf("docs/exit-codes.md lacks the row %s", row)
		}
	}
	if rows := bytes.Count(page, []byte("\n| ")); rows != len(exitMeanings)+1 { // and the head
		t.Errorf("docs/exit-codes.md has %d rows, want those of exitMeanings", rows)
	}
}
