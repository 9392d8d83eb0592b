package main

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// reorder puts flags before names, so that they may stand anywhere: the library stops looking for flags at the first
// name, and would take what follows for names without a word. Flags of the whole program move before the command.
// What follows `--` are names.
func reorder(app *cli.App, args []string) ([]string, error) {
	if len(args) == 0 || isCompletion(args) {
		return args, nil
	}
	r := reordering{commands: app.Commands, levels: []level{{flags: app.Flags}}}
	for i := 1; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			r.names = append(r.names, args[i+1:]...)
			i = len(args)
		case strings.HasPrefix(arg, "-") && arg != "-":
			n, err := r.flag(arg, args[i+1:])
			if err != nil {
				return nil, err
			}
			i += n
		default:
			r.name(arg)
		}
	}
	out := []string{args[0]}
	for _, l := range r.levels {
		if l.command != "" {
			out = append(out, l.command)
		}
		out = append(out, l.given...)
	}
	if len(r.names) > 0 {
		out = append(append(out, "--"), r.names...)
	}
	return out, nil
}

// isCompletion tells whether a shell asks for completions: its words must stay as they are.
func isCompletion(args []string) bool { return args[len(args)-1] == "--generate-bash-completion" }

// level is the program, its command, or a subcommand.
type level struct {
	command string
	flags   []cli.Flag
	given   []string
}

type reordering struct {
	levels   []level
	commands []*cli.Command // of the innermost level
	names    []string
}

// name takes a word that is no flag: a command as long as there are commands, then a name.
func (r *reordering) name(word string) {
	if len(r.names) == 0 {
		for _, c := range r.commands {
			if c.HasName(word) {
				r.levels = append(r.levels, level{command: word, flags: c.Flags})
				r.commands = c.Subcommands
				return
			}
		}
	}
	r.names = append(r.names, word)
}

// flag puts a flag, with its value where it takes one, to the innermost level that knows it. It returns how many of the
// words that follow it has taken.
func (r *reordering) flag(word string, rest []string) (int, error) {
	name, _, hasValue := strings.Cut(strings.TrimLeft(word, "-"), "=")
	if name == "help" || name == "h" {
		r.last().given = append(r.last().given, word)
		return 0, nil
	}
	for i := len(r.levels) - 1; i >= 0; i-- {
		for _, f := range r.levels[i].flags {
			if !contains(f.Names(), name) {
				continue
			}
			l := &r.levels[i]
			l.given = append(l.given, word)
			if takesValue(f) && !hasValue {
				if len(rest) == 0 {
					return 0, usagef("flag %s needs a value", word)
				}
				l.given = append(l.given, rest[0])
				return 1, nil
			}
			return 0, nil
		}
	}
	return 0, r.unknownFlag(word, name)
}

func (r *reordering) last() *level { return &r.levels[len(r.levels)-1] }

func (r *reordering) unknownFlag(word, name string) error {
	var known []string
	for _, l := range r.levels {
		for _, f := range l.flags {
			known = append(known, f.Names()...)
		}
	}
	return didYouMean(usagef("unknown flag %s", word), name, known, "--")
}

func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
