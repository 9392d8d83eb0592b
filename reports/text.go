package reports

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"holdfast/catalog"
)

// TextOptions say how sizes and times are written.
type TextOptions struct {
	// Unit of sizes: "k", "m", "g" or "t", powers of 1024; "k" when empty.
	Unit string
	// Location of the few times in the text; UTC when nil. Dates are those of stamps, and do not depend on it.
	Location *time.Location
}

// maxDetailLines is how many messages of one dump the text shows, as Amanda does; the JSON holds them all.
const maxDetailLines = 100

// Text writes the report in Amanda's layout: its sections in its order, with one added where dumps are left on the
// holding disk.
func Text(w io.Writer, r Report, o TextOptions) error {
	u, err := parseUnit(o.Unit)
	if err != nil {
		return fmt.Errorf("text report: %w", err)
	}
	p := printer{Report: r, unit: u, loc: o.Location}
	if p.loc == nil {
		p.loc = time.UTC
	}
	p.head()
	p.media()
	p.failures()
	p.strange()
	p.statistics()
	p.usage()
	p.holding()
	p.details("FAILED DUMP DETAILS", catalog.StatusFailed)
	p.details("STRANGE DUMP DETAILS", catalog.StatusStrange)
	p.hooks()
	p.notes()
	p.summary()
	p.printf("\n(brought to you by %s)\n", strings.TrimSuffix("holdfast version "+oneLine(r.Head.Version), " version "))
	_, err = io.WriteString(w, p.out.String())
	return err
}

// printer writes one report as text.
type printer struct {
	Report
	unit unit
	loc  *time.Location
	out  strings.Builder
}

// printf writes without trailing blanks, line by line.
func (p *printer) printf(format string, args ...any) {
	for line := range strings.Lines(fmt.Sprintf(format, args...)) {
		text, ended := strings.CutSuffix(line, "\n")
		p.out.WriteString(strings.TrimRight(text, " "))
		if ended {
			p.out.WriteByte('\n')
		}
	}
}

func (p *printer) title(t string) { p.printf("\n\n%s:\n", t) }

func (p *printer) time(t time.Time) string { return t.In(p.loc).Format("2006-01-02 15:04:05 MST") }

func (p *printer) head() {
	h := p.Head
	switch {
	case h.Status == RunAborted:
		p.printf("*** THE DUMPS DID NOT FINISH PROPERLY!\nThe last sign of life is of %s.\n\n", p.time(h.LastEvent))
	case h.Cancelled:
		p.printf("*** THE RUN WAS CANCELLED at %s.\n\n", p.time(h.LastEvent))
	case h.Status == RunRunning:
		p.printf("*** THE RUN IS STILL GOING ON. This is its state of %s.\n\n", p.time(h.LastEvent))
	}
	p.printf("Hostname: %s\nOrg     : %s\nConfig  : %s\nDate    : %s\n", oneLine(h.Host), oneLine(h.Org), oneLine(h.Config), h.Date)
}

// media says which volumes were used and which are next, and what went wrong with them.
func (p *printer) media() {
	var b strings.Builder
	several := len(p.Storages) > 1
	for _, s := range p.Storages {
		b.WriteString(usedText(p.Head.Command, s, several))
	}
	for _, s := range p.Storages {
		for _, e := range s.Errors {
			fmt.Fprintf(&b, "*** A TAPE ERROR OCCURRED%s: [%s].\n", storageText(" on", s.Storage, several), oneLine(e))
		}
	}
	if p.Head.Degraded != "" {
		fmt.Fprintf(&b, "*** DEGRADED: no volume could be written for some dumps: [%s].\n", oneLine(p.Head.Degraded))
	}
	b.WriteString(p.holdingRemark())
	for _, s := range p.Storages {
		b.WriteString(nextText(s, several))
	}
	if b.Len() > 0 {
		p.printf("\n%s", b.String())
	}
}

func storageText(word, storage string, several bool) string {
	if !several {
		return ""
	}
	return fmt.Sprintf("%s storage '%s'", word, oneLine(storage))
}

func usedText(command string, s StorageUse, several bool) string {
	if len(s.Used) == 0 {
		return ""
	}
	subject := "These dumps%s were to %s %s.\n"
	switch command {
	case "vault":
		subject = "The dumps%s were copied to %s %s.\n"
	case "flush":
		subject = "The dumps%s were flushed to %s %s.\n"
	}
	return fmt.Sprintf(subject, storageText(" to", s.Storage, several), plural(len(s.Used), "tape"), joinLabels(s.Used))
}

func nextText(s StorageUse, several bool) string {
	count := len(s.Next) + s.NextNew
	storage := storageText(" for", s.Storage, several)
	next := []string{}
	if len(s.Next) > 0 {
		next = append(next, joinLabels(s.Next))
	}
	if s.NextNew > 0 {
		next = append(next, fmt.Sprintf("%d new %s", s.NextNew, plural(s.NextNew, "tape")))
	}
	switch {
	case !s.NextKnown:
		return ""
	case count == 0:
		return fmt.Sprintf("*** THE NEXT RUN HAS NO TAPE TO USE%s: add new ones.\n", storage)
	case count == 1:
		return fmt.Sprintf("The next tape holdfast expects to use%s is: %s.\n", storage, strings.Join(next, ", "))
	}
	return fmt.Sprintf("The next %d tapes holdfast expects to use%s are: %s.\n", count, storage, strings.Join(next, ", "))
}

func (p *printer) holdingRemark() string {
	if len(p.Holding.Dumps) == 0 {
		return ""
	}
	if !p.Holding.Known {
		return "Some dumps may have been left in the holding disk: they are listed below.\n"
	}
	return fmt.Sprintf("There are %s of dumps left in the holding disk: they are listed below.\n", p.unit.sized(p.Holding.Bytes)) +
		"The next run flushes them; holdfast flush does so at once.\n"
}

func (p *printer) strange() {
	failed := p.strangeHooks()
	if len(p.Strange)+len(failed) == 0 {
		return
	}
	p.title("STRANGE DUMP SUMMARY")
	for _, d := range p.Strange {
		p.printf("  %s  STRANGE (see below)\n", p.dump(d))
	}
	for _, h := range failed {
		p.printf("  %s  HOOK FAILED (see below)\n", hookName(h))
	}
}

// dump names a dump as Amanda does: `host disk lev N`, with the date of a dump of an earlier run.
func (p *printer) dump(d DumpRef) string {
	date := ""
	if d.Stamp != p.Head.Stamp {
		date = " date " + string(d.Stamp)
	}
	return fmt.Sprintf("%s %s%s lev %d", quoted(d.DLE.VM), quoted(d.DLE.Disk), date, d.Level)
}

func (p *printer) failures() {
	if len(p.Failures) == 0 {
		return
	}
	p.title("FAILURE DUMP SUMMARY")
	for _, f := range p.Failures {
		p.printf("  %s\n", p.failure(f))
		if f.Hint != "" {
			p.printf("    hint: %s\n", oneLine(f.Hint))
		}
	}
}

func (p *printer) failure(f Failure) string {
	text := oneLine(f.Text)
	if f.Dump == nil {
		if f.Storage != "" && len(p.Storages) > 1 {
			text = fmt.Sprintf("storage '%s': %s", oneLine(f.Storage), text)
		}
		return fmt.Sprintf("%s: ERROR %s", oneLine(f.Program), text)
	}
	dump := p.dump(*f.Dump)
	switch {
	case f.Kind == FailureMissing:
		return fmt.Sprintf("%s  RESULTS MISSING [%s]", dump, text)
	case f.Kind == FailureLate:
		return fmt.Sprintf("%s  FULL DUMP IS LATE [%s]", dump, text)
	case f.Kind == FailureRetried:
		return fmt.Sprintf("%s  %s%s", dump, text, storageText(" to", f.Storage, f.Storage != "" && len(p.Storages) > 1))
	case f.Storage != "":
		return dump + "  " + p.copyFailure(f, text)
	case f.Kind == FailureWillRetry:
		return fmt.Sprintf("%s  FAILED [%s] Will retry", dump, text)
	}
	return fmt.Sprintf("%s  FAILED [%s]", dump, text)
}

func (p *printer) copyFailure(f Failure, text string) string {
	storage := storageText(" to", f.Storage, len(p.Storages) > 1)
	safe := ""
	if f.Held {
		safe = "; safe on the holding disk"
	}
	if f.Elsewhere {
		safe = "; whole on other volumes"
	}
	switch {
	case f.Parts > 0:
		return fmt.Sprintf("partial taper%s: %s%s", storage, text, safe)
	case f.Dump.Stamp != p.Head.Stamp:
		return fmt.Sprintf("FLUSH%s [%s]%s", storage, text, safe)
	}
	return fmt.Sprintf("FAILED taper%s [%s]%s", storage, text, safe)
}

func (p *printer) details(title string, status catalog.Status) {
	begun := false
	for _, d := range p.Details {
		if d.Status != status {
			continue
		}
		if !begun {
			p.title(title)
			begun = true
		}
		reason := ""
		if d.Text != "" {
			reason = fmt.Sprintf(" [%s]", oneLine(d.Text))
		}
		p.printf("  /-- %s %s%s\n", p.dump(d.Dump), strings.ToUpper(string(status)), reason)
		for i, line := range messageLines(d.Messages) {
			if i == maxDetailLines {
				p.printf("  [more lines: see the report as JSON]\n")
				break
			}
			p.printf("  ? %s\n", line)
		}
		p.printf("  \\--------\n")
	}
}

func messageLines(messages []string) []string {
	var lines []string
	for _, m := range messages {
		for line := range strings.Lines(m) {
			lines = append(lines, oneLine(line))
		}
	}
	return lines
}

func (p *printer) notes() {
	if len(p.Notes) == 0 {
		return
	}
	p.title("NOTES")
	for _, n := range p.Notes {
		p.printf("  %s: %s\n", oneLine(n.Program), oneLine(n.Text))
	}
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

func joinLabels(labels []catalog.Label) string {
	words := make([]string, 0, len(labels))
	for _, l := range labels {
		words = append(words, oneLine(string(l)))
	}
	return strings.Join(words, ", ")
}

// oneLine makes text safe for one line of a report: it comes from guests' names and from other programs.
func oneLine(s string) string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return strings.TrimSpace(clean)
}

// quoted writes a name as it is where that is one plain word, and in quotes otherwise.
func quoted(name string) string {
	plain := name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == '"'
	})
	if plain {
		return name
	}
	return strconv.Quote(name)
}
