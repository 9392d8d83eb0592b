package reports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"holdfast/catalog"
)

// statisticsRow is one line of STATISTICS: total, full and incremental, and the counts by level.
type statisticsRow struct {
	label  string
	cells  [3]string
	levels []LevelCount
}

func (p *printer) statistics() {
	rows := p.statisticsRows()
	width := 9 // Amanda's; it grows with the numbers
	for _, r := range rows {
		for _, c := range r.cells {
			width = max(width, len(c))
		}
	}
	p.title("STATISTICS")
	p.printf("%23s%s  %s  %s  Level:#\n", "", padLeft("Total ", width), padLeft("Full ", width), padLeft("Incr. ", width))
	rule := " " + strings.Repeat("-", width-1)
	p.printf("%23s%s  %s  %s  --------\n", "", rule, rule, rule)
	for _, r := range rows {
		p.printf("%-23s%s  %s  %s  %s\n", r.label, padLeft(r.cells[0], width), padLeft(r.cells[1], width),
			padLeft(r.cells[2], width), levelList(r.levels))
	}
}

func (p *printer) statisticsRows() []statisticsRow {
	s := p.Statistics
	capacity := float64(s.CapacityBytes)
	return []statisticsRow{
		{label: "Estimate Time (hrs:min)", cells: [3]string{hoursMinutes(s.EstimateSeconds)}},
		{label: "Run Time (hrs:min)", cells: [3]string{hoursMinutes(s.RunSeconds)}},
		s.Dumped.row("Dump Time (hrs:min)", nil, func(t Tally) string { return hoursMinutes(t.Seconds) }),
		s.Dumped.row("Output Size (meg)", nil, func(t Tally) string { return megabytes(t.OutputBytes) }),
		s.Dumped.row("Original Size (meg)", nil, func(t Tally) string { return megabytes(t.OriginalBytes) }),
		s.Dumped.row("Avg Compressed Size (%)", nil, func(t Tally) string {
			return ratio(100*float64(t.OutputBytes), float64(t.OriginalBytes))
		}),
		s.Dumped.row("DLEs Dumped", s.Dumped.Levels, func(t Tally) string { return fmt.Sprint(t.Count) }),
		s.Dumped.row("Avg Dump Rate (k/s)", nil, Tally.rate),
		{},
		s.Taped.row("Tape Time (hrs:min)", nil, func(t Tally) string { return hoursMinutes(t.Seconds) }),
		s.Taped.row("Tape Size (meg)", nil, func(t Tally) string { return megabytes(t.OutputBytes) }),
		s.Taped.row("Tape Used (%)", nil, func(t Tally) string { return ratio(100*float64(t.OutputBytes), capacity) }),
		s.Taped.row("DLEs Taped", s.Taped.Levels, func(t Tally) string { return fmt.Sprint(t.Count) }),
		s.Taped.row("Parts Taped", s.Taped.PartLevels, func(t Tally) string { return fmt.Sprint(t.Parts) }),
		s.Taped.row("Avg Tp Write Rate (k/s)", nil, Tally.rate),
	}
}

func (s Split) row(label string, levels []LevelCount, cell func(Tally) string) statisticsRow {
	return statisticsRow{label, [3]string{cell(s.Total), cell(s.Full), cell(s.Incr)}, levels}
}

func (t Tally) rate() string { return wideRatio(float64(t.OutputBytes)/1024, t.Seconds) }

func megabytes(sizeBytes int64) string { return fmt.Sprintf("%.1f", float64(sizeBytes)/(1<<20)) }

func levelList(levels []LevelCount) string {
	words := make([]string, 0, len(levels))
	for _, l := range levels {
		words = append(words, fmt.Sprintf("%d:%d", l.Level, l.Count))
	}
	return strings.Join(words, " ")
}

func (p *printer) usage() {
	if len(p.Usage) == 0 {
		return
	}
	rows := [][]string{{"Label", "Time", "Size", "%", "DLEs", "Parts"}}
	usage := p.usageByStorage()
	for _, v := range usage {
		rows = append(rows, []string{oneLine(string(v.Label)), hoursMinutes(v.Seconds), p.unit.sized(v.Bytes),
			ratio(100*float64(v.Bytes), float64(v.CapacityBytes)), fmt.Sprint(v.Dumps), fmt.Sprint(v.Parts)})
	}
	widths := []int{19, 5, 11, 5, 4, 5}
	grow(widths, rows)
	p.title("USAGE BY TAPE")
	for i, r := range rows {
		if i > 0 && len(p.Storages) > 1 && (i == 1 || usage[i-1].Storage != usage[i-2].Storage) {
			p.printf("  storage '%s':\n", oneLine(usage[i-1].Storage))
		}
		p.printf("  %s  %s  %s  %s  %s %s\n", padRight(r[0], widths[0]), padLeft(r[1], widths[1]), padLeft(r[2], widths[2]),
			padLeft(r[3], widths[3]), padLeft(r[4], widths[4]), padLeft(r[5], widths[5]))
	}
}

// usageByStorage gives the volumes with those of each storage together, in the order of the storages.
func (p *printer) usageByStorage() []VolumeUse {
	rank := func(v VolumeUse) int {
		return slices.IndexFunc(p.Storages, func(s StorageUse) bool { return s.Storage == v.Storage })
	}
	return slices.SortedStableFunc(slices.Values(p.Usage), func(a, b VolumeUse) int { return cmp.Compare(rank(a), rank(b)) })
}

// holding lists what is left on the holding disk: Amanda shows it only as blank columns.
func (p *printer) holding() {
	if len(p.Holding.Dumps) == 0 {
		return
	}
	rows := [][]string{{"HOSTNAME", "DISK", "DATE", "L", "SIZE"}}
	for _, d := range p.Holding.Dumps {
		rows = append(rows, []string{quoted(d.DLE.VM), quoted(d.DLE.Disk), string(d.Stamp), fmt.Sprint(d.Level), p.unit.sized(d.Bytes)})
	}
	widths := []int{12, 11, 14, 1, 11}
	grow(widths, rows)
	p.title("DUMPS LEFT IN THE HOLDING DISK")
	for _, r := range rows {
		p.printf("  %s %s %s %s %s\n", padRight(r[0], widths[0]), padRight(r[1], widths[1]), padRight(r[2], widths[2]), r[3], padLeft(r[4], widths[4]))
	}
}

// Columns of DUMP SUMMARY, in order.
const (
	colHost = iota
	colDisk
	colLevel
	colOrig
	colOut
	colComp
	colDumpTime
	colDumpRate
	colTapeTime
	colTapeRate
	columnCount
)

// summaryLine is one line of DUMP SUMMARY. The marks replace cells: dumper the two of the dumper, taper the two of the
// taper, rule all from the level on; trailing follows the last column.
type summaryLine struct {
	cells                         [columnCount]string
	dumper, taper, trailing, rule string
}

func (p *printer) summary() {
	title := summaryLine{cells: [columnCount]string{"HOSTNAME", "DISK", "L", "ORIG-" + p.unit.letter + "B",
		"OUT-" + p.unit.letter + "B", "COMP%", "MMM:SS", "KB/s", "MMM:SS", "KB/s"}}
	var lines []summaryLine
	for _, r := range p.Summary {
		lines = append(lines, p.summaryLines(r)...)
	}
	widths := []int{12, 11, 1, 7, 7, 6, 7, 6, 6, 6}
	for _, l := range append(lines, title) {
		grow(widths, [][]string{l.cells[:]})
	}
	p.title("DUMP SUMMARY")
	front := widths[colHost] + 1 + widths[colDisk] + 1 + widths[colLevel]
	sizes := widths[colOrig] + 1 + widths[colOut] + 1 + widths[colComp]
	dumper := widths[colDumpTime] + 1 + widths[colDumpRate]
	taper := widths[colTapeTime] + 1 + widths[colTapeRate]
	p.printf("%*s%s %s\n", front+1+sizes+1, "", centred("DUMPER STATS", dumper), centred("TAPER STATS", taper))
	p.printf("%s\n", title.text(widths))
	p.printf("%s %s %s %s\n", strings.Repeat("-", front), strings.Repeat("-", sizes), strings.Repeat("-", dumper), strings.Repeat("-", taper))
	for _, l := range lines {
		p.printf("%s\n", l.text(widths))
	}
}

// summaryLines gives the line of a row, and one more for each further storage.
func (p *printer) summaryLines(r Row) []summaryLine {
	line := summaryLine{}
	line.cells[colHost], line.cells[colDisk] = quoted(r.DLE.VM), quoted(r.DLE.Disk)
	switch r.Status {
	case RowMissing, RowSkipped, RowPending:
		line.rule = strings.ToUpper(string(r.Status))
		return []summaryLine{line}
	case RowFailed:
		line.dumper = "FAILED"
	case RowFlush:
		line.dumper = "FLUSH"
	case RowVault:
		line.dumper = "VAULT"
	case RowNotFlushed:
		line.dumper = "NOT FLUSHED"
	}
	if r.Status != RowFailed {
		line.cells[colLevel] = fmt.Sprint(r.Level)
	}
	p.sizeCells(&line, r)
	lines := []summaryLine{line}
	for i, c := range r.Copies {
		if i > 0 {
			lines = append(lines, summaryLine{dumper: copyMark(c.Storage)})
		}
		lines[i].copyCells(c)
	}
	return lines
}

// copyMark stands where the dumper's figures would, in the line of a further copy: which storage it went to. Amanda says VAULT there
// whatever the storage is.
func copyMark(storage string) string {
	const widest = 14 // the two columns of the dumper
	mark := "to " + oneLine(storage)
	if letters := []rune(mark); len(letters) > widest {
		mark = string(letters[:widest-1]) + "~"
	}
	return mark
}

func (p *printer) sizeCells(line *summaryLine, r Row) {
	if r.OrigBytes != nil {
		line.cells[colOrig] = p.unit.number(*r.OrigBytes)
	}
	if r.OutBytes != nil {
		line.cells[colOut] = p.unit.number(*r.OutBytes)
	}
	if r.OrigBytes != nil && r.OutBytes != nil {
		line.cells[colComp] = compression(*r.OutBytes, *r.OrigBytes)
	}
	if r.Seconds != nil && line.dumper == "" {
		line.cells[colDumpTime] = minutesSeconds(*r.Seconds)
		if r.OutBytes != nil {
			line.cells[colDumpRate] = kiloRate(*r.OutBytes, *r.Seconds)
		}
	}
}

func (l *summaryLine) copyCells(c RowCopy) {
	switch c.Status {
	case catalog.StatusFailed:
		l.taper = "FAILED"
		return
	case catalog.StatusPartial:
		l.trailing = "PARTIAL"
	}
	l.cells[colTapeTime], l.cells[colTapeRate] = minutesSeconds(c.Seconds), kiloRate(c.Bytes, c.Seconds)
}

func (l summaryLine) text(widths []int) string {
	cells := make([]string, columnCount)
	for i, c := range l.cells {
		if i <= colLevel {
			cells[i] = padRight(c, widths[i])
		} else {
			cells[i] = padLeft(c, widths[i])
		}
	}
	if l.rule != "" {
		rest := widths[colLevel] + 1
		for _, w := range widths[colOrig:] {
			rest += w + 1
		}
		return cells[colHost] + " " + cells[colDisk] + " " + l.rule + " " + strings.Repeat("-", max(0, rest-len(l.rule)-2))
	}
	front := strings.Join(cells[:colDumpTime], " ")
	dumper := strings.Join(cells[colDumpTime:colTapeTime], " ")
	taper := strings.Join(cells[colTapeTime:], " ")
	if l.dumper != "" {
		dumper = centred(l.dumper, utf8.RuneCountInString(dumper))
	}
	if l.taper != "" {
		taper = centred(l.taper, utf8.RuneCountInString(taper))
	}
	return front + " " + dumper + " " + taper + " " + l.trailing
}

// grow widens columns to their widest cells.
func grow(widths []int, rows [][]string) {
	for _, r := range rows {
		for i, c := range r {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
}

func padLeft(s string, width int) string {
	return strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s))) + s
}

func padRight(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

func centred(s string, width int) string {
	left := max(0, width-utf8.RuneCountInString(s)) / 2
	return padRight(strings.Repeat(" ", left)+s, width)
}
