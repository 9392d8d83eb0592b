package reports

import (
	"fmt"
	"strings"

	"holdfast/catalog"
)

// telling gives the hooks that there is something to say of: those that were not ok, and those that wrote something.
func (n *night) telling() []catalog.HookFinished {
	var all []catalog.HookFinished
	for _, h := range n.hooks {
		if h.Outcome != catalog.HookOK || len(h.Output) > 0 {
			all = append(all, h)
		}
	}
	return all
}

// strangeHooks are those that failed: what they were to do is not done, whatever became of the dumps.
func (r Report) strangeHooks() []catalog.HookFinished {
	var all []catalog.HookFinished
	for _, h := range r.Hooks {
		if h.Outcome == catalog.HookFailed {
			all = append(all, h)
		}
	}
	return all
}

// hookName is the hook with its moment and what it was run for: `post-dle-backup thaw, web01 disk0`.
func hookName(h catalog.HookFinished) string {
	name := h.Event + " " + quoted(h.Hook)
	if h.DLE.VM != "" {
		name += ", " + quoted(h.DLE.VM)
	}
	if h.DLE.Disk != "" {
		name += " " + quoted(h.DLE.Disk)
	}
	if h.Left != "" {
		name += ", left by the run of " + string(h.Left)
	}
	return name
}

func (p *printer) hooks() {
	for i, h := range p.Hooks {
		if i == 0 {
			p.title("HOOK DETAILS")
		}
		reason := ""
		if h.Text != "" {
			reason = fmt.Sprintf(" [%s]", oneLine(h.Text))
		}
		p.printf("  /-- %s  %s%s\n", hookName(h), strings.ToUpper(string(h.Outcome)), reason)
		p.hookOutput(h)
		p.printf("  \\--------\n")
	}
}

// hookOutput shows the end of what a hook wrote.
func (p *printer) hookOutput(h catalog.HookFinished) {
	lines := h.Output
	if cut := len(lines) - maxDetailLines; cut > 0 {
		lines = lines[cut:]
		p.printf("  [%d lines before these: see the report as JSON]\n", cut)
	}
	if h.Dropped > 0 {
		p.printf("  [%d lines in their midst were not kept]\n", h.Dropped)
	}
	for _, line := range lines {
		p.printf("  ? %s\n", oneLine(line))
	}
}
