package amanda_test

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
	"holdfast/configs"
	"holdfast/internal/vfs"
	"holdfast/scheduler/amanda"
)

const (
	night1 catalog.Stamp = "20250101010000"
	night2 catalog.Stamp = "20250102010000"
)

// newStore makes an empty catalog.
func newStore(t *testing.T) *sqlstore.Store {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), filepath.Join(t.TempDir(), "catalog.sqlite"), sqlstore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put records a dump of vm, with a copy in one storage whose parts of 128 KiB lie at these places (LABEL/FILE).
func put(t *testing.T, store *sqlstore.Store, vm string, stamp, written catalog.Stamp, storage string, places ...string) catalog.Dump {
	t.Helper()
	d := catalog.Dump{
		DLE: catalog.DLE{VM: vm, Disk: "disk 0"}, Stamp: stamp, Status: catalog.StatusOK, OrigBytes: 300_000, NativeCRC: 0xabc,
		StoredBytes: int64(len(places)) << 17, StoredCRC: 0xdef, Program: catalog.ProgramImage,
		Started: time.Unix(1, 0), Ended: time.Unix(3, 0),
	}
	d.ID = catalog.NewDumpID(d.DLE, d.Stamp, d.Level)
	c := catalog.Copy{Dump: d.ID, Storage: storage, WriteStamp: written, Status: catalog.StatusOK}
	for i, place := range places {
		label, file, _ := strings.Cut(place, "/")
		p := catalog.Part{Dump: d.ID, Storage: storage, WriteStamp: written, Number: i + 1, Label: catalog.Label(label), Offset: int64(i) << 17, Bytes: 1 << 17}
		_, err := fmt.Sscan(file, &p.File)
		must(t, err)
		c.Parts = append(c.Parts, p)
	}
	must(t, store.RecordDirect(t.Context(), d, c))
	return d
}

func putVolume(t *testing.T, store *sqlstore.Store, storage string, label catalog.Label, stamp catalog.Stamp) {
	t.Helper()
	must(t, store.PutVolume(t.Context(), catalog.Volume{Label: label, Storage: storage, WriteStamp: stamp}))
}

func exporter(fsys vfs.FS, store *sqlstore.Store) amanda.Exporter {
	return amanda.Exporter{FS: fsys, Store: store, Host: "srv", User: "backup", Config: &configs.Config{
		Org: `the "site"`, Holding: []configs.Holding{{Dir: "/holding"}},
	}}
}

var dirStorage = configs.Storage{Name: "tape", Device: configs.DeviceDir, Path: "/vt,apes", Slots: 3, VolumeSize: 1 << 20, PartSize: 1 << 17, Label: "V.%%"}

// tree gives all files below /out.
func tree(t *testing.T, fsys vfs.FS, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	entries, err := fsys.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if e.IsDir() {
			for k, v := range tree(t, fsys, name) {
				files[k] = v
			}
			continue
		}
		data, err := vfs.ReadFile(fsys, name)
		must(t, err)
		files[strings.TrimPrefix(name, "/out/")] = string(data)
	}
	return files
}

// The catalog in Amanda's words: dumps that were flushed stand in the log of the volumes' run, volumes that were
// overwritten or retired and copies that are not whole do not appear.
func TestExport(t *testing.T) {
	store, fsys := newStore(t), vfs.NewMem()
	for label, stamp := range map[catalog.Label]catalog.Stamp{"V.01": night1, "V.02": night2, "V.03": night2, "V.04": "", "V.05": night1} {
		putVolume(t, store, "tape", label, stamp)
	}
	putVolume(t, store, "other", "O-1", night2)
	put(t, store, "web01", night1, night1, "tape", "V.01/1")
	put(t, store, "web01", night2, night2, "tape", "V.02/2", "V.03/1")
	put(t, store, "db01", night1, night2, "tape", "V.02/1") // flushed by the second night
	put(t, store, "gone", night1, night1, "tape", "V.05/1")
	put(t, store, "elsewhere", night2, night2, "other", "O-1/1")
	half := put(t, store, "half", night1, night1, "tape", "V.01/2", "V.05/2")
	must(t, store.Retire(t.Context(), "V.05"))
	got, err := exporter(fsys, store).Export(t.Context(), "/out", []configs.Storage{dirStorage})
	must(t, err)
	want := []amanda.Exported{{
		Storage: "tape", Dir: "/out/tape", Volumes: 4, Dumps: 3, Parts: 4, Logs: 2,
		LeftOut: []string{string(half.ID) + ", written at 20250101010000: this copy is partial"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	files := tree(t, fsys, "/out")
	const of = ` "ST:holdfast-tape" "POOL:holdfast-tape" `
	const crcs = "00000abc:300000 00000abc:300000 00000def:"
	for name, want := range map[string]string{
		"tape/disklist": "",
		"tape/tapelist": "20250102010000 V.02 no-reuse BLOCKSIZE:32 POOL:holdfast-tape STORAGE:holdfast-tape\n" +
			"20250102010000 V.03 no-reuse BLOCKSIZE:32 POOL:holdfast-tape STORAGE:holdfast-tape\n" +
			"20250101010000 V.01 no-reuse BLOCKSIZE:32 POOL:holdfast-tape STORAGE:holdfast-tape\n" +
			"0 V.04 no-reuse BLOCKSIZE:32 POOL:holdfast-tape STORAGE:holdfast-tape\n",
		"tape/log/log.20250102010000.0": "START planner date 20250102010000\nDISK planner web01 \"disk 0\"\nSTART driver date 20250102010000\n" +
			"STATS driver hostname srv\nSUCCESS chunker web01 \"disk 0\" 20250102010000 0 00000def:262144 [sec 2.000 kb 256 kps 128.0]\n" +
			"SUCCESS dumper web01 \"disk 0\" 20250102010000 0 00000abc:300000 00000abc:300000 [sec 2.000 kb 256 kps 128.0 orig-kb 293]\n" +
			"START taper datestamp 20250102010000" + of + "label V.02 tape 1\n" +
			"PART taper" + of + "V.02 1 db01 \"disk 0\" 20250101010000 1/1 0 [sec 0.000000 bytes 131072 kps 0.000000 orig-kb 293]\n" +
			"DONE taper" + of + "db01 \"disk 0\" 20250101010000 1 0 " + crcs + "131072 [sec 0.000000 bytes 131072 kps 0.000000 orig-kb 293]\n" +
			"PART taper" + of + "V.02 2 web01 \"disk 0\" 20250102010000 1/2 0 [sec 0.000000 bytes 131072 kps 0.000000 orig-kb 293]\n" +
			"START taper datestamp 20250102010000" + of + "label V.03 tape 2\n" +
			"PART taper" + of + "V.03 1 web01 \"disk 0\" 20250102010000 2/2 0 [sec 0.000000 bytes 131072 kps 0.000000 orig-kb 293]\n" +
			"DONE taper" + of + "web01 \"disk 0\" 20250102010000 2 0 " + crcs + "262144 [sec 0.000000 bytes 262144 kps 0.000000 orig-kb 293]\n" +
			"FINISH driver date 20250102010000 time 0.000\n",
	} {
		if diff := cmp.Diff(want, files[name]); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	for _, line := range []string{
		`org "the \"site\""`, `tpchanger "chg-disk:/vt\\,apes"`, `labelstr "^V\\.[0-9][0-9]$"`, `storage "holdfast-tape"`, `directory "/holding"`, `dumpuser "backup"`,
	} {
		if !strings.Contains(files["tape/amanda.conf"], line+"\n") {
			t.Errorf("amanda.conf does not say %s:\n%s", line, files["tape/amanda.conf"])
		}
	}
}

// The second export changes only what is different, removes what is gone, and leaves what Amanda and the administrator
// have put beside it.
func TestExportAgain(t *testing.T) {
	store, fsys := newStore(t), vfs.NewMem()
	putVolume(t, store, "tape", "V.01", night1)
	put(t, store, "web01", night1, night1, "tape", "V.01/1")
	bucket := configs.Storage{Name: "off site", Index: 1, Device: configs.DeviceS3, Slots: 2, VolumeSize: 1 << 20, Label: "S-%", S3: configs.S3{Bucket: "b"}}
	storages := []configs.Storage{dirStorage, bucket}
	export := func(fsys vfs.FS) {
		t.Helper()
		_, err := exporter(fsys, store).Export(t.Context(), "/out", storages)
		must(t, err)
	}
	export(fsys)
	const keys, fetched = "/out/off site/keys.conf", "/out/tape/log/log.20250110000000.0"
	must(t, vfs.WriteFileDurable(fsys, keys, []byte("the keys"), 0o600))
	must(t, vfs.WriteFileDurable(fsys, fetched, []byte("INFO amfetchdump"), 0o600))
	before := tree(t, fsys, "/out")
	export(vfs.Wrap(fsys, func(op vfs.Op) error {
		if op.Kind.Changes() && !strings.Contains(op.Path, ".holdfast-export") {
			t.Errorf("exporting the same writes %s", op.Path)
		}
		return nil
	}))
	if diff := cmp.Diff(before, tree(t, fsys, "/out")); diff != "" {
		t.Errorf("exporting the same: -before +after:\n%s", diff)
	}
	must(t, store.Relabel(t.Context(), catalog.Volume{Label: "V.01", Storage: "tape", WriteStamp: night2}))
	export(fsys)
	after := tree(t, fsys, "/out")
	if _, ok := after["tape/log/log."+string(night1)+".0"]; ok {
		t.Error("the log of a volume that was overwritten stays")
	}
	if after["off site/keys.conf"] != "the keys" || after["tape/log/log.20250110000000.0"] == "" {
		t.Errorf("what was not exported is not there any more: %v", slices.Collect(keysOf(after)))
	}
	storages = storages[:1]
	export(fsys)
	if _, ok := tree(t, fsys, "/out")["off site/amanda.conf"]; ok {
		t.Error("the configuration of a storage that is gone stays")
	}
}

func keysOf(m map[string]string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// A directory that holds anything else is not touched.
func TestExportRefuses(t *testing.T) {
	store := newStore(t)
	for name, file := range map[string][2]string{
		"another file":           {"/out/amanda.conf", "org"},
		"a list of another kind": {"/out/.holdfast-export", "hello\n"},
		"a list that leads out":  {"/out/.holdfast-export", "written by holdfast volume export-amanda:\n../etc/passwd\n"},
	} {
		fsys := vfs.NewMem()
		must(t, vfs.MkdirAll(fsys, "/out", 0o700))
		must(t, vfs.WriteFileDurable(fsys, file[0], []byte(file[1]), 0o600))
		before := tree(t, fsys, "/out")
		_, err := exporter(fsys, store).Export(t.Context(), "/out", []configs.Storage{dirStorage})
		if !errors.Is(err, amanda.ErrNotOurs) || !strings.Contains(err.Error(), "/out") {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(before, tree(t, fsys, "/out")); diff != "" {
			t.Errorf("%s: -before +after:\n%s", name, diff)
		}
	}
}

// Whatever operation fails, the next export makes it whole, and no file is left that it does not know.
func TestExportFaults(t *testing.T) {
	store := newStore(t)
	putVolume(t, store, "tape", "V.01", night1)
	put(t, store, "web01", night1, night1, "tape", "V.01/1")
	export := func(fsys vfs.FS) error {
		_, err := exporter(fsys, store).Export(context.Background(), "/out", []configs.Storage{dirStorage})
		return err
	}
	whole := vfs.NewMem()
	must(t, export(whole))
	want := tree(t, whole, "/out")
	for n := 0; ; n++ {
		fsys, ops := vfs.NewMem(), 0
		err := export(vfs.Wrap(fsys, func(op vfs.Op) error {
			if !op.Kind.Changes() {
				return nil
			}
			if ops++; ops == n+1 {
				return syscall.EIO
			}
			return nil
		}))
		if err == nil {
			if n < 20 {
				t.Errorf("an export of %d operations", n)
			}
			break
		}
		if err := export(fsys); err != nil {
			t.Errorf("operation %d failed; the next export: %v", n, err)
			continue
		}
		if diff := cmp.Diff(want, tree(t, fsys, "/out")); diff != "" {
			t.Errorf("operation %d failed; the next export: -want +got:\n%s", n, diff)
		}
	}
}
