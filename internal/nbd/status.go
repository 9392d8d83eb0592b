package nbd

import (
	"context"
	"encoding/binary"
	"fmt"
)

// Extent is a run of the export in which each meta context has one state.
type Extent struct {
	// Start and Length are bytes; any number of them, servers differ.
	Start, Length int64
	// States of the contexts, in the order of Options.Contexts; the rest is 0.
	States [ContextsMax]uint32
}

// statusRuns is what a reply says of one context: runs from the request's offset on. It keeps runsMax of them.
type statusRuns struct {
	runs    []run
	covered int64
	full    bool // what lies behind is asked for again
}

type run struct {
	length int64
	state  uint32
}

// add appends a run, joined to the one before where that has the same state.
func (s *statusRuns) add(r run) {
	last := len(s.runs) - 1
	switch {
	case s.full:
		return
	case last >= 0 && s.runs[last].state == r.state:
		s.runs[last].length += r.length
	case len(s.runs) == runsMax:
		s.full = true
		return
	default:
		s.runs = append(s.runs, r)
	}
	s.covered += r.length
}

// chunkStatus reads u32 context, then pairs of u32 length and u32 state.
func (c *conn) chunkStatus(k *call, length int64, scratch []byte) error {
	if err := c.readFull(scratch[:4]); err != nil {
		return err
	}
	id := binary.BigEndian.Uint32(scratch)
	if k.statuses == nil {
		k.statuses = make([]statusRuns, len(c.info.ContextIDs))
	}
	at := -1
	for i, known := range c.info.ContextIDs {
		if known == id {
			at = i
		}
	}
	if at < 0 || k.statuses[at].covered > 0 {
		return protocolError("a map of the meta context %d, which was not asked for or comes twice", id)
	}
	s := &k.statuses[at]
	for length -= 4; length > 0; {
		p := scratch[:min(length, int64(len(scratch)/8*8))]
		if err := c.readFull(p); err != nil {
			return err
		}
		length -= int64(len(p))
		for ; len(p) > 0; p = p[8:] {
			r := run{length: int64(binary.BigEndian.Uint32(p)), state: binary.BigEndian.Uint32(p[4:])}
			if r.length == 0 {
				return protocolError("an extent of no bytes in a map at %d", k.offset)
			}
			s.add(r)
		}
	}
	return nil
}

// Extents maps a range: yield is called for each extent in order, without gap, until all of the range is covered or
// yield returns an error. Neighbours differ in a state. Memory does not grow with the export.
func (c *Client) Extents(ctx context.Context, start, length int64, yield func(Extent) error) error {
	err := c.inside(start, length)
	if err == nil && len(c.info.ContextIDs) == 0 {
		err = fmt.Errorf("no meta context was asked for: %w", ErrUnsupported)
	}
	if err != nil {
		return c.explainRange(cmdBlockStatus, start, length, err)
	}
	end := start + length
	from, to := c.aligned(start, length)
	var last Extent
	emit := func(e Extent) error {
		// Servers answer for whole blocks, and may go on behind the range.
		e.Length = min(e.Start+e.Length, end) - max(e.Start, start)
		e.Start = max(e.Start, start)
		if e.Length <= 0 {
			return nil
		}
		if last.Length > 0 && last.States == e.States {
			last.Length += e.Length
			return nil
		}
		done := last
		last = e
		if done.Length == 0 {
			return nil
		}
		return yield(done)
	}
	for from < to && last.Start+last.Length < end {
		k := &call{cmd: cmdBlockStatus, offset: from, length: min(to-from, sweepMax)}
		if err := c.do(ctx, k); err != nil {
			return err
		}
		covered, err := k.merge(emit)
		if err != nil {
			return err
		}
		from += covered
	}
	if last.Length == 0 {
		return nil
	}
	return yield(last)
}

// merge cuts the runs of all contexts at each other's ends, as far as all of them reach, and says how far that is.
func (k *call) merge(emit func(Extent) error) (covered int64, err error) {
	covered = k.length
	for _, s := range k.statuses {
		covered = min(covered, s.covered)
	}
	next := make([]int, len(k.statuses))
	until := make([]int64, len(k.statuses)) // where the run at next ends
	for i, s := range k.statuses {
		until[i] = s.runs[0].length
	}
	for at := int64(0); at < covered; {
		e := Extent{Start: k.offset + at}
		end := covered
		for i, s := range k.statuses {
			for until[i] <= at {
				next[i]++
				until[i] += s.runs[next[i]].length
			}
			e.States[i] = s.runs[next[i]].state
			end = min(end, until[i])
		}
		e.Length = end - at
		at = end
		if err := emit(e); err != nil {
			return 0, err
		}
	}
	return covered, nil
}
