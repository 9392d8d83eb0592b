package sqlstore_test

import (
	"errors"
	"testing"
	"time"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
)

func TestRuns(t *testing.T) {
	s := create(t, sqlstore.Options{})
	ctx := t.Context()
	if stamp, err := s.LastStamp(ctx); err != nil || stamp != "" {
		t.Fatalf("last stamp of an empty catalog %q, %v", stamp, err)
	}
	first := catalog.Run{Stamp: "20261120220000", Command: "run", Started: night, PID: 17}
	second := catalog.Run{Stamp: "20261121220000", Command: "flush", Started: night.Add(24 * time.Hour), PID: 18}
	ok(t, s.StartRun(ctx, first))
	ok(t, s.StartRun(ctx, second))
	first.Ended, first.ExitStatus = night.Add(time.Hour), 6
	ok(t, s.FinishRun(ctx, first.Stamp, first.Ended, first.ExitStatus))
	runs, err := s.Runs(ctx, 0)
	equal(t, runs, err, []catalog.Run{second, first})
	runs, err = s.Runs(ctx, 1)
	equal(t, runs, err, []catalog.Run{second})
	run, err := s.Run(ctx, first.Stamp)
	equal(t, run, err, first)

	_, err = s.Run(ctx, "20000101000000")
	wantError(t, err, "run 20000101000000: not in the catalog")
	err = s.FinishRun(ctx, "20000101000000", night, 0)
	if !errors.Is(err, sqlstore.ErrNotFound) {
		t.Errorf("finish of an unknown run: %v", err)
	}
	wantError(t, s.StartRun(ctx, second), "start run 20261121220000: the catalog already holds stamp 20261121220000")
}

// Stamps rise over all that a catalog rebuilt from media knows: dumps, copies and volumes, not only runs.
func TestLastStamp(t *testing.T) {
	s := create(t, sqlstore.Options{})
	ctx := t.Context()
	want := func(stamp catalog.Stamp) {
		t.Helper()
		got, err := s.LastStamp(ctx)
		equal(t, got, err, stamp)
	}
	v := volume("V1")
	v.WriteStamp = "20261119000000"
	ok(t, s.PutVolume(ctx, v))
	want("20261119000000")
	d := dump(web, "20261120000000", 0, "")
	ok(t, s.PutDump(ctx, d))
	want("20261120000000")
	p := copyOf(d, "V1", "V1").Parts[0]
	p.WriteStamp = "20261121000000"
	ok(t, s.PutPart(ctx, p))
	want("20261121000000")
	wantError(t, s.StartRun(ctx, catalog.Run{Stamp: "20261120120000"}), "stamps must rise")
	ok(t, s.StartRun(ctx, catalog.Run{Stamp: "20261122000000"}))
	want("20261122000000")
}

func TestEvents(t *testing.T) {
	s := create(t, sqlstore.Options{})
	ctx := t.Context()
	run := catalog.Stamp("20261120220000")
	ok(t, s.StartRun(ctx, catalog.Run{Stamp: run, Started: night}))
	progress := func(d catalog.DLE, done int64) catalog.EventBody {
		return catalog.DumpProgress{DLE: d, Phase: "dump", Done: done}
	}
	add := func(bodies ...catalog.EventBody) {
		t.Helper()
		ok(t, s.AddEvents(ctx, run, night, bodies...))
	}
	add(catalog.RunStarted{Host: "backup"}, progress(web, 1))
	add(progress(db, 1))
	add(progress(web, 2), catalog.Note{Text: "x"})
	add()
	event := func(seq int64, b catalog.EventBody) catalog.Event {
		return catalog.Event{Run: run, Seq: seq, At: night, Body: b}
	}
	want := []catalog.Event{event(1, catalog.RunStarted{Host: "backup"}), event(3, progress(db, 1)), event(4, progress(web, 2)), event(5, catalog.Note{Text: "x"})}
	events, err := s.Events(ctx, run, 0)
	equal(t, events, err, want)
	events, err = s.Events(ctx, run, 3)
	equal(t, events, err, want[2:])

	// The latest event of all gives up its place to its successor: a reader that has seen it must see the new one.
	add(progress(db, 2))
	add(progress(db, 3))
	events, err = s.Events(ctx, run, 6)
	equal(t, events, err, []catalog.Event{event(7, progress(db, 3))})

	wantError(t, s.AddEvents(ctx, run, night, nil), "event without a body")
	if err := s.AddEvents(ctx, "20000101000000", night, catalog.Note{}); err == nil {
		t.Error("an event of an unknown run was taken")
	}
	execute(t, s.Path(), `UPDATE events SET kind = 'teleported' WHERE seq = 1`)
	_, err = s.Events(ctx, run, 0)
	wantError(t, err, `events of run 20261120220000: event kind "teleported": unknown`)
}

func TestDumps(t *testing.T) {
	s := create(t, sqlstore.Options{})
	ctx := t.Context()
	full := dump(web, "20261120220000", 0, "")
	incr := dump(web, "20261121220000", 1, full.ID)
	other := dump(db, "20261121220000", 0, "")
	other.Status, other.Messages, other.Ended = catalog.StatusFailed, nil, time.Time{}
	for _, d := range []catalog.Dump{incr, other, full} {
		ok(t, s.PutDump(ctx, d))
	}
	got, err := s.Dump(ctx, full.ID)
	equal(t, got, err, full)
	got, err = s.Dump(ctx, other.ID)
	equal(t, got, err, other)
	full.Status, full.OrigBytes = catalog.StatusOK, 301
	ok(t, s.PutDump(ctx, full))

	for _, c := range []struct {
		name   string
		filter sqlstore.DumpFilter
		want   []catalog.Dump
	}{
		{"all", sqlstore.DumpFilter{}, []catalog.Dump{full, other, incr}},
		{"dle", sqlstore.DumpFilter{DLE: &web}, []catalog.Dump{full, incr}},
		{"vm", sqlstore.DumpFilter{VM: db.VM}, []catalog.Dump{other}},
		{"stamp", sqlstore.DumpFilter{Stamp: incr.Stamp}, []catalog.Dump{other, incr}},
		{"stamp and usable", sqlstore.DumpFilter{Stamp: incr.Stamp, Usable: true}, []catalog.Dump{incr}},
		{"dle of another vm", sqlstore.DumpFilter{DLE: &web, VM: db.VM}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := s.Dumps(ctx, c.filter)
			equal(t, got, err, c.want)
		})
	}
	_, err = s.Dump(ctx, "a/b/20261120220000/0")
	wantError(t, err, "dump a/b/20261120220000/0: not in the catalog")
	wrong := full
	wrong.Level = 1
	wantError(t, s.PutDump(ctx, wrong), "the id does not name this dump, web01/disk0/20261120220000/1")
}

func TestHeld(t *testing.T) {
	s := create(t, sqlstore.Options{})
	ctx := t.Context()
	full := dump(web, "20261120220000", 0, "")
	incr := dump(web, "20261121220000", 1, full.ID)
	ok(t, s.RecordHeld(ctx, incr, holding(incr)))
	ok(t, s.RecordHeld(ctx, full, holding(full)))
	got, err := s.Dump(ctx, full.ID)
	equal(t, got, err, full)
	held, err := s.Held(ctx)
	equal(t, held, err, []catalog.Holding{holding(full), holding(incr)})

	// Recording again puts the new files in the place of the old ones.
	moved := holding(full)
	moved.Chunks = []catalog.HoldingChunk{{Path: "/hold2/a", Bytes: 100}}
	ok(t, s.RecordHeld(ctx, full, moved))
	held, err = s.Held(ctx)
	equal(t, held, err, []catalog.Holding{moved, holding(incr)})
	ok(t, s.DropHeld(ctx, full.ID))
	held, err = s.Held(ctx)
	equal(t, held, err, []catalog.Holding{holding(incr)})
	wantError(t, s.RecordHeld(ctx, full, holding(incr)), "the holding files are those of")
	wantError(t, s.RecordHeld(ctx, full, catalog.Holding{Dump: full.ID}), "no holding files")
}

// From the first part to the last, and back to nothing as the volumes are written anew.
func TestCopies(t *testing.T) {
	s := create(t, sqlstore.Options{})
	ctx := t.Context()
	ok(t, s.PutVolume(ctx, volume("V1")))
	ok(t, s.PutVolume(ctx, volume("V2")))
	full := dump(web, "20261120220000", 0, "")
	incr := dump(web, "20261121220000", 1, full.ID)
	ok(t, s.PutDump(ctx, full))
	done := copyOf(full, "V1", "V2")
	begun := done
	begun.Status, begun.Parts = catalog.StatusPartial, done.Parts[:1]

	ok(t, s.PutPart(ctx, done.Parts[0]))
	copies, err := s.Copies(ctx, full.ID)
	equal(t, copies, err, []catalog.Copy{begun})
	wantError(t, s.FinishCopy(ctx, done), "finish copy of "+string(full.ID)+": copy of "+string(full.ID)+" in main: its 1 parts hold 70 bytes of 100")
	ok(t, s.PutPart(ctx, done.Parts[1]))
	ok(t, s.FinishCopy(ctx, done))
	copies, err = s.Copies(ctx, full.ID)
	equal(t, copies, err, []catalog.Copy{done})

	direct := copyOf(incr, "V2", "V2")
	ok(t, s.RecordDirect(ctx, incr, direct))
	all, err := s.AllCopies(ctx)
	equal(t, all, err, []catalog.Copy{done, direct})
	parts, err := s.PartsOn(ctx, "V2")
	equal(t, parts, err, []catalog.Part{done.Parts[1], direct.Parts[0], direct.Parts[1]})

	// A flush of the same dump at another time is a second copy.
	failed := catalog.Copy{Dump: full.ID, Storage: "main", WriteStamp: "20261122220000", Status: catalog.StatusFailed}
	ok(t, s.FinishCopy(ctx, failed))
	copies, err = s.Copies(ctx, full.ID)
	equal(t, copies, err, []catalog.Copy{done, failed})

	ok(t, s.Relabel(ctx, volume("V1")))
	begun.Parts = done.Parts[1:]
	copies, err = s.Copies(ctx, full.ID)
	equal(t, copies, err, []catalog.Copy{begun, failed})
	ok(t, s.DropCopiesOn(ctx, "V2"))
	all, err = s.AllCopies(ctx)
	equal(t, all, err, []catalog.Copy{failed})
	history, err := s.Dumps(ctx, sqlstore.DumpFilter{})
	equal(t, history, err, []catalog.Dump{full, incr})
}

// Parts of a dump that goes straight to a volume are recorded before the dump is known.
func TestPartBeforeDump(t *testing.T) {
	s := create(t, sqlstore.Options{})
	ctx := t.Context()
	full := dump(db, "20261120220000", 0, "")
	c := copyOf(full, "V1", "V1")
	wantError(t, s.PutPart(ctx, c.Parts[0]), "record part 1 of db%2F1/data/20261120220000/0: volume V1 file 1: volume V1: not in the catalog")
	ok(t, s.PutVolume(ctx, volume("V1")))
	ok(t, s.PutPart(ctx, c.Parts[0]))
	got, err := s.Dump(ctx, full.ID)
	equal(t, got, err, catalog.Dump{ID: full.ID, DLE: db, Stamp: full.Stamp, Status: catalog.StatusPartial})
	ok(t, s.PutPart(ctx, c.Parts[1]))
	ok(t, s.RecordDirect(ctx, full, catalog.Copy{Dump: full.ID, Storage: "main", WriteStamp: full.Stamp, Status: catalog.StatusStrange}))
	got, err = s.Dump(ctx, full.ID)
	equal(t, got, err, full)

	// The parts given take the place of those that a first attempt left.
	whole := c
	whole.Parts = []catalog.Part{c.Parts[1]}
	whole.Parts[0].Number, whole.Parts[0].Offset, whole.Parts[0].Bytes = 1, 0, 100
	ok(t, s.RecordDirect(ctx, full, whole))
	copies, err := s.Copies(ctx, full.ID)
	equal(t, copies, err, []catalog.Copy{whole})
	ok(t, s.RecordDirect(ctx, full, c))

	wantError(t, s.RecordDirect(ctx, full, catalog.Copy{Dump: "x"}), "the copy is one of x")
	wantError(t, s.PutPart(ctx, catalog.Part{Dump: "x", Label: "V1"}), `dump id "x"`)
	// Two parts in one file: the first must have been overwritten.
	over := copyOf(dump(web, "20261120220000", 0, ""), "V1", "V1").Parts[0]
	wantError(t, s.PutPart(ctx, over), "UNIQUE")
}

func TestRestorable(t *testing.T) {
	s := create(t, sqlstore.Options{})
	ctx := t.Context()
	ok(t, s.PutVolume(ctx, volume("V1")))
	ok(t, s.PutVolume(ctx, volume("V2")))
	full := dump(web, "20261120220000", 0, "")
	one := dump(web, "20261121220000", 1, full.ID)
	two := dump(web, "20261122220000", 2, one.ID)
	clone := dump(db, "20261122220000", 0, full.ID) // a linked clone: its base is a dump of another DLE
	want := func(dumps ...catalog.Dump) {
		t.Helper()
		got, err := s.Dumps(ctx, sqlstore.DumpFilter{Restorable: true})
		equal(t, got, err, dumps)
	}
	ok(t, s.PutDump(ctx, full))
	want()
	ok(t, s.RecordHeld(ctx, one, holding(one)))
	want()
	ok(t, s.RecordDirect(ctx, full, copyOf(full, "V1", "V1")))
	ok(t, s.RecordHeld(ctx, two, holding(two)))
	ok(t, s.RecordHeld(ctx, clone, holding(clone)))
	want(full, one, clone, two)
	ok(t, s.DropHeld(ctx, one.ID))
	want(full, clone)
	ok(t, s.RecordDirect(ctx, one, copyOf(one, "V2", "V2")))
	want(full, one, clone, two)
	one.Status = catalog.StatusFailed
	ok(t, s.PutDump(ctx, one))
	want(full, clone)
	ok(t, s.Relabel(ctx, volume("V1")))
	want()

	// Dumps that name each other end the query all the same.
	one.Status, one.Base = catalog.StatusOK, two.ID
	ok(t, s.PutDump(ctx, one))
	want()
}

func TestVolumes(t *testing.T) {
	s := create(t, sqlstore.Options{})
	ctx := t.Context()
	v1, v2, vault := volume("V1"), volume("V2"), volume("A1")
	vault.Storage, vault.NoReuse, vault.Seen = "vault", true, time.Time{}
	for _, v := range []catalog.Volume{v2, v1, vault} {
		ok(t, s.PutVolume(ctx, v))
	}
	got, err := s.Volumes(ctx, "main")
	equal(t, got, err, []catalog.Volume{v1, v2})
	got, err = s.Volumes(ctx, "")
	equal(t, got, err, []catalog.Volume{vault, v1, v2})
	_, err = s.Volume(ctx, "V9")
	wantError(t, err, "volume V9: not in the catalog")

	// What the administrator set meanwhile survives a run that knew the volume before.
	execute(t, s.Path(), `UPDATE volumes SET no_reuse = 1`)
	v1.Slot, v1.WriteStamp, v1.Bytes, v1.Files, v1.HeaderCRC, v1.Seen = "", "20261121220000", 99, 9, 1, night.Add(time.Hour)
	ok(t, s.PutVolume(ctx, v1))
	v1.NoReuse = true
	v, err := s.Volume(ctx, "V1")
	equal(t, v, err, v1)
	wantError(t, s.Relabel(ctx, v1), "relabel volume V1: it is marked never to be overwritten")
	execute(t, s.Path(), `UPDATE volumes SET no_reuse = 0, retired = 1`)
	wantError(t, s.Relabel(ctx, v1), "never to be overwritten")
	execute(t, s.Path(), `UPDATE volumes SET retired = 0`)
	ok(t, s.Relabel(ctx, v1))
}

func TestForces(t *testing.T) {
	s := create(t, sqlstore.Options{})
	ctx := t.Context()
	f := catalog.Force{DLE: web, Command: catalog.ForceFull, Set: night}
	g := catalog.Force{DLE: db, Command: catalog.ForceNoBump, Set: night}
	ok(t, s.SetForce(ctx, f))
	ok(t, s.SetForce(ctx, g))
	f.Command = catalog.ForceLevel1
	ok(t, s.SetForce(ctx, f))
	got, err := s.Forces(ctx)
	equal(t, got, err, []catalog.Force{g, f})
	ok(t, s.ClearForce(ctx, db))
	got, err = s.Forces(ctx)
	equal(t, got, err, []catalog.Force{f})
}

func TestJournal(t *testing.T) {
	s := create(t, sqlstore.Options{})
	ctx := t.Context()
	tonight := s.Journal("20261121220000")
	lock := catalog.Resource{ID: "b", Kind: "lock", Name: "/img/a", Data: `{"fd":3}`, Made: night}
	ok(t, tonight.Add(ctx, lock))
	lock.Run = "20261121220000"
	old := catalog.Resource{ID: "a", Run: "20261120220000", Kind: "scratch", Name: "/tmp/x", Made: night.Add(-time.Hour)}
	ok(t, tonight.Add(ctx, old))
	got, err := tonight.Open(ctx, "lock")
	equal(t, got, err, []catalog.Resource{lock})
	got, err = s.Journal("").Open(ctx, "")
	equal(t, got, err, []catalog.Resource{old, lock})
	ok(t, tonight.Done(ctx, "b"))
	got, err = tonight.Open(ctx, "")
	equal(t, got, err, []catalog.Resource{old})
	wantError(t, tonight.Add(ctx, catalog.Resource{Kind: "lock", Name: "n"}), "journal lock n: resource without an id")
}
