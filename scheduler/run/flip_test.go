package run_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"holdfast/catalog"
	"holdfast/catalog/sqlstore"
	"holdfast/internal/frames"
	"holdfast/internal/vfs"
	"holdfast/scheduler/recovery"
	"holdfast/scheduler/run"
	"holdfast/vtape"
)

// damaged is a site whose media are damaged by one bit at a time.
type damaged struct {
	*site
	recovery *recovery.Site
	dumps    []catalog.Dump
	// part finds what a file of a volume holds, by its path.
	part map[string]catalog.Part
	// chains tells which dumps a dump rests on, itself included.
	chains map[catalog.DumpID]map[catalog.DumpID]bool
}

// newDamaged makes a site with dumps of every kind at levels 0 to 2.
func newDamaged(t *testing.T, prepare func(s *site)) *damaged {
	t.Helper()
	ctx := context.Background()
	s := newSite(t, newImages(t, 3), strings.Replace(siteYAML, "dump-cycle: 2d", "dump-cycle: 7d", 1))
	prepare(s)
	d := &damaged{site: s, recovery: s.recovery(), part: map[string]catalog.Part{}, chains: map[catalog.DumpID]map[catalog.DumpID]bool{}}
	d.recovery.Device = d.cached(d.recovery.Device)
	var err error
	if d.dumps, err = s.store.Dumps(ctx, sqlstore.DumpFilter{Restorable: true}); err != nil {
		t.Fatal(err)
	}
	for _, dump := range d.dumps {
		d.chains[dump.ID] = catalog.Needed(d.dumps, []catalog.DumpID{dump.ID})
		copies, err := s.store.Copies(ctx, dump.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range copies[0].Parts {
			d.part[d.pathOf(p)] = p
		}
	}
	return d
}

// cached keeps the devices, so that each read does not look through the whole library.
func (d *damaged) cached(load func(context.Context, string, catalog.Label) (vtape.Device, error)) func(context.Context, string, catalog.Label) (vtape.Device, error) {
	devices := map[catalog.Label]vtape.Device{}
	return func(ctx context.Context, storage string, label catalog.Label) (vtape.Device, error) {
		if dev := devices[label]; dev != nil {
			return dev, nil
		}
		dev, err := load(ctx, storage, label)
		if err == nil {
			devices[label] = dev
		}
		return dev, err
	}
}

func (d *damaged) pathOf(p catalog.Part) string {
	for _, v := range d.volumes() {
		if v.Label != p.Label {
			continue
		}
		for _, name := range files(d.mem, "/vtapes/slot"+v.Slot) {
			if strings.Contains(name, fmt.Sprintf("/%05d.", p.File)) {
				return name
			}
		}
	}
	d.t.Fatalf("no file of %+v", p)
	return ""
}

// spots chooses bytes of a file so that each layer gets its share: header and its padding, the beginning of the stream
// (age's header, the first frame), its end (padding, seek table), and what lies between.
func spots(r *rand.Rand, size int64, scale int) []int64 {
	var list []int64
	add := func(n int, from, to int64) {
		for range n * scale {
			if from, to := max(0, from), min(to, size); from < to {
				list = append(list, from+r.Int64N(to-from))
			}
		}
	}
	const head = vtape.HeaderBytes
	add(4, 0, 1200)
	add(2, 0, head)
	add(4, head, head+300)
	add(4, head, head+4<<10)
	add(8, head, size)
	add(8, size-300, size)
	add(3, size-20, size)
	return list
}

func sizeOf(t testing.TB, fsys vfs.FS, name string) int64 {
	t.Helper()
	info, err := fsys.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// Whatever bit of a part flips: no restore gives a wrong byte, and verify names the place. A header is not needed.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	d := newDamaged(t, func(s *site) {
		for night := range 3 {
			s.goodNight(night)
		}
	})
	defer d.close()
	seed := uint64(20250301)
	r := rand.New(rand.NewPCG(seed, 1))
	restored, tried := 0, 0
	for _, name := range slices.Sorted(maps.Keys(d.part)) {
		p := d.part[name]
		for _, off := range spots(r, sizeOf(t, d.mem, name), 2) {
			bit := uint(r.IntN(8))
			flip(t, d.mem, name, off, bit)
			if d.checkFlip(p, off) {
				restored++
			}
			tried++
			flip(t, d.mem, name, off, bit)
			if t.Failed() {
				t.Fatalf("seed %d: bit %d of byte %d of %s: %+v", seed, bit, off, name, p)
			}
		}
	}
	t.Logf("%d flips, %d did not matter to a restore", tried, restored)
	for _, dump := range d.dumps {
		if err := d.restore(dump); err != nil {
			t.Errorf("mended: %v", err)
		}
	}
}

// checkFlip restores what rests on the part, and verifies it. It tells whether all could be restored.
func (d *damaged) checkFlip(p catalog.Part, off int64) bool {
	d.t.Helper()
	all := true
	for _, dump := range d.dumps {
		if !d.chains[dump.ID][p.Dump] {
			continue
		}
		got, err := restore(d.recovery, dump)
		switch {
		case err == nil && !bytes.Equal(got, d.im.contents[d.made[dump.Stamp]][dump.DLE.VM]):
			d.t.Errorf("%s: WRONG BYTES", dump.ID)
		case err != nil && off < vtape.HeaderBytes:
			d.t.Errorf("%s: only a header is damaged: %v", dump.ID, err)
		case err != nil && !names(err, p):
			d.t.Errorf("%s: restore does not name %s file %d: %v", dump.ID, p.Label, p.File, err)
		}
		all = all && err == nil
		if dump.ID == p.Dump {
			d.checkVerify(dump, p, off)
		}
	}
	return all
}

// names tells whether an error says where the part lies. Only the volumes are known when no key opens the stream.
func names(err error, p catalog.Part) bool {
	if errors.Is(err, frames.ErrNoIdentity) {
		return strings.Contains(err.Error(), string(p.Label))
	}
	return strings.Contains(err.Error(), fmt.Sprintf("volume %s file %d:", p.Label, p.File))
}

var damageText = regexp.MustCompile(`volume (\S+) file (\d+): bytes (\d+) to (\d+):`)

// checkVerify makes sure that verify names volume, file and a range that holds the byte.
func (d *damaged) checkVerify(dump catalog.Dump, p catalog.Part, off int64) {
	d.t.Helper()
	verdicts, err := d.recovery.Verify(context.Background(), dump)
	if err != nil {
		d.t.Error(err)
	}
	var said []string
	for _, v := range verdicts {
		said = append(said, v.Problems...)
		for _, problem := range v.Problems {
			m := damageText.FindStringSubmatch(problem)
			if m == nil || m[1] != string(p.Label) || m[2] != strconv.Itoa(p.File) {
				continue
			}
			first, _ := strconv.ParseInt(m[3], 10, 64)
			last, _ := strconv.ParseInt(m[4], 10, 64)
			if first <= off && off <= last {
				return
			}
		}
	}
	d.t.Errorf("verify of %s does not name byte %d of %s file %d: %q", dump.ID, off, p.Label, p.File, said)
}

// A damaged label is found, and the volume named. It never leads to wrong bytes.
func TestFlippedLabels(t *testing.T) {
	t.Parallel()
	d := newDamaged(t, func(s *site) { s.goodNight(0) })
	defer d.close()
	r := rand.New(rand.NewPCG(3, 3))
	for _, v := range d.volumes() {
		name := fmt.Sprintf("/vtapes/slot%s/00000.%s", v.Slot, v.Label)
		for _, off := range append(spots(r, vtape.HeaderBytes, 2), 0, 10, 20, 30, 40, 50, 60) {
			bit := uint(r.IntN(8))
			flip(t, d.mem, name, off, bit)
			fresh := d.site.recovery()
			if err := fresh.VerifyVolume(context.Background(), v); err == nil || !strings.Contains(err.Error(), string(v.Label)) {
				t.Errorf("bit %d of byte %d: verify of volume %s: %v", bit, off, v.Label, err)
			}
			for _, dump := range d.dumps {
				got, err := restore(fresh, dump)
				if err == nil && !bytes.Equal(got, d.im.contents[0][dump.DLE.VM]) {
					t.Errorf("bit %d of byte %d: %s: WRONG BYTES", bit, off, dump.ID)
				}
			}
			flip(t, d.mem, name, off, bit)
		}
		if err := d.recovery.VerifyVolume(context.Background(), v); err != nil {
			t.Error(err)
		}
	}
}

// Without its block map, or with a damaged one, a dump without compression has nothing of its own that shows a wrong byte:
// the checksum of the whole stands for it.
func TestFlippedBitsWithoutMap(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"lost", "damaged"} {
		t.Run(what, func(t *testing.T) {
			d := newDamaged(t, func(s *site) { s.goodNight(0) })
			defer d.close()
			for _, name := range files(d.mem, "/state/maps") {
				if what == "damaged" {
					flip(t, d.mem, name, 300, 2)
				} else if err := d.mem.Remove(name); err != nil {
					t.Fatal(err)
				}
			}
			for _, dump := range d.dumps {
				if err := d.restore(dump); err != nil {
					t.Fatal(err)
				}
			}
			r := rand.New(rand.NewPCG(9, 9))
			for _, name := range slices.Sorted(maps.Keys(d.part)) {
				p := d.part[name]
				for _, off := range spots(r, sizeOf(t, d.mem, name), 1) {
					flip(t, d.mem, name, off, 1)
					for _, dump := range d.dumps {
						if !d.chains[dump.ID][p.Dump] {
							continue
						}
						got, err := restore(d.recovery, dump)
						if err == nil && !bytes.Equal(got, d.im.contents[0][dump.DLE.VM]) {
							t.Errorf("bit 1 of byte %d of %s: %s: WRONG BYTES", off, name, dump.ID)
						}
					}
					flip(t, d.mem, name, off, 1)
				}
			}
		})
	}
}

// With a second copy no single flip keeps a dump from being restored.
func TestFlippedBitsOfTwo(t *testing.T) {
	t.Parallel()
	d := newDamaged(t, func(s *site) {
		s.fs = vfs.Wrap(s.mem, func(op vfs.Op) error {
			if op.Kind == vfs.OpRemove && strings.HasPrefix(op.Path, "/holding") {
				return errInjected
			}
			return nil
		})
		if _, err := s.run(context.Background(), 0, run.Options{}); err != nil {
			s.t.Fatal(err)
		}
		s.fs = s.mem
	})
	defer d.close()
	r := rand.New(rand.NewPCG(5, 5))
	names := map[string]catalog.DumpID{}
	for name, p := range d.part {
		names[name] = p.Dump
	}
	held, err := d.store.Held(context.Background())
	if err != nil || len(held) != 4 {
		t.Fatal(held, err)
	}
	for _, h := range held {
		for _, c := range h.Chunks {
			names[c.Path] = h.Dump
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		id := names[name]
		for _, off := range spots(r, sizeOf(t, d.mem, name), 1) {
			flip(t, d.mem, name, off, 0)
			for _, dump := range d.dumps {
				if dump.DLE.VM == "db" || !d.chains[dump.ID][id] {
					continue // has one copy, or does not rest on it
				}
				got, err := restore(d.recovery, dump)
				if err != nil || !bytes.Equal(got, d.im.contents[0][dump.DLE.VM]) {
					t.Errorf("%s byte %d: %s: %v", name, off, dump.ID, err)
				}
			}
			flip(t, d.mem, name, off, 0)
		}
	}
}

// A run that is killed between recording that a volume will be written over and labelling it leaves the old label, which is no
// damage: nothing on that volume counts any more.
func TestLabelNotWrittenYet(t *testing.T) {
	s := newSite(t, newImages(t, 1), siteYAML)
	defer func() { s.close() }()
	s.mustRun(0, run.Options{})
	v := s.volumes()[0]
	v.WriteStamp, v.Files, v.HeaderCRC = "20260101010000", 0, 1
	if err := s.store.Relabel(context.Background(), v); err != nil {
		t.Fatal(err)
	}
	if err := s.recovery().VerifyVolume(context.Background(), v); err != nil {
		t.Error(err)
	}
	v.Files = 1
	if err := s.recovery().VerifyVolume(context.Background(), v); err == nil {
		t.Error("an old label on a volume that was written is no damage")
	}
}
