package retention_test

import (
	"fmt"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/scheduler/retention"
)

// large is a site of 100,000 dumps, a hundred days of a thousand images, on 1,000 volumes of two storages.
func large() retention.Input {
	const images, days, volumes = 1000, 100, 1000
	policy := retention.Policy{KeepVolumes: 50, KeepDays: 3, WindowDays: 30, KeepFulls: 2, KeepFullDays: 60}
	in := retention.Input{Policies: map[string]retention.Policy{"main": policy, "second": policy}}
	begin := time.Date(2025, 1, 1, 1, 0, 0, 0, time.UTC)
	for n := range days {
		in.Now = begin.AddDate(0, 0, n)
		s := catalog.NewStamp(in.Now)
		for i := range images {
			full := (n+i)%7 == 0 || n == 0
			d := catalog.Dump{DLE: catalog.DLE{VM: fmt.Sprintf("vm%d", i), Disk: "d"}, Stamp: s, Status: catalog.StatusOK}
			if !full {
				d.Level, d.Base = catalog.Level(1+(n+i)%7), in.Dumps[len(in.Dumps)-images].ID
			}
			d.ID = catalog.NewDumpID(d.DLE, s, d.Level)
			in.Dumps = append(in.Dumps, d)
			for k, name := range []string{"main", "second"} {
				v := (n*5+i/200)*2 + k
				label := catalog.Label(fmt.Sprintf("V%04d", v%volumes))
				in.Copies = append(in.Copies, catalog.Copy{Dump: d.ID, Storage: name, Status: catalog.StatusOK, Parts: []catalog.Part{{Label: label, Number: 1}}})
				if i%200 == 0 {
					in.Volumes = append(in.Volumes, catalog.Volume{Label: label, Storage: name, WriteStamp: s, Files: 200})
				}
			}
		}
	}
	return in
}

// BenchmarkJudge: the verdicts on 100,000 dumps with 200,000 copies on 1,000 volumes.
func BenchmarkJudge(b *testing.B) {
	in := large()
	b.ReportMetric(float64(len(in.Volumes)), "volumes")
	for b.Loop() {
		v := retention.Judge(in)
		if len(v.Dumps) == 0 || len(v.Dumps) == 2*len(in.Dumps) {
			b.Fatalf("%d dumps are retained", len(v.Dumps))
		}
	}
}
