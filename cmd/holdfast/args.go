package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// reorder puts flags before names, so that they may stand anywhere: the library stops looking for flags at the first
// name, and would take what follows for names without a word. Flags of the whole program move before the command.
// What follows `--` are names.
func reorder(app *cli.App, args []string) ([]string, error) {
	if len(args) == 0 {
		return args, nil
	}
	r := newReordering(app)
	for i := 1; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			r.names = append(r.names, args[i+1:]...)
			i = len(args)
		case isFlag(arg):
			n, err := r.flag(arg, args[i+1:])
			if err != nil {
				return nil, err
			}
			i += n
		default:
			r.name(arg)
		}
	}
	return r.ordered(args[0]), nil
}

// isFlag tells flags from names; a single dash is a name: standard output.
func isFlag(word string) bool { return strings.HasPrefix(word, "-") && word != "-" }

// level is the program, its command, or a subcommand.
type level struct {
	command *cli.Command // nil for the program
	flags   []cli.Flag
	given   []string
}

// reordering is a call taken apart.
type reordering struct {
	levels   []level
	commands []*cli.Command // of the innermost level
	names    []string
	help     bool
}

func newReordering(app *cli.App) *reordering {
	return &reordering{commands: app.Commands, levels: []level{{flags: app.Flags}}}
}

// ordered gives the words of the call as the library wants them.
func (r *reordering) ordered(program string) []string {
	out := []string{program}
	for _, l := range r.levels {
		if l.command != nil {
			out = append(out, l.command.Name)
		}
		if !r.help {
			out = append(out, l.given...)
		}
	}
	// Names stand in the way of help, unless one should have been a command.
	if r.help && (len(r.names) == 0 || len(r.commands) == 0) {
		return append(out, "--help")
	}
	if len(r.names) > 0 {
		out = append(append(out, "--"), r.names...)
	}
	return out
}

// name takes a word that is no flag: a command as long as there are commands, then a name.
func (r *reordering) name(word string) {
	if len(r.names) == 0 {
		if c := commandNamed(r.commands, word); c != nil {
			r.levels = append(r.levels, level{command: c, flags: c.Flags})
			r.commands = c.Subcommands
			return
		}
	}
	r.names = append(r.names, word)
}

// flag puts a flag, with its value where it takes one, to the innermost level that knows it. It returns how many of the
// words that follow it has taken.
func (r *reordering) flag(word string, rest []string) (int, error) {
	name, _, hasValue := strings.Cut(strings.TrimLeft(word, "-"), "=")
	if name == "help" || name == "h" {
		r.help = true
		return 0, nil
	}
	if name == "version" && len(r.levels) == 1 {
		r.name("version") // as other programs have it
		return 0, nil
	}
	l, f := r.lookup(name)
	if f == nil {
		return 0, r.unknownFlag(word, name)
	}
	l.given = append(l.given, word)
	if !takesValue(f) || hasValue {
		return 0, nil
	}
	if len(rest) == 0 {
		return 0, usagef("flag %s needs a value", word)
	}
	if strings.HasPrefix(rest[0], "--") {
		return 0, withHint(usagef("flag %s needs a value, and %q looks like another flag", word, rest[0]), "write %s=%s if it is the value", word, rest[0])
	}
	l.given = append(l.given, rest[0])
	return 1, nil
}

// lookup finds the innermost level that knows a flag.
func (r *reordering) lookup(name string) (*level, cli.Flag) {
	for i := len(r.levels) - 1; i >= 0; i-- {
		for _, f := range r.levels[i].flags {
			if slices.Contains(f.Names(), name) {
				return &r.levels[i], f
			}
		}
	}
	return nil, nil
}

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
