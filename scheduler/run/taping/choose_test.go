package taping_test

import (
	"fmt"
	"testing"

	"holdfast/catalog"
	"holdfast/configs"
	"holdfast/scheduler/run/taping"
)

// Each algorithm with room for everything, for some, and for nothing; alone, and while another worker writes.
func TestChoose(t *testing.T) {
	const tonight, earlier, later = "20250302010000", "20250301010000", "20250303010000"
	queue := func(sizes ...int64) []taping.Waiting {
		var list []taping.Waiting
		for _, n := range sizes {
			list = append(list, taping.Waiting{Run: tonight, Bytes: n})
		}
		return list
	}
	of := func(run catalog.Stamp, bytes int64) taping.Waiting { return taping.Waiting{Run: run, Bytes: bytes} }
	mixed := queue(50, 20, 90, 10, 40)
	for _, c := range []struct {
		algorithm configs.TaperAlgorithm
		queue     []taping.Waiting
		room      int64
		another   bool
		want      int
	}{
		{configs.TaperFirst, nil, 100, false, -1},
		{configs.TaperLargestFit, nil, 100, false, -1},

		{configs.TaperFirst, mixed, 100, false, 0},
		{configs.TaperFirstFit, mixed, 100, false, 0},
		{configs.TaperLargest, mixed, 100, false, 2},
		{configs.TaperLargestFit, mixed, 100, false, 2},
		{configs.TaperSmallest, mixed, 100, false, 3},
		{configs.TaperLast, mixed, 100, false, 4},

		{configs.TaperFirst, mixed, 30, false, 0},
		{configs.TaperFirstFit, mixed, 30, false, 1},
		{configs.TaperLargest, mixed, 30, false, 2},
		{configs.TaperLargestFit, mixed, 30, false, 1},
		{configs.TaperSmallest, mixed, 30, false, 3},
		{configs.TaperLast, mixed, 30, false, 4},

		// Nothing fits: the forms that go by fit take the smallest, the others do not ask.
		{configs.TaperFirst, mixed, 5, false, 0},
		{configs.TaperFirstFit, mixed, 5, false, 3},
		{configs.TaperLargest, mixed, 5, false, 2},
		{configs.TaperLargestFit, mixed, 5, false, 3},
		{configs.TaperSmallest, mixed, 5, false, 3},
		{configs.TaperLast, mixed, 5, false, 4},

		// Another worker writes: all go by fit, and nothing is taken when nothing fits.
		{configs.TaperFirst, mixed, 30, true, 1},
		{configs.TaperFirstFit, mixed, 30, true, 1},
		{configs.TaperLargest, mixed, 45, true, 4},
		{configs.TaperLargestFit, mixed, 45, true, 4},
		{configs.TaperSmallest, mixed, 30, true, 3},
		{configs.TaperLast, mixed, 30, true, 3},
		{configs.TaperFirst, mixed, 5, true, -1},
		{configs.TaperFirstFit, mixed, 5, true, -1},
		{configs.TaperLargest, mixed, 5, true, -1},
		{configs.TaperLargestFit, mixed, 5, true, -1},
		{configs.TaperSmallest, mixed, 5, true, -1},
		{configs.TaperLast, mixed, 5, true, -1},

		// It fits to the byte. Of equals the first is taken.
		{configs.TaperFirstFit, queue(21, 20), 20, false, 1},
		{configs.TaperLargest, queue(20, 20), 20, false, 0},
		{configs.TaperSmallest, queue(20, 20), 20, false, 0},

		// Dumps of a later run than the head's do not compete; those of an earlier one do.
		{configs.TaperLargest, []taping.Waiting{of(tonight, 20), of(later, 90), of(earlier, 30)}, 100, false, 2},
		{configs.TaperLast, []taping.Waiting{of(tonight, 20), of(earlier, 30), of(later, 90)}, 100, false, 1},
		{configs.TaperSmallest, []taping.Waiting{of(earlier, 30), of(tonight, 10)}, 100, false, 0},
		{configs.TaperFirstFit, []taping.Waiting{of(earlier, 30), of(tonight, 10)}, 15, false, 0},
		{configs.TaperFirst, []taping.Waiting{of(earlier, 30), of(tonight, 10)}, 15, true, -1},
	} {
		name := fmt.Sprintf("%s of %v, room %d, another %v", c.algorithm, c.queue, c.room, c.another)
		if got := taping.Choose(c.algorithm, c.queue, c.room, c.another); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// The three thresholds, each at its edge: it must be passed, not reached.
func TestMayBegin(t *testing.T) {
	const none = 0
	for _, c := range []struct {
		name                          string
		dumped, scheduled, taperflush int
		flow                          taping.Flow
		want                          bool
	}{
		{"no thresholds", none, none, none, taping.Flow{Queued: 1, Dumping: true}, true},
		{"nothing waits", none, none, none, taping.Flow{Coming: 900, Dumping: true}, false},
		{"nothing at all", none, none, none, taping.Flow{}, false},
		{"what waits fits on what is begun", none, none, none, taping.Flow{Queued: 300, Room: 300, Dumping: true}, false},
		{"and a little more", none, none, none, taping.Flow{Queued: 301, Room: 300, Dumping: true}, true},

		{"dumped reached", 50, none, none, taping.Flow{Queued: 500, Dumping: true}, false},
		{"dumped passed", 50, none, none, taping.Flow{Queued: 501, Dumping: true}, true},
		{"what is to come counts not for dumped", 50, 50, none, taping.Flow{Queued: 400, Coming: 5000, Dumping: true}, false},
		{"scheduled reached", 30, 100, none, taping.Flow{Queued: 400, Coming: 600, Dumping: true}, false},
		{"scheduled passed", 30, 100, none, taping.Flow{Queued: 400, Coming: 601, Dumping: true}, true},
		{"scheduled less what is begun", 30, 100, none, taping.Flow{Queued: 400, Coming: 601, Room: 1, Dumping: true}, false},
		{"three volumes", 300, 300, none, taping.Flow{Queued: 3000, Dumping: true}, false},
		{"more than three volumes", 300, 300, none, taping.Flow{Queued: 3001, Dumping: true}, true},

		{"the end, taperflush 0", 50, 100, none, taping.Flow{Queued: 10}, true},
		{"the end, taperflush reached", 50, 100, 30, taping.Flow{Queued: 300}, false},
		{"the end, taperflush passed", 50, 100, 30, taping.Flow{Queued: 301}, true},
		{"taperflush while dumping", 50, 100, 30, taping.Flow{Queued: 301, Dumping: true}, false},
		{"the end, less what is begun", 50, 100, 30, taping.Flow{Queued: 400, Room: 100}, false},
		{"the end, the other thresholds passed", 50, 60, 80, taping.Flow{Queued: 601}, true},

		{"no waiting", 300, 300, 300, taping.Flow{Queued: 1, Dumping: true, Urgent: true}, true},
	} {
		st := configs.Storage{VolumeSize: 1000, FlushDumped: c.dumped, FlushScheduled: c.scheduled, TaperFlush: c.taperflush}
		if got := taping.MayBegin(st, c.flow); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
