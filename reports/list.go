package reports

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"holdfast/catalog"
)

// Table is a table of plain text: columns as wide as their widest cell, two blanks apart.
type Table struct {
	Header []string
	// Right tells for each column whether it is aligned to the right.
	Right []bool
	Rows  [][]string
}

// Write writes the table; nothing but its header when it has no rows. Cells are made safe for one line.
func (t Table) Write(w io.Writer) error {
	rows := [][]string{t.Header}
	for _, r := range t.Rows {
		clean := make([]string, len(r))
		for i, c := range r {
			clean[i] = oneLine(c)
		}
		rows = append(rows, clean)
	}
	widths := make([]int, len(t.Header))
	grow(widths, rows)
	var b strings.Builder
	for _, r := range rows {
		cells := make([]string, len(r))
		for i, c := range r {
			if i < len(t.Right) && t.Right[i] {
				cells[i] = padLeft(c, widths[i])
			} else {
				cells[i] = padRight(c, widths[i])
			}
		}
		b.WriteString(strings.TrimRight(strings.Join(cells, "  "), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Plan is a decided night, for PlanText.
type Plan struct {
	Planned []catalog.Planned
	Skipped []catalog.Skipped
	// CapacityBytes is what the volumes of the run hold; 0 when it is not known.
	CapacityBytes int64
}

// PlanText writes a plan as a table with the reason of each decision, and the sum below it.
func PlanText(w io.Writer, p Plan) error {
	t := Table{Header: []string{"DLE", "LEVEL", "ORIGINAL", "STORED", "REASON"}, Right: []bool{false, true, true, true}}
	var fulls, incrementals int
	var stored int64
	planned := slices.Clone(p.Planned)
	slices.SortStableFunc(planned, func(a, b catalog.Planned) int { return compareDLE(a.DLE, b.DLE) })
	for _, e := range planned {
		reason := e.Reason
		if e.Late {
			reason = "LATE: " + reason
		}
		t.Rows = append(t.Rows, []string{e.DLE.String(), fmt.Sprint(e.Level), size(e.OrigEstimate), size(e.StoredEstimate), reason})
		stored += e.StoredEstimate
		if e.Level == 0 {
			fulls++
		} else {
			incrementals++
		}
	}
	skipped := slices.Clone(p.Skipped)
	slices.SortStableFunc(skipped, func(a, b catalog.Skipped) int { return compareDLE(a.DLE, b.DLE) })
	for _, s := range skipped {
		word := "skipped: "
		if s.Failure {
			word = "FAILED: "
		}
		t.Rows = append(t.Rows, []string{s.DLE.String(), "-", "", "", word + s.Reason})
	}
	if err := t.Write(w); err != nil {
		return err
	}
	of := ""
	if p.CapacityBytes > 0 {
		of = fmt.Sprintf(" of %s (%.0f%%)", size(p.CapacityBytes), 100*float64(stored)/float64(p.CapacityBytes))
	}
	_, err := fmt.Fprintf(w, "\n%d full, %d incremental, %d without a dump: %s%s to be written.\n",
		fulls, incrementals, len(skipped), size(stored), of)
	return err
}

func compareDLE(a, b catalog.DLE) int {
	return cmp.Or(strings.Compare(a.VM, b.VM), strings.Compare(a.Disk, b.Disk))
}

// HistoryText writes dumps and where their copies are, in the order given.
func HistoryText(w io.Writer, dumps []catalog.Dump, copies map[catalog.DumpID][]catalog.Copy) error {
	t := Table{Header: []string{"DLE", "STAMP", "LEVEL", "STATUS", "ORIGINAL", "STORED", "COPIES"}, Right: []bool{false, false, true, false, true, true}}
	for _, d := range dumps {
		status := string(d.Status)
		if d.Hold != "" {
			status += ", on hold"
		}
		places := []string{}
		for _, c := range copies[d.ID] {
			places = append(places, copyPlace(c))
		}
		if len(places) == 0 {
			places = append(places, "none on volumes")
		}
		t.Rows = append(t.Rows, []string{d.DLE.String(), string(d.Stamp), fmt.Sprint(d.Level), status,
			size(d.OrigBytes), size(d.StoredBytes), strings.Join(places, "; ")})
	}
	return t.Write(w)
}

// copyPlace names storage, labels and file numbers: "daily: DAY001:3-5 DAY002:1".
func copyPlace(c catalog.Copy) string {
	words := []string{c.Storage + ":"}
	for i := 0; i < len(c.Parts); {
		first, last := c.Parts[i], c.Parts[i]
		for i++; i < len(c.Parts) && c.Parts[i].Label == last.Label && c.Parts[i].File == last.File+1; i++ {
			last = c.Parts[i]
		}
		word := fmt.Sprintf("%s:%d", first.Label, first.File)
		if last.File != first.File {
			word += fmt.Sprintf("-%d", last.File)
		}
		words = append(words, word)
	}
	if c.Status != catalog.StatusOK {
		words = append(words, "("+string(c.Status)+")")
	}
	return strings.Join(words, " ")
}

// VolumesText writes volumes in the order given; verdicts says for each label whether it may be overwritten and why.
func VolumesText(w io.Writer, volumes []catalog.Volume, verdicts map[catalog.Label]string) error {
	t := Table{Header: []string{"LABEL", "STORAGE", "SLOT", "WRITTEN", "SIZE", "FILES", "REUSE"}, Right: []bool{false, false, true, false, true, true}}
	for _, v := range volumes {
		written := string(cmp.Or(v.WriteStamp, "never"))
		t.Rows = append(t.Rows, []string{string(v.Label), v.Storage, cmp.Or(v.Slot, "absent"), written, size(v.Bytes), fmt.Sprint(v.Files), verdicts[v.Label]})
	}
	return t.Write(w)
}

// size writes a number of bytes for people: "12 MiB".
func size(sizeBytes int64) string { return humanize.IBytes(uint64(max(0, sizeBytes))) }
