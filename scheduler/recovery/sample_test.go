package recovery_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/scheduler/recovery"
)

// Samples of 5 % read everything within twenty calls, whatever the sizes and though dumps come and go, and no dump twice before
// all others were read.
func TestSampleGoesRound(t *testing.T) {
	var all []catalog.Dump
	for i := range 60 {
		all = append(all, catalog.Dump{ID: catalog.DumpID(fmt.Sprintf("vm%d/disk0/20261121010000/0", i)), StoredBytes: int64(i*i) << 20})
	}
	read := map[catalog.DumpID]time.Time{}
	var total, most int64
	for _, d := range all {
		total += d.StoredBytes
		most = max(most, d.StoredBytes)
	}
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	for n := range 20 {
		chosen := recovery.Sample(all, read, 5)
		if again := recovery.Sample(all, read, 5); !slices.EqualFunc(chosen, again, func(a, b catalog.Dump) bool { return a.ID == b.ID }) {
			t.Fatalf("call %d: another choice the second time", n)
		}
		var sum int64
		fresh := 0
		for _, d := range chosen {
			sum += d.StoredBytes
			if read[d.ID].IsZero() {
				fresh++
			}
		}
		if fresh < len(chosen) && len(read)+fresh < len(all) {
			t.Errorf("call %d: %d dumps are read again, and %d never were", n, len(chosen)-fresh, len(all)-len(read)-fresh)
		}
		if sum > total/20+most {
			t.Errorf("call %d: %d bytes of %d", n, sum, total)
		}
		for _, d := range chosen {
			read[d.ID] = now.AddDate(0, 0, n)
		}
	}
	if len(read) != len(all) {
		t.Errorf("%d of %d dumps were read", len(read), len(all))
	}
	if got := recovery.Sample(all, nil, 100); len(got) != len(all) {
		t.Errorf("all of them are %d of %d", len(got), len(all))
	}
	if got := recovery.Sample(nil, nil, 5); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

// Dumps without a byte count, too, and which of those that were never read comes first does not depend on the order they stand in.
func TestSampleOfEmptyDumps(t *testing.T) {
	for _, order := range []string{"abcd", "dcba", "cadb"} {
		var all []catalog.Dump
		for _, name := range order {
			all = append(all, catalog.Dump{ID: catalog.DumpID(name)})
		}
		if got := recovery.Sample(all, nil, 50); len(got) != 2 || got[0].ID != "a" || got[1].ID != "b" {
			t.Errorf("%s: half of them: %v", order, got)
		}
	}
}
