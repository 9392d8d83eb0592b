package sqlstore_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
)

const (
	adopted1 catalog.Stamp = "20250101010000"
	adopted2 catalog.Stamp = "20250102010000"
)

// found is what a library holds: one volume, written at stamp, with one dump on it.
func found(label catalog.Label, stamp catalog.Stamp, status catalog.Status) sqlstore.Contents {
	d := catalog.Dump{DLE: catalog.DLE{VM: "a", Disk: "b"}, Stamp: adopted1, Status: status, StoredBytes: 10, Program: "GNUTAR"}
	d.ID = catalog.NewDumpID(d.DLE, d.Stamp, d.Level)
	c := catalog.Copy{Dump: d.ID, Storage: "theirs", WriteStamp: stamp, Status: status, Parts: []catalog.Part{
		{Dump: d.ID, Storage: "theirs", WriteStamp: stamp, Number: 1, Label: label, File: 1, Bytes: 10},
	}}
	return sqlstore.Contents{
		Volumes: []catalog.Volume{{Label: label, Storage: "theirs", WriteStamp: stamp, NoReuse: true}},
		Dumps:   []catalog.Dump{d}, Copies: []catalog.Copy{c},
	}
}

func openNew(t *testing.T) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), t.TempDir()+"/catalog.sqlite", sqlstore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func adopt(t *testing.T, s *sqlstore.Store, c sqlstore.Contents, want sqlstore.Adopted) {
	t.Helper()
	got, err := s.Adopt(t.Context(), c)
	if err != nil || got != want {
		t.Errorf("adopted %+v, %v, want %+v", got, err, want)
	}
}

// What is known stays; what was partial becomes whole; what was written anew loses what it held.
func TestAdopt(t *testing.T) {
	s := openNew(t)
	adopt(t, s, found("V1", adopted1, catalog.StatusPartial), sqlstore.Adopted{Volumes: 1, Dumps: 1, Copies: 1})
	adopt(t, s, found("V1", adopted1, catalog.StatusPartial), sqlstore.Adopted{})
	adopt(t, s, found("V1", adopted1, catalog.StatusOK), sqlstore.Adopted{Dumps: 1, Copies: 1})
	adopt(t, s, found("V1", adopted1, catalog.StatusPartial), sqlstore.Adopted{})
	if err := s.SetReuse(t.Context(), "V1", false); err != nil { // "volume reuse"
		t.Fatal(err)
	}
	adopt(t, s, found("V1", adopted1, catalog.StatusOK), sqlstore.Adopted{})
	if v, err := s.Volume(t.Context(), "V1"); err != nil || v.NoReuse {
		t.Errorf("volume %+v, %v: what the administrator said is undone", v, err)
	}
	adopt(t, s, found("V1", adopted2, catalog.StatusOK), sqlstore.Adopted{Volumes: 1, Copies: 1})
	copies, err := s.AllCopies(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(found("V1", adopted2, catalog.StatusOK).Copies, copies); diff != "" {
		t.Errorf("copies: -want +got:\n%s", diff)
	}
}

// A label that is another volume's is refused, and nothing of the rest is taken in.
func TestAdoptRefuses(t *testing.T) {
	for name, known := range map[string]catalog.Volume{
		"another storage's": {Label: "V1", Storage: "ours", WriteStamp: adopted1},
		"a retired one's":   {Label: "V1", Storage: "theirs", WriteStamp: adopted1, Retired: true},
		"one written since": {Label: "V1", Storage: "theirs", WriteStamp: adopted2},
	} {
		s := openNew(t)
		if err := s.PutVolume(t.Context(), known); err != nil {
			t.Fatal(err)
		}
		c := found("V1", adopted1, catalog.StatusOK)
		c.Volumes = append([]catalog.Volume{{Label: "V0", Storage: "theirs"}}, c.Volumes...)
		_, err := s.Adopt(t.Context(), c)
		if !errors.Is(err, sqlstore.ErrTaken) || !errors.Is(s.Adoptable(t.Context(), c.Volumes), sqlstore.ErrTaken) {
			t.Errorf("%s: %v", name, err)
		}
		volumes, err := s.Volumes(t.Context(), "")
		if err != nil || len(volumes) != 1 {
			t.Errorf("%s: volumes %+v, %v", name, volumes, err)
		}
	}
	s := openNew(t)
	c := found("V1", adopted1, catalog.StatusOK)
	c.Copies[0].Parts[0].Bytes = 9
	if _, err := s.Adopt(t.Context(), c); err == nil {
		t.Error("a copy that does not hold all of its dump is taken for whole")
	}
}
