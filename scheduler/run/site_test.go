package run_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
	"holdfast/configs"
	"holdfast/dumpers"
	"holdfast/dumpers/dumpertest"
	"holdfast/internal/vfs"
	"holdfast/reports"
	"holdfast/scheduler/recovery"
	"holdfast/scheduler/run"
	"holdfast/vtape"
)

const cluster = 64 << 10

// siteYAML is a small site: every way a dump can take, on volumes so small that dumps span them. Nothing is promoted, so that
// the levels of a night are known.
const siteYAML = `
org: test
state: /state
dump-cycle: 2d
in-parallel: 2
bump: {size: 1KiB, mult: 1, days: 1}
holding: [{dir: /holding, chunk: 512KiB}]
storage:
  vtapes: {path: /vtapes, slots: 14, volume-size: 1152KiB, part-size: 384KiB, label: T-%%%, run-volumes: 8}
dump-types:
  default: {compress: fast, max-promote: 0d}
  plain: {compress: none}
  direct: {compress: fast, holding: never}
  secret: {compress: fast, encrypt: {recipients: /keys}}
dles:
  - {vm: golden, image: /images/golden, format: raw}
  - {vm: clone, image: /images/clone, format: raw, base: golden}
  - {vm: web, image: /images/web, format: raw, type: plain}
  - {vm: db, image: /images/db, format: raw, type: direct}
  - {vm: vault, image: /images/vault, format: raw, type: secret}
`

// firstNight is when the first run begins; each further one is a day later.
func firstNight() time.Time { return time.Date(2025, 3, 1, 1, 0, 0, 0, time.UTC) }

// images are the disks of all nights. They never change, so that many sites can share them: a night shows a DLE its
// version of the disk.
type images struct {
	nights   []map[string]*dumpertest.Mem
	contents []map[string][]byte
	identity *age.X25519Identity
}

func newImages(t testing.TB, nights int) *images {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	im := &images{identity: id}
	r := rand.New(rand.NewPCG(7, 7))
	disks := map[string][]byte{}
	for vm, clusters := range map[string]int{"golden": 10, "clone": 10, "web": 26, "db": 9, "vault": 7} {
		disks[vm] = make([]byte, clusters*cluster-512) // the last cluster is cut short
	}
	for _, vm := range []string{"golden", "web", "db", "vault"} {
		for at := 0; at < len(disks[vm]); at += cluster {
			if at/cluster%4 != 3 {
				scribble(r, disks[vm], at)
			}
		}
	}
	copy(disks["clone"], disks["golden"])
	for n := range nights {
		for _, vm := range []string{"clone", "web", "db", "vault"} {
			scribble(r, disks[vm], (n*3+1)*cluster%len(disks[vm])/cluster*cluster)
		}
		clear(disks["web"][(n%20)*cluster : (n%20+1)*cluster])
		im.add(disks)
	}
	return im
}

// scribble fills the cluster at off with bytes of which half compress away.
func scribble(r *rand.Rand, disk []byte, off int) {
	for i := off; i < min(off+cluster/2, len(disk)); i++ {
		disk[i] = byte(r.Uint32())
	}
	for i := off + cluster/2; i < min(off+cluster, len(disk)); i++ {
		disk[i] = 'x'
	}
}

func (im *images) add(disks map[string][]byte) {
	night, contents := map[string]*dumpertest.Mem{}, map[string][]byte{}
	for vm, disk := range disks {
		m := dumpertest.NewMem("disk0", int64(len(disk)))
		for off := 0; off < len(disk); off += cluster {
			if p := disk[off:min(off+cluster, len(disk))]; !isZero(p) {
				m.Write(int64(off), p)
			}
		}
		night[vm], contents[vm] = m, bytes.Clone(disk)
	}
	im.nights, im.contents = append(im.nights, night), append(im.contents, contents)
}

func isZero(p []byte) bool { return len(bytes.Trim(p, "\x00")) == 0 }

// named gives a source the identity that a file would have: it does not change from night to night.
type named struct {
	*dumpertest.Mem
	identity string
}

func (n named) Describe(ctx context.Context) (dumpers.Description, error) {
	d, err := n.Mem.Describe(ctx)
	for i := range d.Disks {
		d.Disks[i].Identity = n.identity
	}
	return d, err
}

// site is a configuration with its media in memory and its catalog in a file.
type site struct {
	t      testing.TB
	im     *images
	config *configs.Config
	mem    *vfs.Mem
	// fs is what a run sees: mem, or mem with faults.
	fs    vfs.FS
	path  string // of the catalog
	store *sqlstore.Store
	// night is the version of the images that a run sees now; made is the one each run saw.
	night int
	made  map[catalog.Stamp]int
	// source replaces the sources of some DLEs.
	source map[string]func() (dumpers.Source, error)
	clock  *clock
}

// clock moves on by a millisecond whenever somebody looks.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(time.Millisecond)
	return c.at
}

func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

// tempDir is a directory in memory where there is one: a sweep commits tens of thousands of times.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "holdfast-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func parseConfig(t testing.TB, yaml string) *configs.Config {
	t.Helper()
	c, err := configs.Parse("test.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newSite makes an empty site: library, holding disk, catalog.
func newSite(t testing.TB, im *images, yaml string) *site {
	t.Helper()
	s := &site{
		t: t, im: im, config: parseConfig(t, yaml), mem: vfs.NewMem(), path: filepath.Join(tempDir(t), "catalog.sqlite"),
		made: map[catalog.Stamp]int{}, clock: &clock{}, source: map[string]func() (dumpers.Source, error){},
	}
	s.fs = s.mem
	for _, dir := range []string{"/state", "/holding"} {
		if err := vfs.MkdirAll(s.mem, dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, st := range s.config.Storages() {
		if err := (run.Opener{FS: s.mem}).Create(t.Context(), st); err != nil {
			t.Fatal(err)
		}
	}
	s.open(sqlstore.Options{Create: true})
	return s
}

// open opens the catalog, anew if it is open.
func (s *site) open(o sqlstore.Options) {
	s.t.Helper()
	s.close()
	var err error
	if s.store, err = sqlstore.Open(context.Background(), s.path, o); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) close() {
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.t.Error(err)
		}
		s.store = nil
	}
}

// fork gives a site of its own that goes on from where s stands after a loss of power at this moment.
func (s *site) fork(t testing.TB) *site {
	t.Helper()
	return s.snapshot(t, s.mem.CrashClone())
}

// snapshot is fork with what became of the files. The catalog is copied as committed.
func (s *site) snapshot(t testing.TB, mem *vfs.Mem) *site {
	t.Helper()
	f := *s
	f.t, f.mem, f.fs, f.store, f.clock = t, mem, mem, nil, &clock{}
	f.source = map[string]func() (dumpers.Source, error){}
	f.path = filepath.Join(tempDir(t), "catalog.sqlite")
	f.made = map[catalog.Stamp]int{}
	for k, v := range s.made {
		f.made[k] = v
	}
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(s.path + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(f.path+suffix, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return &f
}

func (s *site) sourceOf(d configs.DLE) (dumpers.Source, error) {
	if make := s.source[d.VM]; make != nil {
		return make()
	}
	return named{s.im.nights[s.night][d.VM], "image of " + d.VM}, nil
}

func (s *site) Night() *run.Night {
	return &run.Night{
		Config: s.config, Store: s.store, FS: s.fs, Source: s.sourceOf, Now: s.clock.now, Host: "here", Version: "test",
		PID: 1, Workers: 1,
		Recipients: func(string) ([]age.Recipient, error) { return []age.Recipient{s.im.identity.Recipient()}, nil },
	}
}

// begin turns to a night: the images as they are then, and the time.
func (s *site) begin(night int) {
	s.night = night
	at := firstNight().AddDate(0, 0, night)
	s.clock.set(at)
	s.made[catalog.NewStamp(at.Add(time.Millisecond))] = night
}

// run runs a night. That it ends at all is the caller's deadline to see.
func (s *site) run(ctx context.Context, night int, o run.Options) (reports.Report, error) {
	s.begin(night)
	if o.Command == "" {
		o.Command = run.CommandRun
	}
	return s.Night().Run(ctx, o)
}

// goodNight runs a night that has to go well.
func (s *site) goodNight(night int) reports.Report {
	s.t.Helper()
	return s.mustRun(night, run.Options{})
}

// mustRun runs a night that has to go well; what --no-taper leaves on the holding disk is as asked.
func (s *site) mustRun(night int, o run.Options) reports.Report {
	s.t.Helper()
	r, err := s.run(context.Background(), night, o)
	if err != nil || r.Head.ExitStatus != 0 {
		s.t.Fatalf("night %d: exit status %d, error %v\n%s", night, r.Head.ExitStatus, err, reportText(r))
	}
	return r
}

func reportText(r reports.Report) string {
	var b strings.Builder
	if err := reports.Text(&b, r, reports.TextOptions{Location: time.UTC}); err != nil {
		return err.Error()
	}
	return b.String()
}

func (s *site) recovery() *recovery.Site {
	n := s.Night()
	return &recovery.Site{
		Catalog: recovery.FromStore{Store: s.store}, FS: s.fs, Map: n.Maps().Open, Workers: 1,
		Identities: []age.Identity{s.im.identity},
		Device: func(ctx context.Context, storage string, label catalog.Label) (vtape.Device, error) {
			lib, err := run.Opener{FS: s.fs}.Open(s.t.Context(), s.config.Storage[storage])
			if err != nil {
				return nil, err
			}
			_, dev, err := lib.Load(ctx, label)
			return dev, err
		},
	}
}

// disk is a target in memory that begins as zeros.
type disk []byte

func (d disk) WriteAt(p []byte, off int64) (int, error) { return copy(d[off:], p), nil }

func (d disk) Zero(off, length int64) error {
	clear(d[off : off+length])
	return nil
}

// restore brings a dump back and compares it with the image as it was that night.
func (s *site) restore(d catalog.Dump) error {
	night, ok := s.made[d.Stamp]
	if !ok {
		return fmt.Errorf("%s: no such night", d.ID)
	}
	got, err := restore(s.recovery(), d)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, s.im.contents[night][d.DLE.VM]) {
		return fmt.Errorf("%s: WRONG BYTES", d.ID)
	}
	return nil
}

func restore(site *recovery.Site, d catalog.Dump) ([]byte, error) {
	ctx := context.Background()
	c, err := site.OpenChain(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	got := make(disk, c.SizeBytes())
	return got, c.WriteTo(ctx, got, true)
}

// checkDone restores every dump that the catalog calls done.
func (s *site) checkDone(when string) {
	s.t.Helper()
	dumps, err := s.store.Dumps(context.Background(), sqlstore.DumpFilter{Restorable: true})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, d := range dumps {
		if err := s.restore(d); err != nil {
			s.t.Errorf("%s: %v", when, err)
		}
	}
}

// checkLatest makes sure that each DLE can be restored as it was in the last run.
func (s *site) checkLatest(when string, stamp catalog.Stamp) {
	s.t.Helper()
	dumps, err := s.store.Dumps(context.Background(), sqlstore.DumpFilter{Restorable: true, Stamp: stamp})
	if err != nil {
		s.t.Fatal(err)
	}
	found := map[catalog.DLE]bool{}
	for _, d := range dumps {
		found[d.DLE] = true
	}
	for _, d := range s.config.DLEs {
		if !found[d.Name()] {
			s.t.Errorf("%s: run %s left no dump of %s", when, stamp, d.Name())
		}
	}
}

// checkTidy makes sure that nothing lies about that the catalog does not know, and the other way round.
func (s *site) checkTidy(when string) {
	s.t.Helper()
	ctx := context.Background()
	held, err := s.store.Held(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(held) > 0 {
		s.t.Errorf("%s: the catalog has %d dumps on the holding disk", when, len(held))
	}
	if left := files(s.mem, "/holding"); len(left) > 0 {
		s.t.Errorf("%s: left on the holding disk: %v", when, left)
	}
	placed, err := s.Night().Placed(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	wanted := map[string]bool{}
	for id := range placed {
		wanted[url.QueryEscape(string(id))+".map"] = true
	}
	for _, name := range files(s.mem, "/state/maps") {
		if !wanted[filepath.Base(name)] {
			s.t.Errorf("%s: block map of no dump: %s", when, name)
		}
	}
	for _, st := range s.config.Storages() {
		s.checkVolumes(when, st)
	}
}

// checkVolumes compares the files on a storage's volumes with the parts in the catalog.
func (s *site) checkVolumes(when string, st configs.Storage) {
	s.t.Helper()
	ctx := context.Background()
	lib, err := run.Opener{FS: s.mem}.Open(s.t.Context(), st)
	if errors.Is(err, vtape.ErrAbsent) && st.Removable {
		return
	}
	if err != nil {
		s.t.Fatal(err)
	}
	inv, err := lib.Inventory(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, slot := range inv {
		if slot.Err != nil {
			s.t.Errorf("%s: slot %s: %v", when, slot.Slot, slot.Err)
		}
		if slot.Blank {
			continue
		}
		parts, err := s.store.PartsOn(ctx, slot.Label)
		if err != nil {
			s.t.Fatal(err)
		}
		records, err := s.store.Records(ctx, st.Name)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, p := range records {
			if p.Label == slot.Label {
				parts = append(parts, p)
			}
		}
		dev, err := lib.Device(slot.Slot)
		if err != nil {
			s.t.Fatal(err)
		}
		list, err := dev.Files(ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		sizes := map[int]int64{}
		for _, f := range list {
			sizes[f.Number] = f.Bytes
		}
		for _, p := range parts {
			if got, ok := sizes[p.File]; !ok || got != p.Bytes {
				s.t.Errorf("%s: volume %s file %d: %d bytes, the catalog says %d", when, p.Label, p.File, got, p.Bytes)
			}
			delete(sizes, p.File)
		}
		vol, err := s.store.Volume(ctx, slot.Label)
		if err != nil {
			s.t.Fatal(err)
		}
		if vol.WriteStamp == slot.Stamp && len(sizes) > 0 {
			s.t.Errorf("%s: volume %s has files that the catalog does not know: %v", when, slot.Label, sizes)
		}
	}
}

// files lists all files below dir; none where it is missing.
func files(fsys vfs.FS, dir string) []string {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil
	}
	var list []string
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if e.IsDir() {
			list = append(list, name+"/")
			list = append(list, files(fsys, name)...)
		} else {
			list = append(list, name)
		}
	}
	return list
}

// deadline is how long a night of the test site may take before it is taken to hang.
const deadline = 2 * time.Minute

// watched fails the whole test with the stacks of all goroutines when f hangs.
func watched(what string, f func()) {
	timer := time.AfterFunc(deadline, func() { panic(what + " hangs") })
	defer timer.Stop()
	f()
}
