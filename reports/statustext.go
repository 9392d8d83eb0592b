package reports

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// StatusText writes the status in the manner of amstatus: a line for each dump, then sums by state.
func StatusText(w io.Writer, s StatusReport, o TextOptions) error {
	u, err := parseUnit(o.Unit)
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	u.letter = strings.ToLower(u.letter)
	p := printer{unit: u, loc: o.Location}
	if p.loc == nil {
		p.loc = time.UTC
	}
	p.statusHead(s)
	p.statusDriver(s)
	p.statusStorages(s)
	p.statusDumps(s)
	p.statusTotals(s)
	p.statusVolumes(s)
	_, err = io.WriteString(w, p.out.String())
	return err
}

func (p *printer) statusHead(s StatusReport) {
	h := s.Head
	p.printf("Using: %s %s of config %s on %s\n", h.Command, h.Stamp, quoted(h.Config), quoted(h.Host))
	p.printf("From %s\n", h.Started.In(p.loc).Format(time.UnixDate))
	switch {
	case h.Status == RunAborted:
		p.printf("*** THE RUN ENDED WITHOUT A WORD; its last sign of life is of %s.\n", p.time(h.LastEvent))
	case h.Cancelled:
		p.printf("Cancelled at %s, exit status %d\n", p.time(h.LastEvent), h.ExitStatus)
	case h.Status == RunDone:
		p.printf("Finished at %s, exit status %d\n", p.time(h.LastEvent), h.ExitStatus)
	case s.Planning:
		p.printf("Planning for %s (min:sec)\n", minutesSeconds(s.Now.Sub(h.Started).Seconds()))
	default:
		p.printf("Running for %s (min:sec)\n", minutesSeconds(s.Now.Sub(h.Started).Seconds()))
	}
}

// statusDriver says what the driver waits for.
func (p *printer) statusDriver(s StatusReport) {
	d := s.Driver
	if d == nil || d.Waiting == 0 {
		return
	}
	p.printf("Driver: %d %s wait, %s: %s\n", d.Waiting, plural(d.Waiting, "dump"), d.Reason, oneLine(d.Text))
}

// statusStorages has a line for each storage.
func (p *printer) statusStorages(s StatusReport) {
	for _, st := range s.Storages {
		words := string(st.State)
		if st.Text != "" {
			words += ": " + oneLine(st.Text)
		}
		if st.Volumes > 0 {
			words += fmt.Sprintf(" (%d %s, %d %s written, %s)", st.Volumes, plural(st.Volumes, "tape"), st.Dumps, plural(st.Dumps, "dump"), p.unit.sized(st.Bytes))
		}
		p.printf("Storage %s: %s\n", quoted(st.Storage), words)
	}
}

func (p *printer) statusDumps(s StatusReport) {
	rows := [][]string{}
	for _, d := range s.Dumps {
		size := d.EstimateBytes
		if d.State == StateDumped || d.State == StateFlush {
			size = d.Bytes
		}
		rows = append(rows, []string{quoted(d.DLE.String()), string(d.Stamp), fmt.Sprint(d.Level), p.unit.sized(size), p.state(d)})
	}
	widths := []int{0, 14, 1, 10, 0}
	grow(widths, rows)
	p.printf("\n")
	for _, r := range rows {
		p.printf("%s %s %s %s %s\n", padRight(r[0], widths[0]), padRight(r[1], widths[1]), r[2], padLeft(r[3], widths[3]), r[4])
	}
}

// state says in words how far a dump and its copies are.
func (p *printer) state(d DumpStatus) string {
	words := []string{}
	if w := p.dumpState(d); w != "" {
		words = append(words, w)
	}
	for _, c := range d.Copies {
		if d.Direct && c.State == CopyWriting {
			continue // it is the dumping itself
		}
		words = append(words, p.copyState(d, c))
	}
	if d.Held {
		words = append(words, "left on the holding disk")
	}
	return strings.Join(words, ", ")
}

func (p *printer) dumpState(d DumpStatus) string {
	prefix := ""
	if d.Terminated {
		prefix = "terminated while "
	}
	switch d.State {
	case StateWaiting:
		if d.WillRetry {
			return fmt.Sprintf("dump failed: %s; %swaiting for another try%s", oneLine(d.Text), prefix, waitWords(d))
		}
		return prefix + "waiting for dumping" + waitWords(d)
	case StateScanning:
		return prefix + "scanning" + p.done(d)
	case StateDumping:
		if d.Direct {
			return prefix + "dumping to tape" + p.done(d)
		}
		return prefix + "dumping" + p.done(d)
	case StateFailed:
		return fmt.Sprintf("dump failed: %s%s", oneLine(d.Text), p.clock(d.At))
	case StateSkipped:
		return "skipped: " + oneLine(d.Text)
	case StateFlush:
		return ""
	}
	words := "dump done"
	if d.Direct {
		words = "dump to tape done"
	}
	if d.Strange {
		words += " (strange)"
	}
	if len(d.Copies) == 0 || d.Copies[0].State == CopyWaiting {
		words += p.clock(d.At)
	}
	return words
}

// waitWords says why a dump is not begun yet.
func waitWords(d DumpStatus) string {
	if d.WaitReason == "" {
		return ""
	}
	return fmt.Sprintf(", %s: %s", d.WaitReason, oneLine(d.WaitText))
}

func (p *printer) done(d DumpStatus) string {
	if d.TotalBytes <= 0 {
		return ""
	}
	return fmt.Sprintf(" (%s done (%.2f%%))", p.unit.sized(d.DoneBytes), 100*float64(d.DoneBytes)/float64(d.TotalBytes))
}

func (p *printer) copyState(d DumpStatus, c CopyStatus) string {
	doing, done, action := "writing", "written", "write"
	if d.State == StateFlush {
		doing, done, action = "flushing", "flushed", "flush"
	}
	prefix := ""
	if d.Terminated {
		prefix = "terminated while "
	}
	storage := ""
	if len(d.Copies) > 1 {
		storage = fmt.Sprintf("(%s) ", oneLine(c.Storage))
	}
	switch c.State {
	case CopyWaiting:
		return storage + prefix + "waiting for " + doing
	case CopyWriting:
		of := ""
		if d.Bytes > 0 {
			of = fmt.Sprintf(" (%.2f%%)", 100*float64(c.DoneBytes)/float64(d.Bytes))
		}
		return fmt.Sprintf("%s%s%s (%s done%s)", storage, prefix, doing, p.unit.sized(c.DoneBytes), of)
	case CopyFailed:
		partly := ""
		if c.Parts > 0 {
			partly = "partially " + done + ", "
		}
		return fmt.Sprintf("%s%s%s failed: %s%s", storage, partly, action, oneLine(c.Text), p.clock(c.At))
	}
	return storage + done + p.clock(c.At)
}

func (p *printer) clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(p.loc).Format(" (15:04:05)")
}

func (p *printer) statusTotals(s StatusReport) {
	p.printf("\nSUMMARY           dle       real  estimated\n                            size       size\n")
	p.printf("---------------- ----  ---------  ---------\n")
	var planned int64
	for _, t := range s.Totals {
		if t.Name == "estimated" || t.Name == "flush" {
			planned += t.EstimateBytes
		}
	}
	for _, t := range s.Totals {
		switch {
		case t.Name == "disk":
			p.printf("%-16s:%4d\n", t.Name, t.Count)
		case t.Name == "estimated":
			p.printf("%-16s:%4d %10s %10s\n", t.Name, t.Count, "", p.unit.sized(t.EstimateBytes))
		case t.Count == 0:
			p.printf("%-16s:%4d\n", t.Name, t.Count)
		default:
			p.printf("%-16s:%4d %10s %10s (%s%%) (%s%%)\n", t.Name, t.Count, p.unit.sized(t.Bytes), p.unit.sized(t.EstimateBytes),
				percent(t.Bytes, t.EstimateBytes), percent(t.Bytes, planned))
		}
	}
}

// statusVolumes continues the line "taped": what went to which volume.
func (p *printer) statusVolumes(s StatusReport) {
	storage, number := "", 0
	several := false
	for _, v := range s.Volumes {
		several = several || v.Storage != s.Volumes[0].Storage
	}
	for _, v := range s.Volumes {
		if v.Storage != storage {
			storage, number = v.Storage, 0
			if several {
				p.printf("  %-14s:\n", oneLine(storage))
			}
		}
		number++
		p.printf("    %-12s:%4d %10s %10s (%s%%) %s (%d %s)\n", fmt.Sprintf("tape %d", number), v.Dumps, p.unit.sized(v.Bytes), "",
			percent(v.Bytes, v.CapacityBytes), oneLine(string(v.Label)), v.Parts, plural(v.Parts, "part"))
	}
}

func percent(a, b int64) string {
	if b <= 0 {
		return " --.--"
	}
	return fmt.Sprintf("%6.2f", 100*float64(a)/float64(b))
}
