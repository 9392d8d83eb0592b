package configs

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Hook is a program that is run before or after something.
type Hook struct {
	Name      string      `yaml:"name,omitempty" doc:"What it is called in reports; the name of its program if nothing is said here."`
	When      []HookEvent `yaml:"when" jsonschema:"required" doc:"When it is run, one or more of: pre- or post-, then nothing (once a run), host- or dle-, then check, estimate, backup or restore; so pre-backup, post-host-estimate, pre-dle-backup."`
	Command   []string    `yaml:"command" jsonschema:"required" doc:"The program in full, and its arguments, as a list of words. There is no shell."`
	Order     int         `yaml:"order" doc:"Of several hooks of one moment the lowest comes first, before and after; at the same order, those of the whole configuration, then of the host, the dump type, the DLE."`
	Timeout   Duration    `yaml:"timeout" doc:"It is ended when it takes longer, with all that it started, and has failed."`
	OnFailure HookFailure `yaml:"on-failure" doc:"What follows when a pre hook fails: stop, what it was run before is not done and has failed; continue, it is done, and the report shows the failure."`
}

// Host is what is set for one virtual machine and all its disks.
type Host struct {
	VM    string `yaml:"vm" jsonschema:"required" doc:"Name of the virtual machine, as in the disk list."`
	Hooks []Hook `yaml:"hooks,omitempty" doc:"Hooks of this machine, with host- or dle- in their words."`
}

// HookEvent is when a hook is run, as `pre-dle-backup`.
type HookEvent string

// HookLevel is what a hook is run for: a whole run, a host of it, a DLE.
type HookLevel string

// HookMoment is what a hook is run before or after.
type HookMoment string

// HookFailure is what follows when a pre hook fails.
type HookFailure string

// The levels, moments and words of on-failure.
const (
	HookRun  HookLevel = ""
	HookHost HookLevel = "host"
	HookDLE  HookLevel = "dle"

	HookCheck    HookMoment = "check"
	HookEstimate HookMoment = "estimate"
	HookBackup   HookMoment = "backup"
	HookRestore  HookMoment = "restore"

	HookStop     HookFailure = "stop"
	HookContinue HookFailure = "continue"
)

// Pre is the event before a moment, Post the one after it.
func Pre(l HookLevel, m HookMoment) HookEvent { return hookEvent("pre", l, m) }

// Post is the event after a moment.
func Post(l HookLevel, m HookMoment) HookEvent { return hookEvent("post", l, m) }

func hookEvent(word string, l HookLevel, m HookMoment) HookEvent {
	if l != HookRun {
		word += "-" + string(l)
	}
	return HookEvent(word + "-" + string(m))
}

func (HookEvent) words() []string {
	var all []string
	for _, l := range []HookLevel{HookRun, HookHost, HookDLE} {
		for _, m := range []HookMoment{HookCheck, HookEstimate, HookBackup, HookRestore} {
			all = append(all, string(Pre(l, m)), string(Post(l, m)))
		}
	}
	return all
}

// Level gives what the event is about.
func (e HookEvent) Level() HookLevel {
	words := strings.Split(string(e), "-")
	if len(words) != 3 {
		return HookRun
	}
	return HookLevel(words[1])
}

// Moment gives what the event is before or after.
func (e HookEvent) Moment() HookMoment {
	return HookMoment(e[strings.LastIndexByte(string(e), '-')+1:])
}

// UnmarshalText takes a word like pre-dle-backup.
func (e *HookEvent) UnmarshalText(text []byte) error {
	if !slices.Contains(e.words(), string(text)) {
		return problem{
			Message: fmt.Sprintf("%q is no time to run a hook at", text),
			Hint: cmp.Or(didYouMean(string(text), e.words()),
				"it is pre- or post-, then nothing, host- or dle-, then check, estimate, backup or restore"),
		}
	}
	*e = HookEvent(text)
	return nil
}

func (HookFailure) words() []string { return []string{"stop", "continue"} }

// UnmarshalText takes stop or continue.
func (f *HookFailure) UnmarshalText(text []byte) error { return oneOf(f, text) }

const (
	// defaultHookOrder is Amanda's: there is room before and after.
	defaultHookOrder = 5000
	// defaultHookTimeout is long for anything but the dump of a database, and short beside a night.
	defaultHookTimeout = 10 * minute
)

func (h *Hook) defaults() {
	h.Order, h.Timeout, h.OnFailure = defaultHookOrder, defaultHookTimeout, HookStop
}

// Title is the hook's name, or that of its program.
func (h Hook) Title() string {
	if h.Name == "" && len(h.Command) > 0 {
		return filepath.Base(h.Command[0])
	}
	return h.Name
}

// At tells whether the hook is run at an event.
func (h Hook) At(e HookEvent) bool { return slices.Contains(h.When, e) }

// HooksOf gives the hooks before and after a moment in the order in which they are run. Of d only VM counts for a host, and
// nothing for a run. A DLE that is not in the disk list, as of a dump that is restored, needs no more than VM.
func (c *Config) HooksOf(l HookLevel, m HookMoment, d DLE) []Hook {
	all := slices.Clone(c.Hooks)
	for _, h := range c.Hosts {
		if h.VM == d.VM && l != HookRun {
			all = append(all, h.Hooks...)
		}
	}
	if l == HookDLE {
		all = append(append(all, c.TypeOf(d).Hooks...), d.Hooks...)
	}
	all = slices.DeleteFunc(all, func(h Hook) bool { return !h.At(Pre(l, m)) && !h.At(Post(l, m)) })
	slices.SortStableFunc(all, func(a, b Hook) int { return cmp.Compare(a.Order, b.Order) })
	return all
}

// AllHooks gives every hook of the configuration once for each place where it stands.
func (c *Config) AllHooks() []Hook {
	all := slices.Clone(c.Hooks)
	for _, h := range c.Hosts {
		all = append(all, h.Hooks...)
	}
	seen := map[string]bool{}
	for _, d := range c.DLEs {
		all = append(all, d.Hooks...)
		if !seen[d.Type] {
			seen[d.Type] = true
			all = append(all, c.TypeOf(d).Hooks...)
		}
	}
	return all
}
