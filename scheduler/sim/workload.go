package sim

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strconv"
	"strings"

	"holdfast/catalog"
	"holdfast/scheduler"
)

// BlockBytes is the unit of a workload.
const BlockBytes = 64 << 10

// Bounds of what is read, so that a wrong file cannot take all memory: a disk of 64 TiB, ten thousand nights.
const (
	maxBlocks = 1 << 30
	maxNights = 10_000
)

// Disk is one disk of a workload or of a model.
type Disk struct {
	Name string
	// Policy is its own, nil for that of the settings; Dumps are those made before the first night.
	Policy *scheduler.Policy
	Dumps  []catalog.Dump
	// Ratio is what compression leaves of a dump; 0: there is none.
	Ratio  float64
	Blocks int
	// From is the night from which on it is on the disk list, Until the first in which it no longer is; 0: it stays.
	From, Until int
	// offline are the nights in which it cannot be read.
	offline map[int]bool
	// changes are the blocks written before each night, as sets of bits.
	changes map[int][]uint64
	// model, when set, stands for the changes.
	model *model
}

// Workload is what a site's disks do in some nights.
type Workload struct {
	Disks []*Disk
	// Nights is how many there are; norun are those without a run.
	Nights int
	norun  map[int]bool
}

// Files are the parts of a workload as CSV; Events may be nil.
type Files struct{ Disks, Changes, Events io.Reader }

// ReadWorkload reads disks (disk, blocks, ...), changes (day, disk, changed_blocks, blocks) and events (night, event,
// disk), each with a heading. Columns are found by their names.
func ReadWorkload(f Files) (*Workload, error) {
	w := &Workload{norun: map[int]bool{}}
	byName := map[string]*Disk{}
	err := rows(f.Disks, "disks", []string{"disk", "blocks"}, func(row []string) error {
		n, err := number(row[1], maxBlocks)
		if err != nil || byName[row[0]] != nil {
			return errors.Join(err, fmt.Errorf("disk %q", row[0]))
		}
		d := &Disk{Name: row[0], Blocks: n, changes: map[int][]uint64{}, offline: map[int]bool{}}
		w.Disks, byName[d.Name] = append(w.Disks, d), d
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = rows(f.Changes, "changes", []string{"day", "disk", "blocks"}, func(row []string) error {
		day, err := number(row[0], maxNights)
		d := byName[row[1]]
		if err != nil || d == nil {
			return errors.Join(err, fmt.Errorf("disk %q on day %q", row[1], row[0]))
		}
		w.Nights = max(w.Nights, day+1)
		return d.change(day, row[2])
	})
	if err != nil || f.Events == nil {
		return w, err
	}
	return w, rows(f.Events, "events", []string{"night", "event", "disk"}, func(row []string) error {
		return w.event(row[0], row[1], byName[row[2]])
	})
}

func (w *Workload) event(at, event string, d *Disk) error {
	night, err := number(at, maxNights)
	switch {
	case err != nil:
		return err
	case event == "norun":
		w.norun[night] = true
	case d == nil:
		return fmt.Errorf("event %q names no disk of the workload", event)
	case event == "add":
		d.From = night
	case event == "drop":
		d.Until = night
	case event == "offline":
		d.offline[night] = true
	default:
		return fmt.Errorf("event %q is not known", event)
	}
	return nil
}

// change notes the blocks of a day: numbers and ranges a-b, separated by blanks.
func (d *Disk) change(day int, blocks string) error {
	set := d.changes[day]
	if set == nil {
		set = make([]uint64, (d.Blocks+63)/64)
		d.changes[day] = set
	}
	for word := range strings.FieldsSeq(blocks) {
		from, to, isRange := strings.Cut(word, "-")
		if !isRange {
			to = from
		}
		a, errA := number(from, d.Blocks-1)
		b, errB := number(to, d.Blocks-1)
		if err := errors.Join(errA, errB); err != nil {
			return fmt.Errorf("blocks of %s on day %d: %w", d.Name, day, err)
		}
		for ; a <= b; a++ {
			set[a/64] |= 1 << (a % 64)
		}
	}
	return nil
}

// DLE is the disk's name in plans: "VM:DISK", or a VM with one disk.
func (d *Disk) DLE() catalog.DLE {
	vm, disk, ok := strings.Cut(d.Name, ":")
	if !ok {
		disk = "disk0"
	}
	return catalog.DLE{VM: vm, Disk: disk}
}

// Bytes is the size of a full in a night.
func (d *Disk) Bytes(night int) int64 {
	if d.model != nil {
		return d.model.bytes(night - d.From)
	}
	return int64(d.Blocks) * BlockBytes
}

// Changed is how many bytes were written after one night up to another: what an incremental taken in it holds.
func (d *Disk) Changed(after, to int) int64 {
	if d.model != nil {
		return d.model.changed(after-d.From, to-d.From)
	}
	union := make([]uint64, (d.Blocks+63)/64)
	for day := after + 1; day <= to; day++ {
		for i, word := range d.changes[day] {
			union[i] |= word
		}
	}
	n := 0
	for _, word := range union {
		n += bits.OnesCount64(word)
	}
	return int64(n) * BlockBytes
}

// Listed tells whether the disk is on the disk list in a night.
func (d *Disk) Listed(night int) bool { return night >= d.From && (d.Until == 0 || night < d.Until) }

// rows calls fn with the wanted columns of each row.
func rows(r io.Reader, what string, want []string, fn func(row []string) error) error {
	in := csv.NewReader(bufio.NewReader(r))
	in.ReuseRecord = true
	head, err := in.Read()
	if err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	column := make([]int, len(want))
	for i, name := range want {
		column[i] = -1
		for j, h := range head {
			if strings.TrimSpace(h) == name {
				column[i] = j
			}
		}
		if column[i] < 0 {
			return fmt.Errorf("read %s: no column %q", what, name)
		}
	}
	row := make([]string, len(want))
	for {
		rec, err := in.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", what, err)
		}
		for i, c := range column {
			row[i] = strings.TrimSpace(rec[c])
		}
		if err := fn(row); err != nil {
			line, _ := in.FieldPos(0)
			return fmt.Errorf("read %s: line %d: %w", what, line, err)
		}
	}
}

func number(text string, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("number %q: want 0 to %d", text, most)
	}
	return n, nil
}

// Reachable tells whether the disk can be read in a night.
func (d *Disk) Reachable(night int) bool { return !d.offline[night] }

// Runs tells whether there is a run in a night.
func (w *Workload) Runs(night int) bool { return !w.norun[night] }
