package sim

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"holdfast/catalog"
)

// WriteCSV writes rows as NIGHTS.csv: night, date, disk, level, bytes, result, reason, promoted.
func WriteCSV(w io.Writer, rows []Row) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"night", "date", "disk", "level", "bytes", "result", "reason", "promoted_days"}) // kept until Flush
	for _, r := range rows {
		level, promoted := "", ""
		if r.Level >= 0 {
			level = strconv.Itoa(int(r.Level))
		}
		if r.Promoted > 0 {
			promoted = strconv.Itoa(r.Promoted)
		}
		_ = out.Write([]string{strconv.Itoa(r.Night), r.Date, r.Disk, level, strconv.FormatInt(r.Bytes, 10), r.Result, r.Reason, promoted})
	}
	out.Flush()
	return out.Error()
}

// ReadCSV reads NIGHTS.csv, ours or one that was made from the logs of another program: night and bytes are wanted, the
// other columns may be missing.
func ReadCSV(r io.Reader) ([]Row, error) {
	in := csv.NewReader(r)
	head, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("read nights: %w", err)
	}
	column := func(rec []string, name string) string {
		if i := slices.Index(head, name); i >= 0 {
			return strings.TrimSpace(rec[i])
		}
		return ""
	}
	if !slices.Contains(head, "night") || !slices.Contains(head, "bytes") {
		return nil, errors.New("read nights: want the columns night and bytes")
	}
	var all []Row
	for {
		rec, err := in.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read nights: %w", err)
		}
		row, err := rowOf(rec, column)
		if err != nil {
			line, _ := in.FieldPos(0)
			return nil, fmt.Errorf("read nights: line %d: %w", line, err)
		}
		all = append(all, row)
	}
}

func rowOf(rec []string, column func([]string, string) string) (Row, error) {
	row := Row{Date: column(rec, "date"), Disk: column(rec, "disk"), Result: column(rec, "result"), Reason: column(rec, "reason"), Level: -1}
	var err, errBytes, errLevel error
	row.Night, err = number(column(rec, "night"), maxNights)
	if text := column(rec, "bytes"); text != "" {
		row.Bytes, errBytes = strconv.ParseInt(text, 10, 64)
	}
	level := column(rec, "level")
	if level == "" && row.Disk == "" {
		level = "0"
	}
	if level != "" {
		var n int
		n, errLevel = strconv.Atoi(level)
		row.Level = catalog.Level(n)
	}
	if n, err := strconv.Atoi(column(rec, "promoted_days")); err == nil {
		row.Promoted = n
	}
	if row.Bytes < 0 {
		errBytes = errors.New("bytes below 0")
	}
	return row, errors.Join(err, errBytes, errLevel)
}
