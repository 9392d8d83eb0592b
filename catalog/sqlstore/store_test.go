package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
)

var (
	web   = catalog.DLE{VM: "web01", Disk: "disk0"}
	db    = catalog.DLE{VM: "db/1", Disk: "data"}
	night = time.Date(2026, 11, 20, 22, 0, 0, 123456789, time.UTC)
)

// create makes an empty catalog and checks it through and through when the test ends.
func create(t *testing.T, opts sqlstore.Options) *sqlstore.Store {
	t.Helper()
	opts.Create = true
	return open(t, filepath.Join(t.TempDir(), "catalog.db"), opts)
}

func open(t *testing.T, path string, opts sqlstore.Options) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Check(context.Background()); err != nil {
			t.Errorf("at the end: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// dump is a usable dump of 100 stored bytes with every field filled.
func dump(d catalog.DLE, stamp catalog.Stamp, level catalog.Level, base catalog.DumpID) catalog.Dump {
	return catalog.Dump{
		ID: catalog.NewDumpID(d, stamp, level), DLE: d, Stamp: stamp, Level: level, Base: base, Status: catalog.StatusStrange,
		ImageBytes: 1 << 43, OrigBytes: 300, NativeCRC: 0xfedcba98, StoredBytes: 100, StoredCRC: 0xffffffff, ChangedBytes: 65536,
		Program: catalog.ProgramImage, Compress: "zstd", Encrypt: "age", MapDigest: "ab", Identity: "8:1:77",
		Started: night, Ended: night.Add(time.Minute), Messages: []string{"image changed while it was read"},
	}
}

func holding(d catalog.Dump) catalog.Holding {
	return catalog.Holding{Dump: d.ID, Chunks: []catalog.HoldingChunk{
		{Path: "/hold/" + string(d.Stamp) + "/a", Bytes: 60, CRC: 1, HeaderCRC: 2},
		{Path: "/hold/" + string(d.Stamp) + "/a.1", Bytes: 40, CRC: 3, HeaderCRC: 0xffffffff},
	}}
}

// copyOf splits a dump into two parts of 70 and 30 bytes on the volumes named.
func copyOf(d catalog.Dump, first, second catalog.Label) catalog.Copy {
	c := catalog.Copy{Dump: d.ID, Storage: "main", WriteStamp: d.Stamp, Status: catalog.StatusOK}
	part := catalog.Part{Dump: d.ID, Storage: "main", WriteStamp: d.Stamp, Number: 1, Label: first, File: int(d.Level)*10 + 1, Bytes: 70, CRC: 9, HeaderCRC: 8}
	c.Parts = append(c.Parts, part)
	part.Number, part.Label, part.Offset, part.Bytes, part.File = 2, second, 70, 30, part.File+1
	c.Parts = append(c.Parts, part)
	return c
}

func volume(label catalog.Label) catalog.Volume {
	return catalog.Volume{Label: label, Storage: "main", Slot: "slot1", WriteStamp: "20261120220000", Bytes: 5, Files: 2, HeaderCRC: 0xdeadbeef, Seen: night}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Fatalf("error %v, want one with %q", err, text)
	}
}

func equal[T any](t *testing.T, got T, err error, want T) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
}

// A catalog is made only on request, so that a lost one is never taken for an empty one.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		ok(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	foreign := filepath.Join(dir, "foreign")
	execute(t, foreign, `CREATE TABLE bookmarks (url text)`)
	newer := filepath.Join(dir, "newer")
	ok(t, mustOpen(t, newer).Close())
	execute(t, newer, `INSERT INTO catalog_schema (version_id, is_applied) VALUES (99, 1)`)

	for _, c := range []struct {
		name, path string
		opts       sqlstore.Options
		is         error
		text       string
	}{
		{"missing", filepath.Join(dir, "none"), sqlstore.Options{}, fs.ErrNotExist, "none: file does not exist"},
		{"missing, read-only", filepath.Join(dir, "none"), sqlstore.Options{ReadOnly: true, Create: true}, fs.ErrNotExist, "open catalog"},
		{"no directory", filepath.Join(dir, "no", "dir"), sqlstore.Options{Create: true}, fs.ErrNotExist, "dir: its directory: no such file"},
		{"a directory", dir, sqlstore.Options{Create: true}, sqlstore.ErrDamaged, "not a regular file"},
		{"empty", file("empty", ""), sqlstore.Options{}, sqlstore.ErrForeign, "it is empty"},
		{"empty, read-only", file("empty2", ""), sqlstore.Options{ReadOnly: true}, sqlstore.ErrForeign, "it is empty"},
		{"text", file("text", strings.Repeat("this is not a database\n", 100)), sqlstore.Options{Create: true}, sqlstore.ErrDamaged, "damaged"},
		{"foreign", foreign, sqlstore.Options{Create: true}, sqlstore.ErrForeign, "not a holdfast catalog"},
		{"foreign, read-only", foreign, sqlstore.Options{ReadOnly: true}, sqlstore.ErrForeign, "not a holdfast catalog"},
		{"newer", newer, sqlstore.Options{}, sqlstore.ErrNewer, "its schema is 99, this one knows up to 3"},
		{"newer, read-only", newer, sqlstore.Options{ReadOnly: true}, sqlstore.ErrNewer, "newer holdfast"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := sqlstore.Open(t.Context(), c.path, c.opts)
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			wantError(t, err, c.text)
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is not %v", err, c.is)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused open made the file: %v", err)
	}
}

func mustOpen(t *testing.T, path string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), path, sqlstore.Options{Create: true})
	ok(t, err)
	return s
}

// execute works on the file behind the store's back, as a user's tool could.
func execute(t *testing.T, path, statement string) {
	t.Helper()
	raw, err := sql.Open("sqlite", path)
	ok(t, err)
	_, err = raw.Exec(statement)
	ok(t, errors.Join(err, raw.Close()))
}

// Names with the characters a URI treats specially are names like others, and opening again with Create keeps what is there.
func TestOpenAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c#d%20")
	s := mustOpen(t, path)
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	ok(t, s.PutVolume(t.Context(), volume("V1")))
	ok(t, s.Close())
	for _, opts := range []sqlstore.Options{{}, {Create: true}, {ReadOnly: true}} {
		s := open(t, path, opts)
		v, err := s.Volume(t.Context(), "V1")
		equal(t, v, err, volume("V1"))
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// A read-only store reads beside a writer and cannot write.
func TestReadOnly(t *testing.T) {
	s := create(t, sqlstore.Options{})
	r := open(t, s.Path(), sqlstore.Options{ReadOnly: true})
	ok(t, s.PutVolume(t.Context(), volume("V1")))
	v, err := r.Volume(t.Context(), "V1")
	equal(t, v, err, volume("V1"))
	wantError(t, r.PutVolume(t.Context(), volume("V2")), "record volume V2: the catalog is open for reading only")
}

// Every writing method is one transaction: when its commit fails nothing of it is seen, and the method can be called again.
func TestWritesAreWhole(t *testing.T) {
	fail := false
	s := create(t, sqlstore.Options{BeforeCommit: func() error {
		if fail {
			return errors.New("power cut")
		}
		return nil
	}})
	ctx := t.Context()
	full := dump(web, "20261120220000", 0, "")
	held := dump(db, "20261120220000", 0, "")
	c := copyOf(full, "V1", "V2")
	run := catalog.Run{Stamp: "20261121220000", Command: "run", Started: night}
	steps := []struct {
		name string
		do   func() error
	}{
		{"volume", func() error { return s.PutVolume(ctx, volume("V1")) }},
		{"relabel", func() error { return s.Relabel(ctx, volume("V2")) }},
		{"held", func() error { return s.RecordHeld(ctx, held, holding(held)) }},
		{"part", func() error { return s.PutPart(ctx, c.Parts[0]) }},
		{"direct", func() error { return s.RecordDirect(ctx, full, c) }},
		{"finish copy", func() error { return s.FinishCopy(ctx, c) }},
		{"start run", func() error { return s.StartRun(ctx, run) }},
		{"events", func() error {
			return s.AddEvents(ctx, run.Stamp, night, catalog.Note{Text: "a"}, catalog.DumpProgress{DLE: web}, catalog.Note{Text: "b"})
		}},
		{"force", func() error { return s.SetForce(ctx, catalog.Force{DLE: web, Command: catalog.ForceFull, Set: night}) }},
		{"journal", func() error { return s.Journal(run.Stamp).Add(ctx, catalog.Resource{ID: "r1", Kind: "lock"}) }},
		{"relabel a full volume", func() error { return s.Relabel(ctx, volume("V1")) }},
		{"drop held", func() error { return s.DropHeld(ctx, held.ID) }},
	}
	for _, step := range steps {
		before := contents(t, s)
		fail = true
		wantError(t, step.do(), "power cut")
		if diff := cmp.Diff(before, contents(t, s)); diff != "" {
			t.Fatalf("%s: a failed commit left traces:\n%s", step.name, diff)
		}
		fail = false
		ok(t, step.do())
		if step.name != "finish copy" && cmp.Equal(before, contents(t, s)) {
			t.Fatalf("%s: nothing was written", step.name)
		}
	}
}

// contents are all rows of all tables as text.
func contents(t *testing.T, s *sqlstore.Store) map[string][]string {
	t.Helper()
	raw, err := sql.Open("sqlite", s.Path())
	ok(t, err)
	defer raw.Close()
	all := map[string][]string{}
	for _, table := range []string{"runs", "events", "dumps", "holding_chunks", "volumes", "copies", "parts", "forces", "resources"} {
		rows, err := raw.Query("SELECT * FROM " + table + " ORDER BY 1, 2, 3")
		ok(t, err)
		columns, err := rows.Columns()
		ok(t, err)
		for rows.Next() {
			values := make([]sql.NullString, len(columns))
			dest := make([]any, len(columns))
			for i := range values {
				dest[i] = &values[i]
			}
			ok(t, rows.Scan(dest...))
			var row []string
			for _, v := range values {
				row = append(row, v.String)
			}
			all[table] = append(all[table], strings.Join(row, "|"))
		}
		ok(t, errors.Join(rows.Err(), rows.Close()))
	}
	return all
}

// A step that is repeated after a crash changes nothing.
func TestWritesAreIdempotent(t *testing.T) {
	s := create(t, sqlstore.Options{})
	ctx := t.Context()
	full := dump(web, "20261120220000", 0, "")
	c := copyOf(full, "V1", "V2")
	for _, step := range []func() error{
		func() error { return s.PutVolume(ctx, volume("V1")) },
		func() error { return s.Relabel(ctx, volume("V2")) },
		func() error { return s.PutDump(ctx, full) },
		func() error { return s.RecordHeld(ctx, full, holding(full)) },
		func() error { return s.PutPart(ctx, c.Parts[0]) },
		func() error { return s.PutPart(ctx, c.Parts[1]) },
		func() error { return s.FinishCopy(ctx, c) },
		func() error { return s.RecordDirect(ctx, full, c) },
		func() error { return s.DropHeld(ctx, full.ID) },
		func() error { return s.SetForce(ctx, catalog.Force{DLE: web, Command: catalog.ForceFull, Set: night}) },
		func() error { return s.ClearForce(ctx, web) },
		func() error { return s.Journal("20261120220000").Add(ctx, catalog.Resource{ID: "r1", Kind: "lock"}) },
		func() error { return s.Journal("20261120220000").Done(ctx, "r1") },
		func() error { return s.DropCopiesOn(ctx, "V1") },
	} {
		ok(t, step())
		once := contents(t, s)
		ok(t, step())
		if diff := cmp.Diff(once, contents(t, s)); diff != "" {
			t.Fatalf("twice is not once:\n%s", diff)
		}
	}
}

// Check names what is wrong: pages, references, copies and held dumps that do not add up.
func TestCheck(t *testing.T) {
	for _, c := range []struct{ name, statement, want string }{
		{"orphan", `INSERT INTO holding_chunks VALUES ('no/dump/20261120220000/0', 1, '/x', 1, 0, 0)`, "holding_chunks: row 3 names no row of dumps"},
		{"missing part", `DELETE FROM parts WHERE part = 1`, "part 1 is missing"},
		{"short copy", `DELETE FROM parts WHERE part = 2`, "its 1 parts hold 70 bytes of 100"},
		{"held short", `DELETE FROM holding_chunks WHERE chunk = 2`, "its holding files have 60 bytes of 100"},
		{"wrong id", `UPDATE dumps SET level = 3`, "its id does not name it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := mustOpen(t, filepath.Join(t.TempDir(), "c"))
			defer s.Close()
			full := dump(web, "20261120220000", 0, "")
			ok(t, s.PutVolume(t.Context(), volume("V1")))
			ok(t, s.RecordDirect(t.Context(), full, copyOf(full, "V1", "V1")))
			ok(t, s.RecordHeld(t.Context(), full, holding(full)))
			ok(t, s.Check(t.Context()))
			execute(t, s.Path(), c.statement)
			wantError(t, s.Check(t.Context()), c.want)
		})
	}
}

// Damaged pages are called damage, by Check and by whatever meets them first.
func TestDamagedPages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c")
	s := mustOpen(t, path)
	for range 20 {
		full := dump(web, "20261120220000", 0, "")
		full.Messages = []string{strings.Repeat("x", 20000)}
		ok(t, s.PutDump(t.Context(), full))
	}
	ok(t, s.Close())
	data, err := os.ReadFile(path)
	ok(t, err)
	for i := 4096; i < len(data); i += 3 { // page 1, with the schema, stays whole
		data[i] ^= 0x55
	}
	ok(t, os.WriteFile(path, data, 0o600))
	s, err = sqlstore.Open(t.Context(), path, sqlstore.Options{ReadOnly: true})
	if err == nil {
		defer s.Close()
		err = s.Check(t.Context())
	}
	if !errors.Is(err, sqlstore.ErrDamaged) {
		t.Errorf("%v is not ErrDamaged", err)
	}
}
