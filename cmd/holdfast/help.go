package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// settle gives every command what all have in common: names are refused where none are taken, mistakes in flags are
// mistakes of usage, and help shows no defaults that say nothing.
func settle(commands []*cli.Command) {
	for _, c := range commands {
		c.HideHelpCommand = true // "help" would hide a VM of that name
		c.OnUsageError = func(_ *cli.Context, err error, _ bool) error { return usagef("%s", flagFault(err)) }
		for _, f := range c.Flags {
			if b, ok := f.(*cli.BoolFlag); ok {
				b.DisableDefaultText = true
			}
		}
		if c.ArgsUsage == "" && len(c.Subcommands) == 0 {
			c.Action = noNames(c.Action)
		}
		settle(c.Subcommands)
	}
}

func noNames(do cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.NArg() > 0 {
			return usagef("%s takes no names, only flags: %q", commandPath(c), c.Args().First())
		}
		return do(c)
	}
}

// commandPath is what was called, without the program: "dle list".
func commandPath(c *cli.Context) string {
	_, path, _ := strings.Cut(c.Command.HelpName, " ")
	return path
}

// flagFault makes the message of Go's flag package one of ours.
func flagFault(err error) string {
	text := strings.NewReplacer(" for flag -", " for --", " for -", " for --", ": parse error", "").Replace(err.Error())
	return strings.ReplaceAll(text, "boolean value", "yes or no")
}

// group answers a call of a command that is only a name for others.
func (a *app) group(c *cli.Context) error {
	if name := c.Args().First(); name != "" {
		return unknownCommand(c.Command.Subcommands, name)
	}
	return cli.ShowSubcommandHelp(c)
}

// noCommand answers a call without a command, or with one that is not there.
func (a *app) noCommand(c *cli.Context) error {
	if name := c.Args().First(); name != "" {
		return unknownCommand(c.App.Commands, name)
	}
	return cli.ShowAppHelp(c)
}

func (a *app) helpCommand() *cli.Command {
	return &cli.Command{
		Name: "help", Usage: "the help of a command, as its --help", ArgsUsage: "[COMMAND ...]",
		Description: "EXAMPLES\n   holdfast help restore\n   holdfast help dle force",
		Action: func(c *cli.Context) error {
			commands := c.App.Commands
			for _, name := range c.Args().Slice() {
				next := commandNamed(commands, name)
				if next == nil {
					return unknownCommand(commands, name)
				}
				commands = next.Subcommands
			}
			words := append([]string{c.App.Name}, c.Args().Slice()...)
			return c.App.RunContext(c.Context, append(words, "--help"))
		},
	}
}

func commandNamed(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

func (a *app) versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the version", Description: "EXAMPLES\n   holdfast version",
		Action: func(*cli.Context) error {
			fmt.Fprintf(a.stdout, "holdfast %s\n", version)
			return nil
		},
	}
}
