package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

func (a *app) manCommand() *cli.Command {
	return &cli.Command{
		Name: "man", Usage: "print the manual page", Hidden: true,
		Description: "EXAMPLES\n   holdfast man > /usr/share/man/man8/holdfast.8",
		Action:      func(c *cli.Context) error { return writeManual(a.stdout, c.App) },
	}
}

// writeManual writes the manual page from what --help shows. The library's own leaves out names, examples and most of
// the words.
func writeManual(w io.Writer, app *cli.App) error {
	m := &manual{}
	m.macro("TH", app.Name, "8", "", app.Name+" "+app.Version, "")
	m.macro("SH", "NAME")
	m.text(app.Name + " - " + app.Usage)
	m.macro("SH", "SYNOPSIS")
	m.text(app.Name + " [--config FILE] COMMAND [FLAGS] [NAMES]")
	m.macro("SH", "DESCRIPTION")
	m.description(app.Description)
	m.macro("SH", "OPTIONS")
	m.flags(app.Flags)
	m.macro("SH", "COMMANDS")
	m.text("Flags may stand before or after names; what follows -- is a name.")
	m.commands(app.Name, app.Commands)
	m.macro("SH", "EXIT STATUS")
	m.text("That of run, flush and vault is a sum.")
	for _, e := range exitMeanings {
		m.entry(fmt.Sprint(e.code), e.meaning)
	}
	_, err := io.WriteString(w, m.out.String())
	return err
}

// manual is a page in the macros of man(7).
type manual struct{ out strings.Builder }

func (m *manual) macro(name string, args ...string) {
	m.out.WriteString("." + name)
	for _, arg := range args {
		m.out.WriteString(` "` + roff(strings.ReplaceAll(arg, `"`, `'`)) + `"`)
	}
	m.out.WriteString("\n")
}

func (m *manual) text(s string) {
	for line := range strings.Lines(s + "\n") {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			line = `\&` + line
		}
		m.out.WriteString(roff(line))
	}
}

// roff keeps backslashes and dashes what they are.
func roff(s string) string { return strings.NewReplacer(`\&`, `\&`, `\`, `\e`, "-", `\-`).Replace(s) }

// description sets the words as paragraphs and the examples as they are.
func (m *manual) description(s string) {
	words, examples, _ := strings.Cut(s, "EXAMPLES\n")
	if words = strings.TrimSpace(words); words != "" {
		m.text(words)
	}
	if examples == "" {
		return
	}
	m.macro("PP")
	m.macro("nf")
	for line := range strings.Lines(examples) {
		m.text(strings.TrimSpace(line))
	}
	m.macro("fi")
}

func (m *manual) entry(term, words string) {
	m.macro("TP")
	m.text(term)
	m.text(words)
}

func (m *manual) flags(flags []cli.Flag) {
	for _, f := range flags {
		if f.Names()[0] == "help" {
			continue // every command has it
		}
		term, words, _ := strings.Cut(f.String(), "\t")
		m.entry(term, words)
	}
}

func (m *manual) commands(parent string, commands []*cli.Command) {
	for _, c := range commands {
		if c.Hidden {
			continue
		}
		path := parent + " " + c.Name
		if len(c.Subcommands) > 0 {
			m.commands(path, c.Subcommands)
			continue
		}
		m.macro("SS", strings.TrimSpace(path+" "+c.ArgsUsage))
		m.text(c.Usage)
		m.macro("PP")
		m.description(c.Description)
		m.flags(c.Flags)
	}
}
