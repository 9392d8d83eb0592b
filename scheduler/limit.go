package scheduler

import (
	"fmt"
	"math"
)

// limit is one thing that a run must not exceed: the room of a storage, the time window, the holding disk.
type limit struct {
	// words name it in a reason: "the run holds 1.0 GiB".
	words string
	// room is what there is, reserve the part of it that only incrementals may take, used what the plan takes now.
	room, reserve, used int64
	// mark is what those take that a claim is held against, should it be the only one.
	mark int64
	// cost is what a dump takes of it.
	cost func(e *Entry) int64
	// backlog is what waits to be flushed; it is the reserve of a storage.
	backlog int64
	unit    func(int64) string
}

// bytes is the room of the run; 0 when no limit is known. The end of each volume but the last may cut a part in two, or
// leave less than a header unused.
func (c Capacity) bytes() int64 {
	if c.Volumes <= 0 || c.VolumeBytes <= 0 {
		return 0
	}
	volumes, part := int64(c.Volumes), c.HeaderBytes+c.MarkBytes
	return max(1, volumes*(c.VolumeBytes-part)-(volumes-1)*part)
}

// cost is what a dump takes on the media: its bytes, and a header and a filemark for each part.
func (c Capacity) cost(storedBytes int64) int64 {
	parts := int64(1)
	if c.PartBytes > 0 {
		parts = max(1, (storedBytes+c.PartBytes-1)/c.PartBytes)
	}
	return storedBytes + parts*(c.HeaderBytes+c.MarkBytes)
}

// takes is the cost of a dump if it goes to this storage.
func (c Capacity) takes(e *Entry) int64 {
	if c.Takes != nil && !c.Takes(e.DLE, e.Level) {
		return 0
	}
	return c.cost(e.StoredBytes)
}

// backlog is what the dumps on the holding disk take on the media.
func (c Capacity) backlog() int64 {
	if c.BacklogBytes <= 0 {
		return 0
	}
	return c.cost(c.BacklogBytes)
}

// limitsOf gives all limits of the run. The first is the main storage's, with room 0 when there is no limit to it.
func limitsOf(in Input) []*limit {
	limits := []*limit{storageLimit(in.Capacity)}
	for _, c := range in.Storages {
		if c.bytes() > 0 {
			limits = append(limits, storageLimit(c))
		}
	}
	if w := in.Window; w.Length > 0 {
		limits = append(limits, &limit{
			words: "the window", room: max(1, w.Length.Milliseconds()*int64(max(1, w.Parallel))), unit: inTime,
			cost: func(e *Entry) int64 { return int64(math.Ceil(e.Seconds * 1000)) },
		})
	}
	if h := in.Holding; h.Alone && h.Bytes > 0 {
		limits = append(limits, &limit{
			words: "the holding disk", room: h.Bytes, reserve: h.Bytes / 100 * int64(min(100, max(0, h.ReservePercent))), unit: human,
			cost: func(e *Entry) int64 { return e.StoredBytes },
		})
	}
	return limits
}

func storageLimit(c Capacity) *limit {
	words := "the run"
	if c.Name != "" {
		words = "storage " + c.Name
	}
	return &limit{words: words, room: c.bytes(), reserve: c.backlog(), backlog: c.backlog(), cost: c.takes, unit: human}
}

func inTime(ms int64) string {
	minutes := (ms + 59_999) / 60_000
	return fmt.Sprintf("%d:%02d h", minutes/60, minutes%60)
}

// holds says what the limit is; for an incremental the backlog takes nothing.
func (l *limit) holds(full bool) string {
	if l.reserve == 0 || !full {
		return fmt.Sprintf("%s holds %s", l.words, l.unit(l.room))
	}
	if l.backlog == 0 {
		return fmt.Sprintf("%s holds %s, %s of it for incrementals", l.words, l.unit(l.room), l.unit(l.reserve))
	}
	return fmt.Sprintf("%s holds %s, %s of it for what is on the holding disk", l.words, l.unit(l.room), l.unit(l.reserve))
}

// free is what is left: for fulls less the reserve.
func (l *limit) free(full bool) int64 {
	if full {
		return l.room - l.reserve - l.used
	}
	return l.room - l.used
}

// more is what a dump takes beyond the one it takes the place of (nil: of nothing).
func (l *limit) more(e, instead *Entry) int64 {
	if instead == nil {
		return l.cost(e)
	}
	return l.cost(e) - l.cost(instead)
}
