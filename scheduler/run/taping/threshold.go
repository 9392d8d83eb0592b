package taping

import "holdfast/configs"

// Flow is what is on its way to a storage, in bytes.
type Flow struct {
	// Queued wait to be written; Coming are still being dumped, or waiting to be, at their expected size.
	Queued, Coming int64
	// Room is left on volumes that are begun.
	Room int64
	// Dumping tells that the run still makes dumps.
	Dumping bool
	// Urgent tells that there is no waiting: a dump goes straight to a volume, or waits for room on the holding disk.
	Urgent bool
}

// thresholds tells whether the storage has any for this time of the run.
func thresholds(st configs.Storage, f Flow) bool {
	if f.Dumping {
		return st.FlushDumped > 0 || st.FlushScheduled > 0
	}
	return st.TaperFlush > 0
}

// MayBegin tells whether another volume may be begun, by Amanda's three thresholds, each a percentage of a volume's
// length: what waits must be more than flush-threshold-dumped, and with what is still to come more than
// flush-threshold-scheduled; or, when all dumps are made, more than taperflush. A dump that is begun is not asked about:
// to leave it half written would waste what is there already. So while no volume may be begun, only dumps are that fit
// what is left on one.
func MayBegin(st configs.Storage, f Flow) bool {
	waiting := f.Queued - f.Room
	over := func(bytes int64, percent int) bool {
		return float64(bytes)*100 > float64(percent)*float64(st.VolumeSize)
	}
	switch {
	case f.Urgent:
		return true
	case over(waiting, st.FlushDumped) && over(waiting+f.Coming, st.FlushScheduled):
		return true
	}
	return !f.Dumping && over(waiting, st.TaperFlush)
}
