package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"holdfast/configs"
)

// completeWords is the call by which the scripts of completionScripts ask for the words that may come next.
const completeWords = "__complete"

// completionScripts ask the program itself, so that names of VMs and labels can be completed too. Where it knows
// nothing the shell completes file names.
var completionScripts = map[string]string{
	"bash": `# holdfast completion for bash: source it, or put it into /usr/share/bash-completion/completions/holdfast
_holdfast() {
    local cur words
    # Take the line apart at blanks alone: VM:DISK is one word.
    _get_comp_words_by_ref -n : cur words 2>/dev/null || { cur=${COMP_WORDS[COMP_CWORD]}; words=("${COMP_WORDS[@]}"); }
    local IFS=$'\n'
    COMPREPLY=($(compgen -W "$(holdfast ` + completeWords + ` "${words[@]:1}" 2>/dev/null)" -- "$cur"))
    declare -F __ltrim_colon_completions >/dev/null && __ltrim_colon_completions "$cur"
}
complete -o bashdefault -o default -F _holdfast holdfast
`,
	"zsh": `#compdef holdfast
# holdfast completion for zsh: put it into a directory of $fpath as _holdfast
_holdfast() {
    local -a answers
    answers=("${(@f)$(holdfast ` + completeWords + ` "${(@)words[2,$CURRENT]}" 2>/dev/null)}")
    if [[ -n "${answers[1]}" ]]; then compadd -- "${answers[@]}"; else _files; fi
}
if [ "$funcstack[1]" = "_holdfast" ]; then _holdfast "$@"; else compdef _holdfast holdfast; fi
`,
	"fish": `# holdfast completion for fish: put it into ~/.config/fish/completions/holdfast.fish
complete -c holdfast -a '(holdfast ` + completeWords + ` (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
`,
}

func (a *app) completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print a script that completes commands, VMs and labels in a shell", ArgsUsage: usageShells,
		Description: `EXAMPLES
   holdfast completion bash > /usr/share/bash-completion/completions/holdfast
   holdfast completion zsh > /usr/share/zsh/site-functions/_holdfast
   holdfast completion fish > ~/.config/fish/completions/holdfast.fish`,
		Action: func(c *cli.Context) error {
			script, ok := completionScripts[c.Args().First()]
			if !ok || c.NArg() != 1 {
				return usagef("completion wants one of bash, zsh, fish")
			}
			_, err := fmt.Fprint(a.stdout, script)
			return err
		},
	}
}

// complete prints the words that may stand for the last of these, one a line; nothing where the shell knows better.
func (a *app) complete(ctx context.Context, words []string) {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	r := newReordering(a.command())
	for i, before := 0, words[:len(words)-1]; i < len(before); i++ {
		if !isFlag(before[i]) {
			r.name(before[i])
			continue
		}
		taken, err := r.flag(before[i], before[i+1:])
		if err != nil {
			return // its value comes next: a file, a time
		}
		i += taken
	}
	for _, word := range r.candidates(ctx, last) {
		if strings.HasPrefix(word, last) {
			fmt.Fprintln(a.stdout, word)
		}
	}
}

// candidates are the flags, commands or names that may come next.
func (r *reordering) candidates(ctx context.Context, last string) []string {
	var words []string
	switch {
	case strings.HasPrefix(last, "-"):
		words = append(words, "--help")
		for _, l := range r.levels {
			for _, f := range l.flags {
				words = append(words, "--"+f.Names()[0])
			}
		}
	case len(r.commands) > 0:
		for _, c := range r.commands {
			if !c.Hidden {
				words = append(words, c.Name)
			}
		}
	default:
		words = r.knownNames(ctx)
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// What commands take as names, in their usage and for completion.
const (
	usageShells  = "bash|zsh|fish"
	usageAnyDLEs = "[VM|VM:DISK ...]"
	usageDLEs    = "VM|VM:DISK ..."
	usageDisk    = "VM [DISK]"
	usageRun     = "[RUN]"
	usageLabel   = "LABEL"
	usageVaults  = "[STORAGE ...]"
)

// knownNames are the names that the innermost command takes.
func (r *reordering) knownNames(ctx context.Context) []string {
	command := r.levels[len(r.levels)-1].command
	if command == nil {
		return nil
	}
	if command.ArgsUsage == usageShells {
		return strings.Split(usageShells, "|")
	}
	cfg, err := configs.Load(r.configPath(), os.ReadFile)
	if err != nil {
		return nil
	}
	switch command.ArgsUsage {
	case usageAnyDLEs, usageDLEs:
		return cfg.Names()
	case usageVaults:
		return vaultNames(cfg)
	case usageDisk:
		return r.diskNames(cfg)
	case usageRun, usageLabel:
		return catalogNames(ctx, cfg, command.ArgsUsage)
	}
	return nil
}

// diskNames are VMs, and after the VM its disks.
func (r *reordering) diskNames(cfg *configs.Config) []string {
	var words []string
	for _, d := range cfg.DLEs {
		switch {
		case len(r.names) == 0:
			words = append(words, d.VM)
		case len(r.names) == 1 && r.names[0] == d.VM:
			words = append(words, d.Disk)
		}
	}
	return words
}

func catalogNames(ctx context.Context, cfg *configs.Config, usage string) []string {
	store, err := openStore(ctx, cfg, false)
	if err != nil {
		return nil
	}
	defer store.Close()
	var words []string
	if usage == usageRun {
		runs, _ := store.Runs(ctx, 0) // no names are an answer too
		for _, run := range runs {
			words = append(words, string(run.Stamp))
		}
		return words
	}
	volumes, _ := store.Volumes(ctx, "")
	for _, v := range volumes {
		words = append(words, string(v.Label))
	}
	return words
}

// configPath is the configuration that the words of the call name.
func (r *reordering) configPath() string {
	path := cmp.Or(os.Getenv(configEnv), defaultConfigPath)
	given := r.levels[0].given
	for i, word := range given {
		name, value, hasValue := strings.Cut(strings.TrimLeft(word, "-"), "=")
		switch {
		case name != configFlag && name != configShort:
		case hasValue:
			path = value
		case i+1 < len(given):
			path = given[i+1]
		}
	}
	return path
}
