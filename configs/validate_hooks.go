package configs

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxHookTimeout is far longer than a night.
	maxHookTimeout = Duration(24 * time.Hour)
	maxHookOrder   = 1_000_000
	maxHookName    = 64
)

// hooks checks all hooks, each where it stands.
func (k check) hooks() {
	k.hookList("hooks", k.c.Hooks, []HookLevel{HookRun, HookHost, HookDLE}, "")
	known, seen := map[string]bool{}, map[string]bool{}
	for _, d := range k.c.DLEs {
		known[d.VM] = true
	}
	for i, h := range k.c.Hosts {
		path := join("hosts", strconv.Itoa(i))
		if !known[h.VM] {
			k.fail(join(path, "vm"), problem{
				Message: fmt.Sprintf("there is no VM %q in the disk list", h.VM), Hint: didYouMean(h.VM, slices.Sorted(maps.Keys(known))),
			})
		}
		k.must(!seen[h.VM], join(path, "vm"), fmt.Sprintf("%q stands twice", h.VM), "")
		seen[h.VM] = true
		k.hookList(join(path, "hooks"), h.Hooks, []HookLevel{HookHost, HookDLE}, "what is run once a run stands under the hooks of the whole configuration")
	}
	const ofDLE = "what is run once a run or once a host stands under the hooks of the whole configuration, or of the host"
	for _, name := range slices.Sorted(maps.Keys(k.c.DumpTypes)) {
		path := join(join(typesPath, name), "hooks")
		if _, here := k.places[path]; here {
			k.hookList(path, k.c.DumpTypes[name].Hooks, []HookLevel{HookDLE}, ofDLE)
		}
	}
	for i, d := range k.c.DLEs {
		k.hookList(join(join("dles", strconv.Itoa(i)), "hooks"), d.Hooks, []HookLevel{HookDLE}, ofDLE)
	}
}

// hookList checks the hooks of one list, in which hooks of these levels may stand.
func (k check) hookList(path string, list []Hook, levels []HookLevel, elsewhere string) {
	for i, h := range list {
		at := join(path, strconv.Itoa(i))
		k.hook(at, h)
		for n, e := range h.When {
			when := join(join(at, "when"), strconv.Itoa(n))
			k.must(slices.Contains(levels, e.Level()), when, fmt.Sprintf("%s cannot stand here", e), elsewhere)
			k.must(!slices.Contains(h.When[:n], e), when, fmt.Sprintf("%s stands twice", e), "")
		}
	}
}

func (k check) hook(path string, h Hook) {
	k.must(len(h.When) > 0, join(path, "when"), "is empty", "")
	command := join(path, "command")
	switch {
	case len(h.Command) == 0 || h.Command[0] == "":
		k.fail(command, problem{Message: "is empty"})
	case startsAtHome(h.Command[0]):
		k.fail(join(command, "0"), problem{Message: noHome(h.Command[0]), Hint: homeHint})
	case !filepath.IsAbs(h.Command[0]) && strings.ContainsAny(h.Command[0], " \t"):
		k.fail(join(command, "0"), problem{Message: fmt.Sprintf("%q is not a full path", h.Command[0]), Hint: "each word of the command is an entry of the list"})
	case !filepath.IsAbs(h.Command[0]):
		k.fail(join(command, "0"), problem{Message: fmt.Sprintf("%q is not a full path", h.Command[0]), Hint: homeHint})
	}
	k.must(h.Order >= 0 && h.Order <= maxHookOrder, join(path, "order"), fmt.Sprintf("must be 0 to %d", maxHookOrder), "")
	k.must(h.Timeout >= Duration(time.Second) && h.Timeout <= maxHookTimeout, join(path, "timeout"), "must be 1s to 24h", "")
	k.must(len(h.Name) <= maxHookName && strings.TrimSpace(h.Name) == h.Name, join(path, "name"),
		fmt.Sprintf("%q is longer than %d bytes, or has blanks around it", h.Name, maxHookName), "")
}
