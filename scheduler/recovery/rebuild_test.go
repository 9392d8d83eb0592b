package recovery_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/zstd"

	"holdfast/catalog"
	"holdfast/catalog/record"
	"holdfast/catalog/sqlstore"
	"holdfast/internal/testtools"
	"holdfast/internal/vfs"
	"holdfast/scheduler/recovery"
	"holdfast/vtape"
)

// loaded is a catalog made of media.
func loaded(t *testing.T, m *recovery.Media) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(context.Background(), filepath.Join(t.TempDir(), "catalog.sqlite"), sqlstore.Options{Create: true})
	if err == nil {
		t.Cleanup(func() { s.Close() })
		err = errors.Join(s.Load(context.Background(), m.Contents()), s.Check(context.Background()))
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What Amanda wrote becomes a catalog from its headers alone: spanning, parts written twice, compression, a holding disk. Its
// volumes are never written over.
func TestAmandaMediaBecomeACatalog(t *testing.T) {
	for _, c := range []struct {
		fixture, place        string
		dumps, copies, onDisk int
		volumes               int
	}{
		{"fxbasic", "vtapes", 3, 3, 0, 1},
		{"fxspan", "vtapes", 1, 1, 0, 3},
		{"fxspan0", "vtapes", 1, 1, 0, 4},
		{"fxspanp", "vtapes", 1, 1, 0, 3},
		{"fxgzip", "vtapes", 2, 2, 0, 1},
		{"fxzstd", "vtapes", 3, 3, 0, 1},
		{"fxhold", "holding", 2, 0, 2, 0},
	} {
		t.Run(c.fixture, func(t *testing.T) {
			mem := vfs.NewMem()
			testtools.Untar(t, filepath.Join("..", "..", "vtape", "testdata", c.fixture+".tar.gz"), mem, "/")
			m, err := openDir(mem, "/"+c.fixture+"/"+c.place)
			if err != nil {
				t.Fatal(err)
			}
			s := loaded(t, m)
			dumps, err := s.Dumps(context.Background(), sqlstore.DumpFilter{Restorable: true})
			if err != nil || len(m.Damaged) > 0 || len(dumps) == 0 {
				t.Fatalf("%d dumps, damaged %v, %v", len(dumps), m.Damaged, err)
			}
			copies, err := s.AllCopies(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			held, err := s.Held(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			volumes, err := s.Volumes(context.Background(), "")
			if err != nil {
				t.Fatal(err)
			}
			if len(dumps) != c.dumps || len(copies) != c.copies || len(held) != c.onDisk || len(volumes) != c.volumes {
				t.Errorf("%d dumps, %d copies, %d held, %d volumes; want %+v", len(dumps), len(copies), len(held), len(volumes), c)
			}
			for _, v := range volumes {
				if v.Files > 0 && !v.NoReuse {
					t.Errorf("volume %s may be written over", v.Label)
				}
			}
			site := &recovery.Site{Catalog: recovery.FromStore{Store: s}, FS: mem, Device: m.Device, Workers: 1}
			for _, d := range dumps {
				var out bytes.Buffer
				n, err := site.OpenNative(context.Background(), d)
				if err == nil && !m.Header(d.ID).Encrypted {
					_, err = n.WriteTo(context.Background(), &out, "")
				}
				if err != nil {
					t.Errorf("%s: %v", d.ID, err)
				}
			}
		})
	}
}

// putRecord writes a catalog record to a volume of its own.
func (s *store) putRecord(r record.Record, change func(stream []byte) []byte) {
	s.t.Helper()
	var out bytes.Buffer
	_, err := record.Encode(context.Background(), &out, r)
	s.must(err)
	stream := out.Bytes()
	if change != nil {
		stream = change(stream)
	}
	h := vtape.Header{
		Stamp: string(r.Run), Host: "server", Disk: record.Disk, Compress: ".zst", Program: catalog.ProgramRecord,
		Server: vtape.CRC{Sum: vtape.Checksum(stream), Bytes: int64(len(stream))},
	}
	d := recovery.DumpFromHeader(h)
	s.headers[d.ID] = h
	s.tape(d, stream, 0)
	delete(s.copies, d.ID)
}

// recordOf is a record of what the store has, as a run with the stamp would write it.
func (s *store) recordOf(stamp catalog.Stamp) record.Record {
	r := record.Record{Storage: "vtapes", Run: stamp}
	for _, d := range s.dumps {
		r.Dumps = append(r.Dumps, d)
		for _, c := range s.copies[d.ID] {
			c.Storage = "vtapes"
			c.Parts = slices.Clone(c.Parts)
			for i, p := range c.Parts {
				c.Parts[i].Storage = "vtapes"
				r.Volumes = append(r.Volumes, catalog.Volume{Label: p.Label, Storage: "vtapes", WriteStamp: p.WriteStamp})
			}
			r.Copies = append(r.Copies, c)
		}
	}
	return r
}

// A record gives what headers cannot: checksums of parts, digests, times. Of two that disagree the later one counts, unless the
// headers say otherwise; one from a newer holdfast is named and left out.
func TestMediaRecords(t *testing.T) {
	newer := func([]byte) []byte {
		w, err := zstd.NewWriter(nil)
		if err != nil {
			panic(err)
		}
		return w.EncodeAll([]byte(`{"format":"holdfast-catalog","version":7,"run":"20991121010000"}`+"\n"), nil)
	}
	for _, c := range []struct {
		name string
		// later is what the later of two records says otherwise.
		later  func(r *record.Record)
		change func(stream []byte) []byte
		// digest is what is believed of the dump's map digest; says stands among the damaged.
		digest, says string
		records      int
	}{
		{"alike", func(*record.Record) {}, nil, "first", "", 2},
		{"the later one counts", func(r *record.Record) { r.Dumps[0].MapDigest = "second" }, nil, "second", "", 2},
		{"headers count more", func(r *record.Record) { r.Dumps[0].StoredCRC++ }, nil, "", "its header contradicts the catalog record: stored checksum", 2},
		{"another part", func(r *record.Record) { r.Copies[0].Parts[0].HeaderCRC++ }, nil, "first", "the catalog record says", 2},
		{"newer", func(*record.Record) {}, newer, "first", "newer holdfast: version 7", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t)
			content := disk(1, 9*cluster)
			s.dump(content, how{vm: "web"})
			s.dumps[0].MapDigest = "first"
			r := s.recordOf("20991120010000")
			r.Documents = []record.Document{{Dump: s.dumps[0].ID, Name: "domain.xml", Data: []byte("<domain/>")}}
			s.putRecord(r, nil)
			later := s.recordOf("20991121010000")
			c.later(&later)
			s.putRecord(later, c.change)
			s.library()
			m, site := s.media("/lib")
			told := errors.Join(m.Damaged...)
			if (c.says == "") != (told == nil) || told != nil && !strings.Contains(told.Error(), c.says) {
				t.Errorf("damaged: %v, want %q", told, c.says)
			}
			got, err := m.Dump(context.Background(), s.dumps[0].ID)
			s.must(err)
			if got.MapDigest != c.digest || m.Records != c.records {
				t.Errorf("digest %q of %d records, want %q of %d", got.MapDigest, m.Records, c.digest, c.records)
			}
			want := s.dumps[0]
			want.MapDigest = c.digest
			ignore := cmpopts.IgnoreFields(catalog.Dump{}, "ChangedBytes", "Started", "Ended")
			if diff := cmp.Diff(want, got, ignore, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			all, err := m.Dumps(context.Background(), nil)
			if err != nil || len(all) != 1 {
				t.Errorf("the records are among the dumps: %v, %v", all, err)
			}
			copies, err := m.Copies(context.Background(), got.ID)
			s.must(err)
			if len(copies) != 1 || c.digest == "first" && copies[0].Parts[0].CRC != s.copies[got.ID][0].Parts[0].CRC {
				t.Errorf("copies %+v", copies)
			}
			chain, err := site.OpenChain(context.Background(), got)
			s.must(err)
			defer chain.Close()
			out := &target{data: make([]byte, len(content))}
			s.must(chain.WriteTo(context.Background(), out, false))
			same(t, c.name, out.data, content)
			names, err := site.WriteMetadata(context.Background(), got, "/docs", false)
			data, readErr := vfs.ReadFile(s.fs, "/docs/domain.xml")
			if err != nil || readErr != nil || len(names) != 1 || string(data) != "<domain/>" {
				t.Errorf("documents %v: %q, %v, %v", names, data, err, readErr)
			}
			if _, err := site.WriteMetadata(context.Background(), got, "/docs", false); !errors.Is(err, recovery.ErrExists) {
				t.Errorf("documents written over: %v", err)
			}
		})
	}
}

// The volumes of one site lie on two disks: together they are the library.
func TestMediaOfTwoDisks(t *testing.T) {
	s := newStore(t)
	content := disk(1, 20*cluster)
	full := s.dump(content, how{vm: "web", plain: true})
	if len(s.copies[full.ID][0].Parts) < 2 {
		t.Fatal("the dump is in one part")
	}
	s.library()
	s.must(s.fs.Mkdir("/other", 0o700))
	s.must(s.fs.Rename("/lib/slot2", "/other/slot1"))
	if m, err := openDir(s.fs, "/lib"); err != nil || len(m.Contents().Copies) != 1 || m.Contents().Copies[0].Status.Usable() {
		t.Errorf("one disk: %v", err)
	}
	for _, dirs := range [][]string{{"/lib", "/other"}, {"/other", "/lib"}} {
		m, err := openDir(s.fs, dirs...)
		s.must(err)
		site := s.site()
		site.Catalog, site.Device, site.Map = m, m.Device, nil
		chain, err := site.OpenChain(context.Background(), full)
		s.must(err)
		out := &target{data: make([]byte, len(content))}
		s.must(chain.WriteTo(context.Background(), out, false))
		same(t, dirs[0], out.data, content)
		chain.Close()
	}
}

// Where only headers are left, the checksum of the whole stream stands for those of the parts: an encrypted dump without its key
// has no other.
func TestVerifyByTheHeader(t *testing.T) {
	s := newStore(t)
	d := s.dump(disk(1, 9*cluster), how{vm: "web", encrypt: true})
	part := s.copies[d.ID][0].Parts[0]
	s.library()
	m, site := s.media("/lib")
	site.Identities = nil
	for _, damaged := range []bool{false, true} {
		if damaged {
			names, err := s.fs.ReadDir("/lib/slot" + strings.TrimLeft(string(part.Label), "V0"))
			s.must(err)
			f, err := s.fs.OpenFile("/lib/slot"+strings.TrimLeft(string(part.Label), "V0")+"/"+names[1].Name(), os.O_RDWR, 0)
			s.must(err)
			_, err = f.WriteAt([]byte("xx"), vtape.HeaderBytes+70000)
			s.must(errors.Join(err, f.Close()))
		}
		found, err := m.Dump(context.Background(), d.ID)
		s.must(err)
		verdicts, err := site.Verify(context.Background(), found)
		s.must(err)
		if len(verdicts) != 1 || !verdicts[0].Sealed || (len(verdicts[0].Problems) > 0) != damaged {
			t.Errorf("damaged %v: %+v", damaged, verdicts)
		}
	}
}
