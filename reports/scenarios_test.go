package reports_test

import (
	"fmt"
	"strings"
	"time"

	"holdfast/catalog"
	"holdfast/reports"
)

const mib = 1 << 20

// night builds the events of a run. Its clock stands still until it is told how many seconds pass.
type night struct {
	run    catalog.Run
	now    time.Time
	events []catalog.Event
}

// zone is the time zone of the server in all scenarios.
var zone = time.FixedZone("CEST", 2*60*60)

func newNight(stamp catalog.Stamp, command string) *night {
	start := stamp.Time(zone)
	n := &night{run: catalog.Run{Stamp: stamp, Command: command, Started: start, PID: 4711}, now: start}
	n.add(0, catalog.RunStarted{Host: "bkserver", Org: "Example", Config: "daily", Version: "0.1.0", Command: command})
	return n
}

func (n *night) add(seconds float64, bodies ...catalog.EventBody) {
	n.now = n.now.Add(time.Duration(seconds * float64(time.Second)))
	for _, b := range bodies {
		n.events = append(n.events, catalog.Event{Run: n.run.Stamp, Seq: int64(len(n.events) + 1), At: n.now, Body: b})
	}
}

func (n *night) report() reports.Report { return reports.Fold(n.run, n.events) }

func (n *night) plan(dle string, level catalog.Level, stored int64, note string) {
	reason := "full due today"
	if level > 0 {
		reason = "full due in 3 days"
	}
	n.add(0, catalog.Planned{DLE: vm(dle), Level: level, OrigEstimate: 2 * stored, StoredEstimate: stored, Reason: reason, Note: note})
}

// dump adds a complete dump to the holding disk, twice as large before compression.
func (n *night) dump(dle string, level catalog.Level, stored int64, seconds float64) {
	n.add(0, catalog.DumpStarted{DLE: vm(dle), Level: level, Stamp: n.run.Stamp, To: "holding"})
	n.add(seconds, catalog.DumpFinished{DLE: vm(dle), Level: level, Stamp: n.run.Stamp, Status: catalog.StatusOK,
		ImageBytes: 4 * stored, OrigBytes: 2 * stored, StoredBytes: stored, ChangedBytes: 2 * stored, Seconds: seconds})
}

// write adds the parts of a dump and their end; the volume is labelled already.
func (n *night) write(storage string, label catalog.Label, dle string, level catalog.Level, sizes ...int64) {
	n.parts(storage, label, dle, level, 1, sizes...)
	n.add(0, catalog.CopyFinished{Storage: storage, DLE: vm(dle), Level: level, Stamp: n.run.Stamp, Parts: len(sizes),
		OrigBytes: 2 * sum(sizes), Bytes: sum(sizes), Seconds: float64(len(sizes))})
}

func (n *night) parts(storage string, label catalog.Label, dle string, level catalog.Level, first int, sizes ...int64) {
	for i, size := range sizes {
		n.add(1, catalog.PartWritten{Storage: storage, Label: label, File: first + i, Number: first + i, DLE: vm(dle), Level: level,
			Stamp: n.run.Stamp, Bytes: size, Seconds: 1})
	}
}

func sum(sizes []int64) int64 {
	var total int64
	for _, s := range sizes {
		total += s
	}
	return total
}

// vm is the first disk of a VM.
func vm(name string) catalog.DLE { return catalog.DLE{VM: name, Disk: "disk0"} }

var scenarios = []struct {
	name  string
	unit  string
	night func() *night
	exit  int
	tag   string // in the subject
}{
	{"normal", "k", normalNight, 0, ""},
	{"incremental", "m", incrementalNight, 0, ""},
	{"failures", "k", failuresNight, 1 | 4 | 16, "FAIL:"},
	{"strange", "k", strangeNight, 2, "STRANGE:"},
	{"media", "k", mediaNight, 16, "MEDIA:"},
	{"flush", "k", flushNight, 16, "MEDIA:"},
	{"crashed", "k", crashedNight, 1 | 8, "FAIL:"},
	{"cancelled", "k", cancelledNight, 1 | 8, "FAIL:"},
	{"nothing", "k", nothingNight, 0, ""},
	{"late", "k", lateNight, 1, "FAIL:"},
	{"storages", "k", storagesNight, 0, ""},
	{"long", "k", longNight, 0, ""},
	{"held", "k", heldNight, 0, "MEDIA:"},
	{"lost", "k", lostNight, 8, "MISSING:"},
	{"hooks", "k", hooksNight, 2 | 4, "FAIL:"},
	{"degraded", "k", degradedNight, 16, "MEDIA: DEGRADED, 12 MiB ON THE HOLDING DISK:"},
}

// normalNight is a first night: everything full, one volume.
func normalNight() *night {
	n := newNight("20261031190905", "run")
	for _, name := range []string{"web01", "web02", "db", "mail"} {
		n.plan(name, 0, 10*mib, "Adding new disk "+name+":disk0.")
	}
	n.add(62, catalog.PlanFinished{Seconds: 62})
	n.dump("db", 0, 10*mib, 61)
	n.add(0, catalog.VolumeStarted{Storage: "vault", Label: "DAY001", Slot: "1", Capacity: 100 * mib, New: true})
	n.write("vault", "DAY001", "db", 0, 4*mib, 4*mib, 2*mib)
	for _, name := range []string{"mail", "web01", "web02"} {
		n.dump(name, 0, 9*mib, 30.4)
		n.write("vault", "DAY001", name, 0, 4*mib, 4*mib, mib)
	}
	n.add(1, catalog.VolumeFinished{Storage: "vault", Label: "DAY001", Bytes: 37*mib + 13<<15, Files: 12},
		catalog.HoldingLeft{}, catalog.NextVolumes{Storage: "vault", New: 1}, catalog.RunFinished{Seconds: n.now.Sub(n.run.Started).Seconds()})
	return n
}

// incrementalNight has levels 0 to 2, a level changed at dump time, a promotion, an estimate that was far off, a DLE
// taken out, and an attempt that failed and was repeated with success.
func incrementalNight() *night {
	n := newNight("20261101190905", "run")
	n.plan("web01", 1, 2*mib, "")
	n.plan("web02", 0, 400*mib, "Full dump of web02:disk0 promoted from 3 days ahead.")
	n.plan("db", 2, 3*mib, "Incremental of db:disk0 bumped to level 2.")
	n.plan("mail", 1, mib, "")
	n.add(0, catalog.Skipped{DLE: vm("old"), Level: 1, Reason: "skip: yes in its dump type"})
	n.add(5, catalog.PlanFinished{Seconds: 5}, catalog.Note{Program: "reaper", Text: "unlocked web01:disk0, left by the run of 20261031190905"},
		catalog.VolumeStarted{Storage: "vault", Label: "DAY002", Slot: "2", Capacity: 100 * mib})
	n.add(0, catalog.DumpStarted{DLE: vm("web01"), Level: 1, Stamp: n.run.Stamp, To: "holding"})
	n.add(3, catalog.DumpFinished{DLE: vm("web01"), Level: 0, Stamp: n.run.Stamp, Status: catalog.StatusOK, OrigBytes: 10 * mib,
		StoredBytes: 9 * mib, Seconds: 3, Why: "image was resized"})
	n.write("vault", "DAY002", "web01", 0, 9*mib)
	n.dump("web02", 0, 11*mib, 12)
	n.write("vault", "DAY002", "web02", 0, 11*mib)
	n.add(0, catalog.DumpStarted{DLE: vm("db"), Level: 2, Stamp: n.run.Stamp, To: "volume"})
	n.parts("vault", "DAY002", "db", 2, 1, mib)
	n.add(0, catalog.CopyFailed{Storage: "vault", DLE: vm("db"), Level: 2, Stamp: n.run.Stamp, Parts: 1, Bytes: mib, Error: "input/output error"},
		catalog.DumpFailed{DLE: vm("db"), Level: 2, Stamp: n.run.Stamp, Error: "volume DAY002: input/output error", Retry: true})
	n.dump("db", 2, 3*mib, 2)
	n.write("vault", "DAY002", "db", 2, 3*mib)
	n.dump("mail", 1, 0, 0)
	n.write("vault", "DAY002", "mail", 1, 0)
	n.add(1, catalog.VolumeFinished{Storage: "vault", Label: "DAY002", Bytes: 25 * mib, Files: 5},
		catalog.NextVolumes{Storage: "vault", Labels: []catalog.Label{"DAY003"}, New: 1},
		catalog.HoldingLeft{}, catalog.RunFinished{Seconds: n.now.Sub(n.run.Started).Seconds()})
	return n
}

// failuresNight has an image that cannot be read, a dump cut short on its way to volumes and another that found none
// left, a DLE the planner gave up, and a problem.
func failuresNight() *night {
	n := newNight("20261102190905", "run")
	for _, name := range []string{"web01", "web02", "db", "mail"} {
		n.plan(name, 0, 10*mib, "")
	}
	n.add(0, catalog.Skipped{DLE: vm("huge"), Level: 0, Reason: "new disk of 9.0 TiB does not fit on the volumes of a run", Failure: true})
	n.add(4, catalog.PlanFinished{Seconds: 4})
	n.add(0, catalog.DumpStarted{DLE: vm("web01"), Level: 0, Stamp: n.run.Stamp, To: "holding"})
	n.add(2, catalog.DumpFailed{DLE: vm("web01"), Level: 0, Stamp: n.run.Stamp, Error: "open image: web01.qcow2: locked by a running VM",
		Hint: "shut the VM down or configure it as a running one", Messages: []string{"lock held on byte 201\nby process 812"}})
	n.dump("db", 0, 10*mib, 7)
	n.dump("mail", 0, 10*mib, 7)
	n.dump("web02", 0, 12*mib, 7)
	n.add(0, catalog.VolumeStarted{Storage: "vault", Label: "DAY003", Slot: "3", Capacity: 16 * mib})
	n.write("vault", "DAY003", "db", 0, 10*mib)
	n.parts("vault", "DAY003", "mail", 0, 1, 4*mib)
	n.add(0, catalog.VolumeFinished{Storage: "vault", Label: "DAY003", Bytes: 14*mib + 3<<15, Files: 2},
		catalog.CopyFailed{Storage: "vault", DLE: vm("mail"), Stamp: n.run.Stamp, Parts: 1, Bytes: 4 * mib,
			Error: "1 volume filled, runtapes 1 allows no more", Held: true},
		catalog.MediaError{Storage: "vault", Error: "1 volume filled, runtapes 1 allows no more", Hint: "raise runtapes, or wait for the next run"},
		catalog.CopyFailed{Storage: "vault", DLE: vm("web02"), Stamp: n.run.Stamp, Error: "no volume left", Held: true},
		catalog.Note{Program: "dumper", Text: "db:disk0: 3 of 512 sampled blocks differ from what the source claims", Problem: true},
		catalog.HoldingLeft{Bytes: 22 * mib, Dumps: []catalog.HeldDump{{DLE: vm("mail"), Stamp: n.run.Stamp, Bytes: 10 * mib},
			{DLE: vm("web02"), Stamp: n.run.Stamp, Bytes: 12 * mib}}},
		catalog.NextVolumes{Storage: "vault"}, catalog.RunFinished{Seconds: 40})
	return n
}

// strangeNight has an image that changed while it was read.
func strangeNight() *night {
	n := newNight("20261103190905", "run")
	n.plan("web01", 0, 10*mib, "")
	n.add(1, catalog.PlanFinished{Seconds: 1}, catalog.VolumeStarted{Storage: "vault", Label: "DAY001", Slot: "1", Capacity: 100 * mib},
		catalog.DumpStarted{DLE: vm("web01"), Stamp: n.run.Stamp, To: "volume"})
	n.parts("vault", "DAY001", "web01", 0, 1, 10*mib)
	n.add(1, catalog.DumpFinished{DLE: vm("web01"), Stamp: n.run.Stamp, Status: catalog.StatusStrange, OrigBytes: 10 * mib,
		StoredBytes: 10 * mib, Seconds: 1, Messages: []string{"the image changed while it was read: 4 writes"}},
		catalog.CopyFinished{Storage: "vault", DLE: vm("web01"), Stamp: n.run.Stamp, Parts: 1, OrigBytes: 10 * mib, Bytes: 10 * mib, Seconds: 1, Direct: true},
		catalog.VolumeFinished{Storage: "vault", Label: "DAY001", Bytes: 10*mib + 2<<15, Files: 1},
		catalog.HoldingLeft{}, catalog.NextVolumes{Storage: "vault", New: 2}, catalog.RunFinished{Seconds: 3, ExitStatus: 2})
	return n
}

// mediaNight found no volume: all dumps are safe on the holding disk, and yet the subject must not be clean.
func mediaNight() *night {
	n := newNight("20261104190905", "run")
	n.plan("web01", 1, mib, "")
	n.add(1, catalog.PlanFinished{Seconds: 1}, catalog.MediaError{Storage: "vault", Error: "no volume may be overwritten",
		Hint: "add a volume, or shorten tapecycle"})
	n.dump("web01", 1, mib, 3)
	n.add(0, catalog.HoldingLeft{Bytes: mib, Dumps: []catalog.HeldDump{{DLE: vm("web01"), Level: 1, Stamp: n.run.Stamp, Bytes: mib}}},
		catalog.NextVolumes{Storage: "vault"}, catalog.RunFinished{Seconds: 5, ExitStatus: 16})
	return n
}

// heldNight was told to leave its dumps on the holding disk: no error, but not a clean subject either.
func heldNight() *night {
	n := newNight("20261104190905", "run")
	n.plan("web01", 1, mib, "")
	n.add(1, catalog.PlanFinished{Seconds: 1})
	n.dump("web01", 1, mib, 3)
	n.add(0, catalog.HoldingLeft{Bytes: mib, Dumps: []catalog.HeldDump{{DLE: vm("web01"), Level: 1, Stamp: n.run.Stamp, Bytes: mib}}},
		catalog.NextVolumes{Storage: "vault", Labels: []catalog.Label{"DAY002"}}, catalog.RunFinished{Seconds: 5})
	return n
}

// flushNight writes what earlier nights left; one dump does not get through, one is not tried.
func flushNight() *night {
	n := newNight("20261105080000", "flush")
	const before, old catalog.Stamp = "20261104190905", "20261101190905"
	n.add(0, catalog.VolumeStarted{Storage: "vault", Label: "DAY002", Slot: "2", Capacity: 20 * mib},
		catalog.PartWritten{Storage: "vault", Label: "DAY002", File: 1, Number: 1, DLE: vm("web01"), Level: 1, Stamp: before, Bytes: mib, Seconds: 2})
	n.add(2, catalog.CopyFinished{Storage: "vault", DLE: vm("web01"), Level: 1, Stamp: before, Parts: 1, OrigBytes: 2 * mib, Bytes: mib, Seconds: 2, Flush: true})
	n.add(2, catalog.PartWritten{Storage: "vault", Label: "DAY002", File: 2, Number: 1, DLE: vm("mail"), Stamp: before, Bytes: 4 * mib, Seconds: 2},
		catalog.CopyFailed{Storage: "vault", DLE: vm("mail"), Stamp: before, Parts: 1, Bytes: 4 * mib, Error: "no space left on device", Held: true, Flush: true},
		catalog.CopyFailed{Storage: "vault", DLE: vm("mail"), Stamp: old, Error: "no volume left", Held: true, Flush: true},
		catalog.VolumeFinished{Storage: "vault", Label: "DAY002", Bytes: 5*mib + 3<<15, Files: 2},
		catalog.HoldingLeft{Bytes: 22 * mib, Dumps: []catalog.HeldDump{{DLE: vm("mail"), Stamp: before, Bytes: 10 * mib},
			{DLE: vm("mail"), Stamp: old, Bytes: 10 * mib}, {DLE: vm("db"), Level: 1, Stamp: before, Bytes: 2 * mib}}},
		catalog.NextVolumes{Storage: "vault", Labels: []catalog.Label{"DAY001"}}, catalog.RunFinished{Seconds: 4, ExitStatus: 16})
	return n
}

// crashedNight ends in the midst of a dump and of a part.
func crashedNight() *night {
	n := newNight("20261106225905", "run")
	for _, name := range []string{"web01", "web02", "db", "mail", "dns"} {
		n.plan(name, 0, 10*mib, "")
	}
	n.add(4, catalog.PlanFinished{Seconds: 4}, catalog.VolumeStarted{Storage: "vault", Label: "DAY004", Slot: "4", Capacity: 100 * mib, New: true})
	n.dump("db", 0, 10*mib, 5)
	n.write("vault", "DAY004", "db", 0, 10*mib)
	n.dump("mail", 0, 10*mib, 5)
	n.dump("dns", 0, 10*mib, 5)
	n.parts("vault", "DAY004", "mail", 0, 1, 4*mib)
	n.add(0, catalog.DumpStarted{DLE: vm("web01"), Stamp: n.run.Stamp, To: "holding"})
	n.add(3, catalog.DumpProgress{DLE: vm("web01"), Phase: catalog.PhaseDump, Done: 30 * mib, Total: 40 * mib})
	return n
}

// cancelledNight was stopped by a signal.
func cancelledNight() *night {
	n := newNight("20261107225905", "run")
	n.plan("web01", 0, 10*mib, "")
	n.plan("web02", 1, mib, "")
	n.add(4, catalog.PlanFinished{Seconds: 4}, catalog.DumpStarted{DLE: vm("web01"), Stamp: n.run.Stamp, To: "holding"})
	n.add(3, catalog.DumpFailed{DLE: vm("web01"), Stamp: n.run.Stamp, Error: "cancelled", Retry: true}, catalog.HoldingLeft{},
		catalog.RunFinished{Seconds: 7, ExitStatus: 1, Cancelled: true})
	return n
}

func nothingNight() *night {
	n := newNight("20261108190905", "run")
	n.add(0, catalog.PlanFinished{}, catalog.HoldingLeft{}, catalog.RunFinished{})
	return n
}

// lateNight puts off a full that is due.
func lateNight() *night {
	n := newNight("20261109190905", "run")
	n.add(0, catalog.Planned{DLE: vm("web01"), Level: 1, OrigEstimate: 2 * mib, StoredEstimate: mib, Reason: "full due 4 days ago",
		Note: "Full dump of web01:disk0 (10 MiB) delayed: the run holds 8 MiB.", Late: true})
	n.add(1, catalog.PlanFinished{Seconds: 1}, catalog.VolumeStarted{Storage: "vault", Label: "DAY005", Slot: "5", Capacity: 8 * mib})
	n.dump("web01", 1, mib, 1)
	n.write("vault", "DAY005", "web01", 1, mib)
	n.add(0, catalog.VolumeFinished{Storage: "vault", Label: "DAY005", Bytes: mib + 2<<15, Files: 1}, catalog.HoldingLeft{},
		catalog.RunFinished{Seconds: 3, ExitStatus: 1})
	return n
}

// storagesNight writes each dump to two storages.
func storagesNight() *night {
	n := newNight("20261110190905", "run")
	n.plan("db", 0, 10*mib, "")
	n.plan("web01", 1, mib, "")
	n.add(1, catalog.PlanFinished{Seconds: 1}, catalog.VolumeStarted{Storage: "vault", Label: "DAY006", Slot: "6", Capacity: 20 * mib},
		catalog.VolumeStarted{Storage: "offsite", Label: "OFF01", Slot: "1", Capacity: 80 * mib, New: true})
	n.dump("db", 0, 10*mib, 2)
	n.dump("web01", 1, mib, 2)
	n.write("vault", "DAY006", "db", 0, 10*mib)
	n.write("vault", "DAY006", "web01", 1, mib)
	n.write("offsite", "OFF01", "db", 0, 10*mib)
	n.write("offsite", "OFF01", "web01", 1, mib)
	n.add(0, catalog.VolumeFinished{Storage: "vault", Label: "DAY006", Bytes: 11*mib + 3<<15, Files: 2},
		catalog.VolumeFinished{Storage: "offsite", Label: "OFF01", Bytes: 11*mib + 3<<15, Files: 2}, catalog.HoldingLeft{},
		catalog.NextVolumes{Storage: "vault", Labels: []catalog.Label{"DAY001", "DAY002"}}, catalog.NextVolumes{Storage: "offsite", New: 1},
		catalog.RunFinished{Seconds: 9})
	return n
}

// longNight has names and numbers that need wider columns than Amanda's.
func longNight() *night {
	const tib = 1 << 40
	n := newNight("20261111190905", "run")
	n.run.Started = n.now
	big, odd := catalog.DLE{VM: "production-postgres-eu-central-1", Disk: "database-volume-0"}, catalog.DLE{VM: "zażółć", Disk: "a b\nc"}
	n.add(0, catalog.Planned{DLE: big, StoredEstimate: 60 * tib, OrigEstimate: 200 * tib, Reason: "full due today"},
		catalog.Planned{DLE: odd, Level: 1, StoredEstimate: mib, OrigEstimate: mib, Reason: "full due in 2 days"},
		catalog.PlanFinished{Seconds: 400}, catalog.VolumeStarted{Storage: "vault", Label: "PRODUCTION-LIBRARY-00000001", Slot: "1", Capacity: 100 * tib})
	for _, d := range []struct {
		dle    catalog.DLE
		level  catalog.Level
		stored int64
	}{{big, 0, 60 * tib}, {odd, 1, mib}} {
		seconds := float64(d.stored>>10) / 1e6
		n.add(0, catalog.DumpStarted{DLE: d.dle, Level: d.level, Stamp: n.run.Stamp, To: "volume"})
		n.add(seconds, catalog.PartWritten{Storage: "vault", Label: "PRODUCTION-LIBRARY-00000001", File: 1, Number: 1, DLE: d.dle, Level: d.level,
			Stamp: n.run.Stamp, Bytes: d.stored, Seconds: seconds},
			catalog.DumpFinished{DLE: d.dle, Level: d.level, Stamp: n.run.Stamp, Status: catalog.StatusOK, OrigBytes: 3 * d.stored, StoredBytes: d.stored, Seconds: seconds},
			catalog.CopyFinished{Storage: "vault", DLE: d.dle, Level: d.level, Stamp: n.run.Stamp, Parts: 1, OrigBytes: 3 * d.stored,
				Bytes: d.stored, Seconds: seconds, Direct: true})
	}
	n.add(0, catalog.VolumeFinished{Storage: "vault", Label: "PRODUCTION-LIBRARY-00000001", Bytes: 60 * tib, Files: 2}, catalog.HoldingLeft{},
		catalog.NextVolumes{Storage: "vault", New: 1}, catalog.RunFinished{Seconds: n.now.Sub(n.run.Started).Seconds()})
	return n
}

// lostNight claims a dump that is nowhere, and says nothing of another.
func lostNight() *night {
	n := newNight("20261112190905", "run")
	n.plan("web01", 0, mib, "")
	n.plan("web02", 0, mib, "")
	n.add(1, catalog.PlanFinished{Seconds: 1})
	n.dump("web01", 0, mib, 1)
	n.add(0, catalog.HoldingLeft{}, catalog.RunFinished{Seconds: 2, ExitStatus: 8})
	return n
}

// degradedNight has a main storage that takes one dump and then ends, a second one that is dead, and a third that writes a
// volume without one of its members: what it alone takes is safe, the rest stays on the holding disk.
func degradedNight() *night {
	n := newNight("20261114190905", "run")
	n.add(0, catalog.StorageChanged{Storage: "vtapes", State: catalog.StorageLooking}, catalog.StorageChanged{Storage: "cloud", State: catalog.StorageLooking},
		catalog.StorageChanged{Storage: "set", State: catalog.StorageLooking})
	n.plan("db", 0, 10*mib, "")
	n.plan("mail", 0, 11*mib, "")
	n.plan("web01", 1, mib, "")
	n.add(1, catalog.PlanFinished{Seconds: 1}, catalog.StorageChanged{Storage: "set", State: catalog.StorageReady},
		catalog.StorageChanged{Storage: "vtapes", State: catalog.StorageReady}, catalog.VolumeStarted{Storage: "set", Label: "SET01", Slot: "1", Capacity: 80 * mib},
		catalog.StorageChanged{Storage: "cloud", State: catalog.StorageOff, Text: "no volume: connection refused"},
		catalog.MediaError{Storage: "cloud", Error: "no volume: connection refused"},
		catalog.VolumeStarted{Storage: "vtapes", Label: "DAY007", Slot: "7", Capacity: 20 * mib})
	n.dump("db", 0, 10*mib, 2)
	n.write("set", "SET01", "db", 0, 10*mib)
	n.write("vtapes", "DAY007", "db", 0, 10*mib)
	full := catalog.MediaError{Storage: "vtapes", Error: "no volume: 1 volume filled; run-volumes: 1 allows no more"}
	n.add(0, catalog.VolumeFinished{Storage: "vtapes", Label: "DAY007", Bytes: 10*mib + 2<<15, Files: 1},
		catalog.StorageChanged{Storage: "vtapes", State: catalog.StorageOff, Text: full.Error}, full, catalog.Degraded{Reason: full.Error})
	n.dump("mail", 0, 11*mib, 2)
	n.dump("web01", 1, mib, 2)
	for dle, level := range map[string]catalog.Level{"mail": 0, "web01": 1} {
		n.add(0, catalog.CopyFailed{Storage: "vtapes", DLE: vm(dle), Level: level, Stamp: n.run.Stamp, Error: full.Error, Held: true})
	}
	old := catalog.CopyFailed{Storage: "set", DLE: vm("db"), Level: 1, Stamp: "20261113190905", Error: "volume DAY005: input/output error", Elsewhere: true}
	n.add(0, old, catalog.VolumeFinished{Storage: "set", Label: "SET01", Bytes: 10*mib + 2<<15, Files: 1},
		catalog.VolumeDegraded{Storage: "set", Label: "SET01", Members: []string{"disk3"}, Error: "disk3: input/output error"},
		catalog.HoldingLeft{Bytes: 12 * mib, Dumps: []catalog.HeldDump{{DLE: vm("mail"), Stamp: n.run.Stamp, Bytes: 11 * mib},
			{DLE: vm("web01"), Level: 1, Stamp: n.run.Stamp, Bytes: mib}}},
		catalog.NextVolumes{Storage: "vtapes", Labels: []catalog.Label{"DAY001"}}, catalog.NextVolumes{Storage: "set", New: 1},
		catalog.RunFinished{Seconds: 9})
	return n
}

// hooksNight has hooks of each outcome: what was vetoed is skipped, what a pre hook failed for is failed, and the failure of a
// post hook is strange. Those that were ok and silent are not shown.
func hooksNight() *night {
	n := newNight("20261105190905", "run")
	for _, name := range []string{"web01", "web02", "db", "mail"} {
		n.plan(name, 1, mib, "")
	}
	hook := func(event, vm string, outcome catalog.HookOutcome, text string, output ...string) {
		dle := catalog.DLE{VM: vm}
		if strings.Contains(event, "dle") {
			dle.Disk = "disk0"
		}
		n.add(1, catalog.HookFinished{DLE: dle, Event: event, Hook: "quiesce it", Outcome: outcome, Text: text, Output: output, Seconds: 1})
	}
	hook("pre-backup", "", catalog.HookOK, "")
	n.add(0, catalog.HookFinished{DLE: vm("web01"), Event: "post-dle-backup", Hook: "thaw", Left: "20261104190905", Outcome: catalog.HookOK,
		Output: []string{"nothing to do"}, Dropped: 7})
	hook("pre-dle-backup", "web01", catalog.HookVetoed, "maintenance until 6", "looking", "maintenance until 6")
	n.add(0, catalog.Skipped{DLE: vm("web01"), Level: 1, Reason: "pre-dle-backup hook quiesce it for web01:disk0 vetoed it: maintenance until 6"})
	hook("pre-host-backup", "db", catalog.HookFailed, "exit status 1")
	n.add(0, catalog.DumpFailed{DLE: vm("db"), Level: 1, Stamp: n.run.Stamp, Error: "pre-host-backup hook quiesce it for db failed: exit status 1"})
	for _, name := range []string{"mail", "web02"} {
		n.dump(name, 1, mib, 2)
	}
	long := make([]string, 120)
	for i := range long {
		long[i] = fmt.Sprintf("line %d", i+1)
	}
	hook("post-dle-backup", "mail", catalog.HookFailed, "not done after 10m, and ended: line 120", long...)
	n.add(0, catalog.VolumeStarted{Storage: "vault", Label: "DAY005", Slot: "5", Capacity: 100 * mib})
	n.write("vault", "DAY005", "mail", 1, mib)
	n.write("vault", "DAY005", "web02", 1, mib)
	hook("post-backup", "", catalog.HookOK, "", "told ops@example.org\x1b[1m")
	n.add(1, catalog.VolumeFinished{Storage: "vault", Label: "DAY005", Bytes: 2*mib + 3<<15, Files: 2}, catalog.HoldingLeft{},
		catalog.RunFinished{Seconds: n.now.Sub(n.run.Started).Seconds()})
	return n
}
