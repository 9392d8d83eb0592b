package s3_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"holdfast/vtape"
	"holdfast/vtape/devicetest"
	"holdfast/vtape/s3"
)

// A library is made once, for one storage, and knows its slots; what is not made is absent.
func TestShelf(t *testing.T) {
	server := start(t)
	o := options(server.URL)
	o.Prefix = "tapes/"
	store := open(t, o)
	shelf := store.Shelf("offsite", 3)
	if err := shelf.Check(ctx); !errors.Is(err, vtape.ErrAbsent) || !strings.Contains(err.Error(), ".holdfast-library") {
		t.Errorf("check before create: %v", err)
	}
	must(t, shelf.Create(ctx))
	must(t, shelf.Create(ctx))
	must(t, shelf.Check(ctx))
	other := store.Shelf("other", 3)
	for what, err := range map[string]error{"check": other.Check(ctx), "create": other.Create(ctx)} {
		if err == nil || errors.Is(err, vtape.ErrAbsent) || !strings.Contains(err.Error(), `storage "offsite"`) {
			t.Errorf("%s by another storage: %v", what, err)
		}
	}
	// A slot of a time when there were more, one of another prefix, and what only looks like one.
	for _, key := range []string{"tapes/slot12-special-tapestart", "slot13-special-tapestart", "tapes/slot014-x", "tapes/slotted-x", "tapes/slot2-x"} {
		server.Put(t, bucket, key, []byte("x"))
	}
	if slots, err := shelf.Slots(ctx); err != nil || !slices.Equal(slots, []string{"1", "2", "3", "12"}) {
		t.Errorf("slots %q, %v", slots, err)
	}
	must(t, shelf.SetCurrent(ctx, "2"))
	dev := shelf.Device("1")
	must(t, dev.Format(ctx, devicetest.Label("DEMO-001")))
	devicetest.Write(t, dev, 1, devicetest.Header(1), []byte("x"))
	if keys := server.Keys(t, bucket); !slices.Contains(keys, "tapes/slot1-f00000001-mp.data") || !slices.Contains(keys, "tapes/slot1-special-tapestart") {
		t.Errorf("keys %q", keys)
	}
	server.Put(t, bucket, "tapes/slot1-f00000002-mp.data", []byte("orphan"))
	if n, err := shelf.CleanUp(ctx); n != 1 || err != nil {
		t.Errorf("clean-up: %d, %v", n, err)
	}
	server.Put(t, bucket, "tapes/.holdfast-library", []byte("rubbish"))
	if err := shelf.Check(ctx); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged marker: %v", err)
	}
	o.Bucket = "no-such-bucket"
	absent := open(t, o).Shelf("offsite", 3)
	_, err := absent.Slots(ctx)
	for what, err := range map[string]error{"check": absent.Check(ctx), "create": absent.Create(ctx), "slots": err} {
		if !errors.Is(err, vtape.ErrAbsent) || !strings.Contains(err.Error(), "no bucket") {
			t.Errorf("%s without a bucket: %v", what, err)
		}
	}
}

// Of two storages that make a library in one place at once, one has it.
func TestRaceForALibrary(t *testing.T) {
	server := start(t)
	var wg sync.WaitGroup
	var mu sync.Mutex // guards made
	made := 0
	for _, storage := range []string{"a", "b", "c", "d"} {
		shelf := open(t, options(server.URL)).Shelf(storage, 1)
		wg.Go(func() {
			if shelf.Create(ctx) == nil {
				mu.Lock()
				defer mu.Unlock()
				made++
			}
		})
	}
	wg.Wait()
	if made != 1 {
		t.Errorf("%d storages made the library", made)
	}
}

// A key that is read is written back the same; whatever else is in the bucket is none.
func FuzzKey(f *testing.F) {
	for _, name := range []string{
		"f00000001-filestart", "f7fffffff-mp.data", "f0000000a-b00000000000000ff.data", "fffffffff-filestart", "f0000000A-filestart",
		"f00000001-b0000000000000001", "f00000001-", "special-tapestart", "f1-filestart", "f00000001-bffffffffffffffff.data",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		number, block, again, ok := s3.ParseKey(name)
		if ok && (again != name || number < 0 || block < 0) {
			t.Errorf("%q: number %d, block %d, written %q", name, number, block, again)
		}
	})
}

// Keys are those of Amanda, and nothing near them.
func TestKeys(t *testing.T) {
	for name, want := range map[string]bool{
		"f00000001-filestart": true, "f0000001f-mp.data": true, "f00000001-b0000000000000010.data": true,
		"f00000001-b10.data": false, "f00000001-b0000000000000010": false, "f80000000-filestart": false, "f0000001F-mp.data": false,
		"f00000001-mp.data.old": false, "g00000001-mp.data": false, "f00000001filestart": false, "f+0000001-filestart": false, "": false,
	} {
		if _, _, _, ok := s3.ParseKey(name); ok != want {
			t.Errorf("%q: %v", name, ok)
		}
	}
	if n, block, _, _ := s3.ParseKey("f0000001f-b0000000000000010.data"); n != 31 || block != 16 {
		t.Errorf("file %d block %d", n, block)
	}
}
